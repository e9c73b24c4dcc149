//! What a run was and how it went: run.json, and the figures of the closing table.

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
use crate::engine::{Simulation, Timers};
use crate::io::config::recorded::{FORMAT, Recorded};
use crate::model::params::{Delays, Params};

pub use balance::{Balance, PhaseRecord, Phases, RankRecord};
pub use record::RunRecord;

/// Name and version of the program.
pub const PROGRAM: &str = concat!("stdp-hpc ", env!("CARGO_PKG_VERSION"));

/// What the program was built from, as `git describe` has it.
pub const COMMIT: &str = env!("STDP_HPC_COMMIT");

/// The files of a result, also those that a killed run may leave.
pub const FILES: [&str; 7] = [
    "run.json",
    "run.json.new",
    "run.json.reserve",
    "spikes.h5",
    "spikes.h5.new",
    "weights.h5",
    "weights.h5.new",
];

/// Where a result comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provenance {
    /// Name and version of the program.
    pub program: Cow<'static, str>,
    /// Commit it was built from.
    pub commit: Cow<'static, str>,
    /// Machine of rank 0.
    pub host: String,
    /// When the run began, UTC.
    pub date: String,
    /// Machines that the ranks are on; none where a run.json does not tell.
    #[serde(default)]
    pub nodes: Option<usize>,
    /// R
    pub ranks: usize,
    /// T
    pub threads: usize,
    /// What the hot loops ran on, on rank 0; it does not change the result.
    pub instruction_set: Cow<'static, str>,
    /// The command line of rank 0.
    pub command: Vec<String>,
    /// The MPI library, where one is in use.
    pub mpi: Option<String>,
}

impl Provenance {
    /// Of this run. Collective.
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

/// How a finished run went, over all ranks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Digests of what was computed: the same for every split.
    pub digest: Digests,
    /// How many of what.
    pub counts: Counts,
    /// Mean rates after the warm-up (spikes/s).
    pub rates: Rates,
    /// Moments of the plastic weights at the end (pA).
    pub weights: Weights,
    /// Delays in force (ms); run.json has them in steps in `parameters_in_steps.delay`.
    pub delay: Delays<Ms>,
    /// Wall time by phase (s), over the ranks.
    pub wall_time: WallTime,
    /// What the ranks' times say together.
    pub balance: Balance,
    /// The ranks one by one: all of up to 1024, of more every so-manieth. On rank 0 only.
    pub ranks: Vec<RankRecord>,
    /// T (ms): the model time that `wall_time.simulate` covers. An interval in which the warm-up
    /// ends is timed whole.
    pub model_time_ms: f64,
    /// Wall time over model time of the simulate phase.
    pub real_time_factor: f64,
    /// Memory (bytes).
    pub memory: Memory,
    /// How the exchange fared on rank 0.
    pub exchange: ExchangeStatistics,
}

/// See [`Outcome::digest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Digests {
    /// Of (gid, stamp) of all spikes after the warm-up.
    pub spikes: Digest,
    /// Of (source, target, weight) of all plastic synapses at the end.
    pub weights: Digest,
}

/// See [`Outcome::counts`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(non_snake_case)]
pub struct Counts {
    /// Neurons.
    pub neurons: u64,
    /// Plastic synapses.
    pub synapses_plastic: u64,
    /// Static synapses.
    pub synapses_static: u64,
    /// Spikes of E after the warm-up.
    pub spikes_E: u64,
    /// Spikes of I after the warm-up.
    pub spikes_I: u64,
    /// Synaptic events delivered, warm-up included.
    pub synaptic_events: u64,
    /// External spikes read from a file; `None` where they are drawn.
    #[serde(default)]
    pub external_spikes: Option<u64>,
    /// Of them, later than the end of the run.
    #[serde(default)]
    pub external_spikes_outside: Option<u64>,
    /// Those, and those still on their way at the end.
    #[serde(default)]
    pub external_spikes_undelivered: Option<u64>,
}

impl Counts {
    /// All synapses; of a file that claims more than 2⁶⁴ − 1, so many.
    pub fn synapses(&self) -> u64 {
        total([self.synapses_plastic, self.synapses_static])
    }

    /// Spikes of both populations, bounded likewise.
    pub fn spikes(&self) -> u64 {
        total([self.spikes_E, self.spikes_I])
    }
}

/// See [`Outcome::rates`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(non_snake_case)]
pub struct Rates {
    /// Excitatory neurons; null if there are none.
    pub E: Option<f64>,
    /// Inhibitory neurons; null if there are none.
    pub I: Option<f64>,
}

/// See [`Outcome::weights`]; null where there are no plastic synapses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Weights {
    /// Mean (pA).
    pub mean: Option<f64>,
    /// Standard deviation (pA).
    pub sd: Option<f64>,
    /// Fraction that is exactly 0.
    pub zero_fraction: Option<f64>,
}

/// Seconds by NEST's names, minimum, mean and maximum over the ranks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WallTime {
    /// Neurons and buffers.
    pub construction_create: Spread,
    /// Synapses.
    pub construction_connect: Spread,
    /// Target table.
    pub communicate_prepare: Spread,
    /// The whole loop after the warm-up.
    pub simulate: Spread,
    /// Of it, by phase.
    #[serde(flatten)]
    pub phases: Phases<Spread>,
}

/// See [`Outcome::memory`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Resident memory of a rank before construction: the program and its libraries.
    pub before_per_rank: Spread,
    /// Peak resident memory of a rank.
    pub peak_per_rank: Spread,
    /// Peak less what the program held before construction.
    pub grown_per_rank: Spread,
    /// The same of all ranks, per synapse.
    pub per_synapse: Option<f64>,
    /// What the structures of a rank hold at the end; those that pass, at their largest.
    pub by_structure: ByStructure<Spread>,
}

impl Outcome {
    /// Sums up the run that `timers` timed; `before` is this rank's resident memory before
    /// construction, `recording` the most that recording took (bytes). Collective.
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

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub enum Status<'a> {
    /// It has begun, or was killed since.
    Running,
    /// It ended with this error.
    Failed(&'a Error),
    /// A signal ended it in good order.
    Interrupted(&'a Error, Interruption),
    /// It has done all.
    Done(&'a Outcome),
}

/// Signal and model time at which a run was interrupted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Interruption {
    /// Name of the signal.
    pub signal: &'static str,
    /// Model time reached (ms), warm-up included. Spikes up to it are in the file.
    pub model_time_ms: f64,
}

/// Spikes lie later than `after`, up to and including `until`.
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

/// Bytes of run.json beside the parameters: names, figures and the command line, …
const REPORT_BYTES: usize = 5500;
/// … and the record of a rank.
const RECORD_BYTES: usize = 1270;

/// Bytes, nearly, of the run.json of a finished run of `parameters` on `ranks` ranks.
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

/// Draws an id for a result: 128 random bits as hexadecimal digits, whatever the seed.
///
/// It stands in run.json, spikes.h5 and weights.h5, so that a reader finds out if one of them
/// is of another run.
///
/// # Errors
/// If the system has no random numbers.
pub fn new_id() -> Result<String> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)
        .map_err(|error| Error::run(format!("cannot draw the id of the result: {error}")))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bits)))
}

/// Writes `run.json` of the result `id` to `directory`, whole or not at all.
///
/// # Errors
/// If it cannot be written, or [`RunRecord`] could not read it again.
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

/// Returns what a `run.json` holds.
///
/// # Errors
/// If [`RunRecord`] could not read it again, because JSON has no infinity.
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

/// Removes the result in `directory`, if there is one; other files stay.
///
/// # Errors
/// If one of its files cannot be removed.
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
