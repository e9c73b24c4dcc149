//! What the structures of a rank hold.

use crate::base::memory::{ByStructure, Structure};

use super::Simulation;

impl Simulation {
    /// Bytes held now, by structure, and those that construction took and gave back. What is
    /// recorded is the recorder's.
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
