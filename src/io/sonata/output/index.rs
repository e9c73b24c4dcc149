//! The chunk index of an extendible dataset: a version-1 B-tree that only grows.
//!
//! Chunks come in order, so all nodes of a level except the last are full. A node keeps its
//! address. It is overwritten only by a version of itself with more children, within one page and
//! hence by one indivisible write. A reader of any earlier state therefore finds all chunks of that
//! state, however many later writes have happened; it ignores chunks beyond its rows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Space;
use super::format::{Child, FANOUT, NOWHERE, node, node_bytes};

/// The chunk index of one dataset. It keeps the last node of each level: memory O(log chunks).
#[derive(Debug)]
pub struct ChunkIndex {
    dimensions: usize,
    /// Rows per chunk.
    rows: u64,
    /// Last node of each level, from the leaves up.
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
    /// Returns the empty index of a dataset of `dimensions` dimensions, in chunks of `rows` rows.
    pub fn new(dimensions: usize, rows: u64) -> Self {
        ChunkIndex {
            dimensions,
            rows,
            levels: Vec::new(),
        }
    }

    /// Returns the address of the root node; [`NOWHERE`] before the first chunk.
    pub fn root(&self) -> u64 {
        self.levels.last().map_or(NOWHERE, |node| node.address)
    }

    /// Adds the next chunk.
    ///
    /// # Errors
    /// Fails if a node that became full cannot be written.
    pub fn push(&mut self, file: &File, space: &mut Space, chunk: Child) -> io::Result<()> {
        // The last node of every level ends with a key beyond the last chunk, so all change.
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

    /// Writes all changed nodes.
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

    /// Writes the last node of a level, with its right sibling; its rows are below `end`.
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

    /// Checks on all levels that a full node ends where its right sibling begins.
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
        // A key takes 24 bytes, of which the second 8 are the row; a child takes 8.
        let key = |node: u64, at: u64| number(node + 24 + 32 * at + 8);
        for level in &index.levels[..2] {
            let [left, last] = [level.left, level.address];
            assert_eq!([number(left + 16), number(last + 8)], [last, left]);
            assert_eq!(key(left, FANOUT as u64), key(last, 0));
            assert_eq!(key(last, 1), chunks * ROWS);
        }
    }
}
