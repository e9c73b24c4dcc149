//! The index of a growing dataset's chunks: a version-1 B-tree that only ever grows.
//!
//! Chunks come in order, so every node but the last of its level is full. A node keeps its place
//! and is only ever overwritten by a version of itself with more children, within one page, hence
//! by one indivisible write. A reader of any earlier state thus finds all chunks of that state,
//! whichever of the later writes have happened; chunks beyond its rows are none of its business.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Space;
use super::format::{Child, FANOUT, NOWHERE, node, node_bytes};

/// The index of one dataset. It holds the last node of each level, so memory is O(log chunks).
#[derive(Debug)]
pub struct ChunkIndex {
    dimensions: usize,
    /// Rows per chunk.
    rows: u64,
    /// From the leaves up.
    levels: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    address: u64,
    left: u64,
    children: Vec<Child>,
    written: bool,
}

impl ChunkIndex {
    /// Returns the empty index of a dataset of so many dimensions, in chunks of `rows` rows.
    pub fn new(dimensions: usize, rows: u64) -> Self {
        ChunkIndex {
            dimensions,
            rows,
            levels: Vec::new(),
        }
    }

    /// Returns where the index begins; [`NOWHERE`] before the first chunk.
    pub fn root(&self) -> u64 {
        self.levels.last().map_or(NOWHERE, |node| node.address)
    }

    /// Adds the next chunk.
    ///
    /// # Errors
    /// Fails if a node that became full cannot be written.
    pub fn push(&mut self, file: &File, space: &mut Space, chunk: Child) -> io::Result<()> {
        // All nodes on the way end with a key beyond the last chunk.
        for node in &mut self.levels {
            node.written = false;
        }
        let mut child = chunk;
        for level in 0.. {
            let Some(last) = self.levels.get(level) else {
                self.add_root(space, child);
                return Ok(());
            };
            if last.children.len() < FANOUT {
                self.levels[level].children.push(child);
                return Ok(());
            }
            let next = self.new_node(space, NOWHERE, child);
            self.write(file, level, next.address)?;
            let full = std::mem::replace(&mut self.levels[level], next);
            self.levels[level].left = full.address;
            if level + 1 == self.levels.len() {
                self.add_root(space, full.as_child());
            }
            child = self.levels[level].as_child();
        }
        Ok(())
    }

    fn add_root(&mut self, space: &mut Space, child: Child) {
        let root = self.new_node(space, NOWHERE, child);
        self.levels.push(root);
    }

    fn new_node(&self, space: &mut Space, left: u64, child: Child) -> Node {
        Node {
            address: space.take_within_page(node_bytes(self.dimensions)),
            left,
            children: vec![child],
            written: false,
        }
    }

    /// Writes all nodes that have changed.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn flush(&mut self, file: &File) -> io::Result<()> {
        for level in 0..self.levels.len() {
            if !self.levels[level].written {
                self.write(file, level, NOWHERE)?;
                self.levels[level].written = true;
            }
        }
        Ok(())
    }

    fn write(&self, file: &File, level: usize, right: u64) -> io::Result<()> {
        let last = &self.levels[level];
        let next = self.levels[0].children.last().expect("a chunk").row + self.rows;
        let siblings = [last.left, right];
        let bytes = node(self.dimensions, level as u8, siblings, &last.children, next);
        file.write_all_at(&bytes, last.address)
    }
}

impl Node {
    fn as_child(&self) -> Child {
        Child {
            address: self.address,
            ..self.children[0]
        }
    }
}
