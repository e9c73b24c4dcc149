//! Result of the rehearsal of one rank.

use serde::{Deserialize, Serialize};

use crate::base::memory::{ByStructure, MIB, Structure};
use crate::engine::{CpuTime, Timers};
use crate::io::outcome::{Digests, Phases};

/// Name of the phase that is simulated: its measured time is not that of a real exchange.
pub(super) const PLAYED: &str = "communicate";

/// Result of the rehearsal of one rank.
///
/// `rank`, `digest` and `counts` are exact, except that `counts.target_table` is drawn if the
/// network is drawn. `memory` and `wall_time` are measured; the target table has the drawn size,
/// and the exchange buffers have the size that the received spikes need. `network` is modelled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Commit that the program was built from.
    pub commit: String,
    /// Index of the rehearsed rank.
    pub rank: usize,
    /// Number of ranks.
    pub ranks: usize,
    /// Threads per rank.
    pub threads: usize,
    /// Digests of the spikes of its neurons after the warm-up and of its weights at the end.
    pub digest: Digests,
    /// Numbers of neurons, synapses, rows, spikes and events.
    pub counts: Counts,
    /// Memory of the rank (bytes).
    pub memory: Memory,
    /// Wall times (s).
    pub wall_time: WallTime,
    /// CPU times of the phases; `communicate` is that of simulating the other ranks.
    pub cpu_time: Phases<CpuTime>,
    /// Threads outnumber the cores of this machine: wall times are those of threads that take turns.
    pub threads_take_turns: bool,
    /// Time on a machine with a core for each thread.
    pub estimated: Estimated,
    /// Model time after the warm-up (ms), which the loop's wall times cover.
    pub model_time_ms: f64,
    /// Model time of the warm-up (ms); `counts.received` and `counts.synaptic_events` include it.
    pub warm_up_ms: f64,
    /// Modelled cost of the exchanges.
    pub network: Network,
    /// Wall time of the loop divided by model time, without exchanges and with modelled ones.
    pub real_time_factor: RealTimeFactor,
}

/// Numbers of neurons, synapses, rows, spikes and events of the rank.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// Neurons of the rank.
    pub neurons: u64,
    /// Plastic synapses onto them.
    pub synapses_plastic: u64,
    /// Static synapses onto them.
    pub synapses_static: u64,
    /// Sources of these synapses: rows of the rank.
    pub rows: u64,
    /// Entries of the target table: pairs of a neuron of the rank and a rank it projects to.
    pub target_table: u64,
    /// True if the network was read and `target_table` is exact; false if it was drawn.
    pub target_table_is_exact: bool,
    /// Spikes of its neurons after the warm-up.
    pub spikes: u64,
    /// Spikes received from all ranks, including the warm-up.
    pub received: u64,
    /// Intervals of min_delay, including the warm-up.
    pub intervals: u64,
    /// Synaptic events delivered, including the warm-up.
    pub synaptic_events: u64,
}

/// Memory of the rank (bytes).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes at the end of the run; for temporary structures, the maximum.
    pub by_structure: ByStructure<u64>,
    /// Sum over the permanent structures.
    pub staying: u64,
    /// `staying` per plastic synapse; `None` without plastic synapses.
    pub per_plastic_synapse: Option<f64>,
    /// Peak resident memory minus the resident memory before construction and the memory of the
    /// stand-in for the other ranks.
    pub grown: u64,
}

/// Wall times (s).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WallTime {
    /// Construction of neurons and buffers.
    pub construction_create: f64,
    /// Construction of synapses.
    pub construction_connect: f64,
    /// Simulation loop after the warm-up, without exchanges.
    pub simulate: f64,
    /// Phases of the loop; `communicate` is the time spent simulating the other ranks.
    #[serde(flatten)]
    pub phases: Phases<f64>,
}

/// Time of the loop on a machine with a core for each thread, without exchanges: an estimate from
/// CPU times, which hold for threads that take turns. It leaves out that threads share memory
/// bandwidth and caches, and that they wait for one another in every interval.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Estimated {
    /// CPU time of the loop if every thread has a core (s): sum over the pieces of work between which
    /// threads wait for each other, of the slowest thread in each.
    pub critical_path: f64,
    /// CPU time of the pieces that one thread runs while the others wait (s); part of
    /// `critical_path`.
    pub serial: f64,
    /// `critical_path` divided by model time.
    pub real_time_factor: f64,
}

impl Estimated {
    /// Returns the estimate from the CPU times of the loop.
    pub(super) fn of(timers: &Timers) -> Self {
        let path = timers.critical_path();
        Estimated {
            critical_path: path.all,
            serial: path.serial,
            real_time_factor: 1000.0 * path.all / timers.model,
        }
    }
}

/// Modelled cost of the exchanges.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    /// Exchanges in the loop after the warm-up.
    pub exchanges: u64,
    /// Bytes of a chunk, the message from one rank to another.
    pub bytes_per_peer: u64,
    /// Modelled time of one exchange (s).
    pub seconds_per_exchange: f64,
    /// Modelled time of all exchanges (s).
    pub seconds: f64,
}

/// Wall time of the loop divided by model time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RealTimeFactor {
    /// Without exchanges.
    pub measured: f64,
    /// With modelled exchanges.
    pub with_modelled_network: f64,
}

impl std::fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / MIB;
        let (counts, wall, network) = (&self.counts, &self.wall_time, &self.network);
        let mut line =
            |name: &str, text: String, kind: &str| writeln!(f, "{name:<18} {text}  [{kind}]");
        line(
            "rank",
            format!(
                "{} of {} x {} thread(s), {} neurons",
                self.rank, self.ranks, self.threads, counts.neurons
            ),
            "exact",
        )?;
        line(
            "synapses",
            format!(
                "{} plastic, {} static, of {} sources",
                counts.synapses_plastic, counts.synapses_static, counts.rows
            ),
            "exact",
        )?;
        line(
            "spikes",
            format!(
                "{} emitted, {} received, {} synaptic events",
                counts.spikes, counts.received, counts.synaptic_events
            ),
            "exact",
        )?;
        let listeners = if counts.target_table_is_exact {
            "exact"
        } else {
            "drawn"
        };
        line("listeners", format!("{}", counts.target_table), listeners)?;
        line(
            "digest",
            format!(
                "spikes {}, weights {}",
                self.digest.spikes, self.digest.weights
            ),
            "exact",
        )?;
        for (structure, bytes) in self
            .memory
            .by_structure
            .iter()
            .filter(|(_, bytes)| *bytes > 0)
        {
            let kind = match structure {
                Structure::TargetTable => listeners,
                Structure::Exchange => "received, not sent, volume",
                _ => "exact",
            };
            let name = structure.name().replace('_', " ");
            line(&name, format!("{:.2} MiB", mebibytes(bytes)), kind)?;
        }
        let each = self.memory.per_plastic_synapse.unwrap_or_default();
        line(
            "memory",
            format!(
                "{:.1} MiB held, {each:.1} bytes per plastic synapse; peak {:.1} MiB",
                mebibytes(self.memory.staying),
                mebibytes(self.memory.grown)
            ),
            "measured",
        )?;
        line(
            "construction",
            format!(
                "create {:.3} s, connect {:.3} s",
                wall.construction_create, wall.construction_connect
            ),
            "measured",
        )?;
        let phases = Phases::<f64>::NAMES.into_iter().zip(wall.phases.named());
        let phases = phases.filter(|(name, _)| *name != PLAYED);
        let phases: Vec<_> = phases
            .map(|(name, seconds)| format!("{name} {seconds:.3} s"))
            .collect();
        let timed = match self.threads_take_turns {
            true => "threads take turns",
            false => "measured",
        };
        line(
            "simulate",
            format!(
                "{:.3} s without exchanges: {}",
                wall.simulate,
                phases.join(", ")
            ),
            timed,
        )?;
        let estimated = &self.estimated;
        line(
            "a core per thread",
            format!(
                "{:.3} s, of which {:.3} s on one thread: real-time factor {:.3}",
                estimated.critical_path, estimated.serial, estimated.real_time_factor
            ),
            "estimated",
        )?;
        line(
            "network",
            format!(
                "{:.3} s: {} exchanges of {} bytes per rank, {:.1} us each",
                network.seconds,
                network.exchanges,
                network.bytes_per_peer,
                1e6 * network.seconds_per_exchange
            ),
            "modelled",
        )?;
        line(
            "real-time factor",
            format!(
                "{:.3} without exchanges, {:.3} with modelled ones",
                self.real_time_factor.measured, self.real_time_factor.with_modelled_network
            ),
            &format!("{timed}, modelled"),
        )
    }
}
