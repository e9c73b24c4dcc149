//! One rank of many, rehearsed alone in one process.
//!
//! The rank builds the synapses it would hold and runs the loop that it would run; only what
//! crosses ranks is played (`comm::OtherRanks`). So its spikes and weights are, bit for bit, those of
//! that rank in a run of all, and its times and memory are measured, not modelled. The network
//! is not there: what an exchange would take is computed from `[interconnect]`, and kept apart.

mod listeners;
mod others;
mod wheel;

use std::cell::Cell;
use std::rc::Rc;

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::base::memory::{ByStructure, Structure, resident};
use crate::comm::Comm;
use crate::comm::interconnect::Interconnect;
use crate::engine::spikes::Exchange;
use crate::engine::{Observer, Simulation};
use crate::io::file_network::FileNetwork;
use crate::io::outcome::{COMMIT, Digests, Phases};
use crate::model::network::Placement;
use crate::model::params::{NeuronModel, Params};

use listeners::Listeners;
use others::Others;

/// What rehearsing a rank found. `rank`, `digest` and `counts` are exact but for
/// `counts.target_table`, which is drawn where the network is; `memory` and `wall_time` are measured (the target
/// table and the exchange's buffers have the sizes that were drawn and received); `network` is
/// modelled.
#[derive(Debug, Serialize)]
pub struct Rehearsal {
    /// Of what source the program was built.
    pub commit: &'static str,
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
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
pub struct RealTimeFactor {
    /// Without exchanges.
    pub measured: f64,
    /// With modelled ones.
    pub with_modelled_network: f64,
}

/// Rehearses rank `rank` of `ranks` on `params.simulation.threads` threads, with
/// `observers` of the run.
///
/// Errors: a network whose spikes depend on input; what [`Simulation::build`] may find.
pub fn rehearse(
    params: Params,
    rank: usize,
    ranks: usize,
    observers: &mut [&mut dyn Observer],
) -> Result<Rehearsal> {
    check(&params)?;
    let place = Placement {
        n: params.network.N,
        n_e: params.network.N_E,
        ranks: ranks as u32,
        threads: params.simulation.threads as u32,
        rank: rank as u32,
    };
    let (listeners, delays) = Listeners::new(&params, place)?;
    let listeners_are_exact = listeners.are_exact();
    let warm_up_ms = params.simulation.presim.to_ms(params.simulation.dt).0;
    let played = Rc::new(Cell::new(0));
    let others = Others::new(&params, place, delays.min(), listeners, Rc::clone(&played))?;
    let interconnect = Interconnect::from_params(&params.interconnect);
    let before = resident().now;
    let comm = Comm::played(Box::new(others), rank, ranks);
    let mut simulation = Simulation::build(comm, FileNetwork::new(params))?;
    let timers = simulation.run(observers)?;

    let grown = resident().peak.saturating_sub(before + played.get());
    let census = simulation.census();
    let emitted = simulation.emitted();
    let phases = Phases::of(&timers);
    let simulate = timers.simulate - phases.communicate;
    let built = simulation.construction();
    let exchanges = timers.of(crate::engine::Phase::Communicate).count;
    let chunk = Exchange::chunk_bytes(census.exchange.capacity_words as u64);
    let one = interconnect.alltoall_seconds(ranks as u64, chunk);
    let by_structure = simulation.held();
    let staying = by_structure.staying();
    let network_time = exchanges as f64 * one;
    let factor = |seconds: f64| 1000.0 * seconds / timers.model;
    Ok(Rehearsal {
        commit: COMMIT,
        rank,
        ranks,
        threads: place.threads as usize,
        digest: Digests {
            spikes: emitted.digest,
            weights: census.weights.digest,
        },
        counts: Counts {
            neurons: place.neurons().into(),
            synapses_plastic: census.plastic,
            synapses_static: census.fixed,
            rows: census.rows,
            target_table: census.listeners,
            target_table_is_exact: listeners_are_exact,
            spikes: emitted.counts.iter().sum(),
            received: census.exchange.received_entries,
            synaptic_events: census.events,
        },
        memory: Memory {
            by_structure,
            staying,
            per_plastic_synapse: (census.plastic > 0)
                .then(|| staying as f64 / census.plastic as f64),
            grown,
        },
        wall_time: WallTime {
            construction_create: built.create,
            construction_connect: built.connect,
            simulate,
            phases,
        },
        model_time_ms: timers.model,
        warm_up_ms,
        network: Network {
            exchanges,
            bytes_per_peer: chunk,
            seconds_per_exchange: one,
            seconds: network_time,
        },
        real_time_factor: RealTimeFactor {
            measured: factor(simulate),
            with_modelled_network: factor(simulate + network_time),
        },
    })
}

/// Refuses what cannot be rehearsed, with the reason.
fn check(params: &Params) -> Result<()> {
    if params.neuron.model != NeuronModel::IgnoreAndFire {
        return Err(Error::input(format!(
            "dry-run: [neuron] model = {:?}: must be \"ignore_and_fire\", whose spikes do not \
             depend on what other ranks send",
            params.neuron.model.name()
        )));
    }
    Ok(())
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
        let phases = &wall.phases;
        line(
            "simulate",
            format!(
                "{:.3} s without exchanges: update {:.3} s, deliver {:.3} s, synchronize {:.3} s, collocate {:.3} s, receive {:.3} s",
                wall.simulate,
                phases.update,
                phases.deliver,
                phases.synchronize,
                phases.collocate,
                phases.receive
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
