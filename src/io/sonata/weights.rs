//! Writes `weights.h5`: the plastic synapses once, and their weights at each requested time.

mod indices;
mod over_time;

use std::path::Path;

use super::column_bytes;
use super::output::{Object, Output, Storage};
use crate::base::error::Result;
use crate::base::sizes::total;
use crate::base::units::{Ms, Projection};

use indices::{SourceIndex, TargetIndex};
use over_time::SampleColumns;
pub(super) use over_time::{HISTOGRAM, TRAJECTORIES};
pub use over_time::{Sample, Samples, Sampling};

/// Entries per chunk: 128 KiB.
const CHUNK: usize = 1 << 14;

/// One plastic synapse. Ids count from 0 within the excitatory population.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Synapse {
    /// The presynaptic neuron.
    pub source: u32,
    /// The postsynaptic neuron.
    pub target: u32,
    /// The weight (pA).
    pub weight: f64,
}

/// Writes snapshots of the plastic weights to a new file of SONATA edges.
///
/// The population `/edges/E_to_E` appears with the first snapshot. Each snapshot is a dataset
/// `0/syn_weight_at_<time>ms`; `0/syn_weight` is a hard link to the latest. The writer also adds an
/// index by source, and one by target if [`Layout::target_to_source`] is set.
///
/// Readers see a snapshot only when it is complete in the file. If the process is killed before
/// that, the earlier snapshots stay unchanged.
pub struct WeightWriter {
    output: Output,
    edges: Object,
    layout: Layout,
    storage: Storage,
    /// The edge population; `None` before the first snapshot.
    population: Option<Population>,
    unfinished: Option<Snapshot>,
    /// Columns of the samples; `None` if sampling was not begun.
    samples: Option<SampleColumns>,
}

/// Layout of a weight file.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The delay of all E→E synapses (ms).
    pub delay: Ms,
    /// Level of deflate, 1 … 9, or 0 for none.
    pub compression: u8,
    /// Flag for an index of the edges onto each target. The index takes up to 16 bytes per synapse,
    /// and half as long to write as the rest of the file.
    pub target_to_source: bool,
}

/// The edge population of a file, with its number of synapses.
struct Population {
    /// The group of the weights, `0`.
    group: Object,
    synapses: u64,
}

/// A snapshot being written.
struct Snapshot {
    at: Ms,
    weights: Object,
    /// Ids, delay and indices; written only with the first snapshot.
    connections: Option<Connections>,
}

impl WeightWriter {
    /// Creates `path` without snapshots and flushes it; `id` is the id of the result.
    ///
    /// # Errors
    /// Fails if `path` exists or cannot be written.
    pub fn create(path: &Path, layout: Layout, id: &str) -> Result<Self> {
        let mut writer = Self::of(Output::create(path, Some(id))?, layout);
        writer.output.flush()?;
        Ok(writer)
    }

    /// Creates a file that replaces `path` when its first snapshot is complete; `id` is the id of
    /// the result that the weights belong to, if it has one.
    ///
    /// # Errors
    /// Fails if the file cannot be created.
    pub fn replace(path: &Path, layout: Layout, id: Option<&str>) -> Result<Self> {
        Ok(Self::of(Output::replace(path, id)?, layout))
    }

    fn of(mut output: Output, layout: Layout) -> Self {
        let edges = output.group(Output::ROOT, "edges");
        Self {
            output,
            edges,
            layout,
            storage: Storage {
                chunk: CHUNK,
                compression: layout.compression,
            },
            population: None,
            unfinished: None,
            samples: None,
        }
    }

    /// Adds empty datasets for samples of the weights and flushes the file.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn begin_samples(&mut self, sampling: &Sampling) -> Result<()> {
        self.samples = Some(SampleColumns::create(&mut self.output, sampling)?);
        self.output.flush()
    }

    /// Adds the next sample, which must be later than those before. The sample waits in memory for
    /// a flush; 64 KiB of waiting samples cause one.
    ///
    /// # Errors
    /// Fails if [`flush`](Self::flush) fails.
    ///
    /// # Panics
    /// Panics if [`begin_samples`](Self::begin_samples) was not called.
    pub fn add_sample(&mut self, sample: Sample) -> Result<()> {
        let samples = self.samples.as_mut().expect("samples were begun");
        if samples.push(sample) {
            self.flush()?;
        }
        Ok(())
    }

    /// Passes all samples so far to the operating system; a kill can no longer lose them.
    ///
    /// Cost: about 0.1 ms plus the time of the disk; nothing if no sample is waiting.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        let Some(samples) = self.samples.as_mut().filter(|samples| samples.is_waiting()) else {
            return Ok(());
        };
        samples.write(&mut self.output)?;
        self.output.flush()
    }

    /// Returns the maximum memory (bytes) that waiting samples have taken so far.
    pub fn most_held_back(&self) -> u64 {
        self.samples
            .as_ref()
            .map_or(0, SampleColumns::most_held_back)
    }

    /// Begins the snapshot of the weights at time `at`.
    ///
    /// # Errors
    /// Fails if there is already a snapshot at this time, or the file cannot be written.
    ///
    /// # Panics
    /// Panics if the previous snapshot was not ended.
    pub fn begin(&mut self, at: Ms) -> Result<()> {
        assert!(self.unfinished.is_none(), "a snapshot was begun twice");
        let known = self.population.as_ref().map(|population| population.group);
        if known.is_some_and(|group| self.output.has(group, &name_of(at))) {
            let why = format!("holds the weights at {} ms already", at.0);
            return Err(self.output.refusal(&why));
        }
        let (output, storage) = (&mut self.output, self.storage);
        let weights = output.column::<f64>(None, storage);
        output.label(weights, "units", "pA");
        output.attribute(weights, "time_ms", at.0);
        self.unfinished = Some(Snapshot {
            at,
            weights,
            connections: match known {
                None => Some(Connections::create(output, storage, self.layout)?),
                Some(_) => None,
            },
        });
        Ok(())
    }

    /// Adds the next synapses, in canonical order: by source, then by target, across all blocks.
    ///
    /// Snapshots after the first must contain the same synapses in the same order; only their
    /// weights are read.
    ///
    /// Cost: O(block) time and memory.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    ///
    /// # Panics
    /// Panics if no snapshot was begun.
    pub fn append(&mut self, block: &[Synapse]) -> Result<()> {
        let snapshot = self.unfinished.as_mut().expect("a snapshot was begun");
        if let Some(connections) = &mut snapshot.connections {
            connections.append(&mut self.output, block)?;
        }
        let weights: Vec<f64> = block.iter().map(|synapse| synapse.weight).collect();
        self.output.append(snapshot.weights, &weights)
    }

    /// Completes the snapshot: makes it visible to readers and links `0/syn_weight` to it.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or if the number of synapses differs from that of the
    /// first snapshot.
    ///
    /// # Panics
    /// Panics if no snapshot was begun.
    pub fn end(&mut self) -> Result<()> {
        let snapshot = self.unfinished.take().expect("a snapshot was begun");
        let (output, at) = (&mut self.output, snapshot.at);
        let synapses = output.rows(snapshot.weights);
        output.finish(snapshot.weights)?;
        if let Some(connections) = snapshot.connections {
            let group = connections.finish(output, self.edges, self.layout.delay)?;
            self.population = Some(Population { group, synapses });
        }
        let population = self
            .population
            .as_ref()
            .expect("the first snapshot brings it");
        if synapses != population.synapses {
            let (at, expected) = (at.0, population.synapses);
            let why =
                format!("{synapses} synapses at {at} ms, but {expected} in the first snapshot");
            return Err(output.refusal(&why));
        }
        output.link(population.group, &name_of(at), snapshot.weights);
        if let Some(former) = output.link(population.group, "syn_weight", snapshot.weights) {
            output.freeze(former)?;
        }
        output.flush()
    }

    /// Flushes waiting samples and closes the file.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    ///
    /// # Panics
    /// Panics if a snapshot was begun and not ended.
    pub fn close(mut self) -> Result<()> {
        assert!(self.unfinished.is_none(), "a snapshot was not ended");
        self.flush()?;
        drop(self.samples);
        self.output.close()
    }
}

/// Bytes of metadata per file: object headers with groups and attributes.
const FILE_HEAD: u64 = 53_248;

/// Numbers that determine the size of a weight file.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Synapses per snapshot.
    pub synapses: u64,
    /// Number of possible sources; they are the first neurons of E.
    pub sources: u64,
    /// Number of sources with at least one synapse.
    pub occurring: u64,
    /// Number of possible targets; they are the first neurons of E.
    pub targets: u64,
    /// Number of connected pairs of neurons.
    pub pairs: u64,
    /// Flag for an index by target.
    pub target_to_source: bool,
}

/// Returns the bytes of an uncompressed file with `snapshots` snapshots.
pub fn file_bytes(content: &Content, snapshots: u64) -> u64 {
    let column = column_bytes(content.synapses, 8, CHUNK);
    let by_target = match content.target_to_source {
        true => indices::target_bytes(content.targets, content.pairs),
        false => 0,
    };
    total([
        FILE_HEAD,
        column.saturating_mul(3 + snapshots),
        indices::source_bytes(content.sources, content.occurring),
        by_target,
    ])
}

/// Returns the name of the dataset with the weights at time `at`.
fn name_of(at: Ms) -> String {
    format!("syn_weight_at_{}ms", at.0)
}

/// The part of the edge population that does not change: ids, delay and indices.
struct Connections {
    sources: Object,
    targets: Object,
    group_index: Object,
    by_source: SourceIndex,
    by_target: Option<TargetIndex>,
}

impl Connections {
    fn create(output: &mut Output, storage: Storage, layout: Layout) -> Result<Self> {
        let sources = output.column::<u64>(None, storage);
        output.label(sources, "node_population", Projection::EE.source());
        let targets = output.column::<u64>(None, storage);
        output.label(targets, "node_population", Projection::EE.target());
        Ok(Connections {
            sources,
            targets,
            group_index: output.column::<u64>(None, storage),
            by_source: SourceIndex::create(output, storage.compression),
            by_target: match layout.target_to_source {
                true => Some(TargetIndex::create(output, storage.compression)?),
                false => None,
            },
        })
    }

    fn append(&mut self, output: &mut Output, block: &[Synapse]) -> Result<()> {
        let column = |id: fn(&Synapse) -> u32| -> Vec<u64> {
            block.iter().map(|synapse| u64::from(id(synapse))).collect()
        };
        let first = output.rows(self.sources);
        let sources = column(|synapse| synapse.source);
        output.append(self.sources, &sources)?;
        output.append(self.targets, &column(|synapse| synapse.target))?;
        self.by_source.append(output, first, &sources)?;
        drop(sources); // at most two columns at once
        let places: Vec<u64> = (first..first + block.len() as u64).collect();
        output.append(self.group_index, &places)?;
        drop(places);
        match &mut self.by_target {
            Some(index) => index.append(output, first, block),
            None => Ok(()),
        }
    }

    /// Completes the population and links it into the group `edges`; returns the group of its
    /// weights.
    fn finish(self, output: &mut Output, edges: Object, delay: Ms) -> Result<Object> {
        let synapses = output.rows(self.sources);
        let population = output.group(edges, Projection::EE.name());
        for (name, column) in [
            ("source_node_id", self.sources),
            ("target_node_id", self.targets),
            ("edge_group_index", self.group_index),
        ] {
            output.finish(column)?;
            output.link(population, name, column);
        }
        output.constant(population, "edge_type_id", synapses, 0_u64);
        output.constant(population, "edge_group_id", synapses, 0_u64);
        let group = output.group(population, "0");
        let delay = output.constant(group, "delay", synapses, delay.0);
        output.label(delay, "units", "ms");
        let indices = output.group(population, "indices");
        self.by_source.finish(output, indices, synapses)?;
        if let Some(index) = self.by_target {
            index.finish(output, indices)?;
        }
        Ok(group)
    }
}

#[cfg(test)]
mod tests;
