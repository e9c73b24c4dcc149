//! Reads the weight histograms and trajectories of a `weights.h5`.

use std::path::Path;

use hdf5::{Dataset, Group, H5Type};

use super::{Column, Input, cause};
use crate::base::error::Result;
use crate::base::units::Ms;
use crate::io::sonata::weights::{HISTOGRAM, Sample, TRAJECTORIES};

/// Samples of the weights from a `weights.h5`, all or some of them.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsOverTime {
    /// Bounds of the bins (pA), one more than there are bins.
    pub edges: Vec<f64>,
    /// Sampling ratio: the histograms count one in `one_in` synapses.
    pub one_in: u32,
    /// Source and target ids (within E) of the followed synapses.
    pub followed: Vec<(u64, u64)>,
    /// The samples, ascending in time.
    pub samples: Vec<Sample>,
}

/// Reads at most `most` samples, evenly spaced and starting with the first; returns `None` if the
/// run took no samples.
///
/// From the file of a killed or running run it reads only complete samples.
///
/// Cost: time and memory O(samples read), independent of the file size.
///
/// # Errors
/// Fails if the file cannot be read, was not written by stdp-hpc, lacks a dataset, or has a dataset
/// of unexpected shape.
///
/// # Panics
/// Panics if `most` is 0.
pub fn read_weights_over_time(path: &Path, most: usize) -> Result<Option<WeightsOverTime>> {
    let input = Input::of_a_run(path)?;
    if !input.file.link_exists(HISTOGRAM) {
        return Ok(None);
    }
    let histogram = input.group(&input.file, HISTOGRAM)?;
    let edges = input.column(&histogram, "edges")?;
    check_claim::<f64>(&input, &edges)?;
    let edges = edges.finite(0..edges.len)?;
    let bins = edges.len().saturating_sub(1);
    let [time, zeros, above] =
        ["time", "zeros", "above"].map(|name| input.column(&histogram, name));
    let (time, zeros, above) = (time?, zeros?, above?);
    let counts = Table::open(&input, &histogram, "counts", bins)?;
    let trajectories = Trajectories::open(&input)?;
    let lengths = [time.len, zeros.len, above.len, counts.len];
    let weights = trajectories.as_ref().map(|followed| &followed.weights);
    let shortest = weights.map_or(time.len, |weights| weights.len);
    // A kill during a flush may leave some datasets longer than others.
    let complete = lengths.into_iter().fold(shortest, usize::min);
    let sample = |row: usize| -> Result<Sample> {
        let one = row..row + 1;
        Ok(Sample {
            at: Ms(time.finite(one.clone())?[0]),
            zeros: zeros.read(one.clone())?[0],
            counts: counts.row(&input, row)?,
            above: above.read(one)?[0],
            weights: match weights {
                Some(weights) => weights.row(&input, row)?,
                None => Vec::new(),
            },
        })
    };
    let chosen = (0..complete).step_by(complete.div_ceil(most).max(1));
    let one_in = histogram
        .attr("one_in")
        .and_then(|one_in| one_in.read_scalar());
    Ok(Some(WeightsOverTime {
        one_in: one_in.map_err(|error| {
            input.fault(format!(
                "/{HISTOGRAM}@one_in cannot be read: {}",
                cause(&error)
            ))
        })?,
        samples: chosen.map(sample).collect::<Result<_>>()?,
        edges,
        followed: trajectories.map_or_else(Vec::new, |followed| followed.synapses),
    }))
}

/// Bytes that every dataset may claim beyond its stored bytes: HDF5 stores nothing for a dataset of
/// identical values.
const ALWAYS: u64 = 1 << 16;

/// Maximum expansion by deflate, in bytes per stored byte.
const INFLATION: u64 = 1032;

/// Fails if `column` claims more entries than its stored bytes can hold. Call this before reading a
/// whole column.
fn check_claim<T>(input: &Input, column: &Column) -> Result<()> {
    let stored = column.dataset.storage_size();
    let factor = if column.dataset.filters().is_empty() {
        1
    } else {
        INFLATION
    };
    let most = stored.saturating_mul(factor).saturating_add(ALWAYS);
    let claimed = (column.len as u64).saturating_mul(size_of::<T>() as u64);
    if claimed <= most {
        return Ok(());
    }
    Err(input.fault(format!(
        "{} claims {} entries, of which the file stores {stored} bytes: it is damaged, or not of \
         stdp-hpc",
        column.name, column.len
    )))
}

/// The followed synapses (source, target) and their weights.
struct Trajectories {
    synapses: Vec<(u64, u64)>,
    weights: Table,
}

impl Trajectories {
    /// Opens the trajectories of the file; returns `None` if it has none.
    fn open(input: &Input) -> Result<Option<Self>> {
        if !input.file.link_exists(TRAJECTORIES) {
            return Ok(None);
        }
        let group = input.group(&input.file, TRAJECTORIES)?;
        let sources = input.column(&group, "source_node_id")?;
        let targets = input.column_of_length(&group, "target_node_id", &sources)?;
        check_claim::<u64>(input, &sources)?;
        let [sources, targets] = [sources, targets].map(|ids| ids.read(0..ids.len));
        let synapses: Vec<(u64, u64)> = sources?.into_iter().zip(targets?).collect();
        let weights = Table::open(input, &group, "weight", synapses.len())?;
        Ok(Some(Trajectories { synapses, weights }))
    }
}

/// A two-dimensional dataset, read row by row.
struct Table {
    name: String,
    dataset: Dataset,
    len: usize,
}

impl Table {
    /// Opens the table `name` of `group`, whose rows must have `width` entries.
    fn open(input: &Input, group: &Group, name: &str, width: usize) -> Result<Self> {
        let (name_in_file, dataset) = input.dataset(group, name)?;
        match dataset.shape()[..] {
            [len, columns] if columns == width => Ok(Table {
                name: name_in_file,
                dataset,
                len,
            }),
            ref shape => Err(input.fault(format!(
                "{name_in_file} has the shape {shape:?}: must be rows of {width}"
            ))),
        }
    }

    fn row<T: H5Type>(&self, input: &Input, row: usize) -> Result<Vec<T>> {
        let values = self.dataset.read_slice_1d((row, ..));
        let values = values.map_err(|error| {
            input.fault(format!("{} cannot be read: {}", self.name, cause(&error)))
        })?;
        Ok(values.into_raw_vec_and_offset().0)
    }
}
