//! Delivery in short rows: a pipeline over the arrivals.
//!
//! Almost every access misses the caches: row index, targets, weight, spike history, ring buffer.
//! Each stage of the pipeline prefetches for an arrival what the next one reads. A plastic row goes
//! synapse by synapse, or in batches if it is long enough.

use std::ops::Range;

use crate::base::simd::Kernel;
use crate::base::units::Steps;
use crate::engine::vp::VirtualProcess;
use crate::model::buffers::RingBuffer;
use crate::model::synapse::{
    AllHistories, Arrival, Batch, Histories, Law, OwnHistory, RowWork, StaticProjection, Target,
    Visit, Weight,
};

use super::Synapses;
use super::events::{Event, EventBuffer};

/// Kernel that delivers `arrivals` in order.
pub(super) struct Deliver<'a, N> {
    pub(super) synapses: &'a mut Synapses,
    pub(super) arrivals: &'a [Arrival],
    pub(super) neurons: N,
}

/// Neurons that the stored targets stand for.
pub(super) trait Neurons<'a> {
    /// Their spike histories.
    type Histories: Histories<'a>;
    /// Sums for the arrivals of one stamp and one kind of sources.
    type Place: Copy;
    /// Number of plastic synapses of a row from which on batches are faster.
    const BATCHED: usize;

    /// Returns their spike histories.
    fn histories(&self) -> Self::Histories;

    /// Returns the place of the sums for arrivals with stamp `stamp` from E or from I.
    fn place(&self, stamp: i32, excitatory: bool) -> Self::Place;

    /// Prefetches the sum for `target` in population `side` (0: E, 1: I).
    fn prefetch_sum(&self, place: Self::Place, side: usize, target: usize);

    /// Adds `weight` for `target` in population `side`.
    fn add(&mut self, place: Self::Place, side: usize, target: usize, weight: f64);
}

/// Neurons of the thread that holds the synapses: weights go to their ring buffer.
pub(super) struct Own<'a> {
    ring: &'a mut RingBuffer,
    history: OwnHistory<'a>,
    /// Index of the first neuron of each population.
    first: [usize; 2],
    /// Delays by population of the sources, then of the targets.
    delays: [[Steps; 2]; 2],
}

impl<'a> Own<'a> {
    pub(super) fn new(vp: &'a mut VirtualProcess, delays: [[Steps; 2]; 2]) -> Self {
        Own {
            ring: &mut vp.ring,
            history: OwnHistory::new(&vp.history),
            first: [0, vp.excitatory],
            delays,
        }
    }
}

impl<'a> Neurons<'a> for Own<'a> {
    type Histories = OwnHistory<'a>;
    /// Starts of the sums onto E and onto I, and whether their weights are those of I.
    type Place = ([usize; 2], bool);
    /// Never: where such rows are frequent, `long` delivers them, and a second way would make short
    /// ones slower.
    const BATCHED: usize = usize::MAX;

    #[inline(always)]
    fn histories(&self) -> OwnHistory<'a> {
        self.history
    }

    #[inline(always)]
    fn place(&self, stamp: i32, excitatory: bool) -> Self::Place {
        let start = |side: usize| {
            let delay = self.delays[usize::from(!excitatory)][side];
            self.ring.start(Steps(stamp + delay.0)) + self.first[side]
        };
        ([0, 1].map(start), !excitatory)
    }

    #[inline(always)]
    fn prefetch_sum(&self, (starts, inhibitory): Self::Place, side: usize, target: usize) {
        self.ring.prefetch(starts[side], target, inhibitory);
    }

    #[inline(always)]
    fn add(&mut self, (starts, _): Self::Place, side: usize, target: usize, weight: f64) {
        self.ring.add(starts[side], target, weight);
    }
}

/// Neurons of all threads: weights go there as events.
pub(super) struct All<'a> {
    pub(super) histories: AllHistories<'a>,
    pub(super) events: &'a mut EventBuffer,
    /// First stamp of the arrivals' interval.
    pub(super) first: i32,
}

impl<'a> Neurons<'a> for All<'a> {
    type Histories = AllHistories<'a>;
    /// Number of the run.
    type Place = u32;
    const BATCHED: usize = 16;

    #[inline(always)]
    fn histories(&self) -> AllHistories<'a> {
        self.histories
    }

    #[inline(always)]
    fn place(&self, stamp: i32, excitatory: bool) -> u32 {
        2 * (stamp - self.first) as u32 + u32::from(!excitatory)
    }

    #[inline(always)]
    fn prefetch_sum(&self, _: u32, _: usize, _: usize) {}

    #[inline(always)]
    fn add(&mut self, run: u32, side: usize, target: usize, weight: f64) {
        let (owner, index) = self.histories.owners.split(target);
        let neuron = index as u32;
        let event = Event {
            weight,
            neuron,
            run,
        };
        self.events.push(side, owner, event);
    }
}

/// Distance between two stages, in arrivals: the time of a cache miss in units of a delivery, with
/// some to spare. All of them are on their way at a time, about as many as a core can wait for.
const STAGE: usize = 8;
/// Number of rows that are remembered from their lookup to their delivery.
const ROWS: usize = 4 * STAGE;
/// Number of targets of a row that are prefetched; batches prefetch on their own.
const AHEAD: usize = 16;

impl<'a, N: Neurons<'a>> Kernel for Deliver<'a, N> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let mut rows = [const { [0..0, 0..0] }; ROWS];
        let arrivals = self.arrivals;
        let Some(first) = arrivals.first() else {
            return;
        };
        let mut batch = Batch::new();
        let mut ahead = self.moment(first);
        let mut moment = self.moment(first);
        for step in 0..arrivals.len() + 3 * STAGE {
            if let Some(arrival) = arrivals.get(step) {
                self.synapses.index(arrival).prefetch(arrival.row);
            }
            let at = step.wrapping_sub(STAGE);
            if let Some(arrival) = arrivals.get(at) {
                rows[at % ROWS] = look_up(self.synapses, arrival);
            }
            let at = step.wrapping_sub(2 * STAGE);
            if let Some(arrival) = arrivals.get(at) {
                if !ahead.is_of(arrival) {
                    ahead = self.moment(arrival);
                }
                self.prefetch_neurons(arrival, &rows[at % ROWS], ahead.place);
            }
            let at = step.wrapping_sub(3 * STAGE);
            if let Some(arrival) = arrivals.get(at) {
                if !moment.is_of(arrival) {
                    moment = self.moment(arrival);
                }
                self.deliver(arrival, &rows[at % ROWS], &moment, &mut batch);
            }
        }
    }
}

/// Synapses of an arrival onto E and onto I.
type Row = [Range<usize>; 2];

/// Looks up the row of `arrival` and prefetches its targets and plastic weights.
#[inline(always)]
fn look_up(synapses: &Synapses, arrival: &Arrival) -> Row {
    let row = synapses.index(arrival).ranges(arrival.row);
    for (targets, range) in synapses.targets(arrival).into_iter().zip(&row) {
        targets.prefetch(range.clone());
    }
    if arrival.excitatory {
        synapses.ee.weights.prefetch(row[0].clone());
    }
    row
}

/// Quantities shared by all arrivals of one stamp and one kind of sources. Arrivals ascend, so they
/// rarely change.
struct Moment<P> {
    stamp: i32,
    excitatory: bool,
    place: P,
    /// Decay of the traces up to the depression, see [`Histories::fade`].
    fade: f64,
}

impl<P> Moment<P> {
    #[inline(always)]
    fn is_of(&self, arrival: &Arrival) -> bool {
        self.stamp == arrival.stamp && self.excitatory == arrival.excitatory
    }
}

impl<'a, N: Neurons<'a>> Deliver<'a, N> {
    #[inline(never)]
    fn moment(&self, arrival: &Arrival) -> Moment<N::Place> {
        let &Arrival {
            stamp, excitatory, ..
        } = arrival;
        let until = Steps(stamp - self.synapses.ee.delay.0);
        Moment {
            stamp,
            excitatory,
            place: self.neurons.place(stamp, excitatory),
            fade: self.neurons.histories().fade(until),
        }
    }

    /// Prefetches the spike histories and the sums of the targets in `row`.
    #[inline(always)]
    fn prefetch_neurons(&self, arrival: &Arrival, row: &Row, place: N::Place) {
        let neurons = &self.neurons;
        let [onto_e, onto_i] = self.synapses.targets(arrival);
        let ahead =
            |range: &Range<usize>| range.start..range.end.min(range.start.wrapping_add(AHEAD));
        for synapse in ahead(&row[0]) {
            let target = onto_e.get(synapse);
            neurons.prefetch_sum(place, 0, target);
            if arrival.excitatory {
                neurons.histories().prefetch(target);
            }
        }
        for synapse in ahead(&row[1]) {
            neurons.prefetch_sum(place, 1, onto_i.get(synapse));
        }
    }

    /// Delivers `arrival` to the synapses `row`.
    #[inline(always)]
    fn deliver(
        &mut self,
        arrival: &Arrival,
        row: &Row,
        moment: &Moment<N::Place>,
        batch: &mut Batch,
    ) {
        let [to_e, to_i] = row.clone();
        let place = moment.place;
        let Deliver {
            synapses, neurons, ..
        } = self;
        synapses.events += (to_e.len() + to_i.len()) as u64;
        if !arrival.excitatory {
            fixed(&synapses.ie, to_e, neurons, place, 0);
            fixed(&synapses.ii, to_i, neurons, place, 1);
            return;
        }
        fixed(&synapses.ei, to_i, neurons, place, 1);
        if !to_e.is_empty() {
            let work = Plastic {
                law: &synapses.law,
                visit: Visit::of(arrival, synapses.ee.delay),
                fade: moment.fade,
                batch,
                neurons,
                place,
            };
            synapses.ee.work_on(to_e, work);
        }
    }
}

/// Adds the weights of the static synapses `row` onto population `side`.
#[inline(always)]
fn fixed<'a, N: Neurons<'a>>(
    projection: &StaticProjection,
    row: Range<usize>,
    neurons: &mut N,
    place: N::Place,
    side: usize,
) {
    if !row.is_empty() {
        projection.for_each(row, |target, weight| {
            neurons.add(place, side, target, weight);
        });
    }
}

/// Delivery to a plastic row.
struct Plastic<'a, N, P> {
    law: &'a Law,
    visit: Visit,
    fade: f64,
    batch: &'a mut Batch,
    neurons: &'a mut N,
    place: P,
}

impl<'h, N: Neurons<'h>> RowWork for Plastic<'_, N, N::Place> {
    #[inline(always)]
    fn run<T: Target, W: Weight>(self, targets: &[T], weights: &mut [W]) {
        if targets.len() >= N::BATCHED {
            return self.in_batches(targets, weights);
        }
        let histories = self.neurons.histories();
        for (target, weight) in targets.iter().zip(weights) {
            let target = target.index();
            *weight = self
                .law
                .visited(*weight, self.visit, self.fade, histories, target);
            self.neurons.add(self.place, 0, target, weight.value());
        }
    }
}

impl<'h, N: Neurons<'h>> Plastic<'_, N, N::Place> {
    /// Works on a row of at least [`Neurons::BATCHED`] synapses.
    #[inline(never)]
    fn in_batches<T: Target, W: Weight>(self, targets: &[T], weights: &mut [W]) {
        let Plastic {
            law,
            visit,
            batch,
            neurons,
            place,
            ..
        } = self;
        let histories = neurons.histories();
        let add = |target, weight| neurons.add(place, 0, target, weight);
        law.deliver(batch, visit, histories, targets, weights, add);
    }
}
