//! Provenance and outcome of a run: contents of run.json and of the table printed at the end.

mod balance;
mod record;

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base::digest::Digest;
use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::memory::{ByStructure, Structure, resident};
use crate::base::sizes::total;
use crate::base::units::{Grid, Ms};
use crate::comm::{Comm, Spread};
use crate::engine::spikes::ExchangeStatistics;
use crate::engine::{CpuTime, Simulation, Timers};
use crate::io::config::recorded::{FORMAT, Recorded};
use crate::model::params::{Delays, Params};

pub use balance::{Balance, PhaseRecord, Phases, RankRecord};
pub use record::RunRecord;

/// Name and version of the program.
pub const PROGRAM: &str = concat!("stdp-hpc ", env!("CARGO_PKG_VERSION"));

/// Commit of the build, from `git describe`.
pub const COMMIT: &str = env!("STDP_HPC_COMMIT");

/// Names of the files of a result, including those that a killed run may leave behind.
pub const FILES: [&str; 7] = [
    "run.json",
    "run.json.new",
    "run.json.reserve",
    "spikes.h5",
    "spikes.h5.new",
    "weights.h5",
    "weights.h5.new",
];

/// Provenance of a result: program, machine, layout and command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provenance {
    /// Name and version of the program.
    pub program: Cow<'static, str>,
    /// Commit of the build.
    pub commit: Cow<'static, str>,
    /// Host name of rank 0.
    pub host: String,
    /// Start of the run, UTC.
    pub date: String,
    /// Number of nodes; `None` if an older build wrote the file.
    #[serde(default)]
    pub nodes: Option<usize>,
    /// Number of ranks, R.
    pub ranks: usize,
    /// Threads per rank, T.
    pub threads: usize,
    /// Instruction set of the hot loops on rank 0; it does not change the result.
    pub instruction_set: Cow<'static, str>,
    /// Command line of rank 0.
    pub command: Vec<String>,
    /// Name and version of the MPI library; `None` without MPI.
    pub mpi: Option<String>,
}

impl Provenance {
    /// Returns the provenance of this run. Collective.
    pub fn new(comm: &Comm, params: &Params, instruction_set: &'static str) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Provenance {
            program: PROGRAM.into(),
            commit: COMMIT.into(),
            host: host.trim().to_owned(),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            nodes: Some(comm.sum(u64::from(comm.node().rank() == 0)) as usize),
            ranks: comm.size(),
            threads: params.simulation.threads,
            instruction_set: instruction_set.into(),
            command: std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            mpi: comm.library(),
        }
    }
}

/// Outcome of a finished run, over all ranks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Digests of spikes and weights, the same for every split.
    pub digest: Digests,
    /// Counts of neurons, synapses and spikes.
    pub counts: Counts,
    /// Mean rates per population after the warm-up (spikes/s).
    pub rates: Rates,
    /// Moments of the plastic weights at the end (pA).
    pub weights: Weights,
    /// Delays of the network (ms). In run.json, `parameters_in_steps.delay` has them in steps.
    pub delay: Delays<Ms>,
    /// Wall times per phase (s): minimum, mean and maximum over the ranks.
    pub wall_time: WallTime,
    /// CPU times per phase, sampled: sum over all threads, and that of the slowest thread (s). Older
    /// files have none.
    #[serde(default)]
    pub cpu_time: Option<Phases<CpuTime>>,
    /// Load balance over the ranks.
    pub balance: Balance,
    /// Records of the ranks, on rank 0 only. With more than 1024 ranks, every k-th is kept.
    pub ranks: Vec<RankRecord>,
    /// Model time covered by `wall_time.simulate` (ms). The interval in which the warm-up ends is
    /// timed as a whole.
    pub model_time_ms: f64,
    /// Wall time of the simulate phase, maximum over the ranks, divided by its model time.
    pub real_time_factor: f64,
    /// Resident memory per rank and memory per structure (bytes).
    pub memory: Memory,
    /// Statistics of the exchange on rank 0.
    pub exchange: ExchangeStatistics,
}

/// Digests of a run; see [`Outcome::digest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Digests {
    /// Digest of (gid, stamp) of all spikes after the warm-up.
    pub spikes: Digest,
    /// Digest of (source, target, weight) of all plastic synapses at the end.
    pub weights: Digest,
}

/// Counts over all ranks; see [`Outcome::counts`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(non_snake_case)]
pub struct Counts {
    /// Number of neurons.
    pub neurons: u64,
    /// Number of plastic synapses.
    pub synapses_plastic: u64,
    /// Number of static synapses.
    pub synapses_static: u64,
    /// Number of spikes of E after the warm-up.
    pub spikes_E: u64,
    /// Number of spikes of I after the warm-up.
    pub spikes_I: u64,
    /// Number of delivered synaptic events, including the warm-up.
    pub synaptic_events: u64,
    /// Number of external spikes read from a file; `None` if the run draws them.
    #[serde(default)]
    pub external_spikes: Option<u64>,
    /// Number of external spikes that are later than the end of the run.
    #[serde(default)]
    pub external_spikes_outside: Option<u64>,
    /// Number of external spikes that are not delivered: later than the end of the run, or in
    /// transit at its end.
    #[serde(default)]
    pub external_spikes_undelivered: Option<u64>,
}

impl Counts {
    /// Returns the number of plastic and static synapses, saturating at 2⁶⁴ − 1.
    pub fn synapses(&self) -> u64 {
        total([self.synapses_plastic, self.synapses_static])
    }

    /// Returns the number of spikes of both populations after the warm-up, saturating at 2⁶⁴ − 1.
    pub fn spikes(&self) -> u64 {
        total([self.spikes_E, self.spikes_I])
    }
}

/// Mean rates of the populations (spikes/s); see [`Outcome::rates`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(non_snake_case)]
pub struct Rates {
    /// Mean rate of excitatory neurons; `None` if there are none.
    pub E: Option<f64>,
    /// Mean rate of inhibitory neurons; `None` if there are none.
    pub I: Option<f64>,
}

/// Moments of the plastic weights, all `None` without plastic synapses; see [`Outcome::weights`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Weights {
    /// Mean (pA).
    pub mean: Option<f64>,
    /// Standard deviation (pA).
    pub sd: Option<f64>,
    /// Fraction of weights that are exactly 0.
    pub zero_fraction: Option<f64>,
}

/// Wall times (s) under NEST's names: minimum, mean and maximum over the ranks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WallTime {
    /// Creation of neurons and buffers.
    pub construction_create: Spread,
    /// Construction of synapses.
    pub construction_connect: Spread,
    /// Set-up of the target table and the exchange.
    pub communicate_prepare: Spread,
    /// Loop after the warm-up.
    pub simulate: Spread,
    /// Phases of the loop.
    #[serde(flatten)]
    pub phases: Phases<Spread>,
}

/// Memory (bytes): minimum, mean and maximum over the ranks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Resident memory per rank before construction, that is of the program and its libraries.
    pub before_per_rank: Spread,
    /// Peak resident memory per rank.
    pub peak_per_rank: Spread,
    /// Peak resident memory minus the memory before construction, per rank.
    pub grown_per_rank: Spread,
    /// Sum of `grown_per_rank` over the ranks, per synapse; `None` without synapses.
    pub per_synapse: Option<f64>,
    /// Memory of each structure per rank at the end; for temporary structures, the maximum.
    pub by_structure: ByStructure<Spread>,
}

impl Outcome {
    /// Returns the outcome of the run with the wall times `timers`. `before` is this rank's
    /// resident memory before construction, `recording` the maximum memory of its recorder (bytes).
    /// Collective.
    pub fn new(simulation: &Simulation, timers: &Timers, before: u64, recording: u64) -> Self {
        let peak = resident().peak;
        let mut held = simulation.held();
        held[Structure::Recording] = recording;
        let census = simulation.census();
        let given = simulation.given_spikes();
        let comm = simulation.comm();
        let network = &simulation.params().network;
        let emitted = simulation.emitted();
        let spikes = emitted.counts.map(|count| comm.sum(count));
        let grid = Grid::new(simulation.params().simulation.dt);
        let simulated = simulation.params().simulation.T.to_ms(grid);
        let rate = |spikes: u64, neurons: u32| {
            (neurons > 0).then(|| spikes as f64 / f64::from(neurons) / simulated.0 * 1000.0)
        };
        let (plastic, fixed) = (comm.sum(census.plastic), comm.sum(census.fixed));
        let moments = census.weights.moments.of_all(comm);
        let zeros = comm.sum(census.weights.zeros);
        let of_weights = |value: f64| (plastic > 0).then_some(value);
        let grown = comm.spread(peak.saturating_sub(before) as f64);
        let synapses = plastic + fixed;
        let simulate = comm.spread(timers.simulate);
        Outcome {
            digest: Digests {
                spikes: Digest(comm.sum(emitted.digest.0)),
                weights: Digest(comm.sum(census.weights.digest.0)),
            },
            counts: Counts {
                neurons: u64::from(network.N),
                synapses_plastic: plastic,
                synapses_static: fixed,
                spikes_E: spikes[0],
                spikes_I: spikes[1],
                synaptic_events: comm.sum(census.events),
                external_spikes: given.map(|given| given.all),
                external_spikes_outside: given.map(|given| given.outside),
                external_spikes_undelivered: given.map(|given| given.undelivered),
            },
            rates: Rates {
                E: rate(spikes[0], network.N_E),
                I: rate(spikes[1], network.N_I),
            },
            weights: Weights {
                mean: of_weights(moments.mean),
                sd: of_weights(moments.sd),
                zero_fraction: of_weights(zeros as f64 / plastic as f64),
            },
            delay: simulation.delays().map(|delay| delay.to_ms(grid)),
            wall_time: WallTime::new(simulation, timers),
            cpu_time: Some(Phases::cpu(timers).map(|mine| {
                let total = comm.spread(mine.total);
                CpuTime {
                    total: total.mean * comm.size() as f64,
                    slowest_thread: comm.spread(mine.slowest_thread).max,
                }
            })),
            balance: Balance::new(comm, timers, simulation.params().simulation.threads),
            ranks: RankRecord::gather(comm, timers, [emitted.digest, census.weights.digest], peak),
            model_time_ms: timers.model,
            real_time_factor: simulate.max * 1000.0 / timers.model,
            memory: Memory {
                before_per_rank: comm.spread(before as f64),
                peak_per_rank: comm.spread(peak as f64),
                grown_per_rank: grown,
                per_synapse: (synapses > 0)
                    .then(|| grown.mean * comm.size() as f64 / synapses as f64),
                by_structure: held.map(|bytes| comm.spread(bytes as f64)),
            },
            exchange: census.exchange,
        }
    }
}

impl WallTime {
    fn new(simulation: &Simulation, timers: &Timers) -> Self {
        let comm = simulation.comm();
        let built = simulation.construction();
        WallTime {
            construction_create: comm.spread(built.create),
            construction_connect: comm.spread(built.connect),
            communicate_prepare: comm.spread(built.communicate_prepare),
            simulate: comm.spread(timers.simulate),
            phases: Phases::of(timers).map(|seconds| comm.spread(seconds)),
        }
    }
}

/// Status of a run.
#[derive(Clone, Copy, Debug)]
pub enum Status<'a> {
    /// Run in progress, or killed.
    Running,
    /// Run that failed with this error.
    Failed(&'a Error),
    /// Run that a signal ended in an orderly way.
    Interrupted(&'a Error, Interruption),
    /// Run that is done.
    Done(&'a Outcome),
}

/// Signal and model time at which a run was interrupted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Interruption {
    /// Name of the signal.
    pub signal: &'static str,
    /// Model time reached (ms), including the warm-up. spikes.h5 has the spikes up to this time.
    pub model_time_ms: f64,
}

/// Range of the recorded time (ms): later than `after`, up to and including `until`.
#[derive(Serialize)]
struct RecordedTime {
    after: Ms,
    until: Ms,
}

#[derive(Serialize)]
struct Report<'a> {
    format: u64,
    status: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interrupted: Option<Interruption>,
    provenance: &'a Provenance,
    parameters: Value,
    parameters_in_steps: Value,
    recorded_time_ms: RecordedTime,
    #[serde(flatten)]
    outcome: Option<&'a Outcome>,
}

/// Approximate size of run.json (bytes) without parameters and rank records.
const REPORT_BYTES: usize = 6150;
/// Approximate size of a rank record (bytes).
const RECORD_BYTES: usize = 1270;

/// Returns the approximate size of run.json (bytes) for a finished run with `parameters` on `ranks`
/// ranks.
pub fn file_bytes(parameters: &Params, ranks: usize) -> u64 {
    let Recorded {
        parameters,
        in_steps,
    } = parameters.recorded();
    let bytes = |value| {
        serde_json::to_string_pretty(value)
            .expect("plain data")
            .len()
    };
    (bytes(&parameters) + bytes(&in_steps) + REPORT_BYTES + RECORD_BYTES * balance::records(ranks))
        as u64
}

/// Draws an id for a result: 128 random bits as 32 hexadecimal digits, independent of the seed.
///
/// run.json, spikes.h5 and weights.h5 contain the id, so readers can detect files of different
/// runs.
///
/// # Errors
/// Fails if the system provides no random numbers.
pub fn new_id() -> Result<String> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)
        .map_err(|error| Error::run(format!("cannot draw the id of the result: {error}")))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bits)))
}

/// Writes the `run.json` of the result `id` to `directory`. Replaces an existing file as a whole.
///
/// # Errors
/// Fails if the file cannot be written, or a number in it is not finite, which [`RunRecord`] could
/// not read.
pub fn write(
    directory: &Path,
    id: &str,
    provenance: &Provenance,
    parameters: &Params,
    status: Status,
) -> Result<()> {
    let text = text(id, provenance, parameters, status)?;
    files::replace_own(&directory.join("run.json"), text.as_bytes())
}

/// Returns the text of the `run.json` of the result `id`.
///
/// # Errors
/// Fails if a number is not finite. JSON has no infinity, so [`RunRecord`] could not read the text.
pub fn text(
    id: &str,
    provenance: &Provenance,
    parameters: &Params,
    status: Status,
) -> Result<String> {
    let name = match status {
        Status::Running => "running",
        Status::Failed(_) => "failed",
        Status::Interrupted(..) => "interrupted",
        Status::Done(_) => "done",
    };
    let (mut error, mut interrupted, mut outcome) = (None, None, None);
    match status {
        Status::Running => {}
        Status::Failed(why) => error = Some(why.to_string()),
        Status::Interrupted(why, how) => {
            (error, interrupted) = (Some(why.to_string()), Some(how));
        }
        Status::Done(how) => outcome = Some(how),
    }
    let simulation = &parameters.simulation;
    let dt = simulation.dt;
    let after = simulation.presim.to_ms(dt);
    let until = match interrupted {
        Some(Interruption { model_time_ms, .. }) => Ms(model_time_ms.max(after.0)),
        None => simulation.end().to_ms(dt),
    };
    let recorded_time_ms = RecordedTime { after, until };
    let Recorded {
        parameters,
        mut in_steps,
    } = parameters.recorded();
    if let Some(outcome) = outcome {
        in_steps["delay"] = json!(outcome.delay.map(|delay| delay.to_steps(dt)));
    }
    let report = Report {
        format: FORMAT,
        status: name,
        id,
        error,
        interrupted,
        provenance,
        parameters,
        parameters_in_steps: in_steps,
        recorded_time_ms,
        outcome,
    };
    let text = serde_json::to_string_pretty(&report).expect("plain data") + "\n";
    match record::check(&text) {
        Ok(()) => Ok(text),
        Err(error) => Err(Error::run(format!(
            "run.json would hold a number that is not finite: {error}"
        ))),
    }
}

/// Removes the result in `directory`, if there is one. Keeps all files that are not in [`FILES`].
///
/// # Errors
/// Fails if a file exists and cannot be removed.
pub fn clear(directory: &Path) -> Result<()> {
    for name in FILES {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let path = path.display();
                return Err(Error::run(format!("{path}: cannot be removed: {error}")));
            }
            _ => {}
        }
    }
    Ok(())
}
