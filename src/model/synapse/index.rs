//! Index of the rows of a projection.

use std::ops::Range;

use crate::base::memory::allocated_bytes;
use crate::base::simd;
use crate::base::sizes::{product, total};

/// Index of rows: row r holds the synapses `range(r)`.
///
/// If rows hold many synapses, 4 bytes per row are negligible. On many ranks a row holds one or two
/// synapses and its length fits 4 bits. Then only every 32nd start is stored, and the lengths of
/// the preceding rows in the block are added to it.
pub enum RowIndex {
    /// Start of every row and end of the last: row r is `starts[r]..starts[r + 1]`. 4 bytes per
    /// row.
    Starts(Vec<u32>),
    /// Start of every 32nd row and the length of every row. 0.625 bytes per row.
    Lengths {
        /// Start of every 32nd row, then the number of synapses.
        starts: Vec<u32>,
        /// Lengths by block; byte k holds row k in its lower and row k + 16 in its upper half.
        lengths: Vec<[u8; HALF]>,
    },
}

/// Rows per block, which share one stored start.
const BLOCK: usize = 2 * HALF;
const HALF: usize = 16;
/// Largest row length that fits 4 bits.
const LONGEST: u32 = 15;
/// Minimum average number of synapses per row for storing the start of every row.
const MIN_SYNAPSES_PER_ROW: u64 = 2;

impl RowIndex {
    /// Creates the index from the starts of all rows and the end of the last.
    pub fn new(starts: Vec<u32>) -> Self {
        let rows = starts.len() - 1;
        let lengths = || starts.windows(2).map(|ends| ends[1] - ends[0]);
        let synapses = u64::from(starts[rows]);
        if synapses >= MIN_SYNAPSES_PER_ROW * rows as u64
            || lengths().any(|length| length > LONGEST)
        {
            return RowIndex::Starts(starts);
        }
        let mut blocks = vec![[0; HALF]; rows.div_ceil(BLOCK)];
        for (row, length) in lengths().enumerate() {
            let (half, place) = (row % BLOCK / HALF, row % HALF);
            blocks[row / BLOCK][place] |= (length as u8) << (4 * half);
        }
        let mut sparse: Vec<u32> = starts.iter().copied().step_by(BLOCK).collect();
        sparse.truncate(blocks.len());
        sparse.push(starts[rows]);
        sparse.shrink_to_fit();
        RowIndex::Lengths {
            starts: sparse,
            lengths: blocks,
        }
    }

    /// Returns the range of synapses of row `row`.
    #[inline(always)]
    pub fn range(&self, row: u32) -> Range<usize> {
        let row = row as usize;
        match self {
            RowIndex::Starts(starts) => starts[row] as usize..starts[row + 1] as usize,
            RowIndex::Lengths { starts, lengths } => {
                let (block, row_in_block) = (&lengths[row / BLOCK], row % BLOCK);
                // Sums over the whole block, which fits one vector.
                let before: u32 = (0..HALF)
                    .map(|place| {
                        let [lower, upper] = [block[place] & 15, block[place] >> 4];
                        let lower = if place < row_in_block { lower } else { 0 };
                        let upper = if place + HALF < row_in_block {
                            upper
                        } else {
                            0
                        };
                        u32::from(lower.wrapping_add(upper))
                    })
                    .fold(0, u32::wrapping_add);
                let start = (starts[row / BLOCK] + before) as usize;
                let length = block[row % HALF] >> (4 * (row_in_block / HALF)) & 15;
                start..start + usize::from(length)
            }
        }
    }

    /// Prefetches the data that [`RowIndex::range`] reads.
    #[inline(always)]
    pub fn prefetch(&self, row: u32) {
        match self {
            RowIndex::Starts(starts) => simd::prefetch(starts, row as usize),
            RowIndex::Lengths { starts, lengths } => {
                simd::prefetch(starts, row as usize / BLOCK);
                simd::prefetch(lengths, row as usize / BLOCK);
            }
        }
    }

    /// Returns whether row lengths are stored in 4 bits, as for rows of one or two synapses.
    pub fn is_sparse(&self) -> bool {
        matches!(self, RowIndex::Lengths { .. })
    }

    /// Returns the number of synapses.
    pub fn synapses(&self) -> usize {
        let (RowIndex::Starts(starts) | RowIndex::Lengths { starts, .. }) = self;
        starts.last().map_or(0, |&end| end as usize)
    }
}

/// Memory, in bytes.
impl RowIndex {
    /// Returns the bytes for `rows` rows with `synapses` synapses in all, distributed randomly over
    /// the rows.
    pub fn bytes(rows: u64, synapses: u64) -> u64 {
        if synapses >= product([MIN_SYNAPSES_PER_ROW, rows]) {
            product([4, rows.saturating_add(1)])
        } else {
            let blocks = rows.div_ceil(BLOCK as u64);
            total([product([HALF as u64, blocks]), 4 * (blocks + 1)])
        }
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        match self {
            RowIndex::Starts(starts) => allocated_bytes(starts),
            RowIndex::Lengths { starts, lengths } => {
                allocated_bytes(starts) + allocated_bytes(lengths)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_one_after_the_other() {
        let few = |row: u32| row % 4;
        let many = |row: u32| row % 20;
        // One row just too long among empty ones, and one just short enough.
        let long = |row: u32| if row == 20 { 16 } else { 0 };
        let longest = |row: u32| if row == 20 { 15 } else { 0 };
        for (length, sparse) in [
            (&few as &dyn Fn(u32) -> u32, true),
            (&many, false),
            (&long, false),
            (&longest, true),
        ] {
            for rows in [0, 1, 15, 16, 17, 32, 100, 1000] {
                let mut end = 0;
                let mut starts = vec![0];
                starts.extend((0..rows).map(|row| {
                    end += length(row);
                    end
                }));
                let index = RowIndex::new(starts.clone());
                assert_eq!(index.synapses(), end as usize);
                let lengths = matches!(index, RowIndex::Lengths { .. });
                assert!(rows < 100 || lengths == sparse, "{rows} rows");
                for (row, ends) in (0..).zip(starts.windows(2)) {
                    assert_eq!(index.range(row), ends[0] as usize..ends[1] as usize);
                }
            }
        }
    }
}
