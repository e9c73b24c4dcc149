//! Digest and moments of plastic weights.

use crate::base::digest::Digest;
use crate::base::units::Gid;
use crate::comm::Comm;

/// Digest and moments of plastic weights (pA).
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightMoments {
    /// Digest of (source, target, weight).
    pub digest: Digest,
    /// Number of weights that are exactly 0.
    pub zeros: u64,
    /// Count, mean and standard deviation.
    pub moments: Moments,
}

impl WeightMoments {
    /// Adds the weights of `other`.
    pub fn merge(&mut self, other: &WeightMoments) {
        self.digest.merge(other.digest);
        self.zeros += other.zeros;
        self.moments.merge(&other.moments);
    }
}

/// Mean and standard deviation of numbers. No intermediate sum leaves the range of a double unless
/// the numbers do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Number of values.
    pub count: u64,
    /// Mean; 0 if there are no values.
    pub mean: f64,
    /// Standard deviation about this mean; 0 if there are no values.
    pub sd: f64,
}

impl Moments {
    /// Returns the moments of `values`, in two passes.
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let largest = values
            .iter()
            .fold(0.0f64, |most, value| most.max(value.abs()));
        let scale = unit(largest);
        let sum: f64 = values.iter().map(|value| value / scale).sum();
        let mean = sum / count.max(1.0);
        let squares: f64 = values
            .iter()
            .map(|value| (value / scale - mean).powi(2))
            .sum();
        Moments {
            count: values.len() as u64,
            mean: mean * scale,
            sd: (squares / count.max(1.0)).sqrt() * scale,
        }
    }

    /// Adds the numbers of `other`.
    fn merge(&mut self, other: &Moments) {
        let count = self.count + other.count;
        if other.count == 0 {
            return;
        }
        let part = other.count as f64 / count as f64;
        let apart = other.mean - self.mean;
        let scale = unit(self.sd.max(other.sd).max(apart.abs()));
        let variance = (1.0 - part) * (self.sd / scale).powi(2)
            + part * (other.sd / scale).powi(2)
            + part * (1.0 - part) * (apart / scale).powi(2);
        *self = Moments {
            count,
            mean: self.mean + part * apart,
            sd: variance.sqrt() * scale,
        };
    }

    /// Returns the moments of the numbers of all ranks, on all ranks. Collective.
    pub fn of_all(&self, comm: &Comm) -> Self {
        let count = comm.sum(self.count);
        let part = self.count as f64 / count.max(1) as f64;
        let mean = comm.total(part * self.mean);
        let apart = if self.count > 0 {
            self.mean - mean
        } else {
            0.0
        };
        let scale = unit(comm.spread(self.sd.max(apart.abs())).max);
        let square = (self.sd / scale).powi(2) + (apart / scale).powi(2);
        Moments {
            count,
            mean,
            sd: comm.total(part * square).sqrt() * scale,
        }
    }
}

/// Returns a power of two near `largest` ≥ 0; dividing numbers up to `largest` by it is exact.
fn unit(largest: f64) -> f64 {
    let (_, exponent) = libm::frexp(largest);
    libm::ldexp(1.0, exponent.clamp(-1000, 1000))
}

/// Weights per batch, whose moments are computed together.
const BATCH: usize = 512;

/// Accumulator of digest and moments of weights.
pub struct WeightAdder {
    sum: WeightMoments,
    batch: [f64; BATCH],
    waiting: usize,
}

impl Default for WeightAdder {
    fn default() -> Self {
        WeightAdder {
            sum: WeightMoments::default(),
            batch: [0.0; BATCH],
            waiting: 0,
        }
    }
}

impl WeightAdder {
    /// Adds the synapse from `source` to `target` with `weight` (pA).
    #[inline(always)]
    pub fn add(&mut self, source: Gid, target: Gid, weight: f64) {
        self.sum.digest.add_weight(source, target, weight);
        self.sum.zeros += u64::from(weight == 0.0);
        self.batch[self.waiting] = weight;
        self.waiting += 1;
        if self.waiting == BATCH {
            self.sum.moments.merge(&Moments::of(&self.batch));
            self.waiting = 0;
        }
    }

    /// Returns digest and moments of all weights added.
    pub fn finish(mut self) -> WeightMoments {
        let rest = Moments::of(&self.batch[..self.waiting]);
        self.sum.moments.merge(&rest);
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(values: &[f64]) -> Moments {
        let mut adder = WeightAdder::default();
        values
            .iter()
            .for_each(|&value| adder.add(Gid(0), Gid(0), value));
        adder.finish().moments
    }

    fn close(found: f64, expected: f64) {
        let error = (found / expected - 1.0).abs();
        assert!(error < 1e-13, "{found:e} for {expected:e}");
    }

    /// Checks moments against theory: 0 … n − 1 have mean (n − 1)/2 and variance (n² − 1)/12, at
    /// any scale.
    #[test]
    fn moments_hold_at_every_scale() {
        for n in [1000, 1024, 5000] {
            for scale in [1e-300, 1e-100, 1.0, 1e100, 1e304] {
                let values: Vec<f64> = (0..n).map(|i| f64::from(i) * scale).collect();
                let all = added(&values);
                let n = f64::from(n);
                close(all.mean / scale, (n - 1.0) / 2.0);
                close(all.sd / scale, ((n * n - 1.0) / 12.0).sqrt());
                let (mut one, other) = (added(&values[..7]), added(&values[7..]));
                one.merge(&other);
                close(one.mean, all.mean);
                close(one.sd, all.sd);
                let same = all.of_all(&Comm::Alone);
                close(same.mean, all.mean);
                close(same.sd, all.sd);
            }
        }
    }

    #[test]
    fn moments_of_the_largest_numbers_and_of_none() {
        let largest = added(&[f64::MAX; 2000]);
        assert_eq!((largest.count, largest.sd), (2000, 0.0));
        close(largest.mean, f64::MAX);
        let spread = added(&[0.0, f64::MAX]);
        close(spread.mean, f64::MAX / 2.0);
        close(spread.sd, f64::MAX / 2.0);
        assert_eq!(added(&[]), Moments::default());
        assert_eq!(added(&[]).of_all(&Comm::Alone), Moments::default());
    }

    /// Checks that a large common offset does not cost the deviation its digits.
    #[test]
    fn small_deviations_are_kept() {
        let values: Vec<f64> = (0..4096).map(|i| 1e9 + f64::from(i % 2)).collect();
        close(added(&values).sd, 0.5);
    }
}
