//! What a rank holds and has done.

use crate::model::synapse::{WeightAdder, WeightMoments};

use super::Simulation;

/// What one rank holds and has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Census {
    /// Plastic synapses.
    pub plastic: u64,
    /// Static synapses.
    pub fixed: u64,
    /// Sources listened to.
    pub rows: u64,
    /// Listening ranks of the neurons here, summed over the neurons.
    pub listeners: u64,
    /// Synaptic events delivered.
    pub events: u64,
    /// The plastic weights.
    pub weights: WeightMoments,
    /// How the exchange fared.
    pub exchange: crate::engine::spikes::ExchangeStatistics,
}

impl Simulation {
    /// What this rank holds, and the digest and moments of its plastic weights.
    pub fn census(&self) -> Census {
        let mut census = Census {
            rows: self.sources.len() as u64,
            exchange: self.exchange.statistics(),
            ..Census::default()
        };
        let n_e = self.place.n_e;
        let parts = self.map_threads(|part| {
            let (plastic, fixed) = part.vp.synapses();
            let mut weights = WeightAdder::default();
            part.for_each_weight(0..n_e, |source, target, weight| {
                weights.add(source, target, weight);
            });
            let listeners = part.vp.table.listeners();
            let counts = [plastic as u64, fixed as u64, part.vp.events, listeners];
            (counts, weights.finish())
        });
        for ([plastic, fixed, events, listeners], part) in parts {
            census.plastic += plastic;
            census.fixed += fixed;
            census.events += events;
            census.listeners += listeners;
            census.weights.merge(&part);
        }
        census
    }
}
