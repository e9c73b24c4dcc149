//! Writes the part of `weights.h5` that grows during a run: histograms of the plastic weights and
//! the weights of single synapses.
//!
//! `/weight_histogram` holds `time` (ms), `counts` (one row per time, one column per bin), `zeros`
//! and `above` (numbers of weights that are exactly 0 and beyond the last bin) and `edges`, the
//! bounds of the bins (pA). `/trajectories` holds `source_node_id` and `target_node_id` of the
//! followed synapses, `time`, and `weight` (pA; one row per time, one column per synapse). The
//! group is missing if no synapse is followed.

use super::super::column_bytes;
use super::super::output::{Object, Output, Storage};
use crate::base::error::Result;
use crate::base::units::{Ms, Projection};

/// Name of the group of the histograms.
pub const HISTOGRAM: &str = "weight_histogram";

/// Name of the group of the followed synapses.
pub const TRAJECTORIES: &str = "trajectories";

/// Bytes per chunk, unless a single row is larger.
const CHUNK_BYTES: usize = 1 << 14;

/// Bytes of waiting samples that cause a flush.
const HELD_BACK: usize = 1 << 16;

/// Settings for sampling the weights.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// Interval between two samples (ms).
    pub every: Ms,
    /// Number of bins per histogram, of equal width from 0 to `max`.
    pub bins: usize,
    /// Upper bound of the last bin (pA).
    pub max: f64,
    /// Sampling ratio: histograms count one in `one_in` synapses.
    pub one_in: u32,
    /// Description of the counted synapses, stored as an attribute.
    pub counted: &'static str,
    /// Source and target ids (within E) of the followed synapses.
    pub followed: Vec<(u32, u32)>,
}

/// A sample of the weights at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Time of the sample (ms).
    pub at: Ms,
    /// Number of weights that are exactly 0.
    pub zeros: u64,
    /// Number of weights in each bin.
    pub counts: Vec<u64>,
    /// Number of weights beyond the last bin.
    pub above: u64,
    /// Weights of the followed synapses (pA).
    pub weights: Vec<f64>,
}

/// The growing columns of both groups and the samples that wait for a flush.
pub(super) struct SampleColumns {
    time: Object,
    counts: Object,
    zeros: Object,
    above: Object,
    weight: Option<Object>,
    held_back: Vec<Sample>,
    most_held_back: usize,
    bytes_of_a_sample: usize,
}

impl SampleColumns {
    /// Adds both groups to `output`, without samples.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn create(output: &mut Output, sampling: &Sampling) -> Result<Self> {
        let (bins, followed) = (sampling.bins, sampling.followed.len());
        // Uncompressed: samples must reach the file soon, not only when they fill a chunk.
        let storage = |numbers| Storage {
            chunk: rows_of_a_chunk(8 * numbers),
            compression: 0,
        };
        let histogram = output.group(Output::ROOT, HISTOGRAM);
        let columns = SampleColumns {
            time: output.column::<f64>(None, storage(1)),
            zeros: output.column::<u64>(None, storage(1)),
            above: output.column::<u64>(None, storage(1)),
            counts: output.column::<u64>(Some(bins), storage(bins)),
            weight: (followed > 0).then(|| output.column::<f64>(Some(followed), storage(followed))),
            held_back: Vec::new(),
            most_held_back: 0,
            bytes_of_a_sample: sample_bytes(bins, followed) as usize,
        };
        for (name, column) in [
            ("time", columns.time),
            ("zeros", columns.zeros),
            ("above", columns.above),
            ("counts", columns.counts),
        ] {
            output.link(histogram, name, column);
        }
        columns.describe_histogram(output, histogram, sampling)?;
        columns.describe_trajectories(output, &sampling.followed)?;
        Ok(columns)
    }

    fn describe_histogram(
        &self,
        output: &mut Output,
        histogram: Object,
        sampling: &Sampling,
    ) -> Result<()> {
        output.label(self.time, "units", "ms");
        output.attribute(histogram, "every_ms", sampling.every.0);
        output.attribute(histogram, "one_in", sampling.one_in);
        output.label(histogram, "counted", sampling.counted);
        output.label(histogram, "bin", "floor(weight * bins / last edge)");
        let width = sampling.max / sampling.bins as f64;
        let mut edges: Vec<f64> = (0..sampling.bins).map(|bin| bin as f64 * width).collect();
        edges.push(sampling.max);
        let edges = output.array(histogram, "edges", &edges)?;
        output.label(edges, "units", "pA");
        Ok(())
    }

    fn describe_trajectories(&self, output: &mut Output, followed: &[(u32, u32)]) -> Result<()> {
        let Some(weight) = self.weight else {
            return Ok(());
        };
        output.label(weight, "units", "pA");
        let group = output.group(Output::ROOT, TRAJECTORIES);
        output.link(group, "weight", weight);
        output.link(group, "time", self.time);
        let (sources, targets): (Vec<u64>, Vec<u64>) = followed
            .iter()
            .map(|&(source, target)| (u64::from(source), u64::from(target)))
            .unzip();
        for (name, ids, population) in [
            ("source_node_id", sources, Projection::EE.source()),
            ("target_node_id", targets, Projection::EE.target()),
        ] {
            let ids = output.array(group, name, &ids)?;
            output.label(ids, "node_population", population);
        }
        Ok(())
    }

    /// Adds a sample; returns whether a flush is due.
    pub fn push(&mut self, sample: Sample) -> bool {
        self.held_back.push(sample);
        let bytes = self.held_back.len() * self.bytes_of_a_sample;
        self.most_held_back = self.most_held_back.max(bytes);
        bytes >= HELD_BACK
    }

    /// Returns whether samples are waiting to be written.
    pub fn is_waiting(&self) -> bool {
        !self.held_back.is_empty()
    }

    /// Returns the maximum memory (bytes) that waiting samples have taken so far.
    pub fn most_held_back(&self) -> u64 {
        self.most_held_back as u64
    }

    /// Writes the waiting samples.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn write(&mut self, output: &mut Output) -> Result<()> {
        let samples = std::mem::take(&mut self.held_back);
        let column = |of: fn(&Sample) -> u64| samples.iter().map(of).collect::<Vec<_>>();
        let times: Vec<f64> = samples.iter().map(|sample| sample.at.0).collect();
        output.append(self.time, &times)?;
        output.append(self.zeros, &column(|sample| sample.zeros))?;
        output.append(self.above, &column(|sample| sample.above))?;
        let counts = samples.iter().flat_map(|s| s.counts.iter().copied());
        output.append(self.counts, &counts.collect::<Vec<u64>>())?;
        if let Some(weight) = self.weight {
            let weights = samples.iter().flat_map(|s| s.weights.iter().copied());
            output.append(weight, &weights.collect::<Vec<f64>>())?;
        }
        Ok(())
    }
}

fn rows_of_a_chunk(bytes_of_a_row: usize) -> usize {
    (CHUNK_BYTES / bytes_of_a_row).max(1)
}

/// Returns the bytes of a sample in memory.
fn sample_bytes(bins: usize, followed: usize) -> u64 {
    (size_of::<Sample>() + 8 * (bins + followed)) as u64
}

/// Bytes of metadata of the groups: with followed synapses, and without.
const HEADS: [u64; 2] = [24_576, 16_384];

/// Numbers that determine the size of the samples.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    /// Number of samples, one per sampled time.
    pub times: u64,
    /// Number of bins per histogram.
    pub bins: usize,
    /// Number of followed synapses.
    pub followed: usize,
}

impl Samples {
    /// Returns the bytes of each growing column.
    fn columns(&self) -> impl Iterator<Item = u64> {
        let Samples {
            times,
            bins,
            followed,
        } = *self;
        let widths = [1, 1, 1, bins, followed];
        widths
            .into_iter()
            .filter(|&width| width > 0)
            .map(move |width| {
                let bytes = 8 * width;
                column_bytes(times, bytes as u64, rows_of_a_chunk(bytes))
            })
    }

    /// Returns the bytes of all samples in the file.
    pub fn file_bytes(&self) -> u64 {
        let fixed = 8 * (self.bins + 1 + 2 * self.followed) as u64;
        HEADS[usize::from(self.followed == 0)] + fixed + self.columns().sum::<u64>()
    }

    /// Returns the maximum memory (bytes) of samples that wait for a flush.
    pub fn held_back(&self) -> u64 {
        let bytes = sample_bytes(self.bins, self.followed);
        bytes * self.times.min((HELD_BACK as u64).div_ceil(bytes))
    }
}
