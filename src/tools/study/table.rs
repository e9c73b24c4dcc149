//! Results of the runs of a study: a table for people, CSV for programs.

use std::fmt::Write as _;

use serde_json::Value;

use crate::base::memory::{ByStructure, show_size};
use crate::comm::Spread;
use crate::io::outcome::{Outcome, Provenance, RunRecord};
use crate::tools::text_table;

use super::Run;

/// Finished run with its result.
pub(super) struct Finished<'a> {
    pub(super) run: &'a Run,
    provenance: Provenance,
    parameters: Value,
    outcome: Outcome,
}

impl<'a> Finished<'a> {
    /// Creates the finished run with the result `record`, or `None` if the run is not finished.
    pub(super) fn new(run: &'a Run, record: RunRecord) -> Option<Self> {
        Some(Finished {
            run,
            provenance: record.provenance,
            parameters: record.parameters,
            outcome: record.outcome?,
        })
    }

    /// Returns the time parameter `simulation.<key>` (ms), or NaN if it is missing.
    fn time(&self, key: &str) -> f64 {
        self.parameters["simulation"][key]
            .as_f64()
            .unwrap_or(f64::NAN)
    }

    /// Converts bytes per rank to the memory of all ranks (kB of 1024 bytes, as in NEST).
    fn kilobytes(&self, per_rank: f64) -> f64 {
        (per_rank * self.provenance.ranks as f64 / 1024.0).round()
    }

    /// Returns the memory per rank, on average, of the program and the permanent structures
    /// (bytes).
    fn network(&self) -> f64 {
        let held: &ByStructure<Spread> = &self.outcome.memory.by_structure;
        let staying = held.iter().filter(|(structure, _)| !structure.passes());
        let staying: f64 = staying.map(|(_, bytes)| bytes.mean).sum();
        self.outcome.memory.before_per_rank.mean + staying
    }

    /// Returns the time of the simulation loop that no phase accounts for (s), averaged over the
    /// ranks.
    fn other(&self) -> f64 {
        let wall = &self.outcome.wall_time;
        let phases = wall.phases.map(|seconds| seconds.mean);
        phases.rest(wall.simulate.mean)
    }
}

/// Column of study.csv: its name and a function that returns its value for a run.
type Column = (&'static str, fn(&Finished) -> String);

/// Defines a column with the value `$value` of the run `$of`.
macro_rules! column {
    ($name:literal, $of:ident => $value:expr) => {
        ($name, |$of| $value.to_string())
    };
}

/// Columns of study.csv, in order. Times are means over the ranks, as in beNNch.
const COLUMNS: [Column; 41] = [
    column!("run", of => of.run.name),
    column!("model", of => of.parameters["neuron"]["model"].as_str().unwrap_or_default()),
    column!("rng_seed", of => of.parameters["simulation"]["seed"]),
    column!("num_nodes", of => number(of.provenance.nodes)),
    column!("tasks_per_node", of => {
        number(of.provenance.nodes.map(|nodes| of.provenance.ranks.div_ceil(nodes)))
    }),
    column!("threads_per_task", of => of.provenance.threads),
    column!("ranks", of => of.provenance.ranks),
    column!("model_time_presim", of => of.time("presim")),
    column!("model_time_sim", of => of.time("T")),
    column!("wall_time_create", of => of.outcome.wall_time.construction_create.mean),
    column!("wall_time_connect", of => of.outcome.wall_time.construction_connect.mean),
    column!("wall_time_communicate_prepare", of => of.outcome.wall_time.communicate_prepare.mean),
    column!("wall_time_sim", of => of.outcome.wall_time.simulate.mean),
    column!("wall_time_phase_update", of => of.outcome.wall_time.phases.update.mean),
    column!("wall_time_phase_collocate", of => of.outcome.wall_time.phases.collocate.mean),
    column!("wall_time_phase_communicate", of => of.outcome.wall_time.phases.communicate.mean),
    column!("wall_time_phase_deliver", of => of.outcome.wall_time.phases.deliver.mean),
    column!("wall_time_phase_synchronize", of => of.outcome.wall_time.phases.synchronize.mean),
    column!("wall_time_phase_receive", of => of.outcome.wall_time.phases.receive.mean),
    column!("wall_time_phase_record", of => of.outcome.wall_time.phases.record.mean),
    column!("wall_time_phase_other", of => of.other()),
    column!("real_time_factor", of => of.outcome.real_time_factor),
    column!("base_memory", of => of.kilobytes(of.outcome.memory.before_per_rank.mean)),
    column!("network_memory", of => of.kilobytes(of.network())),
    column!("total_memory", of => of.kilobytes(of.outcome.memory.peak_per_rank.mean)),
    column!("num_neurons", of => of.outcome.counts.neurons),
    column!("num_connections", of => of.outcome.counts.synapses()),
    column!("num_connections_plastic", of => of.outcome.counts.synapses_plastic),
    column!("local_spike_counter", of => of.outcome.counts.spikes()),
    column!("synaptic_events", of => of.outcome.counts.synaptic_events),
    column!("rate_E", of => number(of.outcome.rates.E)),
    column!("rate_I", of => number(of.outcome.rates.I)),
    column!("weight_mean", of => number(of.outcome.weights.mean)),
    column!("weight_sd", of => number(of.outcome.weights.sd)),
    column!("weight_zero_fraction", of => number(of.outcome.weights.zero_fraction)),
    column!("digest_spikes", of => of.outcome.digest.spikes),
    column!("digest_weights", of => of.outcome.digest.weights),
    column!("instruction_set", of => of.provenance.instruction_set),
    column!("commit", of => of.provenance.commit),
    column!("host", of => of.provenance.host),
    column!("date", of => of.provenance.date),
];

fn number(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Returns the runs as CSV: a line of names, then one line per run.
pub(super) fn csv(finished: &[Finished]) -> String {
    let names = COLUMNS.map(|(name, _)| name.to_owned());
    let row = |of| COLUMNS.map(|(_, value)| value(of)).to_vec();
    let rows: Vec<_> = finished.iter().map(row).collect();
    text_table::csv(&names, &rows)
}

/// Maximum width of a run's name in the table (characters).
const NAME: usize = 46;

/// Returns the runs as a table of at most 100 characters per line, with a header. Runs with
/// `unusable` results are at the end, without numbers.
pub(super) fn table(finished: &[Finished], unusable: &[&Run]) -> String {
    let runs = finished.iter().map(|of| of.run);
    let names = runs
        .chain(unusable.iter().copied())
        .map(|run| run.name.chars().count());
    let width = names.max().unwrap_or(0).clamp(3, NAME);
    let mut table = format!(
        "{:<width$} {:>8} {:>8} {:>9} {:>8} {:>6} {:>8} {:>8}\n",
        "run", "R x T", "build", "simulate", "factor", "rate/s", "mean/pA", "memory"
    );
    for of in finished {
        let (outcome, wall) = (&of.outcome, &of.outcome.wall_time);
        let spikes = outcome.counts.spikes();
        let rate = spikes as f64 / outcome.counts.neurons as f64 / of.time("T") * 1000.0;
        let built = wall.construction_create.max
            + wall.construction_connect.max
            + wall.communicate_prepare.max;
        let mean = outcome.weights.mean;
        let mean = mean.map_or("-".to_owned(), |mean| format!("{mean:.2}"));
        let split = format!("{} x {}", of.provenance.ranks, of.provenance.threads);
        writeln!(
            table,
            "{:<width$} {split:>8} {:>6.3} s {:>7.3} s {:>8.4} {rate:>6.2} {mean:>8} {:>8}",
            short(&of.run.name, width),
            built,
            wall.simulate.max,
            outcome.real_time_factor,
            show_size(outcome.memory.peak_per_rank.max as u64),
        )
        .expect("memory");
    }
    for run in unusable {
        let name = short(&run.name, width);
        let split = format!("{} x {}", run.ranks, run.threads);
        writeln!(table, "{name:<width$} {split:>8}  result unusable").expect("memory");
    }
    table
}

/// Shortens a name of more than `most` characters: replaces its middle by an ellipsis.
fn short(name: &str, most: usize) -> String {
    let count = name.chars().count();
    if count <= most {
        return name.to_owned();
    }
    let head = most / 2;
    let tail = most - head - 1;
    let start: String = name.chars().take(head).collect();
    let end: String = name.chars().skip(count - tail).collect();
    format!("{start}…{end}")
}
