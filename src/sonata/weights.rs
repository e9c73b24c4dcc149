//! `weights.h5`: every plastic synapse once, its weight at each of the times asked for.

mod over_time;

use std::path::Path;

use hdf5::{File, Group};

use super::create::{Column, Output, Storage, attribute, label, steady_group};
use super::{CHUNK_CACHE, column_bytes};
use crate::error::Result;
use crate::units::{Ms, Projection};

use over_time::SampleColumns;
pub(super) use over_time::{HISTOGRAM, TRAJECTORIES};
pub use over_time::{Sample, Samples, Sampling};

/// Entries a chunk: 128 KiB.
const CHUNK: usize = 1 << 14;

/// Rows a chunk of the index, which has one row a source rather than one a synapse: 16 KiB.
const INDEX_CHUNK: usize = 1 << 10;

/// The group where a snapshot grows; no reader of SONATA looks there. It stays behind, empty.
const UNFINISHED: &str = "unfinished";

/// The edge population, once its first snapshot is complete.
const POPULATION: &str = "E_to_E";

/// One plastic synapse; ids count from 0 within the excitatory population, the weight is in pA.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Synapse {
    /// The presynaptic neuron.
    pub source: u32,
    /// The postsynaptic neuron.
    pub target: u32,
    /// The weight, pA.
    pub weight: f64,
}

/// Writes snapshots of the plastic weights to a new file of SONATA edges.
///
/// The population `/edges/E_to_E` appears with the first snapshot. Each snapshot is a dataset
/// `0/syn_weight_at_<time>ms`; `0/syn_weight` is a second name of the latest. An index by
/// source is written along; one by target would take twice the space of a snapshot and is not.
///
/// A snapshot grows out of sight, under `/unfinished`, and moves to its place when all of it
/// is on disk: a process killed in between leaves the earlier ones as they were.
pub struct WeightWriter {
    output: Output,
    delay: Ms,
    storage: Storage,
    /// How many synapses there are, known when the first snapshot is complete.
    synapses: Option<usize>,
    unfinished: Option<Snapshot>,
    /// What grows as the run goes, where that was begun.
    samples: Option<SampleColumns>,
}

/// A snapshot being written.
struct Snapshot {
    at: Ms,
    weights: Column,
    /// Who is connected with whom: written with the first snapshot only.
    connections: Option<Connections>,
}

impl WeightWriter {
    /// Creates `path` without snapshots and flushes it.
    ///
    /// `delay` is that of all E→E synapses; `compression` the level of deflate, 1 … 9, or 0
    /// for none; `id` the root attribute by which readers tell which result the file belongs to.
    ///
    /// # Errors
    /// If `path` exists or cannot be written.
    pub fn create(path: &Path, delay: Ms, compression: u8, id: &str) -> Result<Self> {
        let output = Output::create(path, id)?;
        let created = steady_group(output.file(), UNFINISHED)
            .and_then(|_| steady_group(output.file(), "edges"))
            .and_then(|_| output.flush());
        created.map_err(|error| output.failure(&error))?;
        Ok(Self {
            output,
            delay,
            storage: Storage {
                chunk: CHUNK,
                compression,
            },
            synapses: None,
            unfinished: None,
            samples: None,
        })
    }

    /// Begins to take samples of the weights, none of them yet, and flushes the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn begin_samples(&mut self, sampling: &Sampling) -> Result<()> {
        let created = SampleColumns::create(&self.output, sampling);
        let columns = created.map_err(|error| self.output.failure(&error))?;
        self.samples = Some(columns);
        let flushed = self.output.flush();
        flushed.map_err(|error| self.output.failure(&error))
    }

    /// Takes the next sample, later than those before. It waits in memory for a flush, which
    /// comes unasked when 64 KiB are waiting.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush).
    ///
    /// # Panics
    /// If samples were not begun.
    pub fn add_sample(&mut self, sample: Sample) -> Result<()> {
        let samples = self.samples.as_mut().expect("samples were begun");
        if samples.push(sample) {
            self.flush()?;
        }
        Ok(())
    }

    /// Whether samples wait for a flush.
    pub fn wants_flush(&self) -> bool {
        self.samples.as_ref().is_some_and(SampleColumns::is_waiting)
    }

    /// Hands all samples so far to the operating system: a kill can no longer lose them.
    ///
    /// Cost: some 0.1 ms, and what the disk takes; nothing if there was none.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        let Some(samples) = self.samples.as_mut().filter(|samples| samples.is_waiting()) else {
            return Ok(());
        };
        let written = samples.write().and_then(|()| self.output.flush());
        written.map_err(|error| self.output.failure(&error))
    }

    /// The most bytes that waiting samples have taken.
    pub fn most_held_back(&self) -> u64 {
        self.samples
            .as_ref()
            .map_or(0, SampleColumns::most_held_back)
    }

    /// Begins the snapshot of the weights at time `at`.
    ///
    /// # Errors
    /// If there is a snapshot of that time already, or the file cannot be written.
    ///
    /// # Panics
    /// If the snapshot before was not ended.
    pub fn begin(&mut self, at: Ms) -> Result<()> {
        assert!(self.unfinished.is_none(), "a snapshot was begun twice");
        let place = format!("edges/{POPULATION}/0/{}", name_of(at));
        let file = self.output.file();
        if file.link_exists(&place) {
            let why = format!("holds the weights at {} ms already", at.0);
            return Err(self.output.refusal(&why));
        }
        let snapshot = Snapshot::create(file, at, self.storage, self.synapses.is_none());
        self.unfinished = Some(snapshot.map_err(|error| self.output.failure(&error))?);
        Ok(())
    }

    /// Adds the next synapses, in canonical order: by source, then by target, across all blocks.
    ///
    /// Snapshots after the first must bring the same synapses in the same order; only their
    /// weights are read.
    ///
    /// Cost: O(block) time and memory.
    ///
    /// # Errors
    /// If the file cannot be written.
    ///
    /// # Panics
    /// If no snapshot was begun.
    pub fn append(&mut self, block: &[Synapse]) -> Result<()> {
        let snapshot = self.unfinished.as_mut().expect("a snapshot was begun");
        snapshot
            .append(block)
            .map_err(|error| self.output.failure(&error))
    }

    /// Completes the snapshot: it is on disk, and `0/syn_weight` means it.
    ///
    /// # Errors
    /// If the file cannot be written, or if there were more or fewer synapses than in the
    /// first snapshot.
    ///
    /// # Panics
    /// If no snapshot was begun.
    pub fn end(&mut self) -> Result<()> {
        let snapshot = self.unfinished.take().expect("a snapshot was begun");
        let synapses = snapshot.weights.len();
        let expected = *self.synapses.get_or_insert(synapses);
        if synapses != expected {
            let at = snapshot.at.0;
            let why =
                format!("{synapses} synapses at {at} ms, but {expected} in the first snapshot");
            return Err(self.output.refusal(&why));
        }
        snapshot
            .finish(&self.output, self.delay)
            .map_err(|error| self.output.failure(&error))
    }

    /// Closes the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    ///
    /// # Panics
    /// If a snapshot was begun and not ended.
    pub fn close(mut self) -> Result<()> {
        assert!(self.unfinished.is_none(), "a snapshot was not ended");
        self.flush()?;
        drop(self.samples);
        self.output.close()
    }
}

/// Bytes of the attributes, groups and notes of a file.
const FILE_HEAD: u64 = 36_864;

/// How much a file holds.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Synapses of a snapshot.
    pub synapses: u64,
    /// Sources they may come from, the first so many of E.
    pub sources: u64,
    /// Sources they do come from.
    pub occurring: u64,
}

impl Content {
    /// Bytes of the two columns of the index.
    fn index(&self) -> [u64; 2] {
        [self.sources, self.occurring].map(|rows| column_bytes(rows, 16, INDEX_CHUNK))
    }
}

/// Bytes of an uncompressed file of `snapshots` snapshots.
pub fn file_bytes(content: &Content, snapshots: u64) -> u64 {
    let ids_and_weights = (3 + snapshots) * column_bytes(content.synapses, 8, CHUNK);
    FILE_HEAD + ids_and_weights + content.index().iter().sum::<u64>()
}

/// Bytes of its chunks that HDF5 keeps in memory: of ids and weights, and of the index.
pub fn cached_bytes(content: &Content) -> u64 {
    let column = column_bytes(content.synapses, 8, CHUNK).min(CHUNK_CACHE);
    let index = content.index().map(|bytes| bytes.min(CHUNK_CACHE));
    4 * column + index.iter().sum::<u64>()
}

/// Name of the dataset with the weights at time `at`.
fn name_of(at: Ms) -> String {
    format!("syn_weight_at_{}ms", at.0)
}

impl Snapshot {
    /// The first snapshot grows as a whole population, later ones as a dataset.
    fn create(file: &File, at: Ms, storage: Storage, first: bool) -> hdf5::Result<Self> {
        let mut group = file.group(UNFINISHED)?;
        let mut connections = None;
        if first {
            let population = steady_group(&group, POPULATION)?;
            group = steady_group(&population, "0")?;
            connections = Some(Connections::create(population, storage)?);
        }
        let weights = Column::numbers::<f64>(&group, &name_of(at), storage)?;
        label(weights.dataset(), "units", "pA")?;
        attribute(weights.dataset(), "time_ms", at.0)?;
        Ok(Self {
            at,
            weights,
            connections,
        })
    }

    fn append(&mut self, block: &[Synapse]) -> hdf5::Result<()> {
        if let Some(connections) = &mut self.connections {
            connections.append(block)?;
        }
        let weights: Vec<f64> = block.iter().map(|synapse| synapse.weight).collect();
        self.weights.append(&weights)
    }

    /// Brings everything to disk, and only then into sight.
    fn finish(self, output: &Output, delay: Ms) -> hdf5::Result<()> {
        let file = output.file();
        let name = name_of(self.at);
        let unfinished = file.group(UNFINISHED)?;
        if let Some(connections) = self.connections {
            let population = connections.finish(delay)?;
            population.group("0")?.link_hard(&name, "syn_weight")?;
            output.flush()?;
            unfinished.relink(POPULATION, &format!("/edges/{POPULATION}"))?;
        } else {
            output.flush()?;
            let group = file.group(&format!("edges/{POPULATION}/0"))?;
            unfinished.relink(&name, &format!("{}/{name}", group.name()))?;
            group.unlink("syn_weight")?;
            group.link_hard(&name, "syn_weight")?;
        }
        output.flush()
    }
}

/// The part of the edge population that does not change: ids, delay and index.
struct Connections {
    population: Group,
    sources: Column,
    targets: Column,
    group_index: Column,
    by_source: SourceIndex,
}

impl Connections {
    fn create(population: Group, storage: Storage) -> hdf5::Result<Self> {
        let sources = Column::numbers::<u64>(&population, "source_node_id", storage)?;
        label(
            sources.dataset(),
            "node_population",
            Projection::EE.source(),
        )?;
        let targets = Column::numbers::<u64>(&population, "target_node_id", storage)?;
        label(
            targets.dataset(),
            "node_population",
            Projection::EE.target(),
        )?;
        Ok(Self {
            sources,
            targets,
            group_index: Column::numbers::<u64>(&population, "edge_group_index", storage)?,
            by_source: SourceIndex::create(&population, storage.compression)?,
            population,
        })
    }

    fn append(&mut self, block: &[Synapse]) -> hdf5::Result<()> {
        let column = |id: fn(&Synapse) -> u32| -> Vec<u64> {
            block.iter().map(|synapse| u64::from(id(synapse))).collect()
        };
        let first = self.sources.len() as u64;
        let sources = column(|synapse| synapse.source);
        self.sources.append(&sources)?;
        self.targets.append(&column(|synapse| synapse.target))?;
        let places: Vec<u64> = (first..first + block.len() as u64).collect();
        self.group_index.append(&places)?;
        self.by_source.append(first, &sources)
    }

    /// Completes the population with all that its number of synapses decides.
    fn finish(mut self, delay: Ms) -> hdf5::Result<Group> {
        let synapses = self.sources.len();
        self.by_source.finish(synapses as u64)?;
        for name in ["edge_type_id", "edge_group_id"] {
            constant(&self.population, name, synapses, 0_u64)?;
        }
        constant(&self.population, "0/delay", synapses, delay.0)?;
        let delay = self.population.dataset("0/delay")?;
        label(&delay, "units", "ms")?;
        Ok(self.population)
    }
}

/// A dataset of `rows` times the same number: its fill value, which takes no space.
fn constant<T>(group: &Group, name: &str, rows: usize, value: T) -> hdf5::Result<()>
where
    T: hdf5::H5Type + Into<hdf5::types::OwnedDynValue>,
{
    let new = group.new_dataset::<T>().shape(rows).fill_value(value);
    new.create(name).map(drop)
}

/// SONATA's index `source_to_target`: which edges leave a source.
///
/// Row i of `node_id_to_ranges` names the half-open range of rows of `range_to_edge_id` that
/// belong to source i, one row or none, and each of those a half-open range of edges. In
/// canonical order the edges of a source lie together, so the index can be written in passing.
struct SourceIndex {
    ranges: Column,
    edges: Column,
    /// The source whose edges are coming, and its first edge; `None` before the first.
    current: Option<(u64, u64)>,
    new_ranges: Vec<[u64; 2]>,
    new_edges: Vec<[u64; 2]>,
}

impl SourceIndex {
    fn create(population: &Group, compression: u8) -> hdf5::Result<Self> {
        let storage = Storage {
            chunk: INDEX_CHUNK,
            compression,
        };
        let group = population.create_group("indices/source_to_target")?;
        let ranges = Column::pairs(&group, "node_id_to_ranges", storage)?;
        let edges = Column::pairs(&group, "range_to_edge_id", storage)?;
        // bmtk looks for this name, libsonata and the guide have the other.
        group.link_hard("node_id_to_ranges", "node_id_to_range")?;
        Ok(Self {
            ranges,
            edges,
            current: None,
            new_ranges: Vec::new(),
            new_edges: Vec::new(),
        })
    }

    /// Takes the sources of the edges from number `first` on, ascending.
    fn append(&mut self, first: u64, sources: &[u64]) -> hdf5::Result<()> {
        for (edge, &source) in (first..).zip(sources) {
            match self.current {
                Some((current, _)) if current == source => {}
                _ => {
                    self.complete(edge);
                    self.skip_to(source);
                    self.current = Some((source, edge));
                }
            }
        }
        self.write()
    }

    /// Completes the last source, whose edges end before edge `end`.
    fn finish(&mut self, end: u64) -> hdf5::Result<()> {
        self.complete(end);
        self.write()
    }

    /// Adds the rows of the current source, whose edges end before edge `end`.
    fn complete(&mut self, end: u64) {
        if let Some((_, first)) = self.current {
            let range = self.next_range();
            self.new_ranges.push([range, range + 1]);
            self.new_edges.push([first, end]);
        }
    }

    /// Adds empty rows up to `source`, which is not reached by an edge before.
    fn skip_to(&mut self, source: u64) {
        let next = self.current.map_or(0, |(current, _)| current + 1);
        let range = self.next_range();
        self.new_ranges
            .extend((next..source).map(|_| [range, range]));
    }

    fn next_range(&self) -> u64 {
        (self.edges.len() + self.new_edges.len()) as u64
    }

    fn write(&mut self) -> hdf5::Result<()> {
        self.ranges.append_pairs(&self.new_ranges)?;
        self.edges.append_pairs(&self.new_edges)?;
        self.new_ranges.clear();
        self.new_edges.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
