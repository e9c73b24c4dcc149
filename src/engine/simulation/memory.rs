//! Memory of the structures of a rank.

use crate::base::memory::{ByStructure, Structure};

use super::Simulation;

impl Simulation {
    /// Returns the allocated bytes by structure. [`Structure::Construction`] stands for the
    /// temporary structures during construction. Memory of observers is not included.
    pub fn held(&self) -> ByStructure<u64> {
        let mut held = ByStructure::default();
        for vp in self.vps.iter() {
            vp.add_held(&mut held);
        }
        for synapses in self.synapses.iter() {
            synapses.add_held(&mut held);
        }
        for events in self.events.iter() {
            held[Structure::RingBuffers] += events.held();
        }
        for sorter in self.sorters.iter() {
            held[Structure::RingBuffers] += sorter.held();
        }
        for inbox in self.inboxes.iter() {
            held[Structure::Sources] += inbox.sources.held();
        }
        held[Structure::Exchange] = self.exchange.held();
        held[Structure::Construction] = self.drafts;
        held
    }
}
