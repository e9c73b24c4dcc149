//! Plastic connections: list, matrix and histogram of the weights; weights over time.

use std::iter::StepBy;
use std::ops::Range;

use super::histogram::Histogram;
use super::run::Results;
use super::spikes::next_block;
use crate::base::error::{Error, Result};
use crate::base::units::Ms;
use crate::io::sonata::read::results::{Connection, WeightTable, snapshots};
use crate::io::sonata::read::{WeightsOverTime, read_weights_over_time};

/// Maximum number of entries of a matrix; this many take 1.5 GiB.
pub const LARGEST_MATRIX: u64 = 1 << 27;

/// Maximum number of rows that [`Weights::values`] reads or skips at once: 512 KiB.
const STRETCH: usize = 1 << 16;

/// Snapshot of the recorded weights of the plastic synapses.
pub struct Weights {
    table: WeightTable,
    at: Ms,
    sources: u32,
    targets: u32,
}

impl Results {
    /// Returns the times of the weight snapshots (ms), ascending; an empty list before the first
    /// snapshot.
    ///
    /// # Errors
    /// Fails if `weights.h5` cannot be read or was not written by stdp-hpc.
    pub fn snapshots(&self) -> Result<Vec<Ms>> {
        let times = snapshots(&self.own_file("weights.h5")?)?;
        // Older builds named a snapshot by the floating-point product of steps and dt.
        let on_grid = |time: Ms| time.to_steps(self.dt()).map(|steps| steps.to_ms(self.dt()));
        let times = times.into_iter();
        Ok(times.map(|time| on_grid(time).unwrap_or(time)).collect())
    }

    /// Returns the weights in the snapshot at time `at`, or in the latest snapshot if `at` is
    /// `None`.
    ///
    /// ```
    /// # use stdp_hpc::{analysis::Results, Ms};
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let results = Results::open(directory)?;
    /// assert_eq!(results.snapshots()?, [Ms(0.0), Ms(50.0), Ms(100.0)]);
    /// assert_eq!(results.weights(None)?.at(), Ms(100.0));
    /// assert!(results.weights(Some(Ms(70.0))).is_err());
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails if `weights.h5` cannot be read, was not written by stdp-hpc, or has no snapshot at
    /// this time.
    pub fn weights(&self, at: Option<Ms>) -> Result<Weights> {
        let (sources, targets) = self.recorded_weights();
        let n_e = self.neurons(super::Population::E);
        let table = WeightTable::open(&self.own_file("weights.h5")?, n_e, self.dt(), at)?;
        Ok(Weights {
            at: table.at().to_ms(self.dt()),
            table,
            sources,
            targets,
        })
    }

    /// Returns at most `most` samples of the weights over time, evenly spaced from the first sample
    /// on; `None` if the run took no samples.
    ///
    /// ```
    /// # use stdp_hpc::{analysis::Results, Ms};
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let results = Results::open(directory)?;
    /// let over_time = results.weights_over_time(200)?.expect("it is the default");
    /// assert_eq!(over_time.edges.len(), 151); // bins of 1 pA
    /// for sample in &over_time.samples {
    ///     println!("{} ms: {} at 0", sample.at.0, sample.zeros);
    ///     assert_eq!(sample.weights.len(), over_time.followed.len());
    /// }
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// Cost: time and memory O(samples read).
    ///
    /// # Errors
    /// Fails if `weights.h5` cannot be read, was not written by stdp-hpc, or lacks a dataset.
    ///
    /// # Panics
    /// Panics if `most` is 0.
    pub fn weights_over_time(&self, most: usize) -> Result<Option<WeightsOverTime>> {
        read_weights_over_time(&self.own_file("weights.h5")?, most)
    }
}

impl Weights {
    /// Returns the time of the snapshot (ms).
    pub fn at(&self) -> Ms {
        self.at
    }

    /// Returns the recorded sources as indices within E.
    pub fn sources(&self) -> Range<u32> {
        0..self.sources
    }

    /// Returns the recorded targets as indices within E.
    pub fn targets(&self) -> Range<u32> {
        0..self.targets
    }

    /// Returns the number of recorded synapses.
    pub fn synapses(&self) -> usize {
        self.table.synapses()
    }

    /// Returns the weights of all recorded synapses (pA), ordered by source, then by target. If
    /// there are more than `most`, returns evenly spaced stretches of at most 65,536 weights
    /// instead.
    ///
    /// ```
    /// # use stdp_hpc::io::analysis::Results;
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let weights = Results::open(directory)?.weights(None)?;
    /// let values = weights.values(100_000_000);
    /// assert_eq!(values.one_in(), 1); // there are 2,560
    /// let all: Vec<f64> = values.collect::<Result<_, _>>()?;
    /// println!("the largest is {} pA", all.iter().copied().fold(0.0, f64::max));
    /// assert_eq!(all.len(), weights.synapses());
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// Cost: reads 8 bytes per returned weight. Memory: one stretch.
    ///
    /// # Errors
    /// The stream fails, and ends, if the file cannot be read or a weight is not finite.
    ///
    /// # Panics
    /// Panics if `most` is 0.
    pub fn values(&self, most: usize) -> Values<'_> {
        let (rows, stretch) = (self.table.synapses(), STRETCH.min(most));
        let one_in = rows.div_ceil(most).max(1);
        Values {
            table: &self.table,
            one_in,
            length: stretch,
            starts: (0..rows).step_by(stretch).step_by(one_in),
            stretch: Vec::new().into_iter(),
        }
    }

    /// Returns the synapses from `sources` to `targets`, ordered by source, then by target. Each
    /// multapse is returned separately.
    ///
    /// ```
    /// # use stdp_hpc::io::analysis::Results;
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let weights = Results::open(directory)?.weights(None)?;
    /// for connection in weights.connections(0..10, 0..20)? {
    ///     let connection = connection?;
    ///     assert!(connection.source < 10 && connection.target < 20);
    ///     assert!(connection.weight >= 0.0 && connection.delay.0 == 1.5); // pA, ms
    /// }
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// Cost: O(log synapses) to find the first source, then O(synapses of `sources`). Reads in
    /// blocks.
    ///
    /// # Errors
    /// Fails if a range exceeds the recorded neurons or the file cannot be read. The stream fails,
    /// and ends, at an invalid value.
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

    /// Returns the matrix of summed weights from each of `sources` to each of `targets` (pA).
    ///
    /// ```
    /// # use stdp_hpc::io::analysis::Results;
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let weights = Results::open(directory)?.weights(None)?;
    /// let matrix = weights.matrix(0..100, 0..50)?; // the first of E
    /// assert_eq!(matrix.values().len(), 100 * 50);
    /// if matrix.synapses(3, 7) > 0 {
    ///     println!("{} pA from 3 to 7", matrix.get(3, 7));
    /// }
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// Cost: that of [`connections`](Self::connections). Memory: 12 bytes per pair, and one block.
    ///
    /// # Errors
    /// Fails if the matrix has more than [`LARGEST_MATRIX`] entries, or as for
    /// [`connections`](Self::connections).
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
            synapses: vec![0; (n * m) as usize],
            sources,
            targets,
        };
        for connection in connections {
            let connection = connection?;
            let place = matrix.place(connection.source, connection.target);
            matrix.values[place] += connection.weight;
            matrix.synapses[place] += 1;
        }
        Ok(matrix)
    }

    /// Returns the histogram of the weights from `sources` to `targets`, with `bins` equal bins
    /// over `range` (pA). Weights of exactly 0 are counted separately.
    ///
    /// ```
    /// # use stdp_hpc::io::analysis::Results;
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let weights = Results::open(directory)?.weights(None)?;
    /// let all = weights.histogram(weights.sources(), weights.targets(), 30, 0.0..150.0)?;
    /// assert_eq!(all.bin(29), 145.0..150.0);
    /// let inside: f64 = (0..30).filter_map(|bin| Some(all.density(bin)? * 5.0)).sum();
    /// let outside = (all.zeros + all.above) as f64 / all.total() as f64;
    /// assert!((inside + outside - 1.0).abs() < 1e-12);
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// Cost: that of [`connections`](Self::connections), or of [`values`](Self::values) for all
    /// recorded sources and targets. Memory: the bins, and one block.
    ///
    /// # Errors
    /// Fails if `bins` is 0 or more than 2²⁴, if `range` is empty or not finite, or as for
    /// [`connections`](Self::connections).
    pub fn histogram(
        &self,
        sources: Range<u32>,
        targets: Range<u32>,
        bins: usize,
        range: Range<f64>,
    ) -> Result<Histogram> {
        let mut histogram = Histogram::new(bins, range)?;
        if sources == self.sources() && targets == self.targets() {
            for weight in self.values(usize::MAX) {
                histogram.add(weight?);
            }
            return Ok(histogram);
        }
        for connection in self.connections(sources, targets)? {
            histogram.add(connection?.weight);
        }
        Ok(histogram)
    }
}

/// Fails if `range` exceeds the `recorded` indices.
fn check(what: &str, range: &Range<u32>, recorded: u32) -> Result<()> {
    if range.start <= range.end && range.end <= recorded {
        return Ok(());
    }
    let Range { start, end } = range;
    Err(Error::input(format!(
        "{what} {start}..{end}: must lie in 0..{recorded}, those whose weights were recorded"
    )))
}

/// Stream of synapses; see [`Weights::connections`].
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

/// Stream of weights; see [`Weights::values`].
pub struct Values<'a> {
    table: &'a WeightTable,
    one_in: usize,
    length: usize,
    starts: StepBy<StepBy<Range<usize>>>,
    stretch: std::vec::IntoIter<f64>,
}

impl Values<'_> {
    /// Returns the spacing k of the stretches: every k-th stretch is read; 1 reads all weights.
    pub fn one_in(&self) -> usize {
        self.one_in
    }
}

impl Iterator for Values<'_> {
    type Item = Result<f64>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(weight) = self.stretch.next() {
                return Some(Ok(weight));
            }
            let start = self.starts.next()?;
            let end = self.table.synapses().min(start + self.length);
            match self.table.weights(start..end) {
                Ok(stretch) => self.stretch = stretch.into_iter(),
                Err(error) => {
                    self.starts = (0..0).step_by(1).step_by(1);
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Dense matrix of summed weights; see [`Weights::matrix`].
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    sources: Range<u32>,
    targets: Range<u32>,
    values: Vec<f64>,
    synapses: Vec<u32>,
}

impl Matrix {
    /// Returns the sources, one per row, as indices within E.
    pub fn sources(&self) -> Range<u32> {
        self.sources.clone()
    }

    /// Returns the targets, one per column, as indices within E.
    pub fn targets(&self) -> Range<u32> {
        self.targets.clone()
    }

    /// Returns all entries (pA), row by row. Pairs without a synapse have 0.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns the row of `source` (pA), one entry per target.
    ///
    /// # Panics
    /// Panics if `source` is not one of the sources.
    pub fn row(&self, source: u32) -> &[f64] {
        let start = self.place(source, self.targets.start);
        &self.values[start..start + self.targets.len()]
    }

    /// Returns the summed weight from `source` to `target` (pA).
    ///
    /// # Panics
    /// Panics if the pair is not in the matrix.
    pub fn get(&self, source: u32, target: u32) -> f64 {
        assert!(self.targets.contains(&target), "target {target}");
        self.values[self.place(source, target)]
    }

    /// Returns the number of synapses from `source` to `target`.
    ///
    /// # Panics
    /// Panics if the pair is not in the matrix.
    pub fn synapses(&self, source: u32, target: u32) -> u32 {
        assert!(self.targets.contains(&target), "target {target}");
        self.synapses[self.place(source, target)]
    }

    fn place(&self, source: u32, target: u32) -> usize {
        let (row, column) = (source - self.sources.start, target - self.targets.start);
        row as usize * self.targets.len() + column as usize
    }
}
