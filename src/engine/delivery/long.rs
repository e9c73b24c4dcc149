//! Delivery in long rows: one row at a time, in batches that fill the vector units.

use std::ops::Range;

use crate::base::simd::Kernel;
use crate::base::units::Steps;
use crate::engine::vp::VirtualProcess;
use crate::model::buffers::RingBuffer;
use crate::model::synapse::{
    Arrival, Batch, Law, OwnHistory, RowWork, StaticProjection, Target, Visit, Weight,
};

use super::Synapses;

/// Kernel that delivers `arrivals` row by row.
pub(super) struct Deliver<'a> {
    pub(super) synapses: &'a mut Synapses,
    pub(super) arrivals: &'a [Arrival],
    pub(super) vp: &'a mut VirtualProcess,
}

impl Kernel for Deliver<'_> {
    type Output = ();

    /// Delivers the arrivals in order. Looks up and prefetches the next row before each delivery,
    /// since it is not in the cache.
    #[inline(always)]
    fn run(self) {
        let Deliver {
            synapses,
            arrivals,
            vp,
        } = self;
        let mut batch = Batch::new();
        let mut next = [0..0, 0..0];
        for step in 0..arrivals.len() + 1 {
            if let Some(later) = arrivals.get(step + PREFETCH_DISTANCE) {
                synapses.index(later).prefetch(later.row);
            }
            let [to_e, to_i] = next.clone();
            if let Some(arrival) = arrivals.get(step) {
                next = synapses.index(arrival).ranges(arrival.row);
                prefetch(synapses, arrival, &next);
            }
            if let Some(now) = step.checked_sub(1) {
                let arrival = &arrivals[now];
                synapses.events += (to_e.len() + to_i.len()) as u64;
                let (ring, e) = (&mut vp.ring, vp.excitatory);
                if arrival.excitatory {
                    fixed(&synapses.ei, arrival.stamp, to_i, ring, e);
                    plastic(synapses, vp, arrival, to_e, &mut batch);
                } else {
                    fixed(&synapses.ie, arrival.stamp, to_e, ring, 0);
                    fixed(&synapses.ii, arrival.stamp, to_i, ring, e);
                }
            }
        }
    }
}

/// Prefetch distance of the index of a row, in arrivals.
const PREFETCH_DISTANCE: usize = 8;

/// Prefetches the targets of the synapses of an arrival, and the weights of the plastic ones.
#[inline(always)]
fn prefetch(synapses: &Synapses, arrival: &Arrival, [to_e, to_i]: &[Range<usize>; 2]) {
    let [onto_e, onto_i] = synapses.targets(arrival);
    onto_e.prefetch(to_e.clone());
    onto_i.prefetch(to_i.clone());
    if arrival.excitatory {
        synapses.ee.weights.prefetch(to_e.clone());
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
    let mut slot = ring.slot(Steps(stamp + projection.delay.0), first);
    projection.for_each(row, |target, weight| slot.channel(weight)[target] += weight);
}

/// Applies STDP to a plastic row and adds its weights to the ring buffer.
#[inline(always)]
fn plastic(
    synapses: &mut Synapses,
    vp: &mut VirtualProcess,
    arrival: &Arrival,
    range: Range<usize>,
    batch: &mut Batch,
) {
    let delay = synapses.ee.delay;
    let mut slot = vp.ring.slot(Steps(arrival.stamp + delay.0), 0);
    let work = InBatches {
        law: &synapses.law,
        batch,
        visit: Visit::of(arrival, delay),
        history: OwnHistory::new(&vp.history),
        slot: slot.channel(1.0),
    };
    synapses.ee.work_on(range, work);
}

/// Delivery to a plastic row in batches.
struct InBatches<'a> {
    law: &'a Law,
    batch: &'a mut Batch,
    visit: Visit,
    history: OwnHistory<'a>,
    slot: &'a mut [f64],
}

impl RowWork for InBatches<'_> {
    #[inline(always)]
    fn run<T: Target, W: Weight>(self, targets: &[T], weights: &mut [W]) {
        let InBatches {
            law,
            batch,
            visit,
            history,
            slot,
        } = self;
        let add = |target: usize, weight| slot[target] += weight;
        law.deliver(batch, visit, history, targets, weights, add);
    }
}
