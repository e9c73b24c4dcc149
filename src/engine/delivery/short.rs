//! Delivery in short rows: a pipeline over the arrivals.
//!
//! Almost every access misses the caches: row index, targets, weight, spike history, ring buffer.
//! Each stage of the pipeline prefetches for an arrival what the next one reads.

use std::ops::Range;

use crate::base::simd::Kernel;
use crate::base::units::Steps;
use crate::engine::vp::VirtualProcess;
use crate::model::buffers::{RingBuffer, SpikeHistory};
use crate::model::synapse::{
    Arrival, Law, Owners, RowWork, StaticProjection, Target, Visit, Weight,
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
pub(super) trait Neurons {
    /// Sums for the arrivals of one stamp and one kind of sources.
    type Place: Copy;

    /// Returns the place of the sums for arrivals with stamp `stamp` from E or from I.
    fn place(&self, stamp: i32, excitatory: bool) -> Self::Place;

    /// Returns owner and index of `target`, see [`Owners::split`].
    fn split(&self, target: usize) -> (usize, usize);

    /// Returns the spike history of the neurons of `owner`.
    fn history(&self, owner: usize) -> &SpikeHistory;

    /// Prefetches the sum for neuron `index` of population `side` (0: E, 1: I).
    fn prefetch_sum(&self, place: Self::Place, side: usize, index: usize);

    /// Adds `weight` for neuron `index` of population `side` of `owner`.
    fn add(&mut self, place: Self::Place, side: usize, owner: usize, index: usize, weight: f64);
}

/// Neurons of the thread that holds the synapses: weights go to their ring buffer.
pub(super) struct Own<'a> {
    ring: &'a mut RingBuffer,
    history: &'a SpikeHistory,
    /// Index of the first neuron of each population.
    first: [usize; 2],
    /// Delays by population of the sources, then of the targets.
    delays: [[Steps; 2]; 2],
}

impl<'a> Own<'a> {
    pub(super) fn new(vp: &'a mut VirtualProcess, delays: [[Steps; 2]; 2]) -> Self {
        Own {
            ring: &mut vp.ring,
            history: &vp.history,
            first: [0, vp.excitatory],
            delays,
        }
    }
}

impl Neurons for Own<'_> {
    /// Starts of the sums onto E and onto I, and whether their weights are those of I.
    type Place = ([usize; 2], bool);

    #[inline(always)]
    fn place(&self, stamp: i32, excitatory: bool) -> Self::Place {
        let delays = self.delays[usize::from(!excitatory)];
        let starts = delays.map(|delay| self.ring.start(Steps(stamp + delay.0)));
        (
            [0, 1].map(|side: usize| starts[side] + self.first[side]),
            !excitatory,
        )
    }

    #[inline(always)]
    fn split(&self, target: usize) -> (usize, usize) {
        (0, target)
    }

    #[inline(always)]
    fn history(&self, _: usize) -> &SpikeHistory {
        self.history
    }

    #[inline(always)]
    fn prefetch_sum(&self, (starts, inhibitory): Self::Place, side: usize, index: usize) {
        self.ring.prefetch(starts[side], index, inhibitory);
    }

    #[inline(always)]
    fn add(&mut self, (starts, _): Self::Place, side: usize, _: usize, index: usize, weight: f64) {
        self.ring.add(starts[side], index, weight);
    }
}

/// Neurons of all threads: weights go there as events.
pub(super) struct All<'a> {
    pub(super) owners: Owners,
    pub(super) histories: &'a [&'a SpikeHistory],
    pub(super) events: &'a mut EventBuffer,
    /// First stamp of the arrivals' interval.
    pub(super) first: i32,
}

impl Neurons for All<'_> {
    /// Number of the run.
    type Place = u32;

    #[inline(always)]
    fn place(&self, stamp: i32, excitatory: bool) -> u32 {
        2 * (stamp - self.first) as u32 + u32::from(!excitatory)
    }

    #[inline(always)]
    fn split(&self, target: usize) -> (usize, usize) {
        self.owners.split(target)
    }

    #[inline(always)]
    fn history(&self, owner: usize) -> &SpikeHistory {
        self.histories[owner]
    }

    #[inline(always)]
    fn prefetch_sum(&self, _: u32, _: usize, _: usize) {}

    #[inline(always)]
    fn add(&mut self, run: u32, side: usize, owner: usize, index: usize, weight: f64) {
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

impl<N: Neurons> Kernel for Deliver<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let mut rows = [const { [0..0, 0..0] }; ROWS];
        let arrivals = self.arrivals;
        let Some(first) = arrivals.first() else {
            return;
        };
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
                self.deliver(arrival, &rows[at % ROWS], &moment);
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
        targets.prefetch_ends(range.clone());
    }
    if arrival.excitatory {
        synapses.ee.weights.prefetch_ends(row[0].clone());
    }
    row
}

/// Quantities shared by all arrivals of one stamp and one kind of sources. Arrivals ascend, so they
/// rarely change.
struct Moment<P> {
    stamp: i32,
    excitatory: bool,
    place: P,
    /// Decay of the traces up to the depression, see [`SpikeHistory::fade`].
    fade: f64,
}

impl<P> Moment<P> {
    #[inline(always)]
    fn is_of(&self, arrival: &Arrival) -> bool {
        self.stamp == arrival.stamp && self.excitatory == arrival.excitatory
    }
}

impl<N: Neurons> Deliver<'_, N> {
    #[inline(never)]
    fn moment(&self, arrival: &Arrival) -> Moment<N::Place> {
        let &Arrival {
            stamp, excitatory, ..
        } = arrival;
        // The traces of all histories refer to the same time.
        let history = self.neurons.history(0);
        Moment {
            stamp,
            excitatory,
            place: self.neurons.place(stamp, excitatory),
            fade: history.fade(Steps(stamp - self.synapses.ee.delay.0)),
        }
    }

    /// Prefetches the spike histories and the sums of the targets in `row`.
    #[inline(always)]
    fn prefetch_neurons(&self, arrival: &Arrival, row: &Row, place: N::Place) {
        let neurons = &self.neurons;
        let targets = self.synapses.targets(arrival);
        for (side, (targets, range)) in targets.into_iter().zip(row).enumerate() {
            for synapse in range.clone() {
                let (owner, index) = neurons.split(targets.get(synapse));
                neurons.prefetch_sum(place, side, index);
                if arrival.excitatory && side == 0 {
                    neurons.history(owner).prefetch(index);
                }
            }
        }
    }

    /// Delivers `arrival` to the synapses `row`.
    #[inline(always)]
    fn deliver(&mut self, arrival: &Arrival, row: &Row, moment: &Moment<N::Place>) {
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
            let work = OneByOne {
                law: &synapses.law,
                visit: Visit::of(arrival, synapses.ee.delay),
                fade: moment.fade,
                neurons,
                place,
            };
            synapses.ee.work_on(to_e, work);
        }
    }
}

/// Adds the weights of the static synapses `row` onto population `side`.
#[inline(always)]
fn fixed<N: Neurons>(
    projection: &StaticProjection,
    row: Range<usize>,
    neurons: &mut N,
    place: N::Place,
    side: usize,
) {
    if !row.is_empty() {
        projection.for_each(row, |target, weight| {
            let (owner, index) = neurons.split(target);
            neurons.add(place, side, owner, index, weight);
        });
    }
}

/// Delivery to a plastic row, one synapse after the other.
struct OneByOne<'a, N: Neurons> {
    law: &'a Law,
    visit: Visit,
    fade: f64,
    neurons: &'a mut N,
    place: N::Place,
}

impl<N: Neurons> RowWork for OneByOne<'_, N> {
    #[inline(always)]
    fn run<T: Target, W: Weight>(self, targets: &[T], weights: &mut [W]) {
        let (law, visit, fade) = (self.law, self.visit, self.fade);
        for (target, weight) in targets.iter().zip(weights) {
            let (owner, index) = self.neurons.split(target.index());
            *weight = law.visited(*weight, visit, fade, self.neurons.history(owner), index);
            self.neurons
                .add(self.place, 0, owner, index, weight.value());
        }
    }
}
