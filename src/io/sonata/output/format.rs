//! Encodes the structures of an HDF5 file that the writers need.
//!
//! They follow the HDF5 File Format Specification, version 3.0, and every libhdf5 from 1.8 on reads
//! them: version-2 object headers, and version-1 B-trees as chunk indexes.
//! [`superblock`](mod@super::superblock) encodes the superblock. All numbers are little-endian; all
//! addresses and lengths take 8 bytes.
//!
//! ```text
//! header       "OHDR" 2 flags | bytes of messages (4) | messages | checksum
//! message      type (1) | bytes (2) | flags (1) | data
//! B-tree node  "TREE" 1 level | entries (2) | left | right | key₀ child₀ key₁ child₁ … keyₙ
//! ```

use super::checksum::with_checksum;

/// The undefined address of HDF5.
pub const NOWHERE: u64 = u64::MAX;

/// Maximum number of children per node of a chunk index: twice libhdf5's default rank.
pub const FANOUT: usize = 64;

/// An object header under construction.
pub struct Header(Vec<u8>);

/// Bytes of an object header before its messages.
const HEADER_PREFIX: usize = 10;
/// Flag of an object header that stores the size of its messages in 4 bytes.
const FOUR_BYTES: u8 = 2;

impl Header {
    /// Returns an object header without messages.
    pub fn new() -> Self {
        let mut bytes = b"OHDR".to_vec();
        bytes.extend([2, FOUR_BYTES, 0, 0, 0, 0]);
        Header(bytes)
    }

    /// Adds a message of type `kind`. Panics if `data` is 64 KiB or longer.
    pub fn message(&mut self, kind: u8, data: &[u8]) {
        let length = u16::try_from(data.len()).expect("messages are short");
        self.0.push(kind);
        self.0.extend(length.to_le_bytes());
        self.0.push(0);
        self.0.extend(data);
    }

    /// Returns the bytes of the complete object header, with its checksum.
    pub fn finish(mut self) -> Vec<u8> {
        let messages = (self.0.len() - HEADER_PREFIX) as u32;
        self.0[HEADER_PREFIX - 4..HEADER_PREFIX].copy_from_slice(&messages.to_le_bytes());
        with_checksum(self.0)
    }

    /// Adds the messages that make the object a group, with its links in this header.
    pub fn group(&mut self) {
        let mut link_info = vec![0, 0];
        link_info.extend(NOWHERE.to_le_bytes());
        link_info.extend(NOWHERE.to_le_bytes());
        self.message(0x02, &link_info);
        self.message(0x0A, &[0, 0]);
    }

    /// Adds a hard link called `name` to the object at `address`.
    pub fn link(&mut self, name: &str, address: u64) {
        let length = u8::try_from(name.len()).expect("names are short");
        let mut data = vec![1, 0, length];
        data.extend(name.as_bytes());
        data.extend(address.to_le_bytes());
        self.message(0x06, &data);
    }

    /// Adds the number of hard links to the object; without this message it is 1.
    pub fn links(&mut self, count: u32) {
        let mut data = vec![0];
        data.extend(count.to_le_bytes());
        self.message(0x16, &data);
    }

    /// Adds the dataspace of a dataset; `grows` removes the limit on its first dimension.
    pub fn shape(&mut self, shape: &[u64], grows: bool) {
        self.message(0x01, &dataspace(shape, grows));
    }

    /// Adds the datatype of a dataset.
    pub fn kind(&mut self, kind: &Kind) {
        self.message(0x03, &kind.encode());
    }

    /// Adds the fill value for entries that were never written: the bytes of one entry, or zeros if
    /// `value` is empty.
    pub fn fill(&mut self, value: &[u8]) {
        let (incremental, if_set, defined) = (3, 2, 1);
        let mut data = vec![2, incremental, if_set, defined];
        data.extend((value.len() as u32).to_le_bytes());
        data.extend(value);
        self.message(0x05, &data);
    }

    /// Adds the contiguous layout of a dataset: `bytes` bytes at `address`.
    pub fn contiguous(&mut self, address: u64, bytes: u64) {
        let mut data = vec![3, 1];
        data.extend(address.to_le_bytes());
        data.extend(bytes.to_le_bytes());
        self.message(0x08, &data);
    }

    /// Adds the chunked layout of a dataset: the address of its index, the shape of a chunk and
    /// `size`, the bytes per entry.
    pub fn chunked(&mut self, index: u64, chunk: &[u64], size: u64) {
        let mut data = vec![3, 2, chunk.len() as u8 + 1];
        data.extend(index.to_le_bytes());
        for &extent in chunk.iter().chain([&size]) {
            let extent = u32::try_from(extent).expect("chunks are small");
            data.extend(extent.to_le_bytes());
        }
        self.message(0x08, &data);
    }

    /// Adds the filter pipeline of a dataset: shuffle of entries of `size` bytes, then deflate.
    pub fn filters(&mut self, size: u32, level: u8) {
        let (deflate, shuffle, optional) = (1_u16, 2_u16, 1_u16);
        let mut data = vec![2, 2];
        for (filter, value) in [(shuffle, size), (deflate, level.into())] {
            data.extend(filter.to_le_bytes());
            data.extend(optional.to_le_bytes());
            data.extend(1_u16.to_le_bytes());
            data.extend(value.to_le_bytes());
        }
        self.message(0x0B, &data);
    }

    /// Adds an attribute with the values `data` of the shape `shape` (empty: a scalar).
    pub fn attribute(&mut self, name: &str, kind: &Kind, shape: &[u64], data: &[u8]) {
        let (kind, space) = (kind.encode(), dataspace(shape, false));
        let utf8 = 1;
        let mut message = vec![3, 0];
        for length in [name.len() + 1, kind.len(), space.len()] {
            message.extend((length as u16).to_le_bytes());
        }
        message.push(utf8);
        message.extend(name.as_bytes());
        message.push(0);
        message.extend(kind);
        message.extend(space);
        message.extend(data);
        self.message(0x0C, &message);
    }
}

/// Encodes a dataspace; if `grows`, its first dimension has no limit.
fn dataspace(shape: &[u64], grows: bool) -> Vec<u8> {
    let simple = u8::from(!shape.is_empty());
    let mut data = vec![2, shape.len() as u8, u8::from(grows), simple];
    data.extend(shape.iter().flat_map(|extent| extent.to_le_bytes()));
    if grows {
        let most = [u64::MAX].into_iter().chain(shape[1..].iter().copied());
        data.extend(most.flat_map(u64::to_le_bytes));
    }
    data
}

/// Datatype of the entries of a dataset or attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Unsigned integer of this many bytes.
    Unsigned(u8),
    /// Double-precision floating-point number.
    Double,
    /// Variable-length UTF-8 string, stored in the global heap.
    Text,
    /// Enumeration of these names, numbered from 0, stored in one byte.
    Enumeration(&'static [&'static str]),
}

impl Kind {
    /// Returns the bytes per entry.
    pub fn size(&self) -> u64 {
        match self {
            Kind::Unsigned(bytes) => u64::from(*bytes),
            Kind::Double => 8,
            Kind::Text => 16,
            Kind::Enumeration(_) => 1,
        }
    }

    fn encode(&self) -> Vec<u8> {
        // First byte: class in the low half, version in the high half. The bit field follows.
        let (head, properties) = match self {
            Kind::Unsigned(bytes) => {
                let bits = 8 * u16::from(*bytes);
                let properties = [[0, 0], bits.to_le_bytes()].concat();
                ([0x10, 0, 0, 0], properties)
            }
            Kind::Double => {
                // Bit offset and precision; location and size of exponent and mantissa; bias. The
                // sign is bit 63.
                let properties = [0, 0, 64, 0, 52, 11, 0, 52, 0xFF, 3, 0, 0].to_vec();
                ([0x11, 0x20, 63, 0], properties)
            }
            Kind::Text => ([0x19, 1, 1, 0], Kind::Unsigned(1).encode()),
            Kind::Enumeration(names) => {
                let mut properties = Kind::Unsigned(1).encode();
                for name in *names {
                    properties.extend(name.as_bytes());
                    let padded = (name.len() + 1).next_multiple_of(8);
                    properties.resize(properties.len() + padded - name.len(), 0);
                }
                properties.extend(0..names.len() as u8);
                ([0x18, names.len() as u8, 0, 0], properties)
            }
        };
        let size = (self.size() as u32).to_le_bytes();
        [&head[..], &size, &properties].concat()
    }
}

/// An entry (key and child) of a node of a chunk index.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// First row that the child contains.
    pub row: u64,
    /// Bytes of the chunk as stored; in a node above the leaves, those of the first chunk.
    pub bytes: u32,
    /// Address of the child: a chunk, or a node one level below.
    pub address: u64,
}

/// Returns the bytes of a node in the file, for a dataset of `dimensions` dimensions.
pub fn node_bytes(dimensions: usize) -> u64 {
    (24 + FANOUT * 8 + (FANOUT + 1) * (8 + 8 * (dimensions + 1))) as u64
}

/// Encodes a node of a chunk index; `next` is the first row after the node, at a chunk boundary.
pub fn node(
    dimensions: usize,
    level: u8,
    siblings: [u64; 2],
    children: &[Child],
    next: u64,
) -> Vec<u8> {
    let mut bytes = b"TREE\x01".to_vec();
    bytes.push(level);
    bytes.extend((children.len() as u16).to_le_bytes());
    bytes.extend(siblings.iter().flat_map(|address| address.to_le_bytes()));
    // A key describes a chunk: its stored bytes, filter mask 0 (all filters applied), and the
    // offset of its first entry.
    let key = |bytes: &mut Vec<u8>, row: u64, stored: u32| {
        bytes.extend(stored.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(row.to_le_bytes());
        bytes.extend((0..dimensions).flat_map(|_| [0; 8]));
    };
    for child in children {
        key(&mut bytes, child.row, child.bytes);
        bytes.extend(child.address.to_le_bytes());
    }
    key(&mut bytes, next, 0);
    bytes.resize(node_bytes(dimensions) as usize, 0);
    bytes
}

/// Bytes of a collection of the global heap; libhdf5 expects at least this size.
pub const HEAP: usize = 4096;
/// Bytes of the header of a collection, and of the header of each object in it.
pub const HEAP_HEAD: usize = 16;

/// Encodes a collection of the global heap with these objects, numbered from 1.
pub fn heap(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"GCOL\x01\0\0\0".to_vec();
    bytes.extend((HEAP as u64).to_le_bytes());
    let object = |bytes: &mut Vec<u8>, number: u16, length: usize| {
        bytes.extend(number.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend((length as u64).to_le_bytes());
    };
    for (number, data) in (1..).zip(objects) {
        object(&mut bytes, number, data.len());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let free = HEAP - bytes.len();
    if free >= HEAP_HEAD {
        object(&mut bytes, 0, free);
    }
    bytes.resize(HEAP, 0);
    bytes
}

/// Encodes a reference to object `number`, of `length` bytes, in the collection at address `heap`.
pub fn heap_reference(heap: u64, number: u32, length: usize) -> Vec<u8> {
    let length = (length as u32).to_le_bytes();
    [&length[..], &heap.to_le_bytes(), &number.to_le_bytes()].concat()
}
