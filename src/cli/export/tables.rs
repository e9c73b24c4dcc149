//! Tables of `export`, one function each: a line that names the columns, then the rows.

use std::fmt::Display;
use std::ops::Range;

use crate::base::error::Result;
use crate::base::units::{Grid, Ms};
use crate::cli::console;
use crate::io::analysis::{Activity, Population, Results, Weights, Window};

use super::csv::{Csv, Stop};
use super::{Period, Synapses};

/// Default number of sources and of targets of a matrix.
const MATRIX: u32 = 100;

type Written = std::result::Result<(), Stop>;

impl Period {
    fn window(&self, results: &Results) -> Result<Window> {
        results.window(self.from.map(Ms), self.to.map(Ms))
    }

    fn populations(&self) -> impl Iterator<Item = Population> {
        let asked = self.population;
        let all = Population::ALL.into_iter();
        all.filter(move |population| asked.is_none_or(|asked| asked == *population))
    }

    /// Returns the activity of each selected population.
    fn activities(&self, results: &Results) -> Result<Vec<(Population, Activity)>> {
        let window = self.window(results)?;
        self.readable(results, |population| results.activity(population, window))
    }

    /// Returns the result of `read` for each selected population. Omits a population whose
    /// datasets cannot be opened and names it on standard error.
    ///
    /// # Errors
    /// Fails if no population can be opened. Fails if a value is invalid, because no part of a
    /// table that contains one can be trusted.
    fn readable<T>(
        &self,
        results: &Results,
        read: impl Fn(Population) -> Result<T>,
    ) -> Result<Vec<(Population, T)>> {
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        for population in self.populations() {
            match results.check_spikes(population) {
                Ok(()) => found.push((population, read(population)?)),
                Err(error) => faults.push(error),
            }
        }
        if found.is_empty()
            && let Some(error) = faults.pop()
        {
            return Err(error);
        }
        for error in faults {
            console::warn(&format!("left out: {error}"));
        }
        Ok(found)
    }
}

impl Synapses {
    pub(super) fn weights(&self, results: &Results) -> Result<Weights> {
        results.weights(self.at.map(Ms))
    }

    /// Returns the selected sources and targets; by default at most the first `most` of each.
    pub(super) fn ranges(&self, weights: &Weights, most: u32) -> [Range<u32>; 2] {
        let first = |recorded: Range<u32>| 0..recorded.end.min(most);
        let sources = self.sources.clone();
        let targets = self.targets.clone();
        [
            sources.unwrap_or_else(|| first(weights.sources())),
            targets.unwrap_or_else(|| first(weights.targets())),
        ]
    }
}

/// Formats a value; `None` as an empty field.
fn or_empty(value: Option<impl Display>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Writes one row per spike.
pub(super) fn spikes(csv: &mut Csv, results: &Results, period: &Period) -> Written {
    let window = period.window(results)?;
    let all = period.readable(results, |population| results.spikes(population, window))?;
    let grid = Grid::new(results.dt());
    csv.row(format_args!("population,neuron,time_ms"))?;
    for (population, spikes) in all {
        let name = population.name();
        for spike in spikes {
            let spike = spike?;
            let ms = spike.time.to_ms(grid).0;
            csv.row(format_args!("{name},{},{ms}", spike.neuron))?;
        }
    }
    Ok(())
}

/// Writes one row per population.
pub(super) fn rates(csv: &mut Csv, results: &Results, period: &Period) -> Written {
    let activities = period.activities(results)?;
    csv.row(format_args!(
        "population,neurons,spikes,rate_per_s,mean_cv_of_intervals,neurons_with_cv"
    ))?;
    for (population, activity) in activities {
        let cv = activity.mean_cv();
        csv.row(format_args!(
            "{},{},{},{},{},{}",
            population.name(),
            activity.neurons(),
            activity.spikes(),
            or_empty(activity.rate()),
            or_empty(cv.map(|(mean, _)| mean)),
            cv.map_or(0, |(_, neurons)| neurons)
        ))?;
    }
    Ok(())
}

/// Writes one row per neuron.
pub(super) fn rates_of_neurons(csv: &mut Csv, results: &Results, period: &Period) -> Written {
    let activities = period.activities(results)?;
    csv.row(format_args!(
        "population,neuron,spikes,rate_per_s,cv_of_intervals"
    ))?;
    for (population, activity) in activities {
        for neuron in 0..activity.neurons() {
            csv.row(format_args!(
                "{},{neuron},{},{},{}",
                population.name(),
                activity.spikes_of(neuron),
                activity.rate_of(neuron),
                or_empty(activity.cv_of(neuron))
            ))?;
        }
    }
    Ok(())
}

/// Writes one row per time bin and population.
pub(super) fn rates_over_time(
    csv: &mut Csv,
    results: &Results,
    period: &Period,
    bin: Ms,
) -> Written {
    let window = period.window(results)?;
    let all = period.readable(results, |population| {
        results.population_rate(population, window, bin)
    })?;
    let grid = Grid::new(results.dt());
    csv.row(format_args!("population,from_ms,to_ms,spikes,rate_per_s"))?;
    for (population, rates) in all {
        let name = population.name();
        for rate in rates {
            let ends = [rate.window.after, rate.window.until];
            let [from, to] = ends.map(|time| time.to_ms(grid).0);
            let (spikes, mean) = (rate.spikes, or_empty(rate.rate));
            csv.row(format_args!("{name},{from},{to},{spikes},{mean}"))?;
        }
    }
    Ok(())
}

/// Writes one row per synapse.
pub(super) fn connectivity(csv: &mut Csv, results: &Results, synapses: &Synapses) -> Written {
    let weights = synapses.weights(results)?;
    let [sources, targets] = synapses.ranges(&weights, u32::MAX);
    let connections = weights.connections(sources, targets)?;
    csv.row(format_args!("source,target,weight_pA,delay_ms"))?;
    for synapse in connections {
        let synapse = synapse?;
        csv.row(format_args!(
            "{},{},{},{}",
            synapse.source, synapse.target, synapse.weight, synapse.delay.0
        ))?;
    }
    Ok(())
}

/// Writes one row per source, with one column per target.
pub(super) fn matrix(csv: &mut Csv, results: &Results, synapses: &Synapses) -> Written {
    let weights = synapses.weights(results)?;
    let [sources, targets] = synapses.ranges(&weights, MATRIX);
    let matrix = weights.matrix(sources, targets)?;
    let joined = |first: &dyn Display, others: &mut dyn Iterator<Item = String>| {
        others.fold(first.to_string(), |row, other| row + "," + &other)
    };
    let columns = &mut matrix.targets().map(|target| format!("to_{target}_pA"));
    csv.row(format_args!("{}", joined(&"source", columns)))?;
    for source in matrix.sources() {
        let row = &mut matrix.row(source).iter().map(f64::to_string);
        csv.row(format_args!("{}", joined(&source, row)))?;
    }
    Ok(())
}

/// Writes one row per weight bin, preceded by one for weights of 0 and followed by one for those at
/// or above `max`.
pub(super) fn histogram(
    csv: &mut Csv,
    results: &Results,
    synapses: &Synapses,
    bins: usize,
    max: f64,
) -> Written {
    let weights = synapses.weights(results)?;
    let [sources, targets] = synapses.ranges(&weights, u32::MAX);
    let histogram = weights.histogram(sources, targets, bins, 0.0..max)?;
    csv.row(format_args!(
        "from_pA,to_pA,synapses,fraction,density_per_pA"
    ))?;
    let fraction = |count: u64| or_empty(histogram.fraction(count));
    csv.row(format_args!(
        "0,0,{0},{1},",
        histogram.zeros,
        fraction(histogram.zeros)
    ))?;
    for (bin, &count) in histogram.counts.iter().enumerate() {
        let (bounds, density) = (histogram.bin(bin), or_empty(histogram.density(bin)));
        csv.row(format_args!(
            "{},{},{count},{},{density}",
            bounds.start,
            bounds.end,
            fraction(count)
        ))?;
    }
    csv.row(format_args!(
        "{max},inf,{0},{1},",
        histogram.above,
        fraction(histogram.above)
    ))?;
    Ok(())
}
