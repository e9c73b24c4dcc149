//! The plastic connections: as a list, a matrix, a histogram of their weights.

use std::ops::Range;

use super::run::Results;
use super::spikes::next_block;
use crate::error::{Error, Result};
use crate::sonata::read::results::{Connection, WeightTable, snapshots};
use crate::units::Ms;

/// Entries that a matrix may have: 1 GiB.
pub const LARGEST_MATRIX: u64 = 1 << 27;

/// The recorded weights of all plastic synapses at the time of one snapshot.
pub struct Weights {
    table: WeightTable,
    at: Ms,
    sources: u32,
    targets: u32,
}

impl Results {
    /// The times of the snapshots of the weights, ascending.
    ///
    /// # Errors
    /// If `weights.h5` cannot be read, is not of stdp-hpc, or holds no snapshot.
    pub fn snapshots(&self) -> Result<Vec<Ms>> {
        snapshots(&self.file("weights.h5"))
    }

    /// The weights at time `at`, which must be that of a snapshot; at the latest one if `None`.
    ///
    /// ```
    /// # use stdp_hpc::{analysis::Results, units::Ms};
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let results = Results::open(directory)?;
    /// assert_eq!(results.snapshots()?, [Ms(0.0), Ms(50.0), Ms(100.0)]);
    /// assert_eq!(results.weights(None)?.at(), Ms(100.0));
    /// assert!(results.weights(Some(Ms(70.0))).is_err());
    /// # Ok::<(), stdp_hpc::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`snapshots`](Self::snapshots), and if there is none of this time.
    pub fn weights(&self, at: Option<Ms>) -> Result<Weights> {
        let (sources, targets) = self.recorded_weights();
        let n_e = self.neurons(super::Population::E);
        let table = WeightTable::open(&self.file("weights.h5"), n_e, self.dt(), at)?;
        Ok(Weights {
            at: table.at().to_ms(self.dt()),
            table,
            sources,
            targets,
        })
    }
}

impl Weights {
    /// The time of the snapshot.
    pub fn at(&self) -> Ms {
        self.at
    }

    /// The sources that were recorded, indices in E.
    pub fn sources(&self) -> Range<u32> {
        0..self.sources
    }

    /// The targets that were recorded, indices in E.
    pub fn targets(&self) -> Range<u32> {
        0..self.targets
    }

    /// The synapses from `sources` to `targets`, by source, then target; each multapse by itself.
    ///
    /// ```
    /// # use stdp_hpc::analysis::Results;
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let weights = Results::open(directory)?.weights(None)?;
    /// for connection in weights.connections(0..10, 0..20)? {
    ///     let connection = connection?;
    ///     assert!(connection.source < 10 && connection.target < 20);
    ///     assert!(connection.weight >= 0.0 && connection.delay.0 == 1.5); // pA, ms
    /// }
    /// # Ok::<(), stdp_hpc::error::Error>(())
    /// ```
    ///
    /// Cost: O(log synapses) to find the first source; reads the synapses of `sources`, block
    /// by block.
    ///
    /// # Errors
    /// If a range reaches beyond what was recorded, or the file cannot be read; the stream ends
    /// with an error where a value is not as it must be.
    pub fn connections(&self, sources: Range<u32>, targets: Range<u32>) -> Result<Connections<'_>> {
        check("sources", &sources, self.sources)?;
        check("targets", &targets, self.targets)?;
        Ok(Connections {
            left: self.table.rows(sources)?,
            table: &self.table,
            targets,
            block: Vec::new().into_iter(),
        })
    }

    /// The summed weights from every one of `sources` to every one of `targets`.
    ///
    /// ```
    /// # use stdp_hpc::analysis::Results;
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let weights = Results::open(directory)?.weights(None)?;
    /// let matrix = weights.matrix(0..100, 0..50)?; // the first of E
    /// assert_eq!(matrix.values().len(), 100 * 50);
    /// println!("{} pA from 3 to 7", matrix.get(3, 7));
    /// # Ok::<(), stdp_hpc::error::Error>(())
    /// ```
    ///
    /// Cost: that of [`connections`](Self::connections), and 8 bytes a pair.
    ///
    /// # Errors
    /// Those of [`connections`](Self::connections), and if there were more than
    /// [`LARGEST_MATRIX`] entries.
    pub fn matrix(&self, sources: Range<u32>, targets: Range<u32>) -> Result<Matrix> {
        let (n, m) = (sources.len() as u64, targets.len() as u64);
        if n * m > LARGEST_MATRIX {
            return Err(Error::input(format!(
                "a matrix of {n} sources x {m} targets: must have at most {LARGEST_MATRIX} entries"
            )));
        }
        let connections = self.connections(sources.clone(), targets.clone())?;
        let mut matrix = Matrix {
            values: vec![0.0; (n * m) as usize],
            sources,
            targets,
        };
        for connection in connections {
            let connection = connection?;
            let place = matrix.place(connection.source, connection.target);
            matrix.values[place] += connection.weight;
        }
        Ok(matrix)
    }

    /// How the weights from `sources` to `targets` are distributed: `bins` equal bins of
    /// `range` (pA), those of exactly 0 apart.
    ///
    /// ```
    /// # use stdp_hpc::analysis::Results;
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let weights = Results::open(directory)?.weights(None)?;
    /// let all = weights.histogram(weights.sources(), weights.targets(), 30, 0.0..150.0)?;
    /// assert_eq!(all.bin(29), 145.0..150.0);
    /// let inside: f64 = (0..30).filter_map(|bin| Some(all.density(bin)? * 5.0)).sum();
    /// let outside = (all.zeros + all.above) as f64 / all.total() as f64;
    /// assert!((inside + outside - 1.0).abs() < 1e-12);
    /// # Ok::<(), stdp_hpc::error::Error>(())
    /// ```
    ///
    /// Cost: that of [`connections`](Self::connections); memory a bin and a block.
    ///
    /// # Errors
    /// Those of [`connections`](Self::connections), and if there is no bin or `range` is empty
    /// or not finite.
    pub fn histogram(
        &self,
        sources: Range<u32>,
        targets: Range<u32>,
        bins: usize,
        range: Range<f64>,
    ) -> Result<Histogram> {
        let mut histogram = Histogram::new(bins, range)?;
        for connection in self.connections(sources, targets)? {
            histogram.add(connection?.weight);
        }
        Ok(histogram)
    }
}

/// A range of indices within those recorded.
fn check(what: &str, range: &Range<u32>, recorded: u32) -> Result<()> {
    if range.start <= range.end && range.end <= recorded {
        return Ok(());
    }
    let Range { start, end } = range;
    Err(Error::input(format!(
        "{what} {start}..{end}: must lie in 0..{recorded}, those whose weights were recorded"
    )))
}

/// Synapses as a stream; see [`Weights::connections`].
pub struct Connections<'a> {
    table: &'a WeightTable,
    targets: Range<u32>,
    left: Range<usize>,
    block: std::vec::IntoIter<Connection>,
}

impl Iterator for Connections<'_> {
    type Item = Result<Connection>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let targets = &self.targets;
            if let Some(found) = self.block.find(|synapse| targets.contains(&synapse.target)) {
                return Some(Ok(found));
            }
            match self.table.read(next_block(&mut self.left)?) {
                Ok(block) => self.block = block.into_iter(),
                Err(error) => {
                    self.left.start = self.left.end;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Summed weights of pairs of neurons, dense; see [`Weights::matrix`].
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    sources: Range<u32>,
    targets: Range<u32>,
    values: Vec<f64>,
}

impl Matrix {
    /// The sources, one a row.
    pub fn sources(&self) -> Range<u32> {
        self.sources.clone()
    }

    /// The targets, one a column.
    pub fn targets(&self) -> Range<u32> {
        self.targets.clone()
    }

    /// All entries (pA), row by row; 0 also where there is no synapse.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The row of `source`.
    ///
    /// # Panics
    /// If it is not one of the sources.
    pub fn row(&self, source: u32) -> &[f64] {
        let start = self.place(source, self.targets.start);
        &self.values[start..start + self.targets.len()]
    }

    /// The entry of a pair (pA).
    ///
    /// # Panics
    /// If it is not in the matrix.
    pub fn get(&self, source: u32, target: u32) -> f64 {
        assert!(self.targets.contains(&target), "target {target}");
        self.values[self.place(source, target)]
    }

    fn place(&self, source: u32, target: u32) -> usize {
        let (row, column) = (source - self.sources.start, target - self.targets.start);
        row as usize * self.targets.len() + column as usize
    }
}

/// How weights are distributed; see [`Weights::histogram`].
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    range: Range<f64>,
    /// Weights in each bin, its lower end included, but for those of exactly 0.
    pub counts: Vec<u64>,
    /// Weights of exactly 0: synapses that will never change again.
    pub zeros: u64,
    /// Weights below the range, not 0.
    pub below: u64,
    /// Weights above it, or at its upper end.
    pub above: u64,
}

impl Histogram {
    fn new(bins: usize, range: Range<f64>) -> Result<Self> {
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

    fn add(&mut self, weight: f64) {
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
            // The bounds decide where rounding went beyond one.
            if weight < self.bin(bin).start {
                bin -= 1;
            } else if weight >= self.bin(bin).end {
                bin += 1;
            }
            self.counts[bin] += 1;
        }
    }

    /// The bounds of bin `bin` (pA), the upper one exclusive.
    pub fn bin(&self, bin: usize) -> Range<f64> {
        let Range { start, end } = self.range;
        let bins = self.counts.len();
        let bound = |i: usize| match i {
            i if i == bins => end,
            i => start + (end - start) * i as f64 / bins as f64,
        };
        bound(bin)..bound(bin + 1)
    }

    /// All weights, wherever they lie.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.zeros + self.below + self.above
    }

    /// Density in bin `bin` (1/pA): its share of *all* weights by its width; `None` without
    /// weights. With the shares of zeros, below and above it comes to 1.
    pub fn density(&self, bin: usize) -> Option<f64> {
        let Range { start, end } = self.bin(bin);
        Some(self.fraction(self.counts[bin])? / (end - start))
    }

    /// The share of weights that are exactly 0; `None` without weights.
    pub fn zero_fraction(&self) -> Option<f64> {
        self.fraction(self.zeros)
    }

    /// `count` as a share of all weights.
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
