//! `spikes.h5`: who spiked when, sorted by time and, within a time, by neuron.

use std::path::{Path, PathBuf};

use hdf5::{File, Group, H5Type};

use super::create::{Column, Output, Storage, attribute, label};
use super::{CHUNK_CACHE, column_bytes};
use crate::error::{Error, Result};
use crate::units::{Gid, Grid, Ms, Steps};

/// Entries a chunk: 32 KiB, so that small runs make small files.
const CHUNK: usize = 1 << 12;

/// Spikes held back before a flush happens unasked: 1 MiB.
pub const HELD_BACK: usize = 1 << 16;

/// The order of the spikes in a file, spelled as SONATA's HDF5 enumeration wants it.
#[derive(Clone, Copy, H5Type)]
#[repr(u8)]
#[expect(
    non_camel_case_types,
    dead_code,
    reason = "the file lists every name as written here, used or not"
)]
enum Sorting {
    none = 0,
    by_id = 1,
    by_time = 2,
}

/// Writes the spikes of a run to a new SONATA file as they come.
///
/// `/spikes/E` and `/spikes/I` hold `node_ids` (u64, counted from 0 within the population)
/// and `timestamps` (f64, ms). Spikes wait in memory, at most 2^16 of them, and reach HDF5
/// only in [`flush`](Self::flush): between two flushes the file lies untouched, so a process
/// killed there leaves everything up to the last flush. Dropped without
/// [`close`](Self::close), it loses what came after that.
///
/// Compression happens on closing: a compressed chunk that grows would have to move, and what
/// had been flushed would be at risk while it does.
pub struct SpikeWriter {
    table: Table,
    dt: Ms,
    n_e: u32,
    compression: u8,
    id: String,
}

impl SpikeWriter {
    /// Creates `path` with both populations, empty, and flushes it.
    ///
    /// `dt` turns steps into milliseconds, `n_e` is the number of excitatory neurons,
    /// `compression` the level of deflate, 1 … 9, or 0 for none, and `id` the root attribute by
    /// which readers tell which result the file belongs to.
    ///
    /// # Errors
    /// If `path` exists or cannot be written.
    pub fn create(path: &Path, dt: Ms, n_e: u32, compression: u8, id: &str) -> Result<Self> {
        Ok(Self {
            table: Table::create(path, id, 0)?,
            dt,
            n_e,
            compression,
            id: id.to_owned(),
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
            let ms = time.to_ms(grid).0;
            match gid.0.checked_sub(self.n_e) {
                None => self.table.excitatory.push(gid.0, ms),
                Some(id) => self.table.inhibitory.push(id, ms),
            }
        }
        if self.table.held_back() >= HELD_BACK {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands all spikes so far to the operating system: a kill can no longer lose them.
    ///
    /// Cost: some 0.1 ms and what the disk takes; nothing if there was no spike.
    ///
    /// # Errors
    /// If the file cannot be written, for instance because the disk is full.
    pub fn flush(&mut self) -> Result<()> {
        self.table.flush()
    }

    /// Flushes and closes the file, and compresses it if that was asked for.
    ///
    /// The compressed file grows beside the other, as `<path>.part`, and then replaces it.
    ///
    /// Cost: with compression, reads and writes all spikes once more, block by block.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush); a failure to compress leaves the uncompressed file.
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        let path = self.table.output.path().to_owned();
        self.table.close()?;
        if self.compression > 0 {
            compress(&path, &self.id, self.compression)?;
        }
        Ok(())
    }
}

/// Bytes of the attributes, groups and notes of a file.
const FILE_HEAD: u64 = 20_480;

/// Bytes of an uncompressed file with so many spikes of E and I.
pub fn file_bytes(spikes: [u64; 2]) -> u64 {
    let columns = spikes.map(|rows| 2 * column_bytes(rows, 8, CHUNK));
    FILE_HEAD + columns[0] + columns[1]
}

/// Bytes of its chunks that HDF5 keeps in memory.
pub fn cached_bytes(spikes: [u64; 2]) -> u64 {
    let columns = spikes.map(|rows| 2 * column_bytes(rows, 8, CHUNK).min(CHUNK_CACHE));
    columns[0] + columns[1]
}

/// Replaces the spike file `path` by a compressed one.
fn compress(path: &Path, id: &str, level: u8) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    remove(&part); // one that a killed run left
    let replaced = copy(path, &part, id, level).and_then(|()| {
        let renamed = std::fs::rename(&part, path);
        renamed
            .map_err(|error| Error::run(format!("{}: cannot be replaced: {error}", path.display())))
    });
    if replaced.is_err() {
        remove(&part);
    }
    replaced
}

/// Writes the spikes of the file `from` to a new file `to`.
fn copy(from: &Path, to: &Path, id: &str, compression: u8) -> Result<()> {
    let mut table = Table::create(to, id, compression)?;
    let copied = table.copy(from);
    copied.map_err(|error| table.output.failure(&error))?;
    table.close()
}

/// Removes a temporary file if there is one and it can be removed.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// A file with the spikes of both populations.
struct Table {
    output: Output,
    excitatory: Population,
    inhibitory: Population,
}

impl Table {
    fn create(path: &Path, id: &str, compression: u8) -> Result<Self> {
        let output = Output::create(path, id)?;
        let storage = Storage {
            chunk: CHUNK,
            compression,
        };
        let create = || {
            let excitatory = create_group(output.file(), "E")?;
            let inhibitory = create_group(output.file(), "I")?;
            let populations = (
                Population::create(&excitatory, storage)?,
                Population::create(&inhibitory, storage)?,
            );
            excitatory.unlink(PLACEHOLDER)?;
            inhibitory.unlink(PLACEHOLDER)?;
            populations.0.describe()?;
            populations.1.describe()?;
            output.flush()?;
            Ok(populations)
        };
        let (excitatory, inhibitory) = create().map_err(|error| output.failure(&error))?;
        Ok(Self {
            output,
            excitatory,
            inhibitory,
        })
    }

    fn held_back(&self) -> usize {
        self.excitatory.new_ids.len() + self.inhibitory.new_ids.len()
    }

    fn flush(&mut self) -> Result<()> {
        if self.held_back() == 0 {
            return Ok(());
        }
        let written = self
            .excitatory
            .write()
            .and_then(|()| self.inhibitory.write())
            .and_then(|()| self.output.flush());
        written.map_err(|error| self.output.failure(&error))
    }

    /// Adds all spikes of the spike file `from`.
    fn copy(&mut self, from: &Path) -> hdf5::Result<()> {
        let from = File::open(from)?;
        self.excitatory.copy(&from.group("spikes/E")?)?;
        self.inhibitory.copy(&from.group("spikes/I")?)
    }

    fn close(self) -> Result<()> {
        drop((self.excitatory, self.inhibitory));
        self.output.close()
    }
}

/// A link that makes a group set up its list of members; see [`create_group`].
const PLACEHOLDER: &str = "placeholder";

/// Creates the group of a population, for now with a placeholder as its only member.
///
/// Thus all four columns can then be created without anything in between, and what HDF5 notes
/// about them lies side by side in the file: a flush that lets all of them grow does so in
/// one write, and a kill never finds ids and times of different lengths.
fn create_group(file: &File, name: &str) -> hdf5::Result<Group> {
    let group = file.create_group(&format!("spikes/{name}"))?;
    attribute(&group, "sorting", Sorting::by_time)?;
    group.link_soft("/spikes", PLACEHOLDER)?;
    Ok(group)
}

/// The spikes of one population: in the file, and those still held back.
struct Population {
    ids: Column,
    times: Column,
    new_ids: Vec<u64>,
    new_times: Vec<f64>,
}

impl Population {
    fn create(group: &Group, storage: Storage) -> hdf5::Result<Self> {
        Ok(Self {
            ids: Column::numbers::<u64>(group, "node_ids", storage)?,
            times: Column::numbers::<f64>(group, "timestamps", storage)?,
            new_ids: Vec::new(),
            new_times: Vec::new(),
        })
    }

    fn describe(&self) -> hdf5::Result<()> {
        label(self.times.dataset(), "units", "ms")
    }

    fn push(&mut self, id: u32, ms: f64) {
        self.new_ids.push(u64::from(id));
        self.new_times.push(ms);
    }

    fn write(&mut self) -> hdf5::Result<()> {
        self.ids.append(&self.new_ids)?;
        self.times.append(&self.new_times)?;
        self.new_ids.clear();
        self.new_times.clear();
        Ok(())
    }

    /// Adds all spikes of a population in another file.
    fn copy(&mut self, from: &Group) -> hdf5::Result<()> {
        self.ids.copy::<u64>(&from.dataset("node_ids")?)?;
        self.times.copy::<f64>(&from.dataset("timestamps")?)
    }
}

#[cfg(test)]
mod tests;
