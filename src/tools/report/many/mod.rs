//! Figures that compare several runs.
//!
//! Any runs can be compared. Those that are done form *series* ([`series`]): runs that differ only
//! in size, split and seed, and in what follows from these. [`scaling`] draws figures over size and
//! over cores if these vary; [`bars`] draws time and memory of every run.

mod bars;
mod naming;
mod one_series;
mod scaling;
mod series;
mod table;
#[cfg(test)]
mod tests;

use crate::io::outcome::{Outcome, RunRecord};
use crate::tools::figure::Figure;

pub(super) use one_series::ScalingSeries;
pub(super) use table::table;

/// Draws the figures of those of `runs` that are done; none if no run is done.
///
/// `scaling` if size or model varies, `weak_scaling` and `strong_scaling` if the number of cores
/// does, `real_time_factor` and `memory` always. Cost: linear in the number of runs, except for
/// sorting.
pub(super) fn figures(runs: &[RunRecord]) -> Vec<Figure> {
    let runs = Run::done(runs);
    if runs.is_empty() {
        return Vec::new();
    }
    let series = series::series(&runs);
    let over_size = scaling::over_size(&series);
    let over_cores = scaling::Kind::ALL.map(|kind| scaling::over_cores(&series, kind));
    let mut figures: Vec<Figure> = over_size.into_iter().collect();
    figures.extend(over_cores.into_iter().flatten());
    figures.extend(bars::figures(&runs));
    figures
}

/// Finished run with its outcome.
#[derive(Clone, Copy, Debug)]
struct Run<'a> {
    record: &'a RunRecord,
    outcome: &'a Outcome,
}

impl<'a> Run<'a> {
    /// Returns those of `runs` that are done, sorted by model, size, cores, ranks and seed.
    fn done(runs: &'a [RunRecord]) -> Vec<Self> {
        let done = |record: &'a RunRecord| {
            let outcome = record.outcome.as_ref()?;
            Some(Run { record, outcome })
        };
        let mut runs: Vec<_> = runs.iter().filter_map(done).collect();
        let seed = |run: &Run| run.record.parameter(["simulation", "seed"]).as_u64();
        runs.sort_by_key(|run| {
            (
                run.model(),
                run.neurons(),
                run.cores(),
                run.ranks(),
                seed(run),
            )
        });
        runs
    }

    /// Returns the neuron model, as the config names it.
    fn model(&self) -> &'a str {
        let name = self.record.parameter(["neuron", "model"]).as_str();
        name.unwrap_or_default()
    }

    /// Returns the number of neurons N.
    fn neurons(&self) -> u64 {
        self.outcome.counts.neurons
    }

    /// Returns the number of ranks R.
    fn ranks(&self) -> usize {
        self.record.provenance.ranks
    }

    /// Returns the number of threads per rank T.
    fn threads(&self) -> usize {
        self.record.provenance.threads
    }

    /// Returns the number of cores R · T.
    fn cores(&self) -> usize {
        self.ranks().saturating_mul(self.threads())
    }

    /// Returns the numbers of ranks and of threads per rank.
    fn split(&self) -> (usize, usize) {
        (self.ranks(), self.threads())
    }

    /// Returns the wall time of the simulate phase on the slowest rank (s).
    fn simulate(&self) -> f64 {
        self.outcome.wall_time.simulate.max
    }

    /// Returns the rate averaged over time and the neurons of both populations (spikes/s).
    fn rate(&self) -> f64 {
        let counts = &self.outcome.counts;
        let seconds = self.outcome.model_time_ms / 1000.0;
        counts.spikes() as f64 / counts.neurons as f64 / seconds
    }
}
