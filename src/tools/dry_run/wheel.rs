//! Timing wheel that finds the neurons that fire in the current interval, among millions of neurons
//! that fire periodically.

use crate::base::units::Steps;

/// Neurons that fire periodically, each in the linked list of the interval of its next spike.
///
/// Takes 12 bytes per neuron; each spike costs one look-up and one list insertion.
pub struct Wheel {
    /// Steps per interval.
    interval: i32,
    /// Number of the next interval.
    next: i64,
    /// First neuron in the list of each interval, by the interval's number modulo [`TURN`].
    heads: Vec<u32>,
    /// Next neuron in the list, by neuron.
    links: Vec<u32>,
    /// Stamp of the next spike, by neuron.
    due: Vec<Steps>,
    periods: Vec<i32>,
}

/// Intervals per turn of the wheel; a neuron due later is checked once per turn.
const TURN: i64 = 4096;
const NONE: u32 = u32::MAX;

impl Wheel {
    /// Creates a wheel without neurons for intervals of `interval` steps.
    pub fn new(interval: Steps) -> Self {
        Wheel {
            interval: interval.0,
            next: 0,
            heads: vec![NONE; TURN as usize],
            links: Vec::new(),
            due: Vec::new(),
            periods: Vec::new(),
        }
    }

    /// Adds neuron `neuron`, which fires at stamp `first` ≥ 1 and every `period` ≥ 1 steps
    /// thereafter.
    pub fn add(&mut self, neuron: u32, first: Steps, period: i32) {
        let neurons = self.due.len().max(neuron as usize + 1);
        self.due.resize(neurons, Steps(0));
        self.periods.resize(neurons, 0);
        self.links.resize(neurons, NONE);
        self.due[neuron as usize] = first;
        self.periods[neuron as usize] = period;
        self.link(neuron);
    }

    fn link(&mut self, neuron: u32) {
        // Stamps 1 … interval belong to interval 0.
        let due = i64::from(self.due[neuron as usize].0 - 1) / i64::from(self.interval);
        let seen = due.clamp(self.next, self.next + TURN - 1);
        let head = &mut self.heads[(seen % TURN) as usize];
        self.links[neuron as usize] = std::mem::replace(head, neuron);
    }

    /// Advances the wheel by one interval, which ends at `end`. Calls `each` with the neuron and
    /// the stamp of each spike.
    pub fn turn(&mut self, end: Steps, mut each: impl FnMut(u32, Steps)) {
        let head = &mut self.heads[(self.next % TURN) as usize];
        let mut neuron = std::mem::replace(head, NONE);
        self.next += 1;
        while neuron != NONE {
            let index = neuron as usize;
            let after = self.links[index];
            while self.due[index] <= end {
                each(neuron, self.due[index]);
                self.due[index].0 = self.due[index].0.saturating_add(self.periods[index]);
            }
            self.link(neuron);
            neuron = after;
        }
    }

    /// Returns the number of bytes in use. Spare capacity is not counted, because untouched pages
    /// take no memory.
    pub fn used(&self) -> u64 {
        let neurons = size_of_val(&*self.links) + size_of_val(&*self.due);
        (size_of_val(&*self.heads) + neurons + size_of_val(&*self.periods)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the wheel with the list of all spikes, for periods from one step to more than a
    /// turn.
    #[test]
    fn all_spikes_come_in_their_interval() {
        let interval = 12;
        let neurons = [
            (1, 1),
            (5, 7),
            (12, 12),
            (13, 13),
            (100, 49_152),
            (60_000, 70_000),
        ];
        let mut wheel = Wheel::new(Steps(interval));
        for (neuron, &(first, period)) in (0..).zip(&neurons) {
            wheel.add(neuron, Steps(first), period);
        }
        for number in 0..20_000 {
            let (start, end) = (number * interval, (number + 1) * interval);
            let mut found = Vec::new();
            wheel.turn(Steps(end), |neuron, stamp| found.push((neuron, stamp.0)));
            found.sort_unstable();
            let expected: Vec<(u32, i32)> = (0..)
                .zip(&neurons)
                .flat_map(|(neuron, &(first, period))| {
                    (start + 1..=end)
                        .filter(move |t| *t >= first && (t - first) % period == 0)
                        .map(move |t| (neuron, t))
                })
                .collect();
            assert_eq!(found, expected, "interval {number}");
        }
    }
}
