//! Order-independent digests of spikes and weights, equal for any number of ranks and threads.

use std::fmt;

use crate::base::units::{Gid, Steps, pack};

/// Wrapping sum of one 64-bit hash per item, independent of order and grouping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub u64);

/// Hashes `x` with the finalizer of SplitMix64 (Steele, Lea & Flood 2014, OOPSLA) and Stafford's
/// constants.
fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl Digest {
    /// Adds the spike of `gid` at `stamp`.
    #[inline]
    pub fn add_spike(&mut self, gid: Gid, stamp: Steps) {
        let key = pack(gid.0, stamp.0 as u32);
        self.0 = self.0.wrapping_add(mix(mix(key).wrapping_add(1)));
    }

    /// Adds the synapse from `source` to `target` with `weight` (pA).
    #[inline]
    pub fn add_weight(&mut self, source: Gid, target: Gid, weight: f64) {
        let key = pack(source.0, target.0);
        self.0 = self.0.wrapping_add(mix(mix(key) ^ weight.to_bits()));
    }

    /// Adds all items of another digest.
    pub fn merge(&mut self, other: Digest) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let sum = u64::from_str_radix(&text, 16).map_err(|_| {
            let expected = "a digest of 16 hexadecimal digits";
            serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &expected)
        })?;
        Ok(Digest(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_grouping_do_not_show_but_contents_do() {
        let spikes = [(3, 10), (10, 3), (3, 11)];
        let digest = |items: &[(u32, i32)]| {
            let mut digest = Digest::default();
            items
                .iter()
                .for_each(|&(gid, stamp)| digest.add_spike(Gid(gid), Steps(stamp)));
            digest
        };
        let mut parts = digest(&spikes[1..]);
        parts.merge(digest(&spikes[..1]));
        assert_eq!(digest(&spikes), parts);
        assert_ne!(digest(&spikes), digest(&spikes[..2]));
        assert_ne!(digest(&[(3, 10)]), digest(&[(10, 3)]));
        let weight = |w| {
            let mut digest = Digest::default();
            digest.add_weight(Gid(1), Gid(2), w);
            digest
        };
        assert_ne!(weight(1.0), weight(1.0 + f64::EPSILON));
    }
}
