//! Histogram of weights.

use std::ops::Range;

use crate::base::error::{Error, Result};

/// Histogram of weights (pA) in bins of equal width; see
/// [`Weights::histogram`](super::Weights::histogram).
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    range: Range<f64>,
    /// Number of weights per bin, without weights of exactly 0. A bin includes its lower bound.
    pub counts: Vec<u64>,
    /// Number of weights of exactly 0. The weights of these synapses never change again.
    pub zeros: u64,
    /// Number of weights below the range, without weights of exactly 0.
    pub below: u64,
    /// Number of weights at or above the upper bound of the range.
    pub above: u64,
}

impl Histogram {
    /// Returns an empty histogram with `bins` equal bins over `range` (pA).
    ///
    /// ```
    /// # use stdp_hpc::io::analysis::Histogram;
    /// let mut histogram = Histogram::new(3, 0.0..150.0)?;
    /// for weight in [0.0, 50.0, 99.9, 31.8, 200.0] {
    ///     histogram.add(weight);
    /// }
    /// assert_eq!(histogram.counts, [1, 2, 0]);
    /// assert_eq!((histogram.zeros, histogram.above), (1, 1));
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails if `bins` is 0 or more than 2²⁴, or `range` is empty or not finite.
    pub fn new(bins: usize, range: Range<f64>) -> Result<Self> {
        let Range { start, end } = range;
        if !(start.is_finite() && end.is_finite() && start < end) {
            return Err(Error::input(format!(
                "weights from {start} to {end} pA: must be finite, ascending bounds"
            )));
        }
        if !(1..=1 << 24).contains(&bins) {
            return Err(Error::input(format!("bins {bins}: must be 1 … 16777216")));
        }
        Ok(Self {
            range,
            counts: vec![0; bins],
            zeros: 0,
            below: 0,
            above: 0,
        })
    }

    /// Counts a weight (pA). Cost: O(1).
    pub fn add(&mut self, weight: f64) {
        if weight == 0.0 {
            self.zeros += 1;
        } else if weight < self.range.start {
            self.below += 1;
        } else if weight >= self.range.end {
            self.above += 1;
        } else {
            let share = (weight - self.range.start) / (self.range.end - self.range.start);
            let last = self.counts.len() - 1;
            let mut bin = ((share * self.counts.len() as f64) as usize).min(last);
            // Rounding may choose a neighbouring bin; the bounds decide.
            if weight < self.bin(bin).start {
                bin -= 1;
            } else if weight >= self.bin(bin).end {
                bin += 1;
            }
            self.counts[bin] += 1;
        }
    }

    /// Returns the bounds of bin `bin` (pA); the upper bound is exclusive.
    pub fn bin(&self, bin: usize) -> Range<f64> {
        let Range { start, end } = self.range;
        let bins = self.counts.len();
        let bound = |i: usize| match i {
            i if i == bins => end,
            i => start + (end - start) * i as f64 / bins as f64,
        };
        bound(bin)..bound(bin + 1)
    }

    /// Returns the number of all weights, including those outside the bins.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.zeros + self.below + self.above
    }

    /// Returns the density in bin `bin` (1/pA): its fraction of *all* weights divided by its width;
    /// `None` if the histogram is empty. The sum of density times width over the bins, plus the
    /// fractions of `zeros`, `below` and `above`, is 1.
    pub fn density(&self, bin: usize) -> Option<f64> {
        let Range { start, end } = self.bin(bin);
        Some(self.fraction(self.counts[bin])? / (end - start))
    }

    /// Returns the fraction of weights that are exactly 0; `None` if the histogram is empty.
    pub fn zero_fraction(&self) -> Option<f64> {
        self.fraction(self.zeros)
    }

    /// Returns `count` as a fraction of all weights; `None` if the histogram is empty.
    pub fn fraction(&self, count: u64) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| count as f64 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_falls_into_the_bin_whose_bounds_say_so() {
        let mut histogram = Histogram::new(7, 0.1..0.8).unwrap();
        let bounds: Vec<f64> = (0..7).map(|bin| histogram.bin(bin).start).collect();
        for (bin, &bound) in bounds.iter().enumerate() {
            let before = histogram.counts.clone();
            histogram.add(bound);
            assert_eq!(histogram.counts[bin], before[bin] + 1, "at {bound}");
            histogram.add(bound.next_down());
            let below = if bin == 0 {
                histogram.below
            } else {
                histogram.counts[bin - 1]
            };
            assert_eq!(below, if bin == 0 { 1 } else { 2 }, "below {bound}");
        }
        [0.0, 0.8, 0.9]
            .into_iter()
            .for_each(|weight| histogram.add(weight));
        assert_eq!((histogram.zeros, histogram.above), (1, 2));
        assert_eq!(histogram.total(), 17);
    }

    #[test]
    fn bad_bins_are_refused() {
        for (bins, range) in [(0, 0.0..1.0), (3, 1.0..1.0), (3, 0.0..f64::INFINITY)] {
            assert!(Histogram::new(bins, range).is_err());
        }
    }
}
