//! The part of `weights.h5` that grows as the run goes: histograms of the plastic weights, and
//! the weights of single synapses.
//!
//! `/weight_histogram` holds `time` (ms), `counts` (a row a time, a column a bin), `zeros` and
//! `above` (weights that are exactly 0 and beyond the last bin) and `edges`, the bounds of the
//! bins (pA). `/trajectories` holds `source_node_id` and `target_node_id` of the synapses that
//! are followed, `time`, and `weight` (pA; a row a time, a column a synapse); where none is
//! followed it is missing.

use hdf5::{File, Group};

use super::super::create::{Column, Output, Storage, attribute, label, steady_group};
use super::super::{CHUNK_CACHE, column_bytes};
use crate::units::{Ms, Projection};

/// The group of the histograms.
pub const HISTOGRAM: &str = "weight_histogram";

/// The group of the synapses followed.
pub const TRAJECTORIES: &str = "trajectories";

/// Bytes of a chunk, or of a row if that is more.
const CHUNK_BYTES: usize = 1 << 14;

/// Bytes of samples held back before a flush happens unasked.
const HELD_BACK: usize = 1 << 16;

/// What samples of the weights are.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// Time between two.
    pub every: Ms,
    /// Bins of a histogram, of equal width from 0 on.
    pub bins: usize,
    /// Where the last bin ends (pA).
    pub max: f64,
    /// Histograms count one in so many synapses.
    pub one_in: u32,
    /// Which, in words.
    pub counted: &'static str,
    /// Source and target of the synapses followed, ids within E.
    pub followed: Vec<(u32, u32)>,
}

/// The weights at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Ms,
    /// Weights that are exactly 0.
    pub zeros: u64,
    /// Weights in each bin.
    pub counts: Vec<u64>,
    /// Weights beyond the last bin.
    pub above: u64,
    /// The weights of the synapses followed (pA).
    pub weights: Vec<f64>,
}

/// The columns that grow, and what is yet to be written to them.
pub(super) struct SampleColumns {
    time: Column,
    counts: Column,
    zeros: Column,
    above: Column,
    weight: Option<Column>,
    held_back: Vec<Sample>,
    most_held_back: usize,
    bytes_of_a_sample: usize,
}

impl SampleColumns {
    /// Creates both groups in `output`, without samples.
    pub fn create(output: &Output, sampling: &Sampling) -> hdf5::Result<Self> {
        let (file, followed) = (output.file(), sampling.followed.len());
        let histogram = steady_group(file, HISTOGRAM)?;
        let storage = |bytes| Storage {
            chunk: rows_of_a_chunk(bytes),
            // A compressed chunk that grows would have to move, and what had been flushed
            // would be at risk.
            compression: 0,
        };
        let columns = SampleColumns {
            time: Column::numbers::<f64>(&histogram, "time", storage(8))?,
            zeros: Column::numbers::<u64>(&histogram, "zeros", storage(8))?,
            above: Column::numbers::<u64>(&histogram, "above", storage(8))?,
            counts: Column::rows::<u64>(
                &histogram,
                "counts",
                sampling.bins,
                storage(8 * sampling.bins),
            )?,
            weight: (followed > 0)
                .then(|| {
                    let group = steady_group(file, TRAJECTORIES)?;
                    Column::rows::<f64>(&group, "weight", followed, storage(8 * followed))
                })
                .transpose()?,
            held_back: Vec::new(),
            most_held_back: 0,
            bytes_of_a_sample: sample_bytes(sampling.bins, followed) as usize,
        };
        columns.describe(&histogram, sampling)?;
        if let Some(weight) = &columns.weight {
            describe_trajectories(file, weight, &sampling.followed)?;
        }
        Ok(columns)
    }

    fn describe(&self, histogram: &Group, sampling: &Sampling) -> hdf5::Result<()> {
        label(self.time.dataset(), "units", "ms")?;
        attribute(histogram, "every_ms", sampling.every.0)?;
        attribute(histogram, "one_in", sampling.one_in)?;
        label(histogram, "counted", sampling.counted)?;
        label(histogram, "bin", "floor(weight * bins / last edge)")?;
        let width = sampling.max / sampling.bins as f64;
        let mut edges: Vec<f64> = (0..sampling.bins).map(|bin| bin as f64 * width).collect();
        edges.push(sampling.max);
        let edges = histogram
            .new_dataset_builder()
            .with_data(&edges)
            .create("edges")?;
        label(&edges, "units", "pA")
    }

    /// Takes a sample; says whether it is time for a flush.
    pub fn push(&mut self, sample: Sample) -> bool {
        self.held_back.push(sample);
        let bytes = self.held_back.len() * self.bytes_of_a_sample;
        self.most_held_back = self.most_held_back.max(bytes);
        bytes >= HELD_BACK
    }

    /// Whether some are yet to be written.
    pub fn is_waiting(&self) -> bool {
        !self.held_back.is_empty()
    }

    /// The most bytes that samples have taken.
    pub fn most_held_back(&self) -> u64 {
        self.most_held_back as u64
    }

    /// Writes what was held back.
    pub fn write(&mut self) -> hdf5::Result<()> {
        let samples = std::mem::take(&mut self.held_back);
        let column = |of: fn(&Sample) -> u64| samples.iter().map(of).collect::<Vec<_>>();
        let times: Vec<f64> = samples.iter().map(|sample| sample.at.0).collect();
        self.time.append(&times)?;
        self.zeros.append(&column(|sample| sample.zeros))?;
        self.above.append(&column(|sample| sample.above))?;
        let counts: Vec<u64> = samples
            .iter()
            .flat_map(|s| s.counts.iter().copied())
            .collect();
        self.counts.append_rows(&counts, samples[0].counts.len())?;
        if let Some(weight) = &mut self.weight {
            let rows: Vec<f64> = samples
                .iter()
                .flat_map(|s| s.weights.iter().copied())
                .collect();
            weight.append_rows(&rows, samples[0].weights.len())?;
        }
        Ok(())
    }
}

fn describe_trajectories(
    file: &File,
    weight: &Column,
    followed: &[(u32, u32)],
) -> hdf5::Result<()> {
    let group = file.group(TRAJECTORIES)?;
    label(weight.dataset(), "units", "pA")?;
    file.link_hard(
        &format!("/{HISTOGRAM}/time"),
        &format!("/{TRAJECTORIES}/time"),
    )?;
    let (sources, targets): (Vec<u64>, Vec<u64>) = followed
        .iter()
        .map(|&(source, target)| (u64::from(source), u64::from(target)))
        .unzip();
    for (name, ids, population) in [
        ("source_node_id", sources, Projection::EE.source()),
        ("target_node_id", targets, Projection::EE.target()),
    ] {
        let ids = group.new_dataset_builder().with_data(&ids).create(name)?;
        label(&ids, "node_population", population)?;
    }
    Ok(())
}

fn rows_of_a_chunk(bytes_of_a_row: usize) -> usize {
    (CHUNK_BYTES / bytes_of_a_row).max(1)
}

/// Bytes of a sample in memory.
fn sample_bytes(bins: usize, followed: usize) -> u64 {
    (size_of::<Sample>() + 8 * (bins + followed)) as u64
}

/// Bytes of the groups' attributes and notes, with the synapses followed and without.
const HEADS: [u64; 2] = [24_576, 16_384];

/// How much there is of samples.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    /// Times.
    pub times: u64,
    /// Bins of a histogram.
    pub bins: usize,
    /// Synapses followed.
    pub followed: usize,
}

impl Samples {
    /// Bytes of the columns that grow.
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

    /// Bytes in the file.
    pub fn file_bytes(&self) -> u64 {
        let fixed = 8 * (self.bins + 1 + 2 * self.followed) as u64;
        HEADS[usize::from(self.followed == 0)] + fixed + self.columns().sum::<u64>()
    }

    /// Bytes of chunks that HDF5 keeps in memory.
    pub fn cached_bytes(&self) -> u64 {
        self.columns().map(|bytes| bytes.min(CHUNK_CACHE)).sum()
    }

    /// Bytes of the samples that wait for a flush, at most.
    pub fn held_back(&self) -> u64 {
        let bytes = sample_bytes(self.bins, self.followed);
        bytes * self.times.min((HELD_BACK as u64).div_ceil(bytes))
    }
}
