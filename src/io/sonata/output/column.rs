//! An extendible dataset, stored in chunks.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::Space;
use super::format::{Child, Header, Kind};
use super::index::ChunkIndex;

/// Storage layout of the rows of an extendible dataset.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Rows per chunk: the unit of allocation and of compression.
    pub chunk: usize,
    /// Level of deflate, 1 … 9, after a byte shuffle; 0 for none.
    pub compression: u8,
}

/// A dataset of numbers that grows at its end. It takes 8 bytes of memory per chunk.
///
/// Rows of an uncompressed column are written to the file at once; readers do not see them before
/// the next flush of the file. Rows of a compressed column wait until they fill a chunk. The last,
/// partial chunk waits until [`Column::finish`].
#[derive(Debug)]
pub struct Column {
    kind: Kind,
    /// Number of columns of a two-dimensional dataset; `None` for one dimension.
    width: Option<u64>,
    storage: Storage,
    rows: u64,
    index: ChunkIndex,
    /// Addresses of the chunks, in order.
    places: Vec<u64>,
    /// Bytes of rows that wait to be compressed.
    waiting: Vec<u8>,
}

impl Column {
    /// Returns an empty column of numbers of type `kind`, with `width` numbers per row if it has
    /// two dimensions.
    pub fn new(kind: Kind, width: Option<u64>, storage: Storage) -> Self {
        let dimensions = 1 + usize::from(width.is_some());
        Column {
            index: ChunkIndex::new(dimensions, storage.chunk as u64),
            kind,
            width,
            storage,
            rows: 0,
            places: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Returns the type of the numbers.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Returns the number of rows so far, including waiting rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn row_bytes(&self) -> usize {
        (self.kind.size() * self.width.unwrap_or(1)) as usize
    }

    fn chunk_bytes(&self) -> usize {
        self.row_bytes() * self.storage.chunk
    }

    /// Appends whole rows.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn append(&mut self, file: &File, space: &mut Space, rows: &[u8]) -> io::Result<()> {
        let mut rest = rows;
        while !rest.is_empty() {
            let chunk = self.storage.chunk as u64;
            let offset = (self.rows % chunk) as usize * self.row_bytes();
            let (part, later) = rest.split_at(rest.len().min(self.chunk_bytes() - offset));
            match self.storage.compression {
                0 => self.place_part(file, space, part, offset)?,
                _ => self.waiting.extend(part),
            }
            self.rows += (part.len() / self.row_bytes()) as u64;
            if self.waiting.len() == self.chunk_bytes() {
                self.compress(file, space)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Writes `part` at byte `offset` of the last chunk; allocates a new chunk if `offset` is 0.
    fn place_part(
        &mut self,
        file: &File,
        space: &mut Space,
        part: &[u8],
        offset: usize,
    ) -> io::Result<()> {
        if offset == 0 {
            let bytes = self.chunk_bytes();
            let place = space.take(bytes as u64);
            self.add_chunk(file, space, place, bytes)?;
        }
        let place = self.places.last().expect("a chunk was added");
        file.write_all_at(part, place + offset as u64)
    }

    /// Adds the chunk of `bytes` bytes at `place` to the index.
    fn add_chunk(
        &mut self,
        file: &File,
        space: &mut Space,
        place: u64,
        bytes: usize,
    ) -> io::Result<()> {
        let chunk = Child {
            row: self.places.len() as u64 * self.storage.chunk as u64,
            bytes: bytes as u32,
            address: place,
        };
        self.places.push(place);
        self.index.push(file, space, chunk)
    }

    /// Compresses and writes the waiting chunk.
    fn compress(&mut self, file: &File, space: &mut Space) -> io::Result<()> {
        let packed = deflate(
            &self.waiting,
            self.kind.size() as usize,
            self.storage.compression,
        )?;
        self.waiting.clear();
        let place = space.take(packed.len() as u64);
        file.write_all_at(&packed, place)?;
        self.add_chunk(file, space, place, packed.len())
    }

    /// Writes the last chunk of a compressed column, padded with zeros. The column must not grow
    /// afterwards.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn finish(&mut self, file: &File, space: &mut Space) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.waiting.resize(self.chunk_bytes(), 0);
        self.compress(file, space)
    }

    /// Returns address and used bytes of each chunk of an uncompressed column.
    pub fn chunks(&self) -> impl Iterator<Item = (u64, usize)> {
        debug_assert_eq!(self.storage.compression, 0);
        let all = self.rows as usize * self.row_bytes();
        let rest = move |at: usize| all - at * self.chunk_bytes();
        let places = self.places.iter().enumerate();
        places.map(move |(at, &place)| (place, rest(at).min(self.chunk_bytes())))
    }

    /// Writes the changed nodes of the chunk index.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn flush(&mut self, file: &File) -> io::Result<()> {
        self.index.flush(file)
    }

    /// Adds the messages of the column to `header`, without the waiting rows.
    pub fn describe(&self, header: &mut Header) {
        let shape = |rows: u64| -> Vec<u64> { [rows].into_iter().chain(self.width).collect() };
        let waiting = self.waiting.len() / self.row_bytes();
        header.shape(&shape(self.rows - waiting as u64), true);
        header.kind(&self.kind);
        header.fill(&[]);
        let chunk = shape(self.storage.chunk as u64);
        header.chunked(self.index.root(), &chunk, self.kind.size());
        if self.storage.compression > 0 {
            header.filters(self.kind.size() as u32, self.storage.compression);
        }
    }
}

/// Compresses entries of `size` bytes like HDF5's filters: shuffle (the first bytes of all entries,
/// then the second bytes, …), then deflate.
fn deflate(entries: &[u8], size: usize, level: u8) -> io::Result<Vec<u8>> {
    let shuffled: Vec<u8> = (0..size)
        .flat_map(|byte| entries[byte..].iter().step_by(size).copied())
        .collect();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level.into()));
    encoder.write_all(&shuffled)?;
    encoder.finish()
}
