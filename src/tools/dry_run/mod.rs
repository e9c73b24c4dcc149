//! Rehearsal of one rank of a large machine in a single process.
//!
//! The rank builds its synapses and runs its simulation loop as in a full run; `comm::OtherRanks`
//! simulates the exchange with the other ranks. Its spikes and weights are therefore bit-identical
//! to those of that rank in a full run, and its times and memory are measured, not modelled. The
//! interconnect is absent: the time of an exchange is modelled from `[interconnect]` and reported
//! separately.

mod listeners;
mod others;
mod rehearsal;
mod series;
mod wheel;

use std::cell::Cell;
use std::rc::Rc;

use crate::base::error::{Error, Result};
use crate::base::memory::resident;
use crate::comm::interconnect::Interconnect;
use crate::comm::{Comm, cores};
use crate::engine::spikes::Exchange;
use crate::engine::{Observer, Simulation};
use crate::io::file_network::FileNetwork;
use crate::io::outcome::{COMMIT, Digests, Phases};
use crate::model::network::Placement;
use crate::model::params::{NeuronModel, Params};

use listeners::Listeners;
use others::Others;
pub use rehearsal::{Counts, Estimated, Memory, Network, RealTimeFactor, Rehearsal, WallTime};
pub use series::{Rehearsed, Series};

/// Rehearses rank `rank` of `ranks` on `params.simulation.threads` threads; `observers` observe the
/// run.
///
/// # Errors
/// Fails if the neuron model is not `ignore_and_fire`, if a file of the network or of rates is
/// invalid, or if [`Simulation::build`] or the run fails.
pub fn rehearse(
    params: Params,
    rank: usize,
    ranks: usize,
    observers: &mut [&mut dyn Observer],
) -> Result<Rehearsal> {
    check(&params)?;
    let place = Placement::new(&params, ranks, rank);
    let (listeners, delays) = Listeners::new(&params, place)?;
    let listeners_are_exact = listeners.are_exact();
    let warm_up_ms = params.simulation.presim.to_ms(params.simulation.dt).0;
    let played = Rc::new(Cell::new(0));
    let others = Others::new(&params, place, delays.min(), listeners, Rc::clone(&played))?;
    let interconnect = Interconnect::from_params(&params.interconnect);
    let before = resident().now;
    let comm = Comm::played(Box::new(others), rank, ranks);
    let mut simulation = Simulation::build(comm, FileNetwork::new(params))?;
    simulation.sample_cpu_every(1);
    let timers = simulation.run(observers)?;

    let grown = resident().peak.saturating_sub(before + played.get());
    let census = simulation.census();
    let emitted = simulation.emitted();
    let phases = Phases::of(&timers);
    let simulate = timers.simulate - phases.communicate;
    let cpu_time = Phases::cpu(&timers);
    let built = simulation.construction();
    let exchanges = timers.of(crate::engine::Phase::Communicate).count;
    let chunk = Exchange::chunk_bytes(census.exchange.capacity_words as u64);
    let one = interconnect.alltoall_seconds(ranks as u64, chunk);
    let by_structure = simulation.held();
    let staying = by_structure.staying();
    let network_time = exchanges as f64 * one;
    let factor = |seconds: f64| 1000.0 * seconds / timers.model;
    Ok(Rehearsal {
        commit: COMMIT.into(),
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
            intervals: census.exchange.intervals,
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
        threads_take_turns: cores::shortage(&Comm::Alone, place.threads as usize).is_some(),
        estimated: Estimated::of(&timers),
        cpu_time,
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

/// Checks that the network can be rehearsed.
///
/// # Errors
/// Fails if the neuron model is not `ignore_and_fire`: the spikes of other models depend on spikes
/// from other ranks.
pub fn check(params: &Params) -> Result<()> {
    if params.neuron.model != NeuronModel::IgnoreAndFire {
        return Err(Error::input(format!(
            "dry-run: [neuron] model = {:?}: must be \"ignore_and_fire\", whose spikes do not \
             depend on what other ranks send",
            params.neuron.model.name()
        )));
    }
    Ok(())
}
