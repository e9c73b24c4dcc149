//! Delivery in short rows: a pipeline over the arrivals.
//!
//! Almost every access misses the caches: row index, targets, weight, spike history, ring buffer.
//! Each stage of the pipeline prefetches for an arrival what the next one reads.

use std::ops::Range;

use crate::base::simd::Kernel;
use crate::base::units::Steps;
use crate::engine::vp::VirtualProcess;
use crate::model::buffers::SpikeHistory;
use crate::model::synapse::{Arrival, Law, RowWork, Target, Visit, Weight};

use super::{index, targets};

/// Kernel that delivers `arrivals` in order.
pub(super) struct Deliver<'a> {
    pub(super) vp: &'a mut VirtualProcess,
    pub(super) arrivals: &'a [Arrival],
}

/// Distance between two stages, in arrivals: the time of a cache miss in units of a delivery, with
/// some to spare. All of them are on their way at a time, about as many as a core can wait for.
const STAGE: usize = 8;
/// Number of rows that are remembered from their lookup to their delivery.
const ROWS: usize = 4 * STAGE;

impl Kernel for Deliver<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Deliver { vp, arrivals } = self;
        let mut rows = [const { [0..0, 0..0] }; ROWS];
        let first = arrivals.first().map_or(0, |arrival| arrival.stamp);
        let mut ahead = Moment::of(vp, first);
        let mut moment = Moment::of(vp, first);
        for step in 0..arrivals.len() + 3 * STAGE {
            if let Some(arrival) = arrivals.get(step) {
                index(vp, arrival).prefetch(arrival.row);
            }
            let at = step.wrapping_sub(STAGE);
            if let Some(arrival) = arrivals.get(at) {
                rows[at % ROWS] = look_up(vp, arrival);
            }
            let at = step.wrapping_sub(2 * STAGE);
            if let Some(arrival) = arrivals.get(at) {
                ahead.follow(vp, arrival);
                prefetch_neurons(vp, arrival, &rows[at % ROWS], &ahead);
            }
            let at = step.wrapping_sub(3 * STAGE);
            if let Some(arrival) = arrivals.get(at) {
                moment.follow(vp, arrival);
                deliver(vp, arrival, &rows[at % ROWS], &moment);
            }
        }
    }
}

/// Synapses of an arrival onto E and onto I.
type Row = [Range<usize>; 2];

/// Looks up the row of `arrival` and prefetches its targets and plastic weights.
#[inline(always)]
fn look_up(vp: &VirtualProcess, arrival: &Arrival) -> Row {
    let row = index(vp, arrival).ranges(arrival.row);
    for (targets, range) in targets(vp, arrival).into_iter().zip(&row) {
        targets.prefetch_ends(range.clone());
    }
    if arrival.excitatory {
        vp.ee.weights.prefetch_ends(row[0].clone());
    }
    row
}

/// Quantities shared by all arrivals of one stamp.
struct Moment {
    stamp: i32,
    /// Starts of the ring buffer's sums onto E and onto I, from E and from I.
    starts: [[usize; 2]; 2],
    /// Decay of the traces up to the depression, see [`SpikeHistory::fade`].
    fade: f64,
}

impl Moment {
    /// Returns the moment of spikes with this stamp.
    #[inline(never)]
    fn of(vp: &VirtualProcess, stamp: i32) -> Self {
        let start = |delay: Steps| vp.ring.start(Steps(stamp + delay.0));
        Moment {
            stamp,
            starts: [
                [start(vp.ee.delay), start(vp.ei.delay)],
                [start(vp.ie.delay), start(vp.ii.delay)],
            ],
            fade: vp.history.fade(Steps(stamp - vp.ee.delay.0)),
        }
    }

    /// Moves on to the stamp of `arrival`. Arrivals ascend, so this is rarely any work.
    #[inline(always)]
    fn follow(&mut self, vp: &VirtualProcess, arrival: &Arrival) {
        if arrival.stamp != self.stamp {
            *self = Moment::of(vp, arrival.stamp);
        }
    }
}

/// Prefetches the spike histories and the sums of the targets in `row`.
#[inline(always)]
fn prefetch_neurons(vp: &VirtualProcess, arrival: &Arrival, row: &Row, moment: &Moment) {
    let [onto_e, onto_i] = targets(vp, arrival);
    let [start_e, start_i] = moment.starts[usize::from(!arrival.excitatory)];
    let [to_e, to_i] = row.clone();
    for synapse in to_e {
        let target = onto_e.get(synapse);
        vp.ring.prefetch(start_e, target, !arrival.excitatory);
        if arrival.excitatory {
            vp.history.prefetch(target);
        }
    }
    for synapse in to_i {
        let target = vp.excitatory + onto_i.get(synapse);
        vp.ring.prefetch(start_i, target, !arrival.excitatory);
    }
}

/// Delivers `arrival` to the synapses `row`.
#[inline(always)]
fn deliver(vp: &mut VirtualProcess, arrival: &Arrival, row: &Row, moment: &Moment) {
    let [to_e, to_i] = row.clone();
    vp.events += (to_e.len() + to_i.len()) as u64;
    let [start_e, start_i] = moment.starts[usize::from(!arrival.excitatory)];
    let e = vp.excitatory;
    let (onto_e, onto_i) = match arrival.excitatory {
        true => (None, &vp.ei),
        false => (Some(&vp.ie), &vp.ii),
    };
    if !to_i.is_empty() {
        onto_i.deliver(to_i, vp.ring.slot_at(start_i, e));
    }
    match onto_e {
        _ if to_e.is_empty() => {}
        Some(onto_e) => onto_e.deliver(to_e, vp.ring.slot_at(start_e, 0)),
        None => plastic(vp, arrival, to_e, start_e, moment.fade),
    }
}

/// Applies STDP to the synapses `range` and adds their weights to the sums from `start` on.
#[inline(always)]
fn plastic(
    vp: &mut VirtualProcess,
    arrival: &Arrival,
    range: Range<usize>,
    start: usize,
    fade: f64,
) {
    let mut slot = vp.ring.slot_at(start, 0);
    let work = OneByOne {
        law: &vp.law,
        visit: Visit::of(arrival, vp.ee.delay),
        fade,
        history: &vp.history,
        slot: slot.channel(1.0),
    };
    vp.ee.work_on(range, work);
}

/// Delivery to a plastic row, one synapse after the other.
struct OneByOne<'a> {
    law: &'a Law,
    visit: Visit,
    fade: f64,
    history: &'a SpikeHistory,
    slot: &'a mut [f64],
}

impl RowWork for OneByOne<'_> {
    #[inline(always)]
    fn run<T: Target, W: Weight>(self, targets: &[T], weights: &mut [W]) {
        let (law, visit, fade) = (self.law, self.visit, self.fade);
        for (target, weight) in targets.iter().zip(weights) {
            let target = target.index();
            *weight = law.visited(*weight, visit, fade, self.history, target);
            self.slot[target] += weight.value();
        }
    }
}
