//! `spikes.h5`: who spiked when, sorted by time and, within a time, by neuron.

use std::path::Path;

use super::column_bytes;
use super::output::{Object, Output, Storage};
use crate::base::error::Result;
use crate::base::sizes::total;
use crate::base::units::{Gid, Grid, Ms, Steps};

/// Entries a chunk: 32 KiB, so that small runs make small files.
const CHUNK: usize = 1 << 12;

/// Spikes held back before a flush happens unasked: 1 MiB.
pub const HELD_BACK: usize = 1 << 16;

/// The orders that a file may be in, as SONATA's enumeration has them, …
const SORTING: [&str; 3] = ["none", "by_id", "by_time"];
/// … and that of the files here.
const BY_TIME: u8 = 2;

/// Writes the spikes of a run to a new SONATA file as they come.
///
/// `/spikes/E` and `/spikes/I` hold `node_ids` (u64, counted from 0 within the population)
/// and `timestamps` (f64, ms). Spikes wait in memory, at most 2^16 of them, and reach the file
/// in [`flush`](Self::flush), which puts all of them in force at once: a process killed at any
/// moment leaves the spikes of some completed flush. Dropped without [`close`](Self::close), a
/// writer loses what came after the last one.
///
/// Compression happens on closing, so that spikes are in the file soon.
pub struct SpikeWriter {
    table: Table,
    dt: Ms,
    n_e: u32,
    compression: u8,
    id: String,
    /// Ids and times of E and of I that wait.
    waiting: [(Vec<u64>, Vec<f64>); 2],
}

impl SpikeWriter {
    /// Creates `path` with both populations, empty, and flushes it.
    ///
    /// `dt` turns steps into milliseconds, `n_e` is the number of excitatory neurons,
    /// `compression` the level of deflate, 1 … 9, or 0 for none, and `id` names the result.
    ///
    /// # Errors
    /// Fails if `path` exists or cannot be written.
    pub fn create(path: &Path, dt: Ms, n_e: u32, compression: u8, id: &str) -> Result<Self> {
        let mut table = Table::fill(Output::create(path, Some(id))?, 0);
        table.output.flush()?;
        Ok(Self {
            table,
            dt,
            n_e,
            compression,
            id: id.to_owned(),
            waiting: Default::default(),
        })
    }

    /// Takes the spikes of one more stretch of time, sorted by time and then by neuron, all
    /// later than those before.
    ///
    /// Cost: O(spikes), in memory; a flush whenever 2^16 spikes have gathered.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush).
    pub fn append(&mut self, spikes: &[(Steps, Gid)]) -> Result<()> {
        debug_assert!(spikes.is_sorted(), "spikes out of order");
        let grid = Grid::new(self.dt);
        for &(time, gid) in spikes {
            let inhibitory = gid.0 >= self.n_e;
            let (ids, times) = &mut self.waiting[usize::from(inhibitory)];
            ids.push(u64::from(gid.0 - if inhibitory { self.n_e } else { 0 }));
            times.push(time.to_ms(grid).0);
        }
        if self.waiting.iter().map(|(ids, _)| ids.len()).sum::<usize>() >= HELD_BACK {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands all spikes so far to the operating system: a kill can no longer lose them.
    ///
    /// Cost: some 0.1 ms and what the disk takes; nothing if there was no spike.
    ///
    /// # Errors
    /// Fails if the file cannot be written; what was flushed before stays readable.
    pub fn flush(&mut self) -> Result<()> {
        if self.waiting.iter().all(|(ids, _)| ids.is_empty()) {
            return Ok(());
        }
        for (columns, (ids, times)) in self.table.columns.iter().zip(&mut self.waiting) {
            self.table.output.append(columns.ids, ids)?;
            self.table.output.append(columns.times, times)?;
            ids.clear();
            times.clear();
        }
        self.table.output.flush()
    }

    /// Flushes and closes the file, and compresses it if that was asked for.
    ///
    /// The compressed file grows beside the other, as `<path>.new`, and then replaces it.
    ///
    /// Cost: with compression, reads and writes all spikes once more, chunk by chunk.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush); a failure to compress leaves the uncompressed file.
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        if self.compression == 0 {
            return self.table.output.close();
        }
        let replacement = Output::rewrite(self.table.output.path(), Some(&self.id))?;
        let mut packed = Table::fill(replacement, self.compression);
        let (to, from) = (&mut packed.output, &self.table.output);
        for (new, old) in packed.columns.iter().zip(&self.table.columns) {
            for (new, old) in [(new.ids, old.ids), (new.times, old.times)] {
                to.copy(new, from, old)?;
                to.finish(new)?;
            }
        }
        packed.output.close()
    }
}

/// Bytes of the attributes, groups and notes of a file.
const FILE_HEAD: u64 = 28_672;

/// Bytes of an uncompressed file with so many spikes of E and I.
pub fn file_bytes(spikes: [u64; 2]) -> u64 {
    let columns = spikes.map(|rows| column_bytes(rows, 2 * 8, CHUNK));
    total([FILE_HEAD, columns[0], columns[1]])
}

/// A file with the spikes of both populations.
struct Table {
    output: Output,
    columns: [Columns; 2],
}

/// The columns of a population.
struct Columns {
    ids: Object,
    times: Object,
}

impl Table {
    /// Puts both populations into an empty file.
    fn fill(mut output: Output, compression: u8) -> Self {
        let storage = Storage {
            chunk: CHUNK,
            compression,
        };
        let spikes = output.group(Output::ROOT, "spikes");
        let columns = ["E", "I"].map(|name| {
            let group = output.group(spikes, name);
            output.choice(group, "sorting", &SORTING, BY_TIME);
            let ids = output.column::<u64>(None, storage);
            let times = output.column::<f64>(None, storage);
            output.label(times, "units", "ms");
            output.link(group, "node_ids", ids);
            output.link(group, "timestamps", times);
            Columns { ids, times }
        });
        Table { output, columns }
    }
}

#[cfg(test)]
mod tests;
