//! A timing wheel: which of millions of regular neurons fire in the interval at hand.

use crate::base::units::Steps;

/// Neurons that fire with a period of their own, linked into the interval of their next spike.
///
/// 12 bytes a neuron; a spike costs a look-up and a link.
pub struct Wheel {
    /// Steps of an interval.
    interval: i32,
    /// The interval that comes next.
    next: i64,
    /// First of the neurons linked into an interval, by its number modulo [`TURN`].
    heads: Vec<u32>,
    /// The one linked after a neuron.
    links: Vec<u32>,
    /// Next stamp and period of a neuron.
    due: Vec<Steps>,
    periods: Vec<i32>,
}

/// Intervals of a turn; a neuron due later is looked at once a turn.
const TURN: i64 = 4096;
const NONE: u32 = u32::MAX;

impl Wheel {
    /// Without neurons, for intervals of `interval` steps.
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

    /// Neuron `neuron` fires at `first` ≥ 1 and every `period` ≥ 1 steps from then on.
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

    /// Calls `each` with all spikes up to `end`, the end of the next interval.
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

    /// Bytes in use: room for more takes no memory before it is touched.
    pub fn used(&self) -> u64 {
        let neurons = size_of_val(&*self.links) + size_of_val(&*self.due);
        (size_of_val(&*self.heads) + neurons + size_of_val(&*self.periods)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the list of all spikes; periods within a step, an interval, a turn and beyond.
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
