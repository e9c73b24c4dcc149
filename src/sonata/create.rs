//! What both writers need: a new file, attributes, and datasets that grow.

use std::fs::OpenOptions;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hdf5::dataset::AllocTime;
use hdf5::plist::group_create::{LinkCreationOrder, LinkPhaseChange};
use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Extents, File, Group, H5Type, Location};
use ndarray::ArrayView2;

use super::{blocks, cause};
use crate::error::{Error, Result};

/// The attribute by which SONATA files are known.
const MAGIC: u32 = 0x0A7A;

/// The version of SONATA, major and minor.
const VERSION: [u32; 2] = [0, 1];

/// What wrote the file.
const CREATOR: &str = concat!("stdp-hpc ", env!("CARGO_PKG_VERSION"));

/// Where an HDF5 file says which superblock version it has.
const SUPERBLOCK_VERSION: u64 = 8;

/// Where an HDF5 file of the oldest format (superblock version 0) says where it ends.
const END_OF_FILE: u64 = 40;

/// Bytes set aside at a time for HDF5's own notes, such as where the chunks are: enough to hold
/// those about four columns together, to be written at once.
const NOTES: u64 = 1 << 14;

/// A file being written, so that it can be read at any moment even if the process is killed.
///
/// HDF5 notes the end of the file last of all, so a kill amid a flush would leave a file that
/// points behind its own end and cannot be read. [`Output::flush`] notes it first. What cannot
/// be closed from outside are some microseconds whenever the tree that finds a dataset's
/// chunks grows by a node, every 32 to 64 chunks.
pub(super) struct Output {
    path: PathBuf,
    file: File,
    /// The same file, past HDF5.
    raw: std::fs::File,
}

impl Output {
    /// Creates a SONATA file without content, a part of the result `id`.
    ///
    /// Fails if `path` exists: results are never overwritten here.
    pub fn create(path: &Path, id: &str) -> Result<Self> {
        let create = || {
            let file = File::with_options()
                .with_fapl(|access| access.libver_earliest().meta_block_size(NOTES))
                .create_excl(path)?;
            attribute(&file, "magic", MAGIC)?;
            file.new_attr_builder()
                .with_data(&VERSION)
                .create("version")?;
            label(&file, "creator", CREATOR)?;
            label(&file, "id", id)?;
            file.flush()?;
            let raw = OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .map_err(system)?;
            let mut version = [0];
            raw.read_exact_at(&mut version, SUPERBLOCK_VERSION)
                .map_err(system)?;
            if version != [0] {
                return Err("this HDF5 library does not write superblock version 0".into());
            }
            Ok(Self {
                path: path.to_owned(),
                file,
                raw,
            })
        };
        create().map_err(|error| unwritable(path, &error))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to put something in.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Hands everything to the operating system, the new end of the file first.
    pub fn flush(&self) -> hdf5::Result<()> {
        let end = self.file.size();
        let length = self.raw.metadata().map_err(system)?.len();
        self.raw.set_len(end.max(length)).map_err(system)?;
        self.raw
            .write_all_at(&end.to_le_bytes(), END_OF_FILE)
            .map_err(system)?;
        self.file.flush()
    }

    /// Flushes and closes the file.
    pub fn close(self) -> Result<()> {
        let closed = self.flush().and_then(|()| self.file.close());
        closed.map_err(|error| unwritable(&self.path, &error))
    }

    /// The failure `error` as users see it.
    ///
    /// The file stays open until the process ends: closing it would write notes of data that
    /// never reached the disk, and no reader would open it again.
    pub fn failure(&self, error: &hdf5::Error) -> Error {
        std::mem::forget(self.file.clone());
        unwritable(&self.path, error)
    }

    /// The failure to write on, for a reason given in words.
    pub fn refusal(&self, why: &str) -> Error {
        Error::run(format!("{}: {why}", self.path.display()))
    }
}

/// A failure of the operating system as one of HDF5.
fn system(error: std::io::Error) -> hdf5::Error {
    error.to_string().into()
}

/// The failure to write `path`, as the one line users see.
pub(super) fn unwritable(path: &Path, error: &hdf5::Error) -> Error {
    Error::run(format!(
        "{}: cannot be written: {}",
        path.display(),
        cause(error)
    ))
}

/// Creates a group whose members are listed in one piece, so that a kill finds the list either
/// before or after a change.
///
/// HDF5 does so where the order of creation is asked for, up to a number of members given
/// here, and keeps the room that a first, long member took; that is enough for some seventy.
/// (Where the parent is steady too: else its own notes come to lie in the way.)
pub(super) fn steady_group(parent: &Group, name: &str) -> hdf5::Result<Group> {
    let group = parent
        .create_group_builder()
        .with_gcpl(|create| {
            let compact = LinkPhaseChange {
                max_compact: 1 << 15,
                min_dense: 0,
            };
            create
                .link_creation_order(LinkCreationOrder::Tracked)
                .link_phase_change(compact)
        })
        .create(name)?;
    group.link_soft(&"room".repeat(1000), "room")?;
    group.unlink("room")?;
    Ok(group)
}

/// Attaches the number (or other scalar) `value`.
pub(super) fn attribute<T: H5Type>(at: &Location, name: &str, value: T) -> hdf5::Result<()> {
    at.new_attr::<T>().create(name)?.write_scalar(&value)
}

/// Attaches `text` as a variable-length string, the only kind libsonata reads.
pub(super) fn label(at: &Location, name: &str, text: &str) -> hdf5::Result<()> {
    let text: VarLenUnicode = text
        .parse()
        .map_err(|_| hdf5::Error::from("a label with a zero byte"))?;
    attribute(at, name, text)
}

/// How the rows of a growing dataset lie in the file.
#[derive(Clone, Copy)]
pub(super) struct Storage {
    /// Rows a chunk: the unit of allocation and of compression.
    pub chunk: usize,
    /// Level of deflate, 1 … 9, after a byte shuffle; 0 for none.
    pub compression: u8,
}

/// A dataset that grows at its end.
pub(super) struct Column {
    dataset: Dataset,
    rows: usize,
}

impl Column {
    /// A new, empty column of single numbers.
    pub fn numbers<T: H5Type>(group: &Group, name: &str, storage: Storage) -> hdf5::Result<Self> {
        Self::create::<T>(group, name, (0..).into(), &[storage.chunk], storage)
    }

    /// A new, empty column of pairs: n × 2.
    pub fn pairs(group: &Group, name: &str, storage: Storage) -> hdf5::Result<Self> {
        let shape = (0.., 2).into();
        Self::create::<u64>(group, name, shape, &[storage.chunk, 2], storage)
    }

    /// A new, empty table with rows of `width` numbers.
    pub fn rows<T: H5Type>(
        group: &Group,
        name: &str,
        width: usize,
        storage: Storage,
    ) -> hdf5::Result<Self> {
        let shape = (0.., width).into();
        Self::create::<T>(group, name, shape, &[storage.chunk, width], storage)
    }

    fn create<T: H5Type>(
        group: &Group,
        name: &str,
        shape: Extents,
        chunk: &[usize],
        storage: Storage,
    ) -> hdf5::Result<Self> {
        let mut new = group.new_dataset::<T>().shape(shape).chunk(chunk);
        if storage.compression > 0 {
            new = new.shuffle().deflate(storage.compression);
        } else {
            // Space is taken as soon as rows are added, so that the file's end is known
            // before a flush; see `Output::flush`.
            new = new.alloc_time(Some(AllocTime::Early));
        }
        let dataset = new.create(name)?;
        Ok(Self { dataset, rows: 0 })
    }

    /// Adds numbers at the end.
    pub fn append<T: H5Type>(&mut self, values: &[T]) -> hdf5::Result<()> {
        let rows = self.grow(values.len())?;
        self.dataset.write_slice(values, rows)
    }

    /// Adds pairs at the end.
    pub fn append_pairs(&mut self, values: &[[u64; 2]]) -> hdf5::Result<()> {
        let rows = self.grow(values.len())?;
        self.dataset.write_slice::<_, u64, _, _>(values, (rows, ..))
    }

    /// Adds rows of `width` numbers at the end, one after the other in `values`.
    pub fn append_rows<T: H5Type>(&mut self, values: &[T], width: usize) -> hdf5::Result<()> {
        let rows = self.grow(values.len() / width)?;
        let values = ArrayView2::from_shape((rows.len(), width), values);
        let values = values.map_err(|error| error.to_string())?;
        self.dataset.write_slice(values, (rows, ..))
    }

    /// Adds all numbers of another dataset, block by block.
    pub fn copy<T: H5Type>(&mut self, from: &Dataset) -> hdf5::Result<()> {
        for rows in blocks(from.size()) {
            let values = from.read_slice_1d::<T, _>(rows)?;
            self.append(&values.into_raw_vec_and_offset().0)?;
        }
        Ok(())
    }

    /// Makes room for `more` rows and says which they are.
    fn grow(&mut self, more: usize) -> hdf5::Result<Range<usize>> {
        let old = self.rows;
        let mut shape = self.dataset.shape();
        shape[0] = old + more;
        self.dataset.resize(shape)?;
        self.rows += more;
        Ok(old..self.rows)
    }

    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// The dataset itself, for its attributes.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }
}
