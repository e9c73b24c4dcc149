//! Groups and datasets of a file, and their object headers.

use bytemuck::NoUninit;

use super::column::Column;
use super::format::{HEAP, HEAP_HEAD, Header, Kind, NOWHERE, heap};

/// Handle of a group or dataset of an [`Output`](super::Output).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object(pub(super) usize);

/// Content and attributes of an object.
#[derive(Debug)]
pub struct Entry {
    pub content: Content,
    attributes: Vec<Attribute>,
    /// Number of hard links to the object.
    pub links: u32,
    /// Address of the object header once it is final; `None` while it may change.
    pub frozen: Option<u64>,
}

impl Entry {
    /// Returns an object without attributes and links.
    pub fn new(content: Content) -> Self {
        Entry {
            content,
            attributes: Vec::new(),
            links: 0,
            frozen: None,
        }
    }

    /// Adds an attribute with the values `data` of the shape `shape` (empty: a scalar).
    pub fn attach(&mut self, name: &'static str, kind: Kind, shape: &[u64], data: &[u8]) {
        let (shape, data) = (shape.to_vec(), data.to_vec());
        self.attributes.push(Attribute {
            name,
            kind,
            shape,
            data,
        });
    }

    /// Encodes the object header. `addresses` are the addresses of all headers; missing ones are
    /// encoded as [`NOWHERE`].
    pub fn header(&self, addresses: &[u64]) -> Vec<u8> {
        let mut header = Header::new();
        match &self.content {
            Content::Group(links) => {
                header.group();
                for (name, object) in links {
                    let address = addresses.get(object.0).copied();
                    header.link(name, address.unwrap_or(NOWHERE));
                }
            }
            Content::Column(column) => column.describe(&mut header),
            Content::Array {
                kind,
                rows,
                address,
            } => {
                header.shape(&[*rows], false);
                header.kind(kind);
                header.fill(&[]);
                header.contiguous(*address, rows * kind.size());
            }
            Content::Constant { kind, rows, value } => {
                header.shape(&[*rows], false);
                header.kind(kind);
                header.fill(value);
                header.contiguous(NOWHERE, rows * kind.size());
            }
        }
        for attribute in &self.attributes {
            let Attribute {
                name,
                kind,
                shape,
                data,
            } = attribute;
            header.attribute(name, kind, shape, data);
        }
        if self.links > 1 {
            header.links(self.links);
        }
        header.finish()
    }
}

/// Content of an object.
#[derive(Debug)]
pub enum Content {
    Group(Vec<(String, Object)>),
    Column(Box<Column>),
    /// One-dimensional dataset with contiguous layout.
    Array {
        kind: Kind,
        rows: u64,
        address: u64,
    },
    /// Dataset of equal values, stored only as the fill value.
    Constant {
        kind: Kind,
        rows: u64,
        value: Vec<u8>,
    },
}

#[derive(Debug)]
struct Attribute {
    name: &'static str,
    kind: Kind,
    shape: Vec<u64>,
    data: Vec<u8>,
}

/// A type of number that files can hold.
pub trait Number: NoUninit {
    /// The corresponding HDF5 type.
    const KIND: Kind;
}

impl Number for u32 {
    const KIND: Kind = Kind::Unsigned(4);
}

impl Number for u64 {
    const KIND: Kind = Kind::Unsigned(8);
}

impl Number for f64 {
    const KIND: Kind = Kind::Double;
}

/// A collection of the global heap that holds texts.
#[derive(Debug)]
pub struct Heap {
    pub address: u64,
    pub texts: Vec<Vec<u8>>,
    pub written: bool,
}

impl Heap {
    /// Returns whether `text` fits into the collection.
    pub fn has_room(&self, text: &str) -> bool {
        let taken = |bytes: usize| HEAP_HEAD + bytes.next_multiple_of(8);
        let texts = self.texts.iter().map(|text| taken(text.len()));
        HEAP_HEAD + texts.sum::<usize>() + taken(text.len()) <= HEAP
    }

    /// Encodes the collection.
    pub fn encode(&self) -> Vec<u8> {
        heap(&self.texts)
    }
}
