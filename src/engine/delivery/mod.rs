//! Synapses of one thread, and the delivery of presynaptic spikes: STDP, then sums in ring buffers.
//!
//! All ways give the same numbers. `long` works row by row: a row streams through, and its first
//! lines are all that is waited for. `short` is for rows of few synapses, on many ranks or threads:
//! there every synapse lies elsewhere, and many arrivals wait for memory together. If the thread
//! holds synapses onto neurons of other threads ([`Holder::OfSource`]), their weights go there as
//! [`events`].
//!
//! [`Holder::OfSource`]: crate::model::synapse::Holder::OfSource

pub mod events;
mod long;
mod short;

use std::sync::Arc;

use crate::base::memory::{ByStructure, Structure};
use crate::base::simd;
use crate::base::units::Steps;
use crate::engine::vp::VirtualProcess;
use crate::model::buffers::SpikeHistory;
use crate::model::synapse::{
    AllHistories, Arrival, Law, OwnHistory, Owners, PlasticProjection, RowIndex, StaticProjection,
    Targets,
};

use events::EventBuffer;
use short::{All, Own};

/// Synapses that one thread holds.
///
/// The alignment prevents threads from writing to the same cache line.
#[repr(align(128))]
pub struct Synapses {
    /// Threads and neurons that the targets stand for.
    pub owners: Owners,
    /// Plastic synapses E→E.
    pub ee: PlasticProjection,
    /// Static synapses E→I.
    pub ei: StaticProjection,
    /// Static synapses I→E.
    pub ie: StaticProjection,
    /// Static synapses I→I.
    pub ii: StaticProjection,
    /// STDP rule of the E→E synapses.
    pub law: Arc<Law>,
    /// Number of synaptic events delivered.
    pub events: u64,
}

/// Average number of plastic synapses of a row from which on rows are long.
const SHORT_ROW: usize = 32;

impl Synapses {
    /// Delivers `arrivals` in the given order: applies STDP, then adds the weights to the ring
    /// buffer of `vp`, whose neurons are the only targets.
    pub fn deliver(&mut self, arrivals: &[Arrival], vp: &mut VirtualProcess) {
        if self.has_short_rows() {
            let neurons = Own::new(vp, self.delays());
            simd::run(short::Deliver {
                synapses: self,
                arrivals,
                neurons,
            });
        } else {
            simd::run(long::Deliver {
                synapses: self,
                arrivals,
                vp,
            });
        }
    }

    /// Delivers `arrivals`, of an interval that starts at `start`, in the given order: applies STDP,
    /// then replaces the contents of `events` by the weights. `histories` are those of all threads.
    pub fn deliver_to_all(
        &mut self,
        arrivals: &[Arrival],
        start: Steps,
        histories: &[&SpikeHistory],
        events: &mut EventBuffer,
    ) {
        events.clear();
        let each: Vec<_> = histories.iter().copied().map(OwnHistory::new).collect();
        let neurons = All {
            histories: AllHistories {
                owners: self.owners,
                each: &each,
            },
            events,
            first: start.0 + 1,
        };
        simd::run(short::Deliver {
            synapses: self,
            arrivals,
            neurons,
        });
    }

    /// Returns whether rows are so short that they are delivered one synapse at a time.
    pub fn has_short_rows(&self) -> bool {
        let index = &self.ee.rows.index;
        index.synapses()[0] < SHORT_ROW * index.rows()
    }

    /// Returns the numbers of plastic and static synapses.
    pub fn count(&self) -> (usize, usize) {
        let fixed = [&self.ei, &self.ie, &self.ii].map(|projection| projection.rows.len());
        (self.ee.rows.len(), fixed.iter().sum())
    }

    /// Adds the allocated bytes of each structure to `held`.
    pub fn add_held(&self, held: &mut ByStructure<u64>) {
        let fixed = [&self.ei, &self.ie, &self.ii];
        held[Structure::PlasticSynapses] += self.ee.held();
        held[Structure::StaticSynapses] += fixed.map(StaticProjection::held).iter().sum::<u64>();
        // Projections of the same sources share their index.
        let index = [&self.ee.rows.index, &self.ie.rows.index];
        held[Structure::RowIndex] += index.map(|index| index.held()).iter().sum::<u64>();
    }

    /// Returns the delays by population of the sources, then of the targets.
    pub fn delays(&self) -> [[Steps; 2]; 2] {
        [
            [self.ee.delay, self.ei.delay],
            [self.ie.delay, self.ii.delay],
        ]
    }

    /// Returns the index of the rows from the population of the arrival's source.
    #[inline(always)]
    fn index(&self, arrival: &Arrival) -> &RowIndex {
        if arrival.excitatory {
            &self.ee.rows.index
        } else {
            &self.ie.rows.index
        }
    }

    /// Returns the targets of the projections onto E and I from the population of the arrival's
    /// source.
    #[inline(always)]
    fn targets(&self, arrival: &Arrival) -> [&Targets; 2] {
        if arrival.excitatory {
            [&self.ee.rows.targets, &self.ei.rows.targets]
        } else {
            [&self.ie.rows.targets, &self.ii.rows.targets]
        }
    }
}
