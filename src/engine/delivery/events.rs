//! Synaptic events on their way from the thread that holds the synapses to the threads that own the
//! neurons.
//!
//! Additions to a sum of a ring buffer must keep the order of arrivals for every split. A run is a
//! sequence of arrivals of one stamp and one kind of sources, E before I. Within a run, rows ascend
//! from thread to thread. The owner therefore adds run by run, and in each run the events of all
//! threads in turn.

use crate::base::memory::allocated_bytes;
use crate::base::units::Steps;
use crate::engine::vp::VirtualProcess;

/// Weight on its way to a neuron.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Event {
    /// Weight (pA).
    pub weight: f64,
    /// Index of the neuron within its population on its thread.
    pub neuron: u32,
    /// Number of the run in its interval: 2 · lag, and 1 more for sources in I.
    pub run: u32,
}

/// Events of one thread's synapses in an interval, by owner, onto E and onto I. Those of one owner
/// keep the order of arrivals.
pub struct EventBuffer(Vec<[Vec<Event>; 2]>);

impl EventBuffer {
    /// Creates the buffer of one thread for the neurons of `owners` threads.
    pub fn new(owners: usize) -> Self {
        EventBuffer(vec![Default::default(); owners])
    }

    /// Removes all events.
    pub fn clear(&mut self) {
        self.0.iter_mut().flatten().for_each(Vec::clear);
    }

    /// Appends `event` for population `side` (0: E, 1: I) of `owner`.
    #[inline(always)]
    pub fn push(&mut self, side: usize, owner: usize, event: Event) {
        self.0[owner][side].push(event);
    }
}

/// Memory, in bytes.
impl EventBuffer {
    /// Returns the bytes for `events` events per interval on average, with those of [`Sorter`].
    pub fn bytes(events: f64) -> u64 {
        // Lists double when they are full; on average a quarter of them is empty.
        (2.0 * size_of::<Event>() as f64 * events * 4.0 / 3.0) as u64
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        self.0.iter().flatten().map(allocated_bytes).sum()
    }
}

/// Working memory of an owner, for events in the order of arrivals.
#[derive(Default)]
pub struct Sorter {
    /// Number of events of each run, then the place of its next one.
    places: Vec<u32>,
    events: Vec<Event>,
}

impl Sorter {
    /// Adds the events for the neurons of `vp`, which is that of thread `owner`, to its ring buffer, in
    /// the order of arrivals. `buffers` are those of all threads; `start` begins the interval of the
    /// spikes. `delays` are by population of the sources, then of the targets.
    pub fn add(
        &mut self,
        vp: &mut VirtualProcess,
        owner: usize,
        buffers: &[&EventBuffer],
        start: Steps,
        delays: [[Steps; 2]; 2],
    ) {
        let first = [0, vp.excitatory];
        for side in [0, 1] {
            self.sort(buffers.iter().map(|buffer| &buffer.0[owner][side][..]));
            let mut events = &self.events[..];
            while let Some(&Event { run, .. }) = events.first() {
                let delay = delays[run as usize % 2][side];
                let stamp = Steps(start.0 + 1 + (run / 2) as i32);
                let start = vp.ring.start(stamp + delay);
                let (of_run, later) = events.split_at(events.partition_point(|e| e.run <= run));
                for event in of_run {
                    let neuron = first[side] + event.neuron as usize;
                    vp.ring.add(start, neuron, event.weight);
                }
                events = later;
            }
        }
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        allocated_bytes(&self.places) + allocated_bytes(&self.events)
    }

    /// Copies the events of `lists` to `events`, sorted by run; those of a run stay in order.
    fn sort<'a>(&mut self, lists: impl Iterator<Item = &'a [Event]> + Clone) {
        self.places.clear();
        let mut all = 0;
        for list in lists.clone() {
            all += list.len();
            // Runs ascend in a list.
            let runs = list.last().map_or(0, |event| event.run as usize + 1);
            self.places.resize(self.places.len().max(runs), 0);
            for event in list {
                self.places[event.run as usize] += 1;
            }
        }
        let mut next = 0;
        for place in &mut self.places {
            next += std::mem::replace(place, next);
        }
        self.events.resize(all, Event::default());
        for event in lists.flatten() {
            let place = &mut self.places[event.run as usize];
            self.events[*place as usize] = *event;
            *place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sorted_by_run_then_by_thread() {
        let mut sorter = Sorter::default();
        let event = |run, neuron| Event {
            weight: 1.5,
            neuron,
            run,
        };
        let lists = [
            vec![event(0, 1), event(0, 2), event(5, 3)],
            vec![],
            vec![event(1, 4), event(5, 5), event(5, 6), event(7, 7)],
            vec![event(0, 8), event(1, 9)],
        ];
        for _ in 0..2 {
            sorter.sort(lists.iter().map(Vec::as_slice));
            let neurons: Vec<u32> = sorter.events.iter().map(|event| event.neuron).collect();
            assert_eq!(neurons, [1, 2, 8, 4, 9, 3, 5, 6, 7]);
        }
        sorter.sort([].into_iter());
        assert!(sorter.events.is_empty());
    }
}
