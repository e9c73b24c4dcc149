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
            self.write(file, level, next.address, chunk.row)?;
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
        let Some(last) = self.levels.first().and_then(|leaf| leaf.children.last()) else {
            return Ok(());
        };
        let end = last.row + self.rows;
        for level in 0..self.levels.len() {
            if !self.levels[level].written {
                self.write(file, level, NOWHERE, end)?;
                self.levels[level].written = true;
            }
        }
        Ok(())
    }

    /// Writes the last node of a level, whose rows are below `end`, with its right sibling.
    fn write(&self, file: &File, level: usize, right: u64, end: u64) -> io::Result<()> {
        let last = &self.levels[level];
        let siblings = [last.left, right];
        let bytes = node(self.dimensions, level as u8, siblings, &last.children, end);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Full nodes end where their right siblings begin, on all levels.
    #[test]
    fn the_last_key_of_a_full_node_is_the_first_of_the_next() {
        const ROWS: u64 = 10;
        let file = tempfile::tempfile().expect("a file");
        let mut space = Space { end: 0 };
        let mut index = ChunkIndex::new(1, ROWS);
        let chunks = (FANOUT * FANOUT + 1) as u64;
        for at in 0..chunks {
            let address = space.take(8);
            let (row, bytes) = (at * ROWS, 80);
            let chunk = Child {
                row,
                bytes,
                address,
            };
            index.push(&file, &mut space, chunk).expect("written");
        }
        index.flush(&file).expect("written");
        assert_eq!(index.levels.len(), 3);
        let number = |address: u64| -> u64 {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, address).expect("read");
            u64::from_le_bytes(bytes)
        };
        // A key is 24 bytes, of which the second 8 are the row, and a child 8.
        let key = |node: u64, at: u64| number(node + 24 + 32 * at + 8);
        for level in &index.levels[..2] {
            let [left, last] = [level.left, level.address];
            assert_eq!([number(left + 16), number(last + 8)], [last, left]);
            assert_eq!(key(left, FANOUT as u64), key(last, 0));
            assert_eq!(key(last, 1), chunks * ROWS);
        }
    }
}
