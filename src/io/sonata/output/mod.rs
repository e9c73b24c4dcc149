//! Writes HDF5 files that are intact at every moment, even if the process is killed.
//!
//! libhdf5 writes the changes of a flush in several pieces: first the object headers with their new
//! lengths, later the B-tree nodes that locate the chunks, one dataset after the other. A kill in
//! between leaves rows of zeros, columns of different lengths, or an unreadable index. Therefore
//! the writers here encode the format themselves (`format`) and write in an order without
//! inconsistent states:
//!
//! 1. Rows go to new chunks, or to existing chunks beyond the rows that the file has so far.
//! 2. Nodes of chunk indexes gain children ([`index`]). Readers of the current state neither miss
//!    nor notice them.
//! 3. The object headers of all groups and datasets are written anew, to the unused one of two
//!    areas.
//! 4. One write of 48 bytes, the superblock, puts the new headers in force: all lengths, links and
//!    attributes at once.
//!
//! A kill between two of these writes leaves the file in the state of the last superblock. A failed
//! write does so too: nothing is written after it. Until its first superblock is in place, a file
//! has another name (`….new`). A loss of power is not covered: nothing here waits for the disk.

mod checksum;
mod column;
mod entry;
mod format;
mod index;
mod superblock;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytemuck::cast_slice;
use tempfile::{NamedTempFile, TempPath};

use crate::base::error::{Error, Result};
use crate::base::files;

pub use column::Storage;
pub use entry::{Number, Object};
pub use format::Kind;

use column::Column;
use entry::{Content, Entry, Heap};
use format::{HEAP, heap_reference};
use superblock::{SUPERBLOCK, superblock};

/// Value of the attribute `magic`, which identifies SONATA files.
const MAGIC: u32 = 0x0A7A;

/// Version of the SONATA format: major, minor.
const VERSION: [u32; 2] = [0, 1];

/// Name and version of the program that wrote the file.
const CREATOR: &str = concat!("stdp-hpc ", env!("CARGO_PKG_VERSION"));

/// Bytes of a memory page; a write within one page is indivisible.
const PAGE: u64 = 4096;

/// Allocated part of a file; it only grows.
#[derive(Debug)]
pub struct Space {
    end: u64,
}

impl Space {
    /// Allocates `bytes` bytes and returns their address, a multiple of 8.
    pub fn take(&mut self, bytes: u64) -> u64 {
        let address = self.end.next_multiple_of(8);
        self.end = address + bytes;
        address
    }

    /// Allocates `bytes` bytes, at most a page, that do not cross a page boundary.
    pub fn take_within_page(&mut self, bytes: u64) -> u64 {
        let address = self.end.next_multiple_of(8);
        if address % PAGE + bytes > PAGE {
            self.end = address.next_multiple_of(PAGE);
        }
        self.take(bytes)
    }
}

/// A file being written. Changes become visible to readers with the next [`Output::flush`]. If the
/// value is dropped, the file stays in the state of the last flush.
///
/// Memory: the object headers, and one chunk per compressed column.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    /// Path of the file before its first flush; the file is removed if that never happens.
    draft: Option<TempPath>,
    file: File,
    /// First failed write. From then on, memory and file differ.
    broken: Option<Error>,
    space: Space,
    entries: Vec<Entry>,
    heaps: Vec<Heap>,
    /// Areas of the headers: the one for the next flush, and the one in force.
    areas: [Range<u64>; 2],
}

impl Output {
    /// The root group.
    pub const ROOT: Object = Object(0);

    /// Creates a SONATA file without content, in a directory that this process has locked. `id` is
    /// the id of the result that the file belongs to, if it has one. The file is called
    /// `<path>.new` until its first flush and `path` from then on.
    ///
    /// # Errors
    /// Fails if `path` exists (results are never overwritten here) or the file cannot be created.
    pub fn create(path: &Path, id: Option<&str>) -> Result<Self> {
        match path.symlink_metadata() {
            Ok(_) => Err(unwritable(
                path,
                &io::Error::from_raw_os_error(libc::EEXIST),
            )),
            Err(_) => Self::rewrite(path, id),
        }
    }

    /// Creates a file like [`Output::create`], but replaces `path` at the first flush.
    ///
    /// # Errors
    /// Fails if the file cannot be created.
    pub fn rewrite(path: &Path, id: Option<&str>) -> Result<Self> {
        Self::of_draft(path, files::own_draft(path), id)
    }

    /// Creates a file in any directory that replaces `path` at its first flush. Until then it has a
    /// unique temporary name.
    ///
    /// # Errors
    /// Fails if the file cannot be created.
    pub fn replace(path: &Path, id: Option<&str>) -> Result<Self> {
        Self::of_draft(path, files::draft(path), id)
    }

    fn of_draft(path: &Path, draft: io::Result<NamedTempFile>, id: Option<&str>) -> Result<Self> {
        let draft = draft.map_err(|error| unwritable(path, &error))?;
        let (file, draft) = draft.into_parts();
        let mut output = Output {
            path: path.to_owned(),
            draft: Some(draft),
            file,
            broken: None,
            space: Space { end: SUPERBLOCK },
            entries: Vec::new(),
            heaps: Vec::new(),
            areas: [0..0, 0..0],
        };
        let root = output.add(Content::Group(Vec::new()));
        output.attribute(root, "magic", MAGIC);
        output.attach(
            root,
            "version",
            Kind::Unsigned(4),
            &[2],
            cast_slice(&VERSION),
        );
        output.label(root, "creator", CREATOR);
        if let Some(id) = id {
            output.label(root, "id", id);
        }
        Ok(output)
    }

    fn add(&mut self, content: Content) -> Object {
        self.entries.push(Entry::new(content));
        Object(self.entries.len() - 1)
    }

    /// Adds the group `name` to `parent`.
    pub fn group(&mut self, parent: Object, name: &str) -> Object {
        let group = self.add(Content::Group(Vec::new()));
        self.link(parent, name, group);
        group
    }

    /// Adds an extendible dataset that is not yet linked. `width` is the number of columns of a
    /// two-dimensional dataset; `None` means one dimension.
    pub fn column<T: Number>(&mut self, width: Option<usize>, storage: Storage) -> Object {
        let width = width.map(|width| width as u64);
        self.add(Content::Column(Box::new(Column::new(
            T::KIND,
            width,
            storage,
        ))))
    }

    /// Adds a one-dimensional dataset with these values to `parent`.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn array<T: Number>(&mut self, parent: Object, name: &str, values: &[T]) -> Result<Object> {
        self.intact()?;
        let bytes: &[u8] = cast_slice(values);
        let address = self.space.take(bytes.len() as u64);
        let written = self.file.write_all_at(bytes, address);
        written.map_err(|error| self.failure(&error))?;
        let (kind, rows) = (T::KIND, values.len() as u64);
        let array = self.add(Content::Array {
            kind,
            rows,
            address,
        });
        self.link(parent, name, array);
        Ok(array)
    }

    /// Adds a dataset of `rows` equal values to `parent`.
    pub fn constant<T: Number>(
        &mut self,
        parent: Object,
        name: &str,
        rows: u64,
        value: T,
    ) -> Object {
        let value = bytemuck::bytes_of(&value).to_vec();
        let kind = T::KIND;
        let constant = self.add(Content::Constant { kind, rows, value });
        self.link(parent, name, constant);
        constant
    }

    /// Links `object` into `parent` as `name`. Replaces an existing link of this name and returns
    /// the object it led to.
    pub fn link(&mut self, parent: Object, name: &str, object: Object) -> Option<Object> {
        let links = self.links_of(parent);
        let former = match links.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => Some(std::mem::replace(known, object)),
            None => {
                links.push((name.to_owned(), object));
                None
            }
        };
        self.entries[object.0].links += 1;
        if let Some(former) = former {
            self.entries[former.0].links -= 1;
        }
        former
    }

    /// Returns whether `parent` has a link called `name`.
    pub fn has(&mut self, parent: Object, name: &str) -> bool {
        self.links_of(parent).iter().any(|(known, _)| known == name)
    }

    fn links_of(&mut self, group: Object) -> &mut Vec<(String, Object)> {
        match &mut self.entries[group.0].content {
            Content::Group(links) => links,
            _ => unreachable!("a dataset has no links"),
        }
    }

    /// Attaches a number as a scalar attribute.
    pub fn attribute<T: Number>(&mut self, object: Object, name: &'static str, value: T) {
        self.attach(object, name, T::KIND, &[], bytemuck::bytes_of(&value));
    }

    /// Attaches an attribute of an enumeration type; `value` is an index into `names`.
    pub fn choice(
        &mut self,
        object: Object,
        name: &'static str,
        names: &'static [&'static str],
        value: u8,
    ) {
        self.attach(object, name, Kind::Enumeration(names), &[], &[value]);
    }

    /// Attaches a text as a variable-length string, the only kind that libsonata reads.
    pub fn label(&mut self, object: Object, name: &'static str, text: &str) {
        let reference = self.keep(text);
        self.attach(object, name, Kind::Text, &[], &reference);
    }

    fn attach(
        &mut self,
        object: Object,
        name: &'static str,
        kind: Kind,
        shape: &[u64],
        data: &[u8],
    ) {
        self.entries[object.0].attach(name, kind, shape, data);
    }

    /// Adds a text to the global heap and returns the reference to it.
    fn keep(&mut self, text: &str) -> Vec<u8> {
        if !self.heaps.last().is_some_and(|heap| heap.has_room(text)) {
            self.heaps.push(Heap {
                address: self.space.take_within_page(HEAP as u64),
                texts: Vec::new(),
                written: false,
            });
        }
        let heap = self.heaps.last_mut().expect("one was added");
        heap.texts.push(text.as_bytes().to_vec());
        heap.written = false;
        heap_reference(heap.address, heap.texts.len() as u32, text.len())
    }

    /// Appends values to a column; they must form whole rows.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn append<T: Number>(&mut self, column: Object, values: &[T]) -> Result<()> {
        self.intact()?;
        let Content::Column(column) = &mut self.entries[column.0].content else {
            unreachable!("only columns grow");
        };
        debug_assert_eq!(*column.kind(), T::KIND);
        let appended = column.append(&self.file, &mut self.space, cast_slice(values));
        appended.map_err(|error| self.failure(&error))
    }

    /// Appends all rows of a column of another file, which must be uncompressed and have the same
    /// chunks.
    ///
    /// # Errors
    /// Fails if that file cannot be read or this one cannot be written.
    pub fn copy(&mut self, column: Object, from: &Output, old: Object) -> Result<()> {
        self.intact()?;
        let (Content::Column(new), Content::Column(old)) = (
            &mut self.entries[column.0].content,
            &from.entries[old.0].content,
        ) else {
            unreachable!("only columns grow");
        };
        for (address, bytes) in old.chunks() {
            let mut rows = vec![0; bytes];
            let read = from.file.read_exact_at(&mut rows, address);
            read.map_err(|error| unreadable(&from.path, &error))?;
            let appended = new.append(&self.file, &mut self.space, &rows);
            if let Err(error) = appended {
                return Err(self.failure(&error));
            }
        }
        Ok(())
    }

    /// Returns the number of rows of a dataset.
    pub fn rows(&self, dataset: Object) -> u64 {
        match &self.entries[dataset.0].content {
            Content::Group(_) => unreachable!("a group has no rows"),
            Content::Column(column) => column.rows(),
            Content::Array { rows, .. } | Content::Constant { rows, .. } => *rows,
        }
    }

    /// Completes a column, which cannot grow afterwards.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn finish(&mut self, column: Object) -> Result<()> {
        self.intact()?;
        let Content::Column(content) = &mut self.entries[column.0].content else {
            unreachable!("only columns grow");
        };
        let finished = content
            .finish(&self.file, &mut self.space)
            .and_then(|()| content.flush(&self.file));
        finished.map_err(|error| self.failure(&error))
    }

    /// Puts all changes so far in force: readers see them and a kill can no longer lose them.
    ///
    /// Cost: writes the object headers and the last nodes of the indexes, about 10 KiB for a spike
    /// file.
    ///
    /// # Errors
    /// Fails if the file cannot be written; the state of the previous flush stays in force.
    pub fn flush(&mut self) -> Result<()> {
        self.intact()?;
        let flushed = self.write_all();
        flushed.map_err(|error| self.failure(&error))
    }

    fn write_all(&mut self) -> io::Result<()> {
        for entry in &mut self.entries {
            if let Content::Column(column) = &mut entry.content {
                column.flush(&self.file)?;
            }
        }
        for heap in self.heaps.iter_mut().filter(|heap| !heap.written) {
            self.file.write_all_at(&heap.encode(), heap.address)?;
            heap.written = true;
        }
        let root = self.write_headers()?;
        // Readers refuse a file whose size differs from the end of file in its superblock.
        self.file.set_len(self.space.end)?;
        let superblock = superblock(self.space.end, root);
        self.file.write_all_at(&superblock, 0)?;
        self.areas.swap(0, 1);
        match self.draft.take() {
            Some(draft) => Ok(draft.persist(&self.path)?),
            None => Ok(()),
        }
    }

    /// Writes the headers of all objects to the unused area; returns the address of the root
    /// header.
    fn write_headers(&mut self) -> io::Result<u64> {
        // The length of a header does not depend on the addresses in it.
        let length = |at: usize| match self.entries[at].frozen {
            Some(_) => 0,
            None => self.entries[at].header(&[]).len().next_multiple_of(8) as u64,
        };
        let lengths: Vec<u64> = (0..self.entries.len()).map(length).collect();
        let bytes: u64 = lengths.iter().sum();
        if self.areas[0].end - self.areas[0].start < bytes {
            let room = bytes.next_power_of_two();
            let start = self.space.take(room);
            self.areas[0] = start..start + room;
        }
        let start = self.areas[0].start;
        let mut next = start;
        let mut addresses = Vec::with_capacity(lengths.len());
        for (entry, length) in self.entries.iter().zip(lengths) {
            addresses.push(entry.frozen.unwrap_or(next));
            next += length;
        }
        let mut area = Vec::new();
        for at in (0..self.entries.len()).filter(|&at| self.entries[at].frozen.is_none()) {
            area.extend(self.entries[at].header(&addresses));
            area.resize(area.len().next_multiple_of(8), 0);
        }
        self.file.write_all_at(&area, start)?;
        Ok(addresses[Self::ROOT.0])
    }

    /// Writes the header of a dataset for the last time; the dataset must not change afterwards.
    /// Later flushes no longer write this header.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn freeze(&mut self, dataset: Object) -> Result<()> {
        self.intact()?;
        let header = self.entries[dataset.0].header(&[]);
        let address = self.space.take(header.len() as u64);
        let written = self.file.write_all_at(&header, address);
        written.map_err(|error| self.failure(&error))?;
        self.entries[dataset.0].frozen = Some(address);
        Ok(())
    }

    /// Flushes and closes the file.
    ///
    /// # Errors
    /// Fails if [`Output::flush`] fails.
    pub fn close(mut self) -> Result<()> {
        self.flush()
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails with the first failure if a write has failed.
    fn intact(&self) -> Result<()> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Returns `error` as a message for users. Nothing is written from then on: every later call
    /// fails with the first failure.
    pub fn failure(&mut self, error: &io::Error) -> Error {
        let failure = || unwritable(&self.path, error);
        self.broken.get_or_insert_with(failure).clone()
    }

    /// Returns an error that names the file and the reason `why` for not writing on.
    pub fn refusal(&self, why: &str) -> Error {
        Error::run(format!("{}: {why}", self.path.display()))
    }
}

/// Returns the one-line error for a failure to write `path`.
fn unwritable(path: &Path, error: &io::Error) -> Error {
    failure(path, "written", error)
}

/// Returns the one-line error for a failure to read `path` back.
fn unreadable(path: &Path, error: &io::Error) -> Error {
    failure(path, "read again", error)
}

fn failure(path: &Path, done: &str, error: &io::Error) -> Error {
    Error::run(format!("{}: cannot be {done}: {error}", path.display()))
}
