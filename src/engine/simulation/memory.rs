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
        held[Structure::Sources] = self.sources.held();
        held[Structure::Exchange] = self.exchange.held();
        held[Structure::Construction] = self.drafts;
        held
    }
}
