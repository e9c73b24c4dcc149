//! What both writers need: a new file, attributes, and datasets that grow.

use std::ops::Range;
use std::path::Path;

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Extents, File, Group, H5Type, Location};

use super::cause;
use crate::error::{Error, Result};

/// The attribute by which SONATA files are known.
const MAGIC: u32 = 0x0A7A;

/// The version of SONATA, major and minor.
const VERSION: [u32; 2] = [0, 1];

/// Creates a SONATA file without content.
///
/// Fails if `path` exists: results are never overwritten here.
pub(super) fn create_file(path: &Path) -> Result<File> {
    let create = || {
        let file = File::create_excl(path)?;
        attribute(&file, "magic", MAGIC)?;
        file.new_attr_builder()
            .with_data(&VERSION)
            .create("version")?;
        file.flush()?;
        Ok(file)
    };
    create().map_err(|error| unwritable(path, &error))
}

/// The failure to write `path`, as the one line users see.
pub(super) fn unwritable(path: &Path, error: &hdf5::Error) -> Error {
    Error::run(format!(
        "{}: cannot be written: {}",
        path.display(),
        cause(error)
    ))
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
