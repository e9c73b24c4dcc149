//! One virtual process: all that one thread owns, and the two phases it runs alone.

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

/// Neurons of one thread, the synapses onto them, and the mailboxes in between.
///
/// Aligned, lest two threads write to one cache line.
#[repr(align(128))]
pub struct VirtualProcess {
    /// Excitatory neurons here; they come first.
    pub excitatory: usize,
    /// The neurons.
    pub neurons: Neurons,
    /// External input, of weight `weight_x` (pA).
    pub input: Input,
    /// See `input`.
    pub weight_x: f64,
    /// What will arrive.
    pub ring: RingBuffer,
    /// Who fired when, of the excitatory neurons.
    pub history: SpikeHistory,
    /// E→E
    pub ee: PlasticProjection,
    /// E→I
    pub ei: StaticProjection,
    /// I→E
    pub ie: StaticProjection,
    /// I→I
    pub ii: StaticProjection,
    /// The law of the E→E synapses.
    pub law: Arc<Law>,
    /// Who listens to the neurons here.
    pub table: TargetTable,
    /// Spikes of the current interval, ascending in time for each neuron.
    pub emissions: Vec<Emission>,
    /// Synaptic events delivered so far.
    pub events: u64,
    /// Wall time of the latest delivery and of the latest update.
    pub laps: [Duration; 2],
}

impl VirtualProcess {
    /// One interval: delivers `arrivals`, then updates. In one go, for neither needs what other
    /// threads do meanwhile, and handing over to threads costs microseconds.
    pub fn advance(&mut self, arrivals: &[Arrival], interval: Interval) {
        let begun = Instant::now();
        self.deliver(arrivals);
        let delivered = Instant::now();
        self.update(interval);
        self.laps = [delivered - begun, delivered.elapsed()];
    }

    /// Delivers presynaptic spikes in the order given: STDP, then the ring buffers.
    pub fn deliver(&mut self, arrivals: &[Arrival]) {
        simd::run(Deliver { vp: self, arrivals });
    }

    /// Advances the neurons over `interval` and notes who fired.
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

    /// Adds the bytes held here, by structure.
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

    /// Synapses held, plastic and static.
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

    /// The rows of an arrival are looked up, and asked for, some arrivals before their turn:
    /// what they are lies far away.
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

/// Prefetch distance, in arrivals, for short rows (longer rows are prefetched one arrival ahead).
/// Their row indices are prefetched as many arrivals earlier.
const PREFETCH_DISTANCE: usize = 8;

/// The rows onto E and onto I of the population that an arrival comes from.
#[inline(always)]
fn projections<'a>(vp: &'a VirtualProcess, arrival: &Arrival) -> [&'a Rows; 2] {
    if arrival.excitatory {
        [&vp.ee.rows, &vp.ei.rows]
    } else {
        [&vp.ie.rows, &vp.ii.rows]
    }
}

/// Asks for the synapses of an arrival: targets, and weights where each has its own.
#[inline(always)]
fn prefetch(vp: &VirtualProcess, arrival: &Arrival, [to_e, to_i]: &[Range<usize>; 2]) {
    let [onto_e, onto_i] = projections(vp, arrival);
    onto_e.targets.prefetch(to_e.clone());
    onto_i.targets.prefetch(to_i.clone());
    if arrival.excitatory {
        vp.ee.weights.prefetch(to_e.clone());
    }
}

/// Adds the weights of a row to what arrives a delay after `stamp` at neurons from `first` on.
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

/// What the delivery to a row needs, however its targets and weights are stored.
struct PlasticRow<'a> {
    law: &'a Law,
    batch: &'a mut Batch,
    visit: Visit,
    history: &'a SpikeHistory,
    range: Range<usize>,
    slot: &'a mut [f64],
}

impl PlasticRow<'_> {
    /// Delivers to the row's part of the projection's `targets` and `weights`.
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
