//! Spikes of one run: raster, population rate, rates and irregularity of single neurons.

use super::numbers::{edges, end_above, evenly, fractions, short};
use super::{begun, check_count, noted};
use crate::base::error::{Error, Result};
use crate::base::units::{Grid, Ms, Steps, grouped};
use crate::io::analysis::{Activity, Population, Results, Window};
use crate::io::outcome::RunRecord;
use crate::tools::figure::{Axis, Colour, Figure, Panel, Shape, nice};

/// Name of the file that holds the spikes.
pub(super) const FILE: &str = "spikes.h5";

/// Maximum number of spikes to read in full; of more, only a stretch at the end is read.
const MOST_SPIKES: usize = 200_000_000;
/// Approximate number of spikes in that stretch.
const SPIKES_OF_A_STRETCH: usize = 100_000_000;

/// Possible lengths of the raster (ms), longest first.
const LENGTHS: [f64; 8] = [2000.0, 1000.0, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0];
/// Maximum number of dots in the raster; only the shortest length may exceed it.
const DOTS: usize = 3000;

/// Approximate maximum number of bins of a distribution over neurons.
const BINS: f64 = 50.0;

/// Activity of one population in the window that is read.
struct Seen {
    population: Population,
    neurons: u32,
    activity: Activity,
}

impl Seen {
    fn name(&self) -> &'static str {
        match self.population {
            Population::E => "excitatory",
            Population::I => "inhibitory",
        }
    }

    fn colour(&self) -> Colour {
        match self.population {
            Population::E => Colour::Excitatory,
            Population::I => Colour::Inhibitory,
        }
    }

    /// Returns the neurons in the raster: at most 60 excitatory or 15 inhibitory ones, evenly
    /// spaced among those recorded.
    fn chosen(&self) -> Vec<usize> {
        let most = match self.population {
            Population::E => 60,
            Population::I => 15,
        };
        evenly(self.activity.neurons(), most)
    }

    /// Returns the rate of each recorded neuron (spikes/s).
    fn rates(&self) -> Vec<f64> {
        let neurons = 0..self.activity.neurons();
        neurons
            .map(|neuron| self.activity.rate_of(neuron))
            .collect()
    }

    /// Returns the CVs of the neurons that have one, which takes 3 spikes.
    fn cvs(&self) -> Vec<f64> {
        let neurons = 0..self.activity.neurons();
        neurons
            .filter_map(|neuron| self.activity.cv_of(neuron))
            .collect()
    }
}

/// Draws raster, rates and irregularity if spikes were recorded and can be read; adds errors to
/// `faults`.
pub(super) fn figures(
    record: &RunRecord,
    results: &Results,
    faults: &mut Vec<Error>,
) -> Vec<Figure> {
    let mut figures = Vec::new();
    if record.parameter(["record", "spikes"]) != true || !begun(record, FILE) {
        return figures;
    }
    let Some(Some(all)) = noted(results.recorded_time(), faults) else {
        return figures;
    };
    let mut counts = Vec::new();
    for population in Population::ALL {
        let count = noted(count(record, results, population, all), faults);
        counts.extend(count.map(|count| (population, count)));
    }
    let spikes = counts.iter().map(|(_, count)| count).sum();
    let window = stretch(all, spikes);
    let mut seen = Vec::new();
    for (population, _) in counts {
        if results.recorded(population) > 0 {
            let activity = noted(results.activity(population, window), faults);
            seen.extend(activity.map(|activity| Seen {
                population,
                neurons: results.neurons(population),
                activity,
            }));
        }
    }
    if seen.is_empty() {
        return figures;
    }
    let note = note(&seen, window, all, results.dt(), spikes);
    figures.extend(noted(activity(results, &seen, window), faults));
    figures.push(rates(&seen, window.length(results.dt()), &note));
    figures.extend(cvs(&seen, &note));
    figures
}

/// Counts all spikes of `population` in the file.
///
/// # Errors
/// Fails if the file cannot be read, or if all neurons were recorded and the count differs from
/// that in run.json.
fn count(
    record: &RunRecord,
    results: &Results,
    population: Population,
    all: Window,
) -> Result<usize> {
    let found = results.spikes(population, all)?.len();
    if let Some(outcome) = &record.outcome
        && results.recorded(population) == results.neurons(population)
    {
        let had = match population {
            Population::E => outcome.counts.spikes_E,
            Population::I => outcome.counts.spikes_I,
        };
        let what = format!("spikes of {}", population.name());
        check_count(record, FILE, &what, found as u64, had)?;
    }
    Ok(found)
}

/// Returns the part of `all` to read: all of it, or its end if it holds too many spikes.
fn stretch(all: Window, spikes: usize) -> Window {
    if spikes <= MOST_SPIKES {
        return all;
    }
    let part = SPIKES_OF_A_STRETCH as f64 / spikes as f64;
    let steps = f64::from(all.until.0 - all.after.0) * part;
    let after = Steps(all.until.0 - (steps as i32).max(1));
    Window { after, ..all }
}

/// Returns the caption sentence on neurons and time window of the distributions.
fn note(seen: &[Seen], window: Window, all: Window, dt: Ms, spikes: usize) -> String {
    let neurons = seen.iter().map(|seen| {
        let (recorded, all) = (seen.activity.neurons(), seen.neurons);
        let which = match recorded == all as usize {
            true => "all".to_owned(),
            false => format!("the first {} of", grouped(recorded)),
        };
        format!("{which} {} {}", grouped(all), seen.name())
    });
    let length = short(window.length(dt).0 / 1000.0);
    let time = match window == all {
        true => format!("over all {length} s of the recording"),
        false => format!(
            "over the last {length} s of the recording ({} spikes in total)",
            grouped(spikes)
        ),
    };
    format!("Distribution over {} neurons, {time}.", listed(neurons))
}

/// Joins one or two items with "and".
fn listed(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" and ")
}

/// Draws the spikes of chosen neurons and, below, the mean rate of all recorded neurons.
fn activity(results: &Results, seen: &[Seen], within: Window) -> Result<Figure> {
    let dt = results.dt();
    let (window, dots) = dots(results, seen, within)?;
    let width = match window.length(dt).0 {
        ..=1000.0 => 5.0,
        _ => 10.0,
    };
    let bin = Steps(((width / dt.0).round() as i32).max(1)).to_ms(dt);
    let (from, to) = (window.after.to_ms(dt).0, window.until.to_ms(dt).0);
    let time = Axis::linear("time (ms)", from, to);
    let rows = seen.iter();
    let rows = rows.map(|seen| format!("{} {}", seen.chosen().len(), seen.name()));
    Ok(Figure {
        name: "activity",
        title: "Activity".to_owned(),
        caption: format!(
            "Top: {} spikes of {} neurons from {} to {} ms; one row per neuron, evenly spaced \
             among those recorded, excitatory neurons at the bottom. Bottom: mean rate of all \
             recorded neurons in bins of {} ms.",
            grouped(dots.iter().map(Vec::len).sum::<usize>()),
            listed(rows),
            short(from),
            short(to),
            short(bin.0)
        ),
        rows: vec![
            vec![raster(seen, dots, time.clone(), dt)],
            vec![population_rates(results, seen, window, bin, time)?],
        ],
    })
}

/// Time of a spike, and its row within the population.
type Dot = (Steps, usize);

/// Returns the end of `within` that the raster shows, and the dots of each population in it.
///
/// The window is the longest of [`LENGTHS`] with at most [`DOTS`] dots, or the shortest one.
fn dots(results: &Results, seen: &[Seen], within: Window) -> Result<(Window, Vec<Vec<Dot>>)> {
    let the_last = |ms: f64| Window {
        after: within.after.max(Steps(
            within.until.0 - ((ms / results.dt().0) as i32).max(1),
        )),
        ..within
    };
    let mut window = the_last(LENGTHS[0]);
    let mut dots = Vec::new();
    for seen in seen {
        dots.push(dots_of(results, seen, window)?);
    }
    for shorter in &LENGTHS[1..] {
        if dots.iter().map(Vec::len).sum::<usize>() <= DOTS {
            break;
        }
        window = the_last(*shorter);
        for dots in &mut dots {
            dots.retain(|(time, _)| *time > window.after);
        }
    }
    Ok((window, dots))
}

/// Returns the spikes of the chosen neurons in `window`.
fn dots_of(results: &Results, seen: &Seen, window: Window) -> Result<Vec<Dot>> {
    let chosen = seen.chosen();
    let mut dots = Vec::new();
    for spike in results.spikes(seen.population, window)? {
        let spike = spike?;
        if let Ok(row) = chosen.binary_search(&(spike.neuron as usize)) {
            dots.push((spike.time, row));
        }
    }
    Ok(dots)
}

fn raster(seen: &[Seen], dots: Vec<Vec<Dot>>, time: Axis, dt: Ms) -> Panel {
    let rows: usize = seen.iter().map(|seen| seen.chosen().len()).sum();
    let mut panel =
        Panel::new(time, Axis::linear("neuron (row)", -1.0, rows as f64)).titled("Spikes");
    panel.height = 1.6;
    let (grid, mut below) = (Grid::new(dt), 0);
    for (seen, dots) in seen.iter().zip(dots) {
        let at = dots.iter();
        let shape = Shape::Dots {
            x: at.clone().map(|(time, _)| time.to_ms(grid).0).collect(),
            y: at.map(|(_, row)| (below + row) as f64).collect(),
        };
        panel = panel.with(seen.name(), seen.colour(), shape);
        below += seen.chosen().len();
    }
    panel
}

fn population_rates(
    results: &Results,
    seen: &[Seen],
    window: Window,
    bin: Ms,
    time: Axis,
) -> Result<Panel> {
    let mut panel = Panel::new(time, Axis::linear("rate (spikes/s)", 0.0, 1.0)).titled("Rate");
    let mut most = 0.0_f64;
    for seen in seen {
        let bins = results.population_rate(seen.population, window, bin)?;
        let middle = |window: Window| {
            let grid = Grid::new(results.dt());
            grid.middle([window.after, window.until]).0
        };
        let y: Vec<f64> = bins.iter().filter_map(|bin| bin.rate).collect();
        most = y.iter().copied().fold(most, f64::max);
        let shape = Shape::Line {
            x: bins.iter().map(|bin| middle(bin.window)).collect(),
            y,
            band: Default::default(),
        };
        panel = panel.with(seen.name(), seen.colour(), shape);
    }
    panel.y.range.1 = end_above(most);
    Ok(panel)
}

/// Draws the distribution of the rates of single neurons.
///
/// A rate is an integer number of spikes divided by the window length. Bin edges lie halfway
/// between two such rates, and every bin holds equally many of them.
fn rates(seen: &[Seen], length: Ms, note: &str) -> Figure {
    let counts = |seen: &Seen| {
        (0..seen.activity.neurons())
            .map(|n| seen.activity.spikes_of(n))
            .max()
    };
    let most = seen.iter().filter_map(counts).max().unwrap_or(0) as f64;
    let spikes = nice((most / BINS).max(1.0));
    let per_second = |spikes: f64| spikes / length.0 * 1000.0;
    let edges = edges(spikes, most + 0.5).into_iter();
    let edges: Vec<f64> = edges.map(|count| per_second(count - 0.5)).collect();
    let means = seen.iter().map(|seen| {
        let mean = seen.activity.rate().unwrap_or(0.0);
        format!("{} spikes/s ({})", short(mean), seen.name())
    });
    Figure {
        name: "rates",
        title: "Firing rates of single neurons".to_owned(),
        caption: format!(
            "{note} Mean: {}. Bin width: {} spikes/s ({} spike{} per window).",
            listed(means),
            short(per_second(spikes)),
            spikes,
            if spikes == 1.0 { "" } else { "s" }
        ),
        rows: vec![vec![distributions(
            "rate (spikes/s)",
            &edges,
            seen.iter().map(|seen| (seen, seen.rates())),
        )]],
    }
}

/// Draws the distribution of the CVs of inter-spike intervals; `None` if no neuron has a CV.
fn cvs(seen: &[Seen], note: &str) -> Option<Figure> {
    let all: Vec<(&Seen, Vec<f64>)> = seen.iter().map(|seen| (seen, seen.cvs())).collect();
    let most = all
        .iter()
        .flat_map(|(_, cvs)| cvs)
        .copied()
        .reduce(f64::max)?;
    let width = nice(most.max(1.0) / BINS);
    let have = all.iter().map(|(seen, cvs)| {
        let neurons = seen.activity.neurons();
        let (have, neurons) = (grouped(cvs.len()), grouped(neurons));
        format!("{have} of {neurons} {} neurons", seen.name())
    });
    let caption = format!(
        "{note} Coefficient of variation (CV): standard deviation of a neuron's inter-spike \
         intervals divided by their mean, for neurons with at least 3 spikes ({}). Poisson \
         process: 1; periodic spiking: 0. Bin width: {}.",
        listed(have),
        short(width)
    );
    let with_one = all.into_iter().filter(|(_, cvs)| !cvs.is_empty());
    let label = "CV of inter-spike intervals";
    let mut panel = distributions(label, &edges(width, most), with_one);
    panel.x.range.1 = panel.x.range.1.max(1.0);
    Some(Figure {
        name: "cv",
        title: "Irregularity of single neurons".to_owned(),
        caption,
        rows: vec![vec![panel]],
    })
}

/// Draws the fraction of neurons per bin, one series per population.
fn distributions<'a>(
    label: &str,
    edges: &[f64],
    values: impl Iterator<Item = (&'a Seen, Vec<f64>)>,
) -> Panel {
    let x = Axis::linear(label, 0.0, end_above(edges[edges.len() - 1]));
    let mut panel = Panel::new(x, Axis::linear("fraction of neurons", 0.0, 1.0));
    let mut most = 0.0_f64;
    for (seen, values) in values {
        let values = fractions(edges, &values);
        most = values.iter().copied().fold(most, f64::max);
        let edges = edges.to_vec();
        panel = panel.with(seen.name(), seen.colour(), Shape::Bins { edges, values });
    }
    panel.y.range.1 = end_above(most);
    panel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_spikes_the_end_is_looked_at() {
        let all = Window {
            after: Steps(800),
            until: Steps(80_800),
        };
        assert_eq!(stretch(all, MOST_SPIKES), all);
        let fourfold = stretch(all, 4 * SPIKES_OF_A_STRETCH);
        assert_eq!((fourfold.after, fourfold.until), (Steps(60_800), all.until));
        assert_eq!(stretch(all, usize::MAX).after, Steps(80_799));
    }
}
