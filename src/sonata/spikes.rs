//! `spikes.h5`: who spiked when, sorted by time and, within a time, by neuron.

use std::path::{Path, PathBuf};

use hdf5::{File, Group, H5Type};

use super::create::{Column, Storage, attribute, create_file, label, unwritable};
use crate::error::Result;
use crate::units::{Gid, Ms, Steps};

/// Entries a chunk: 32 KiB, so that small runs make small files.
const CHUNK: usize = 1 << 12;

/// Spikes held back before a flush happens unasked: 1 MiB.
const HELD_BACK: usize = 1 << 16;

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
pub struct SpikeWriter {
    path: PathBuf,
    file: File,
    dt: Ms,
    n_e: u32,
    excitatory: Population,
    inhibitory: Population,
}

impl SpikeWriter {
    /// Creates `path` with both populations, empty, and flushes it.
    ///
    /// `dt` turns steps into milliseconds, `n_e` is the number of excitatory neurons, and
    /// `compression` the level of deflate, 1 … 9, or 0 for none.
    ///
    /// # Errors
    /// If `path` exists or cannot be written.
    pub fn create(path: &Path, dt: Ms, n_e: u32, compression: u8) -> Result<Self> {
        let file = create_file(path)?;
        let create = || {
            let excitatory = Population::create(&file.create_group("spikes/E")?, compression)?;
            let inhibitory = Population::create(&file.create_group("spikes/I")?, compression)?;
            file.flush()?;
            Ok((excitatory, inhibitory))
        };
        let (excitatory, inhibitory) = create().map_err(|error| unwritable(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            dt,
            n_e,
            excitatory,
            inhibitory,
        })
    }

    /// Takes the spikes of one more stretch of time, sorted by time and then by neuron, none
    /// of them earlier than those before.
    ///
    /// Cost: O(spikes), in memory; a flush whenever 2^16 spikes have gathered.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush).
    pub fn append(&mut self, spikes: &[(Steps, Gid)]) -> Result<()> {
        debug_assert!(spikes.is_sorted());
        for &(time, gid) in spikes {
            let ms = time.to_ms(self.dt).0;
            match gid.0.checked_sub(self.n_e) {
                None => self.excitatory.push(gid.0, ms),
                Some(id) => self.inhibitory.push(id, ms),
            }
        }
        if self.held_back() >= HELD_BACK {
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
        if self.held_back() == 0 {
            return Ok(());
        }
        let written = self
            .excitatory
            .write()
            .and_then(|()| self.inhibitory.write())
            .and_then(|()| self.file.flush());
        written.map_err(|error| unwritable(&self.path, &error))
    }

    /// Flushes and closes the file.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush).
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        let Self {
            path,
            file,
            excitatory,
            inhibitory,
            ..
        } = self;
        drop((excitatory, inhibitory));
        file.close().map_err(|error| unwritable(&path, &error))
    }

    fn held_back(&self) -> usize {
        self.excitatory.ids_held_back.len() + self.inhibitory.ids_held_back.len()
    }
}

/// The spikes of one population: in the file, and still held back.
struct Population {
    ids: Column,
    times: Column,
    ids_held_back: Vec<u64>,
    times_held_back: Vec<f64>,
}

impl Population {
    fn create(group: &Group, compression: u8) -> hdf5::Result<Self> {
        let storage = Storage {
            chunk: CHUNK,
            compression,
        };
        attribute(group, "sorting", Sorting::by_time)?;
        let ids = Column::numbers::<u64>(group, "node_ids", storage)?;
        let times = Column::numbers::<f64>(group, "timestamps", storage)?;
        label(times.dataset(), "units", "ms")?;
        Ok(Self {
            ids,
            times,
            ids_held_back: Vec::new(),
            times_held_back: Vec::new(),
        })
    }

    fn push(&mut self, id: u32, ms: f64) {
        self.ids_held_back.push(u64::from(id));
        self.times_held_back.push(ms);
    }

    fn write(&mut self) -> hdf5::Result<()> {
        self.ids.append(&self.ids_held_back)?;
        self.times.append(&self.times_held_back)?;
        self.ids_held_back.clear();
        self.times_held_back.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
