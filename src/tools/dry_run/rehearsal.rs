//! What rehearsing a rank found.

use serde::{Deserialize, Serialize};

use crate::base::memory::{ByStructure, Structure};
use crate::io::outcome::{Digests, Phases};

/// The phase that is played: its time is not that of an exchange.
pub(super) const PLAYED: &str = "communicate";

/// What rehearsing a rank found. `rank`, `digest` and `counts` are exact but for
/// `counts.target_table`, which is drawn where the network is; `memory` and `wall_time` are measured (the target
/// table and the exchange's buffers have the sizes that were drawn and received); `network` is
/// modelled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Of what source the program was built.
    pub commit: String,
    /// Which rank.
    pub rank: usize,
    /// Of how many.
    pub ranks: usize,
    /// Threads of it.
    pub threads: usize,
    /// Spikes of its neurons after the warm-up; weights it holds at the end.
    pub digest: Digests,
    /// How many of what.
    pub counts: Counts,
    /// Bytes.
    pub memory: Memory,
    /// Seconds.
    pub wall_time: WallTime,
    /// Model time that the loop's times cover (ms).
    pub model_time_ms: f64,
    /// Model time before it (ms); `counts.received` and `synaptic_events` are of both.
    pub warm_up_ms: f64,
    /// The exchange as it would be.
    pub network: Network,
    /// Wall time of the loop over model time, without exchanges, and with modelled ones.
    pub real_time_factor: RealTimeFactor,
}

/// See [`Rehearsal::counts`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// Neurons of the rank.
    pub neurons: u64,
    /// Plastic synapses it holds.
    pub synapses_plastic: u64,
    /// Static ones.
    pub synapses_static: u64,
    /// Sources it listens to.
    pub rows: u64,
    /// Listeners of its neurons.
    pub target_table: u64,
    /// Whether they are exact (the network was read), not drawn.
    pub target_table_is_exact: bool,
    /// Spikes of its neurons after the warm-up.
    pub spikes: u64,
    /// Spikes received from all ranks.
    pub received: u64,
    /// Synaptic events delivered.
    pub synaptic_events: u64,
}

/// See [`Rehearsal::memory`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Held at the end; what passes, at its largest.
    pub by_structure: ByStructure<u64>,
    /// All that stays.
    pub staying: u64,
    /// That per plastic synapse.
    pub per_plastic_synapse: Option<f64>,
    /// Peak resident memory less that before construction and less what plays the others.
    pub grown: u64,
}

/// See [`Rehearsal::wall_time`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WallTime {
    /// Neurons and buffers.
    pub construction_create: f64,
    /// Synapses.
    pub construction_connect: f64,
    /// The loop after the warm-up without exchanges.
    pub simulate: f64,
    /// Its phases; `communicate` is the time it took to play the others.
    #[serde(flatten)]
    pub phases: Phases<f64>,
}

/// See [`Rehearsal::network`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    /// Exchanges in the loop.
    pub exchanges: u64,
    /// Bytes of the chunk for each rank.
    pub bytes_per_peer: u64,
    /// Modelled time of one exchange (s).
    pub seconds_per_exchange: f64,
    /// Of all of them.
    pub seconds: f64,
}

/// See [`Rehearsal::real_time_factor`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RealTimeFactor {
    /// Without exchanges.
    pub measured: f64,
    /// With modelled ones.
    pub with_modelled_network: f64,
}

impl std::fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
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
                "{:.1} MiB stay, {each:.1} bytes per plastic synapse; {:.1} MiB at most",
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
        line(
            "simulate",
            format!(
                "{:.3} s without exchanges: {}",
                wall.simulate,
                phases.join(", ")
            ),
            "measured",
        )?;
        line(
            "network",
            format!(
                "{:.3} s: {} exchanges of {} bytes for each rank, {:.1} us each",
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
            "measured, modelled",
        )
    }
}
