//! Counts, weights and statistics of a rank.

use crate::model::synapse::{WeightAdder, WeightMoments};

use super::Simulation;

/// Counts, weights and statistics of one rank.
#[derive(Clone, Copy, Debug, Default)]
pub struct Census {
    /// Number of plastic synapses.
    pub plastic: u64,
    /// Number of static synapses.
    pub fixed: u64,
    /// Number of rows, which is the number of sources with synapses on this rank.
    pub rows: u64,
    /// Number of target ranks, summed over the neurons.
    pub listeners: u64,
    /// Number of synaptic events delivered, including the warm-up.
    pub events: u64,
    /// Digest and moments of the plastic weights.
    pub weights: WeightMoments,
    /// Statistics of the exchange.
    pub exchange: crate::engine::spikes::ExchangeStatistics,
}

impl Simulation {
    /// Returns the counts and statistics of this rank. Cost: reads all plastic weights once.
    pub fn census(&self) -> Census {
        let mut census = Census {
            rows: self
                .inboxes
                .iter()
                .map(|inbox| inbox.sources.len() as u64)
                .sum(),
            exchange: self.exchange.statistics(),
            ..Census::default()
        };
        let n_e = self.place.n_e;
        let parts = self.map_threads(|part| {
            let (plastic, fixed) = part.synapses.count();
            let mut weights = WeightAdder::default();
            part.for_each_weight(0..n_e, |source, target, weight| {
                weights.add(source, target, weight);
            });
            let listeners = part.vp.table.listeners();
            let counts = [
                plastic as u64,
                fixed as u64,
                part.synapses.events,
                listeners,
            ];
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
