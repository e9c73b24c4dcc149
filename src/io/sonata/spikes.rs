//! Writes `spikes.h5`: recorded spikes, sorted by time and, at equal times, by neuron.

use std::path::Path;

use super::column_bytes;
use super::output::{Object, Output, Storage};
use crate::base::error::Result;
use crate::base::sizes::total;
use crate::base::units::{Gid, Grid, Ms, Steps};

/// Entries per chunk: 32 KiB. Small chunks keep the files of small runs small.
const CHUNK: usize = 1 << 12;

/// Number of waiting spikes that causes a flush: 1 MiB.
pub const HELD_BACK: usize = 1 << 16;

/// Names of SONATA's enumeration of sort orders.
const SORTING: [&str; 3] = ["none", "by_id", "by_time"];
/// Index in [`SORTING`] of the order of these files.
const BY_TIME: u8 = 2;

/// Writes the spikes of a run to a new SONATA file during the run.
///
/// `/spikes/E` and `/spikes/I` hold `node_ids` (u64, counted from 0 within the population) and
/// `timestamps` (f64, ms). Spikes wait in memory until [`flush`](Self::flush), which happens at the
/// latest when 2^16 of them are waiting. A flush makes all of them visible at once: if the process
/// is killed at any moment, the file holds the spikes of a completed flush. A writer that is
/// dropped without [`close`](Self::close) loses the spikes after the last flush.
///
/// Compression happens only on closing, so that spikes reach the file soon.
pub struct SpikeWriter {
    table: Table,
    dt: Ms,
    n_e: u32,
    compression: u8,
    id: String,
    /// Waiting ids and times (ms) of E and of I.
    waiting: [(Vec<u64>, Vec<f64>); 2],
}

impl SpikeWriter {
    /// Creates `path` with both populations, empty, and flushes it.
    ///
    /// `dt` converts steps to milliseconds, `n_e` is the number of excitatory neurons,
    /// `compression` is the level of deflate (1 … 9, or 0 for none), and `id` is the id of the
    /// result.
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

    /// Adds the spikes of the next time interval, sorted by time and then by neuron. All must be
    /// later than those before.
    ///
    /// Cost: O(spikes), in memory; flushes whenever 2^16 spikes are waiting.
    ///
    /// # Errors
    /// Fails if [`flush`](Self::flush) fails.
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

    /// Passes all spikes so far to the operating system; a kill can no longer lose them.
    ///
    /// Cost: about 0.1 ms plus the time of the disk; nothing if no spike is waiting.
    ///
    /// # Errors
    /// Fails if the file cannot be written; spikes of earlier flushes stay readable.
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

    /// Flushes and closes the file, and compresses it if requested.
    ///
    /// The compressed file is written to `<path>.new` and then replaces the uncompressed one.
    ///
    /// Cost: with compression, reads and writes all spikes once more, chunk by chunk.
    ///
    /// # Errors
    /// Fails if [`flush`](Self::flush) fails or the compressed file cannot be written; in the
    /// latter case the uncompressed file stays.
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

/// Bytes of metadata per file: object headers with groups and attributes.
const FILE_HEAD: u64 = 28_672;

/// Returns the bytes of an uncompressed file with these numbers of spikes of E and I.
pub fn file_bytes(spikes: [u64; 2]) -> u64 {
    let columns = spikes.map(|rows| column_bytes(rows, 2 * 8, CHUNK));
    total([FILE_HEAD, columns[0], columns[1]])
}

/// An output file with the spikes of both populations, E and I.
struct Table {
    output: Output,
    columns: [Columns; 2],
}

/// The columns of one population.
struct Columns {
    ids: Object,
    times: Object,
}

impl Table {
    /// Adds both populations to an empty file.
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
