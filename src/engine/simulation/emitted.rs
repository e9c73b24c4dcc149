//! Spikes that the neurons of a rank emit after the warm-up.

use crate::base::digest::Digest;
use crate::base::units::{Interval, Steps};
use crate::model::network::Placement;
use crate::model::neuron::Emission;

use super::Spike;

/// Digest and counts of the spikes of one rank's neurons after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Emitted {
    /// Digest of (gid, stamp) of all spikes.
    pub digest: Digest,
    /// Numbers of spikes of excitatory and inhibitory neurons.
    pub counts: [u64; 2],
}

impl Emitted {
    fn add(&mut self, spike: &Spike, n_e: u32) {
        self.digest.add_spike(spike.gid, spike.stamp);
        self.counts[usize::from(spike.gid.0 >= n_e)] += 1;
    }

    /// Adds the spikes of `other`.
    pub(super) fn merge(&mut self, other: &Emitted) {
        self.digest.merge(other.digest);
        for (count, other) in self.counts.iter_mut().zip(other.counts) {
            *count += other;
        }
    }
}

/// Spikes of one thread's neurons after the warm-up.
#[derive(Default)]
pub(super) struct Recorded {
    /// Spikes of the current interval.
    spikes: Vec<Spike>,
    pub(super) emitted: Emitted,
}

impl Recorded {
    /// Replaces the spikes by the `emissions` of the neurons of `thread` in `interval`, without those
    /// up to the end of the warm-up, `presim`, and counts them.
    pub(super) fn take(
        &mut self,
        emissions: &[Emission],
        place: &Placement,
        thread: usize,
        interval: Interval,
        presim: Steps,
    ) {
        let spike = |emission: &Emission| Spike {
            gid: place.gid(thread as u32, emission.lid),
            stamp: interval.stamp(emission.lag),
        };
        let spikes = emissions.iter().map(spike);
        self.spikes.clear();
        self.spikes
            .extend(spikes.filter(|spike| spike.stamp > presim));
        for spike in &self.spikes {
            self.emitted.add(spike, place.n_e);
        }
    }

    /// Returns the spikes of the current interval.
    pub(super) fn spikes(&self) -> &[Spike] {
        &self.spikes
    }
}
