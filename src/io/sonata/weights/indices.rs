//! Writes SONATA's two indices of edges: the edges from each source and the edges onto each target.
//!
//! Row i of `node_id_to_ranges` is the half-open range of rows of `range_to_edge_id` that belong to
//! neuron i. Each of those rows is a half-open range of edges. Neurons after the last one with an
//! edge have no row.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytemuck::{cast_slice, cast_slice_mut};

use super::super::column_bytes;
use super::super::output::{Object, Output, Storage};
use super::Synapse;
use crate::base::error::Result;
use crate::base::units::{pack, unpack};

/// Rows per chunk of an index by source, which has one row per source: 16 KiB.
const CHUNK: usize = 1 << 10;

/// Rows per chunk of the edges by target, which have nearly one row per synapse: 256 KiB.
const TARGET_CHUNK: usize = 1 << 14;

/// Returns the bytes of an uncompressed index by source; `occurring` sources have edges.
pub(super) fn source_bytes(sources: u64, occurring: u64) -> u64 {
    column_bytes(sources, 16, CHUNK).saturating_add(column_bytes(occurring, 16, CHUNK))
}

/// Returns the bytes of an uncompressed index by target, for `pairs` connected pairs of neurons.
pub(super) fn target_bytes(targets: u64, pairs: u64) -> u64 {
    column_bytes(targets, 16, CHUNK).saturating_add(column_bytes(pairs, 16, TARGET_CHUNK))
}

/// The two columns of an index; neurons are added in ascending order.
struct Ranges {
    of_nodes: Object,
    to_edges: Object,
    new_of_nodes: Vec<[u64; 2]>,
    new_to_edges: Vec<[u64; 2]>,
    /// Numbers of rows of `of_nodes` and of `to_edges`, including waiting rows.
    nodes: u64,
    ranges: u64,
}

/// Waiting rows that cause a write to the file: 64 KiB.
const WAITING: usize = 1 << 12;

impl Ranges {
    fn create(output: &mut Output, chunk: usize, compression: u8) -> Self {
        let mut column = |chunk| output.column::<u64>(Some(2), Storage { chunk, compression });
        Ranges {
            of_nodes: column(CHUNK),
            to_edges: column(chunk),
            new_of_nodes: Vec::new(),
            new_to_edges: Vec::new(),
            nodes: 0,
            ranges: 0,
        }
    }

    /// Adds neurons without edges, up to but not including `node`.
    fn skip_to(&mut self, node: u64) {
        let empty = [self.ranges; 2];
        self.new_of_nodes.extend((self.nodes..node).map(|_| empty));
        self.nodes = self.nodes.max(node);
    }

    /// Adds the neuron `node` with these ranges of edges.
    fn add(&mut self, node: u64, ranges: &[[u64; 2]]) {
        self.skip_to(node);
        let first = self.ranges;
        self.ranges += ranges.len() as u64;
        self.new_to_edges.extend(ranges);
        self.new_of_nodes.push([first, self.ranges]);
        self.nodes += 1;
    }

    fn write_if_many(&mut self, output: &mut Output) -> Result<()> {
        match self.new_of_nodes.len().max(self.new_to_edges.len()) >= WAITING {
            true => self.write(output),
            false => Ok(()),
        }
    }

    fn write(&mut self, output: &mut Output) -> Result<()> {
        output.append(self.of_nodes, self.new_of_nodes.as_flattened())?;
        output.append(self.to_edges, self.new_to_edges.as_flattened())?;
        self.new_of_nodes.clear();
        self.new_to_edges.clear();
        Ok(())
    }

    /// Completes the columns and links them into the group `indices` as `name`.
    fn finish(mut self, output: &mut Output, indices: Object, name: &str) -> Result<()> {
        self.write(output)?;
        output.finish(self.of_nodes)?;
        output.finish(self.to_edges)?;
        let index = output.group(indices, name);
        output.link(index, "node_id_to_ranges", self.of_nodes);
        // bmtk reads this name; libsonata and the SONATA guide use the other.
        output.link(index, "node_id_to_range", self.of_nodes);
        output.link(index, "range_to_edge_id", self.to_edges);
        Ok(())
    }
}

/// Writer of the index `source_to_target`. In canonical order the edges of a source are adjacent,
/// so a single pass suffices.
pub(super) struct SourceIndex {
    ranges: Ranges,
    /// The current source and its first edge; `None` before the first source.
    current: Option<(u64, u64)>,
}

impl SourceIndex {
    pub(super) fn create(output: &mut Output, compression: u8) -> Self {
        SourceIndex {
            ranges: Ranges::create(output, CHUNK, compression),
            current: None,
        }
    }

    /// Adds the sources of the edges from number `first` on; sources must be ascending.
    pub(super) fn append(
        &mut self,
        output: &mut Output,
        first: u64,
        sources: &[u64],
    ) -> Result<()> {
        for (edge, &source) in (first..).zip(sources) {
            match self.current {
                Some((current, _)) if current == source => {}
                _ => {
                    self.complete(edge);
                    self.current = Some((source, edge));
                }
            }
        }
        self.ranges.write_if_many(output)
    }

    /// Completes the current source, whose edges end before edge `end`.
    fn complete(&mut self, end: u64) {
        if let Some((source, first)) = self.current {
            self.ranges.add(source, &[[first, end]]);
        }
    }

    /// Completes the index; `end` is the number of edges.
    pub(super) fn finish(mut self, output: &mut Output, indices: Object, end: u64) -> Result<()> {
        self.complete(end);
        self.ranges.finish(output, indices, "source_to_target")
    }
}

/// Writer of the index `target_to_source`. The edges of a target are far apart, so they are sorted
/// outside of memory: each block of edges becomes a run, sorted by target, in an unnamed temporary
/// file. The runs are merged at the end.
///
/// Cost: 8 bytes per synapse in the temporary file. Memory: 8 bytes per synapse of a block while
/// runs are written; during the merge at most [`MERGE_MEMORY`] or one page per run, whichever is
/// more.
pub(super) struct TargetIndex {
    ranges: Ranges,
    file: File,
    runs: Vec<Run>,
    /// Number of entries in the temporary file.
    entries: u64,
    /// Upper bound of the targets so far (exclusive).
    targets: u32,
}

/// Memory (bytes) of all runs together during the merge.
const MERGE_MEMORY: usize = 512 << 10;
/// Minimum number of entries per read of a run: one page.
const FEWEST_READ: usize = 512;

impl TargetIndex {
    /// Returns an empty index of `output`.
    ///
    /// # Errors
    /// Fails if the temporary file cannot be created in the directory of the output.
    pub(super) fn create(output: &mut Output, compression: u8) -> Result<Self> {
        let directory = output.path().parent().filter(|path| path.is_dir());
        let file = tempfile::tempfile_in(directory.unwrap_or(".".as_ref()));
        Ok(TargetIndex {
            ranges: Ranges::create(output, TARGET_CHUNK, compression),
            file: file.map_err(|error| output.failure(&error))?,
            runs: Vec::new(),
            entries: 0,
            targets: 0,
        })
    }

    /// Adds a block of edges, numbered from `first` on; the block must have fewer than 2³² edges.
    pub(super) fn append(
        &mut self,
        output: &mut Output,
        first: u64,
        block: &[Synapse],
    ) -> Result<()> {
        // The low half holds the place of the edge: the edges of a target stay in order.
        let entry = |(edge, synapse): (u32, &Synapse)| pack(synapse.target, edge);
        let mut run: Vec<u64> = (0..).zip(block).map(entry).collect();
        run.sort_unstable();
        let written = self.file.write_all_at(cast_slice(&run), 8 * self.entries);
        written.map_err(|error| output.failure(&error))?;
        let start = self.entries;
        self.entries += run.len() as u64;
        self.runs.push(Run {
            first,
            left: start..self.entries,
            buffer: Vec::new(),
            at: 0,
        });
        let last = run.last().map_or(0, |entry| unpack(*entry).0 + 1);
        self.targets = self.targets.max(last);
        Ok(())
    }

    /// Merges the runs and completes the index.
    pub(super) fn finish(mut self, output: &mut Output, indices: Object) -> Result<()> {
        let share = MERGE_MEMORY / 8 / self.runs.len().max(1);
        let at_once = share.max(FEWEST_READ);
        let mut edges = Vec::new();
        for target in 0..self.targets {
            edges.clear();
            for run in &mut self.runs {
                let taken = run.take(&self.file, at_once, target, &mut edges);
                taken.map_err(|error| output.failure(&error))?;
            }
            self.ranges.add(target.into(), &edges);
            self.ranges.write_if_many(output)?;
        }
        self.ranges.finish(output, indices, "target_to_source")
    }
}

/// A block of edges in the temporary file, sorted by target. An entry is target << 32 | place in
/// the block.
struct Run {
    /// Number of the first edge of the block.
    first: u64,
    /// Entries of the temporary file that have not been read.
    left: Range<u64>,
    buffer: Vec<u64>,
    /// Index of the first entry of `buffer` that has not been taken.
    at: usize,
}

impl Run {
    /// Adds the edges of `target` to `edges`, as ranges. Its entries, if any, come next in the run.
    /// Reads `at_once` entries whenever the buffer is empty.
    fn take(
        &mut self,
        file: &File,
        at_once: usize,
        target: u32,
        edges: &mut Vec<[u64; 2]>,
    ) -> io::Result<()> {
        loop {
            if self.at == self.buffer.len() {
                if self.left.is_empty() {
                    return Ok(());
                }
                let more = at_once.min((self.left.end - self.left.start) as usize);
                self.buffer.resize(more, 0);
                file.read_exact_at(cast_slice_mut(&mut self.buffer), 8 * self.left.start)?;
                self.left.start += more as u64;
                self.at = 0;
            }
            let entry = self.buffer[self.at];
            let (of, place) = unpack(entry);
            if of != target {
                return Ok(());
            }
            self.at += 1;
            let edge = self.first + u64::from(place);
            match edges.last_mut() {
                Some([_, end]) if *end == edge => *end += 1,
                _ => edges.push([edge, edge + 1]),
            }
        }
    }
}
