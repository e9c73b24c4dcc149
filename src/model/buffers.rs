//! Buffers between synapses and neurons: the ring buffer of arriving weights and the history of
//! postsynaptic spikes.

use crate::base::math::GridExp;
use crate::base::memory::allocated_bytes;
use crate::base::pages::HugeArray;
use crate::base::simd;
use crate::base::sizes::{product, total, whole};
use crate::base::units::{GROUP, Lid, Ms, Steps};

/// Sums of the weights that will arrive at each neuron, per step.
///
/// Weights of each sign have a separate channel, unless both channels have the same time constant:
/// then only the sum of the currents matters, and one channel holds it. The layout is slot-major:
/// all neurons of one arrival step lie together, which keeps the deliveries of one lag within a few
/// tens of kB.
pub struct RingBuffer {
    /// \[arrival step\]\[channel\]\[neuron\] (pA)
    sums: HugeArray<f64>,
    width: usize,
    channels: usize,
    slots: usize,
}

impl RingBuffer {
    /// Creates an empty buffer of `slots` ≥ max_delay arrival steps for `neurons` neurons. Takes 8
    /// bytes per neuron, channel and slot.
    pub fn new(neurons: usize, channels: usize, slots: usize) -> Self {
        let width = neurons.next_multiple_of(GROUP);
        RingBuffer {
            sums: HugeArray::zeroed(width * channels * slots),
            width,
            channels,
            slots,
        }
    }

    /// Returns the index of the first sum that arrives with stamp `arrival`. Takes an integer
    /// division.
    #[inline(always)]
    pub fn start(&self, arrival: Steps) -> usize {
        arrival.0 as usize % self.slots * (self.channels * self.width)
    }

    /// Returns the number of channels, 1 or 2; see [`RingBuffer`].
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the sums that arrive at the neurons from `first` on with stamp `arrival`.
    #[inline(always)]
    pub fn slot(&mut self, arrival: Steps, first: usize) -> Slot<'_> {
        let start = self.start(arrival);
        let inhibitory = (self.channels - 1) * self.width;
        let sums = &mut self.sums[start + first..start + self.channels * self.width];
        Slot { sums, inhibitory }
    }

    /// Prefetches the sum of the `inhibitory` or the excitatory weights that arrives at `neuron`;
    /// `start` is that of its stamp, see [`RingBuffer::start`].
    #[inline(always)]
    pub fn prefetch(&self, start: usize, neuron: usize, inhibitory: bool) {
        let channel = if inhibitory {
            (self.channels - 1) * self.width
        } else {
            0
        };
        let index = start.wrapping_add(channel).wrapping_add(neuron);
        simd::prefetch(&self.sums, index);
    }

    /// Adds `weight` to the sum that arrives at `neuron`, in the channel of its sign; `start` is that
    /// of the sum's stamp, see [`RingBuffer::start`].
    #[inline(always)]
    pub fn add(&mut self, start: usize, neuron: usize, weight: f64) {
        let channel = if weight >= 0.0 {
            0
        } else {
            (self.channels - 1) * self.width
        };
        self.sums[start.wrapping_add(channel).wrapping_add(neuron)] += weight;
    }

    /// Returns the sums that arrive at the neurons of `group` with stamp `arrival`, by channel. The
    /// caller sets each sum it takes to 0.
    #[inline(always)]
    pub fn group<const CHANNELS: usize>(
        &mut self,
        group: usize,
        arrival: Steps,
    ) -> [&mut [f64; GROUP]; CHANNELS] {
        let (start, width) = (self.start(arrival), self.width);
        let mut channels = self.sums[start..].chunks_exact_mut(width);
        std::array::from_fn(|_| {
            let sums = &mut channels.next().expect("as many channels")[group * GROUP..];
            sums.first_chunk_mut().expect("whole groups")
        })
    }
}

/// Memory, in bytes.
impl RingBuffer {
    /// Returns the bytes of a buffer from [`RingBuffer::new`] with the same arguments.
    pub fn bytes(neurons: u64, channels: u64, slots: u64) -> u64 {
        HugeArray::<f64>::bytes(product([whole(neurons, GROUP as u64), channels, slots]))
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        self.sums.held()
    }
}

/// Sums of one arrival step.
pub struct Slot<'a> {
    sums: &'a mut [f64],
    /// Start of the channel of negative weights.
    inhibitory: usize,
}

impl Slot<'_> {
    /// Returns the channel of weights with the sign of `weight`.
    #[inline(always)]
    pub fn channel(&mut self, weight: f64) -> &mut [f64] {
        if weight >= 0.0 {
            self.sums
        } else {
            &mut self.sums[self.inhibitory..]
        }
    }
}

/// Spikes of the neurons that plastic synapses end on, with K₋ after each.
///
/// The four latest stamps and the two latest traces of a neuron share one 32-byte record, two
/// records per cache line. A separate list holds older spikes; [`SpikeHistory::prune`] keeps it
/// short.
///
/// Traces are stored at a common reference time: each is extrapolated there by its exponential
/// decay, backward in time if necessary. K₋(t) = trace · [`SpikeHistory::fade`]`(t)`, with one
/// factor for all neurons that are read at the same t.
pub struct SpikeHistory {
    recent: Vec<Recent>,
    /// Spikes by neuron, ascending: all but the two latest, which `recent` holds with their traces.
    older: Vec<Vec<Post>>,
    decay: GridExp,
    reference: Steps,
    /// Maximum age of the reference; with an older one the traces might overflow.
    reach: Steps,
}

/// Maximum age of the reference, in τ₋: e^300 keeps traces well within the range of a double.
const REACH: f64 = 300.0;

/// Postsynaptic spike and the trace K₋ just after it, relative to the reference time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Post {
    /// Stamp of the spike.
    pub stamp: i32,
    /// K₋ · exp((stamp − reference)/τ₋), the spike included.
    pub trace: f64,
}

/// Latest spikes of one neuron, newest first.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub struct Recent {
    /// Stamps of the four latest spikes; [`NEVER`] if there were fewer.
    pub stamps: [i32; 4],
    /// Traces just after the two latest spikes, see [`Post::trace`].
    pub traces: [f64; 2],
}

const _: () = assert!(size_of::<Recent>() == 32);

/// Stamp before every window.
pub const NEVER: i32 = i32::MIN;

impl SpikeHistory {
    /// Creates an empty history for `neurons` neurons. K₋ decays with `tau_minus` (ms) on the grid
    /// `dt`, for model times up to `longest`.
    pub fn new(neurons: usize, dt: Ms, tau_minus: f64, longest: Steps) -> Self {
        let reach = Steps((REACH * tau_minus / dt.0).min(f64::from(longest.0)) as i32);
        let none = Recent {
            stamps: [NEVER; 4],
            traces: [0.0; 2],
        };
        SpikeHistory {
            recent: vec![none; neurons],
            older: vec![Vec::new(); neurons],
            decay: GridExp::new(dt, tau_minus, longest),
            reference: Steps(0),
            reach,
        }
    }

    /// Returns exp(−(at − reference)/τ₋), the factor for traces read at `at`.
    pub fn fade(&self, at: Steps) -> f64 {
        let since = at.0 - self.reference.0;
        if since >= 0 {
            self.decay.at(since)
        } else {
            1.0 / self.decay.at(-since)
        }
    }

    /// Moves the reference to `now` if it lies too far back; the decision does not depend on the
    /// split.
    pub fn refer_to(&mut self, now: Steps) {
        if now.0 - self.reference.0 < self.reach.0 {
            return;
        }
        let fade = self.fade(now);
        for record in &mut self.recent {
            record.traces = record.traces.map(|trace| trace * fade);
        }
        for post in self.older.iter_mut().flatten() {
            post.trace *= fade;
        }
        self.reference = now;
    }

    /// Records a spike of neuron `lid` at `stamp`, later than all its earlier spikes.
    pub fn push(&mut self, lid: Lid, stamp: Steps) {
        let gain = 1.0 / self.fade(stamp);
        let record = &mut self.recent[lid.0 as usize];
        let [newest, second, third, _] = record.stamps;
        debug_assert!(newest < stamp.0);
        if second != NEVER {
            let post = Post {
                stamp: second,
                trace: record.traces[1],
            };
            self.older[lid.0 as usize].push(post);
        }
        record.stamps = [stamp.0, newest, second, third];
        record.traces = [record.traces[0] + gain, record.traces[0]];
    }

    /// Returns the records of all neurons, by lid.
    #[inline(always)]
    pub fn recent(&self) -> &[Recent] {
        &self.recent
    }

    /// Returns all spikes of `lid` with a stamp after `after`, ascending. Serves the rare synapse
    /// whose window reaches beyond the record.
    pub fn since(&self, lid: Lid, after: i32) -> impl DoubleEndedIterator<Item = Post> + '_ {
        let older = &self.older[lid.0 as usize];
        let record = &self.recent[lid.0 as usize];
        let start = older.partition_point(|post| post.stamp <= after);
        let latest = [1, 0].map(|i| Post {
            stamp: record.stamps[i],
            trace: record.traces[i],
        });
        older[start..]
            .iter()
            .copied()
            .chain(latest.into_iter().filter(move |p| p.stamp > after))
    }

    /// Drops the spikes that no synapse will read again.
    ///
    /// `needed(stamp)` tells whether some presynaptic window still holds `stamp`. Depression reads
    /// the last spike before a time that is never before `oldest_reading`. Spikes from
    /// `oldest_reading` on therefore stay, and the last one before it.
    pub fn prune(&mut self, oldest_reading: Steps, needed: impl Fn(Steps) -> bool) {
        for (older, recent) in self.older.iter_mut().zip(&self.recent) {
            let successors: Vec<i32> = older
                .iter()
                .skip(1)
                .map(|post| post.stamp)
                .chain([recent.stamps[1]])
                .collect();
            let mut successor = successors.into_iter();
            older.retain(|post| {
                successor
                    .next()
                    .is_some_and(|next| next >= oldest_reading.0)
                    || needed(Steps(post.stamp))
            });
            older.shrink_to(2 * older.len());
        }
    }
}

/// Memory, in bytes.
impl SpikeHistory {
    /// Returns the bytes for `neurons` neurons, each with `older` spikes on average in addition to
    /// its latest two.
    pub fn bytes(neurons: u64, older: f64) -> u64 {
        let each = size_of::<Recent>() + size_of::<Vec<Post>>();
        // A non-empty list starts with capacity 4 and doubles when it is full; on average a third
        // of it is empty.
        let room = (4.0 * -libm::expm1(-older)).max(1.5 * older);
        let older = (size_of::<Post>() as f64 * room * neurons as f64) as u64;
        total([product([each as u64, neurons]), older])
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        let older: u64 = self.older.iter().map(allocated_bytes).sum();
        allocated_bytes(&self.recent) + allocated_bytes(&self.older) + older
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(stamps: &[i32]) -> SpikeHistory {
        let mut history = SpikeHistory::new(1, Ms(0.125), 30.0, Steps(100_000));
        for &stamp in stamps {
            history.push(Lid(0), Steps(stamp));
        }
        history
    }

    #[test]
    fn every_spike_is_found_with_its_trace() {
        let stamps = [3, 7, 8, 100, 101, 500, 502];
        let mut history = history(&stamps);
        history.reach = Steps(400);
        for now in [510, 900] {
            history.refer_to(Steps(now));
            let found: Vec<Post> = history.since(Lid(0), 3).collect();
            let times: Vec<i32> = found.iter().map(|p| p.stamp).collect();
            assert_eq!(times, &stamps[1..]);
            for post in found {
                let earlier = stamps.iter().filter(|&&s| s <= post.stamp);
                let trace: f64 = earlier
                    .map(|&s| libm::exp(-f64::from(post.stamp - s) * 0.125 / 30.0))
                    .sum();
                let read = post.trace * history.fade(Steps(post.stamp));
                assert!((read - trace).abs() < 1e-13);
            }
        }
        assert_eq!(history.recent()[0].stamps, [502, 500, 101, 100]);
    }

    #[test]
    fn pruning_keeps_what_is_needed_and_the_last_trace() {
        let mut history = history(&[3, 7, 8, 100, 101, 500, 502, 505]);
        history.prune(Steps(501), |stamp| stamp == Steps(7));
        let left: Vec<i32> = history.since(Lid(0), NEVER).map(|p| p.stamp).collect();
        assert_eq!(left, [7, 500, 502, 505]);
    }

    #[test]
    fn slots_come_round_again() {
        for channels in [1, 2] {
            let mut ring = RingBuffer::new(100, channels, 3);
            let mut slot = ring.slot(Steps(5), 64);
            slot.channel(1.0)[6] += 1.5;
            slot.channel(-1.0)[6] += -2.0;
            if channels == 1 {
                let arrived = ring.group::<1>(1, Steps(8));
                assert_eq!(arrived.map(|sums| sums[6]), [-0.5]);
            } else {
                let arrived = ring.group::<2>(1, Steps(8));
                assert_eq!(arrived.map(|sums| sums[6]), [1.5, -2.0]);
            }
        }
    }
}
