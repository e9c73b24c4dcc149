//! Virtual process: the neurons of one thread, and the phase update.

use crate::base::memory::{ByStructure, Structure};
use crate::base::units::Interval;
use crate::engine::spikes::TargetTable;
use crate::model::buffers::{RingBuffer, SpikeHistory};
use crate::model::neuron::{Emission, Neurons};
use crate::model::stimulus::Input;

/// Neurons of one thread, and the buffers between them and synapses.
///
/// The alignment prevents threads from writing to the same cache line.
#[repr(align(128))]
pub struct VirtualProcess {
    /// Number of excitatory neurons, which have the lowest lids.
    pub excitatory: usize,
    /// State of the neurons.
    pub neurons: Neurons,
    /// External input.
    pub input: Input,
    /// Weight of the external input (pA).
    pub weight_x: f64,
    /// Sums of the weights that arrive in each later step (pA).
    pub ring: RingBuffer,
    /// Spikes and traces of the excitatory neurons.
    pub history: SpikeHistory,
    /// Target ranks and rows of the neurons.
    pub table: TargetTable,
    /// Spikes of the current interval, ascending in time for each neuron.
    pub emissions: Vec<Emission>,
}

impl VirtualProcess {
    /// Advances the neurons over `interval` and stores their spikes.
    pub fn update(&mut self, interval: Interval) {
        self.emissions.clear();
        let Self {
            neurons,
            ring,
            input,
            weight_x,
            emissions,
            history,
            ..
        } = self;
        neurons.update(interval, ring, input, *weight_x, emissions);
        history.refer_to(interval.start);
        for emission in emissions
            .iter()
            .filter(|e| (e.lid.0 as usize) < self.excitatory)
        {
            history.push(emission.lid, interval.stamp(emission.lag));
        }
    }

    /// Adds the allocated bytes of each structure to `held`.
    pub fn add_held(&self, held: &mut ByStructure<u64>) {
        held[Structure::TargetTable] += self.table.held();
        held[Structure::Neurons] += self.neurons.held();
        held[Structure::RingBuffers] += self.ring.held();
        held[Structure::ExternalInput] += self.input.held();
        held[Structure::SpikeHistory] += self.history.held();
    }
}
