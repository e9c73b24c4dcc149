//! Virtual process: the data of one thread, and its phases deliver and update.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::memory::{ByStructure, Structure};
use crate::base::simd::{self, Kernel};
use crate::base::units::{Interval, Steps};
use crate::engine::spikes::TargetTable;
use crate::model::buffers::{RingBuffer, SpikeHistory};
use crate::model::neuron::{Emission, Neurons};
use crate::model::stimulus::Input;
use crate::model::synapse::{
    Arrival, Batch, Law, PlasticProjection, PlasticWeights, Rows, StaticProjection, Target,
    Targets, Visit, Weight,
};

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
}

impl VirtualProcess {
    /// Advances by one interval: delivers `arrivals`, then updates the neurons.
    ///
    /// Neither phase depends on other threads, so threads synchronize once per interval. A
    /// synchronization costs microseconds.
    pub fn advance(&mut self, arrivals: &[Arrival], interval: Interval) {
        let begun = Instant::now();
        self.deliver(arrivals);
        let delivered = Instant::now();
        self.update(interval);
        self.laps = [delivered - begun, delivered.elapsed()];
    }

    /// Delivers presynaptic spikes in the given order: applies STDP, then adds the weights to the
    /// ring buffers.
    pub fn deliver(&mut self, arrivals: &[Arrival]) {
        simd::run(Deliver { vp: self, arrivals });
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
        let index = fixed.map(|projection| projection.rows.index.held());
        held[Structure::RowIndex] += self.ee.rows.index.held() + index.iter().sum::<u64>();
        held[Structure::TargetTable] += self.table.held();
        held[Structure::Neurons] += self.neurons.held();
        held[Structure::RingBuffers] += self.ring.held();
        held[Structure::ExternalInput] += self.input.held();
        held[Structure::SpikeHistory] += self.history.held();
    }

    /// Returns the numbers of plastic and static synapses.
    pub fn synapses(&self) -> (usize, usize) {
        let fixed = [&self.ei, &self.ie, &self.ii].map(|projection| projection.rows.len());
        (self.ee.rows.len(), fixed.iter().sum())
    }
}

struct Deliver<'a> {
    vp: &'a mut VirtualProcess,
    arrivals: &'a [Arrival],
}

impl Kernel for Deliver<'_> {
    type Output = ();

    /// Delivers the arrivals in order. Looks up and prefetches each row before its delivery, since
    /// it is not in the cache.
    #[inline(always)]
    fn run(self) {
        let Deliver { vp, arrivals } = self;
        let mut batch = Batch::new();
        let ahead = if vp.ee.rows.index.is_sparse() {
            PREFETCH_DISTANCE
        } else {
            1
        };
        let mut rows = [const { [0..0, 0..0] }; 2 * PREFETCH_DISTANCE];
        for step in 0..arrivals.len() + ahead {
            if let Some(later) = arrivals.get(step + PREFETCH_DISTANCE) {
                for rows in projections(vp, later) {
                    rows.index.prefetch(later.row);
                }
            }
            if let Some(next) = arrivals.get(step) {
                let found = projections(vp, next).map(|rows| rows.index.range(next.row));
                prefetch(vp, next, &found);
                rows[step % (2 * PREFETCH_DISTANCE)] = found;
            }
            if let Some(now) = step.checked_sub(ahead) {
                let [to_e, to_i] = rows[now % (2 * PREFETCH_DISTANCE)].clone();
                let arrival = &arrivals[now];
                vp.events += (to_e.len() + to_i.len()) as u64;
                let (ring, e) = (&mut vp.ring, vp.excitatory);
                if arrival.excitatory {
                    fixed(&vp.ei, arrival.stamp, to_i, ring, e);
                    plastic(vp, arrival, to_e, &mut batch);
                } else {
                    fixed(&vp.ie, arrival.stamp, to_e, ring, 0);
                    fixed(&vp.ii, arrival.stamp, to_i, ring, e);
                }
            }
        }
    }
}

/// Prefetch distance, in arrivals: from prefetching the index of a row to its lookup, and from
/// prefetching a short row to its delivery. Longer rows are prefetched one arrival ahead.
const PREFETCH_DISTANCE: usize = 8;

/// Returns the rows of the projections onto E and I from the population of the arrival's source.
#[inline(always)]
fn projections<'a>(vp: &'a VirtualProcess, arrival: &Arrival) -> [&'a Rows; 2] {
    if arrival.excitatory {
        [&vp.ee.rows, &vp.ei.rows]
    } else {
        [&vp.ie.rows, &vp.ii.rows]
    }
}

/// Prefetches the targets of the synapses of an arrival, and the weights of the plastic ones.
#[inline(always)]
fn prefetch(vp: &VirtualProcess, arrival: &Arrival, [to_e, to_i]: &[Range<usize>; 2]) {
    let [onto_e, onto_i] = projections(vp, arrival);
    onto_e.targets.prefetch(to_e.clone());
    onto_i.targets.prefetch(to_i.clone());
    if arrival.excitatory {
        vp.ee.weights.prefetch(to_e.clone());
    }
}

/// Adds the weights of a static row to the ring buffer, one delay after `stamp`. `first` is the lid
/// of the first neuron of the target population.
#[inline(always)]
fn fixed(
    projection: &StaticProjection,
    stamp: i32,
    row: Range<usize>,
    ring: &mut RingBuffer,
    first: usize,
) {
    let slot = ring.slot(Steps(stamp + projection.delay.0), first);
    projection.deliver(row, slot);
}

/// Applies STDP to a plastic row and adds its weights to the ring buffer.
#[inline(always)]
fn plastic(vp: &mut VirtualProcess, arrival: &Arrival, range: Range<usize>, batch: &mut Batch) {
    let PlasticProjection {
        delay,
        rows,
        weights,
    } = &mut vp.ee;
    let visit = Visit {
        after: arrival.last - delay.0,
        until: arrival.stamp - delay.0,
        trace: arrival.trace,
    };
    let mut slot = vp.ring.slot(Steps(arrival.stamp + delay.0), 0);
    let slot = slot.channel(1.0);
    let mut row = PlasticRow {
        law: &vp.law,
        batch,
        visit,
        history: &vp.history,
        range,
        slot,
    };
    match (&rows.targets, weights) {
        (Targets::Narrow(targets), PlasticWeights::F64(weights)) => row.deliver(targets, weights),
        (Targets::Narrow(targets), PlasticWeights::F32(weights)) => row.deliver(targets, weights),
        (Targets::Wide(targets), PlasticWeights::F64(weights)) => row.deliver(targets, weights),
        (Targets::Wide(targets), PlasticWeights::F32(weights)) => row.deliver(targets, weights),
    }
}

/// Arguments of the delivery to a plastic row, independent of the storage of targets and weights.
struct PlasticRow<'a> {
    law: &'a Law,
    batch: &'a mut Batch,
    visit: Visit,
    history: &'a SpikeHistory,
    range: Range<usize>,
    slot: &'a mut [f64],
}

impl PlasticRow<'_> {
    /// Delivers to the row, which is `range` within the projection's `targets` and `weights`.
    #[inline(always)]
    fn deliver<T: Target, W: Weight>(&mut self, targets: &[T], weights: &mut [W]) {
        self.law.deliver(
            self.batch,
            self.visit,
            self.history,
            &targets[self.range.clone()],
            &mut weights[self.range.clone()],
            self.slot,
        );
    }
}
