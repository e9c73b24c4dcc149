//! Ascending indices, stored in half the space if they are dense.

use crate::base::memory::allocated_bytes;
use crate::base::sizes::{product, total};

/// Ascending indices without duplicates. If they are dense, an index takes 2 bytes: its distance
/// from the first index of its block.
pub struct Ids {
    len: usize,
    content: Content,
}

enum Content {
    Plain(Vec<u32>),
    Blocks {
        firsts: Vec<u32>,
        distances: Vec<u16>,
    },
}

/// Indices per block.
const BLOCK: usize = 32;

impl Ids {
    /// Stores an ascending list.
    pub fn new(ids: Vec<u32>) -> Self {
        let len = ids.len();
        let span = |block: &[u32]| block[block.len() - 1] - block[0];
        let close = |block: &[u32]| span(block) <= u16::MAX.into();
        let content = if len > BLOCK && ids.chunks(BLOCK).all(close) {
            let firsts: Vec<u32> = ids.chunks(BLOCK).map(|block| block[0]).collect();
            let mut distances = Vec::with_capacity(len);
            for block in ids.chunks(BLOCK) {
                distances.extend(block.iter().map(|id| (id - block[0]) as u16));
            }
            Content::Blocks { firsts, distances }
        } else {
            let mut ids = ids;
            ids.shrink_to_fit();
            Content::Plain(ids)
        };
        Ids { len, content }
    }

    /// Returns the number of indices.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no indices.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the index at position `place`, from 0.
    pub fn get(&self, place: usize) -> u32 {
        match &self.content {
            Content::Plain(ids) => ids[place],
            Content::Blocks { firsts, distances } => {
                firsts[place / BLOCK] + u32::from(distances[place])
            }
        }
    }

    /// Returns all indices, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len).map(|place| self.get(place))
    }

    /// Returns the number of indices below `bound`. O(log n).
    pub fn below(&self, bound: u32) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle) < bound {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Memory, in bytes.
impl Ids {
    /// Returns the bytes for `len` indices out of `size`, spread evenly.
    pub fn bytes(len: u64, size: u64) -> u64 {
        // The widest of many blocks is about twice as wide as the average block.
        if len > BLOCK as u64 && size.saturating_mul(2) / len <= u64::from(u16::MAX) / BLOCK as u64
        {
            total([product([2, len]), product([4, len.div_ceil(BLOCK as u64)])])
        } else {
            product([4, len])
        }
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        match &self.content {
            Content::Plain(ids) => allocated_bytes(ids),
            Content::Blocks { firsts, distances } => {
                allocated_bytes(firsts) + allocated_bytes(distances)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        for (step, plain) in [(1, false), (53, false), (2114, false), (2115, true)] {
            let ids: Vec<u32> = (0..1000).map(|k| 7 + k * step).collect();
            let kept = Ids::new(ids.clone());
            assert_eq!(matches!(kept.content, Content::Plain(_)), plain, "{step}");
            assert_eq!(kept.iter().collect::<Vec<_>>(), ids);
            for bound in [0, 7, 8, 1000, u32::MAX] {
                assert_eq!(kept.below(bound), ids.partition_point(|&id| id < bound));
            }
        }
        assert!(Ids::new(Vec::new()).is_empty());
    }
}
