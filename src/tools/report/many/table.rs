//! Table of the numbers of all runs, one row per run.

use crate::base::digest::Digest;
use crate::base::memory::show_size;
use crate::base::units::grouped;
use crate::io::outcome::RunRecord;

use super::Run;
use super::series::disagreements;

/// Runs as rows of text for an HTML table.
#[derive(Debug)]
pub(in crate::tools::report) struct Table {
    /// Column titles with units.
    pub(in crate::tools::report) header: [&'static str; COLUMNS],
    /// One row per run, in the order given; result cells are empty if the run is not done.
    pub(in crate::tools::report) rows: Vec<[String; COLUMNS]>,
    /// One line per set of runs whose digests differ but should not; usually empty.
    pub(in crate::tools::report) warnings: Vec<String>,
}

const COLUMNS: usize = 17;
const HEADER: [&str; COLUMNS] = [
    "result",
    "status",
    "model",
    "neurons",
    "synapses",
    "ranks × threads",
    "seed",
    "model time (ms)",
    "simulate (s)",
    "real-time factor",
    "rate E (spikes/s)",
    "rate I (spikes/s)",
    "weight mean (pA)",
    "weight SD (pA)",
    "peak memory per rank",
    "spike digest",
    "weight digest",
];

/// Returns the table of all `runs`, done or not.
pub(in crate::tools::report) fn table(runs: &[RunRecord]) -> Table {
    Table {
        header: HEADER,
        rows: runs.iter().map(row).collect(),
        warnings: disagreements(&Run::done(runs)),
    }
}

fn row(run: &RunRecord) -> [String; COLUMNS] {
    let parameter = |table, key| run.parameter([table, key]);
    let status = match &run.error {
        Some(error) if error.starts_with(&run.status) => error.clone(),
        Some(error) => format!("{}: {error}", run.status),
        None => run.status.clone(),
    };
    let model = parameter("neuron", "model").as_str().unwrap_or_default();
    let (ranks, threads) = (run.provenance.ranks, run.provenance.threads);
    let [synapses, model_time, results @ ..] = results(run);
    let [simulate, factor, e, i, mean, sd, memory, spikes, weights] = results;
    [
        run.directory.display().to_string(),
        status,
        model.to_owned(),
        parameter("network", "N")
            .as_u64()
            .map_or_else(String::new, grouped),
        synapses,
        format!("{ranks} × {threads}"),
        parameter("simulation", "seed").to_string(),
        model_time,
        simulate,
        factor,
        e,
        i,
        mean,
        sd,
        memory,
        spikes,
        weights,
    ]
}

/// Returns the cells that only a finished run has: synapses, model time, and all columns to the
/// right of model time.
fn results(run: &RunRecord) -> [String; 11] {
    let Some(outcome) = &run.outcome else {
        return Default::default();
    };
    let counts = &outcome.counts;
    let rate = |rate: Option<f64>| rate.map_or("none".into(), |rate| format!("{rate:.3}"));
    let weight = |weight: Option<f64>| weight.map_or("none".into(), significant);
    let digest = |digest: Digest| digest.to_string()[..8].to_owned();
    [
        grouped(counts.synapses()),
        outcome.model_time_ms.to_string(),
        significant(outcome.wall_time.simulate.max),
        significant(outcome.real_time_factor),
        rate(outcome.rates.E),
        rate(outcome.rates.I),
        weight(outcome.weights.mean),
        weight(outcome.weights.sd),
        show_size(outcome.memory.peak_per_rank.max as u64),
        digest(outcome.digest.spikes),
        digest(outcome.digest.weights),
    ]
}

/// Formats `value` with 4 significant digits, or with all digits of a longer integer part.
fn significant(value: f64) -> String {
    let before = if value == 0.0 {
        0
    } else {
        value.abs().log10().floor() as i32
    };
    let after = (3 - before).clamp(0, 12) as usize;
    format!("{value:.after$}")
}
