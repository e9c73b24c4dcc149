//! Opens and reads all datasets that a reader would use, only to find out whether this is safe.

use std::ops::Range;
use std::path::Path;

use hdf5::types::TypeDescriptor;
use hdf5::{Dataset, Group};

use super::{Input, text};
use crate::base::sizes::{product, total};
use crate::base::units::Projection;
use crate::io::sonata::BLOCK;
use crate::io::sonata::check::{Contents, peak};
use crate::io::sonata::weights::{HISTOGRAM, TRAJECTORIES};

/// Maximum growth of peak memory (bytes) allowed for reading a block: several times the largest
/// chunk, as stored and as read, and a block of values.
const MEMORY: u64 = 640 << 20;

/// Opens every dataset that the readers of `contents` open in the file at `path` and reads its
/// values. Reads all values if the datasets together take less than `most` bytes (8 per value),
/// else evenly spaced blocks; reads only the first row of each dataset if `most` is 0. Calls
/// `begin` with the name of each object before opening or reading it.
///
/// Ignores other read errors: the readers report those.
///
/// # Errors
/// Fails if memory runs out or its growth exceeds [`MEMORY`].
pub(in crate::io::sonata) fn every_dataset(
    path: &Path,
    contents: Contents,
    most: u64,
    begin: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let before = peak();
    begin("the file");
    let Ok(input) = Input::open(path) else {
        return Ok(());
    };
    let mut walk = Walk {
        input: &input,
        begin,
        before,
        found: Vec::new(),
    };
    walk.open(contents)?;
    walk.read(most)
}

struct Walk<'a> {
    input: &'a Input,
    begin: &'a mut dyn FnMut(&str),
    before: u64,
    found: Vec<(String, Dataset)>,
}

impl Walk<'_> {
    fn open(&mut self, contents: Contents) -> Result<(), String> {
        match contents {
            Contents::Edges => {
                for projection in Projection::ALL {
                    self.projection(projection, &["syn_weight", "delay"])?;
                }
            }
            Contents::Initial => self.datasets(&["initial"], &["V_m", "rate", "phase"])?,
            Contents::Input => self.spikes("X")?,
            Contents::Spikes => {
                self.origin()?;
                self.spikes("E")?;
                self.spikes("I")?;
            }
            Contents::Weights => self.weights()?,
        }
        Ok(())
    }

    fn projection(&mut self, projection: Projection, of_edges: &[&str]) -> Result<(), String> {
        let path = ["edges", projection.name()];
        let ids = [
            "source_node_id",
            "target_node_id",
            "edge_group_id",
            "edge_group_index",
        ];
        self.datasets(&path, &ids)?;
        self.datasets(&[path[0], path[1], "0"], of_edges)
    }

    fn spikes(&mut self, population: &str) -> Result<(), String> {
        self.datasets(&["spikes", population], &["node_ids", "timestamps"])
    }

    fn weights(&mut self) -> Result<(), String> {
        self.origin()?;
        let population = ["edges", Projection::EE.name(), "0"];
        let names = self.group(&population).and_then(|group| {
            (self.begin)("the names of the snapshots");
            group.member_names().ok()
        });
        let names = names.unwrap_or_default();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.projection(Projection::EE, &names)?;
        let columns = ["edges", "time", "zeros", "above", "counts"];
        self.datasets(&[HISTOGRAM], &columns)?;
        if let Some(histogram) = self.group(&[HISTOGRAM]) {
            (self.begin)(&format!("/{HISTOGRAM}@one_in"));
            harmless(
                histogram
                    .attr("one_in")
                    .and_then(|one_in| one_in.read_scalar::<u32>()),
            )?;
        }
        let columns = ["source_node_id", "target_node_id", "weight"];
        self.datasets(&[TRAJECTORIES], &columns)
    }

    /// Reads the attributes that identify the writer and the result.
    fn origin(&mut self) -> Result<(), String> {
        for name in ["creator", "id"] {
            (self.begin)(&format!("/@{name}"));
            harmless(self.input.file.attr(name).and_then(|value| text(&value)))?;
        }
        Ok(())
    }

    fn group(&mut self, path: &[&str]) -> Option<Group> {
        let mut group: Group = (*self.input.file).clone();
        for (depth, name) in path.iter().enumerate() {
            (self.begin)(&format!("/{}", path[..=depth].join("/")));
            group = self.input.group(&group, name).ok()?;
        }
        Some(group)
    }

    /// Opens those of `names` that exist and can be read.
    fn datasets(&mut self, path: &[&str], names: &[&str]) -> Result<(), String> {
        let Some(group) = self.group(path) else {
            return self.check_memory();
        };
        for name in names {
            let full = format!("/{}/{name}", path.join("/"));
            (self.begin)(&full);
            match self.input.dataset(&group, name) {
                Ok(opened) => {
                    (self.begin)(&format!("{full}@units"));
                    harmless(opened.1.attr("units").and_then(|units| text(&units)))?;
                    self.found.push(opened);
                }
                Err(error) => refuse_out_of_memory(&error.to_string())?,
            }
            self.check_memory()?;
        }
        Ok(())
    }

    /// Reads values of the open datasets; see [`every_dataset`] for `most`.
    fn read(&mut self, most: u64) -> Result<(), String> {
        let bytes = |(_, dataset): &(_, Dataset)| product([dataset.size() as u64, 8]);
        let all = total(self.found.iter().map(bytes));
        let every = u64::checked_div(all, most).map(|times| times as usize + 1);
        for (name, dataset) in std::mem::take(&mut self.found) {
            let columns = dataset.shape().into_iter().skip(1);
            let row = columns.fold(1, usize::saturating_mul);
            let rows = dataset.shape().first().map_or(0, |&rows| rows);
            if row == 0 || rows == 0 || row > BLOCK {
                continue;
            }
            let block = (BLOCK / row).min(rows);
            let starts = (0..rows).step_by(block.saturating_mul(every.unwrap_or(usize::MAX)));
            let last = every.map(|_| rows - block);
            for start in starts.chain(last) {
                (self.begin)(&name);
                let block = every.map_or(1, |_| block.min(rows - start));
                harmless(read_rows(&dataset, start..start + block))?;
                self.check_memory()?;
            }
        }
        Ok(())
    }

    fn check_memory(&self) -> Result<(), String> {
        if peak().saturating_sub(self.before) <= MEMORY {
            return Ok(());
        }
        Err(TOO_MUCH.to_owned())
    }
}

const TOO_MUCH: &str = "takes more memory than any sound file needs";

/// Fails if the HDF5 message `what` reports failed allocation: without a limit, HDF5 would take
/// that memory.
fn refuse_out_of_memory(what: &str) -> Result<(), String> {
    let words = [
        "memory allocation failed",
        "an't allocate",
        "an't alloc",
        "nable to alloc",
        "ailed to alloc",
        "o space available",
        "out of memory",
    ];
    match words.iter().any(|words| what.contains(words)) {
        true => Err(TOO_MUCH.to_owned()),
        false => Ok(()),
    }
}

/// Discards the value read and ignores errors, except for failed allocation.
fn harmless<T>(read: hdf5::Result<T>) -> Result<(), String> {
    let Err(error) = read else { return Ok(()) };
    let frames = error.stack().map_or_else(Vec::new, |stack| stack.to_vec());
    let all: Vec<&str> = frames.iter().map(hdf5::ErrorFrame::desc).collect();
    refuse_out_of_memory(&all.join(", "))
}

/// Reads rows as the readers do, as numbers of 8 bytes, and discards them.
fn read_rows(dataset: &Dataset, rows: Range<usize>) -> hdf5::Result<()> {
    let kind = dataset.dtype()?.to_descriptor()?;
    let columns = dataset.ndim() == 2;
    macro_rules! read {
        ($number:ty) => {
            match columns {
                true => dataset.read_slice_2d::<$number, _>((rows, ..)).map(drop),
                false => dataset.read_slice_1d::<$number, _>(rows).map(drop),
            }
        };
    }
    match kind {
        TypeDescriptor::Float(_) => read!(f64),
        TypeDescriptor::Unsigned(_) => read!(u64),
        TypeDescriptor::Integer(_) => read!(i64),
        _ => Ok(()),
    }
}
