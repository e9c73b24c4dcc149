//! Virtual process: the data of one thread, and its phases deliver and update.

mod deliver;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::memory::{ByStructure, Structure};
use crate::base::units::Interval;
use crate::engine::spikes::TargetTable;
use crate::engine::timers::thread_cpu;
use crate::model::buffers::{RingBuffer, SpikeHistory};
use crate::model::neuron::{Emission, Neurons};
use crate::model::stimulus::Input;
use crate::model::synapse::{Arrival, Law, PlasticProjection, StaticProjection};

/// Neurons of one thread, the synapses onto them, and the buffers between them.
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
    /// Target ranks and rows of the neurons.
    pub table: TargetTable,
    /// Spikes of the current interval, ascending in time for each neuron.
    pub emissions: Vec<Emission>,
    /// Number of synaptic events delivered.
    pub events: u64,
    /// Wall times of the last deliver phase and the last update phase.
    pub laps: [Duration; 2],
    /// CPU times of the last such phases that were sampled.
    pub cpu: [Duration; 2],
}

/// Average number of plastic synapses of a row from which on batches of a row are faster.
const SHORT_ROW: usize = 32;

impl VirtualProcess {
    /// Advances by one interval: delivers `arrivals`, then updates the neurons.
    ///
    /// Neither phase depends on other threads, so threads synchronize once per interval. A
    /// synchronization costs microseconds. Measures the CPU time if the interval is `sampled`.
    pub fn advance(&mut self, arrivals: &[Arrival], interval: Interval, sampled: bool) {
        let cpu = || {
            if sampled {
                thread_cpu()
            } else {
                Duration::ZERO
            }
        };
        let (begun, begun_cpu) = (Instant::now(), cpu());
        self.deliver(arrivals);
        let (delivered, delivered_cpu) = (Instant::now(), cpu());
        self.update(interval);
        self.laps = [delivered - begun, delivered.elapsed()];
        self.cpu = [
            delivered_cpu.saturating_sub(begun_cpu),
            cpu().saturating_sub(delivered_cpu),
        ];
    }

    /// Delivers presynaptic spikes in the given order: applies STDP, then adds the weights to the
    /// ring buffers.
    pub fn deliver(&mut self, arrivals: &[Arrival]) {
        deliver::deliver(self, arrivals);
    }

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
        let fixed = [&self.ei, &self.ie, &self.ii];
        held[Structure::PlasticSynapses] += self.ee.held();
        held[Structure::StaticSynapses] += fixed.map(StaticProjection::held).iter().sum::<u64>();
        // Projections of the same sources share their index.
        let index = [&self.ee.rows.index, &self.ie.rows.index];
        held[Structure::RowIndex] += index.map(|index| index.held()).iter().sum::<u64>();
        held[Structure::TargetTable] += self.table.held();
        held[Structure::Neurons] += self.neurons.held();
        held[Structure::RingBuffers] += self.ring.held();
        held[Structure::ExternalInput] += self.input.held();
        held[Structure::SpikeHistory] += self.history.held();
    }

    /// Returns whether rows are so short that they are delivered one synapse at a time.
    pub fn has_short_rows(&self) -> bool {
        let index = &self.ee.rows.index;
        index.synapses()[0] < SHORT_ROW * index.rows()
    }

    /// Returns the numbers of plastic and static synapses.
    pub fn synapses(&self) -> (usize, usize) {
        let fixed = [&self.ei, &self.ie, &self.ii].map(|projection| projection.rows.len());
        (self.ee.rows.len(), fixed.iter().sum())
    }
}
