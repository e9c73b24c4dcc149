//! Figures of several runs beside each other.
//!
//! Any runs may stand together. Those that are done make *series* ([`series`]): runs that differ
//! in nothing but size, split and seed, and in what follows from these. Where a series varies in
//! one of them there is a figure of it ([`scaling`]); what time and memory went to is shown of
//! every run ([`bars`]).

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

pub(super) use one_series::Scaling;
pub(super) use table::table;

/// The figures of those of `runs` that are done; none if none is.
///
/// `scaling` where size or model varies, `weak_scaling` and `strong_scaling` where the number of
/// cores does, `real_time_factor` and `memory` always. Takes time in proportion to the runs, but
/// for sorting.
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

/// A run that is done.
#[derive(Clone, Copy, Debug)]
struct Run<'a> {
    record: &'a RunRecord,
    outcome: &'a Outcome,
}

impl<'a> Run<'a> {
    /// Those of `runs` that are done, by model, size and split, then seed.
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

    /// The neuron model, as the config names it.
    fn model(&self) -> &'a str {
        let name = self.record.parameter(["neuron", "model"]).as_str();
        name.unwrap_or_default()
    }

    /// N
    fn neurons(&self) -> u64 {
        self.outcome.counts.neurons
    }

    /// R
    fn ranks(&self) -> usize {
        self.record.provenance.ranks
    }

    /// T
    fn threads(&self) -> usize {
        self.record.provenance.threads
    }

    /// R · T
    fn cores(&self) -> usize {
        self.ranks().saturating_mul(self.threads())
    }

    /// Ranks and threads.
    fn split(&self) -> (usize, usize) {
        (self.ranks(), self.threads())
    }

    /// Wall time of the simulate phase, of the slowest rank (s).
    fn simulate(&self) -> f64 {
        self.outcome.wall_time.simulate.max
    }

    /// Spikes of a neuron a second, averaged over time and both populations.
    fn rate(&self) -> f64 {
        let counts = &self.outcome.counts;
        let seconds = self.outcome.model_time_ms / 1000.0;
        counts.spikes() as f64 / counts.neurons as f64 / seconds
    }
}
