//! Index of the rows of a population's synapses onto E and onto I.

use std::ops::Range;

use crate::base::memory::allocated_bytes;
use crate::base::pages;
use crate::base::simd;
use crate::base::sizes::{product, total};

/// Index of rows: row r onto population `side` (0: E, 1: I) holds the synapses `ranges(r)[side]`.
///
/// The starts of all rows take 8 bytes per row, negligible if rows hold many synapses. On many
/// ranks or threads a row holds few; then only the starts of each block of rows are stored, and the
/// lengths of the preceding rows in the block are added to them. A block is one cache line, so that
/// a lookup misses the caches once.
pub enum RowIndex {
    /// Start of every row and end of the last, by side.
    Starts([Vec<u32>; 2]),
    /// At most 255 synapses per row and side: 28 rows per block, 2.3 bytes per row.
    Bytes(Blocks),
    /// At most 15 synapses per row and side: 56 rows per block, 1.1 bytes per row.
    Nibbles(Blocks),
}

/// Rows in blocks.
pub struct Blocks {
    blocks: Vec<Block>,
    /// Number of synapses, by side.
    synapses: [u32; 2],
}

/// Starts of the first row, by side, and the lengths of all rows. An entry of `BITS` bits holds the
/// length onto E in its lower and that onto I in its upper half.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Block {
    starts: [u32; 2],
    lengths: [u64; WORDS],
}

const _: () = assert!(size_of::<Block>() == simd::LINE);

const WORDS: usize = 7;
/// Bits of an entry in [`RowIndex::Bytes`].
const WIDE: usize = 16;
/// Bits of an entry in [`RowIndex::Nibbles`].
const NARROW: usize = 8;

/// Returns the number of rows per block with entries of `bits` bits.
const fn per_block(bits: usize) -> usize {
    WORDS * 64 / bits
}

/// Returns a word with `value` in each entry of `BITS` bits.
const fn each<const BITS: usize>(value: u64) -> u64 {
    u64::MAX / ((1 << BITS) - 1) * value
}

impl Block {
    /// Returns the synapses of the row with index `row` in this block.
    #[inline(always)]
    fn ranges<const BITS: usize>(&self, row: usize) -> [Range<usize>; 2] {
        let half = BITS / 2;
        let low = each::<BITS>((1 << half) - 1);
        let mut before = [0u64; 2];
        for (word, lengths) in self.lengths.iter().enumerate() {
            // Keeps the entries of the rows before `row`.
            let kept = (row * BITS).saturating_sub(64 * word).min(64);
            let kept = lengths & u64::MAX.unbounded_shr(64 - kept as u32);
            before[0] = before[0].wrapping_add(kept & low);
            before[1] = before[1].wrapping_add(kept >> half & low);
        }
        let entry = self.lengths[row * BITS / 64] >> (row * BITS % 64);
        let of = |side: usize| {
            let start =
                u64::from(self.starts[side]).wrapping_add(sum::<BITS>(before[side])) as usize;
            let length = entry >> (side * half) & ((1 << half) - 1);
            start..start.wrapping_add(length as usize)
        };
        [of(0), of(1)]
    }
}

/// Returns the sum of the entries of `word`, whose sum in pairs fits 16 bits.
#[inline(always)]
fn sum<const BITS: usize>(word: u64) -> u64 {
    let pairs = match BITS {
        NARROW => (word & each::<16>(0xff)).wrapping_add(word >> 8 & each::<16>(0xff)),
        _ => word,
    };
    // The product's highest 16 bits hold the sum of all four.
    pairs.wrapping_mul(each::<16>(1)) >> 48
}

impl Blocks {
    /// Puts rows with these starts, of at most 2^(`BITS`/2) − 1 synapses, into blocks.
    fn new<const BITS: usize>(starts: &[Vec<u32>; 2]) -> Self {
        let rows = starts[0].len() - 1;
        let number = per_block(BITS);
        let mut blocks = pages::filled(Block::default(), rows.div_ceil(number));
        for (start, block) in (0..rows).step_by(number).zip(&mut blocks) {
            block.starts = [0, 1].map(|side: usize| starts[side][start]);
            for row in start..rows.min(start + number) {
                let [e, i] = [0, 1].map(|side: usize| starts[side][row + 1] - starts[side][row]);
                let entry = u64::from(e) | u64::from(i) << (BITS / 2);
                let place = (row - start) * BITS;
                block.lengths[place / 64] |= entry << (place % 64);
            }
        }
        Blocks {
            blocks,
            synapses: [0, 1].map(|side: usize| starts[side][rows]),
        }
    }

    #[inline(always)]
    fn ranges<const BITS: usize>(&self, row: usize) -> [Range<usize>; 2] {
        self.blocks[row / per_block(BITS)].ranges::<BITS>(row % per_block(BITS))
    }
}

impl RowIndex {
    /// Creates the index from the starts of all rows and the end of the last, by side.
    ///
    /// # Panics
    /// Panics if the sides differ in the number of rows.
    pub fn new(starts: [Vec<u32>; 2]) -> Self {
        assert_eq!(starts[0].len(), starts[1].len());
        let lengths = |starts: &Vec<u32>| {
            let lengths = starts.windows(2).map(|ends| ends[1] - ends[0]);
            lengths.max().unwrap_or(0)
        };
        match starts.iter().map(lengths).max() {
            Some(0..=15) => RowIndex::Nibbles(Blocks::new::<NARROW>(&starts)),
            Some(16..=255) => RowIndex::Bytes(Blocks::new::<WIDE>(&starts)),
            _ => RowIndex::Starts(starts),
        }
    }

    /// Returns the ranges of synapses of row `row` onto E and onto I.
    #[inline(always)]
    pub fn ranges(&self, row: u32) -> [Range<usize>; 2] {
        let row = row as usize;
        match self {
            RowIndex::Starts([e, i]) => [
                e[row] as usize..e[row + 1] as usize,
                i[row] as usize..i[row + 1] as usize,
            ],
            RowIndex::Bytes(blocks) => blocks.ranges::<WIDE>(row),
            RowIndex::Nibbles(blocks) => blocks.ranges::<NARROW>(row),
        }
    }

    /// Prefetches the data that [`RowIndex::ranges`] reads.
    #[inline(always)]
    pub fn prefetch(&self, row: u32) {
        let row = row as usize;
        match self {
            RowIndex::Starts(starts) => {
                for starts in starts {
                    simd::prefetch(starts, row);
                }
            }
            RowIndex::Bytes(of) => simd::prefetch(&of.blocks, row / per_block(WIDE)),
            RowIndex::Nibbles(of) => simd::prefetch(&of.blocks, row / per_block(NARROW)),
        }
    }

    /// Returns the numbers of synapses onto E and onto I.
    pub fn synapses(&self) -> [usize; 2] {
        match self {
            RowIndex::Starts(starts) => [0, 1].map(|side: usize| {
                let end = starts[side].last();
                end.map_or(0, |&end| end as usize)
            }),
            RowIndex::Bytes(of) | RowIndex::Nibbles(of) => of.synapses.map(|end| end as usize),
        }
    }

    /// Returns the number of rows, rounded up to whole blocks.
    pub fn rows(&self) -> usize {
        match self {
            RowIndex::Starts(starts) => starts[0].len() - 1,
            RowIndex::Bytes(of) => per_block(WIDE) * of.blocks.len(),
            RowIndex::Nibbles(of) => per_block(NARROW) * of.blocks.len(),
        }
    }
}

/// Memory, in bytes.
impl RowIndex {
    /// Returns the bytes for `rows` rows with these numbers of synapses in all onto E and onto I,
    /// distributed randomly over the rows.
    pub fn bytes(rows: u64, synapses: [u64; 2]) -> u64 {
        let longest = synapses.map(|synapses| longest(rows, synapses));
        let blocks = |bits: usize| {
            let blocks = rows.div_ceil(per_block(bits) as u64);
            product([size_of::<Block>() as u64, blocks])
        };
        match longest[0].max(longest[1]) {
            0..=15 => blocks(NARROW),
            16..=255 => blocks(WIDE),
            _ => total([product([8, rows]), 8]),
        }
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        match self {
            RowIndex::Starts(starts) => starts.iter().map(allocated_bytes).sum(),
            RowIndex::Bytes(of) | RowIndex::Nibbles(of) => allocated_bytes(&of.blocks),
        }
    }
}

/// Returns the length that the longest of `rows` rows probably has, with `synapses` distributed
/// randomly over them: the smallest that fewer than half a row is expected to exceed, for Poisson
/// distributed lengths.
fn longest(rows: u64, synapses: u64) -> u64 {
    let mean = synapses as f64 / rows.max(1) as f64;
    // Beyond the range of interest, whatever the number of rows.
    if mean > 256.0 {
        return u64::MAX;
    }
    let (mut probability, mut length) = (libm::exp(-mean), 0);
    let mut exceeding = 1.0 - probability;
    while exceeding.max(0.0) * rows as f64 > 0.5 && length < 1000 {
        length += 1;
        probability *= mean / length as f64;
        exceeding -= probability;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_one_after_the_other() {
        let few = |row: u32| [row % 4, row % 3];
        let many = |row: u32| [row % 20, row * 7 % 256];
        let long = |row: u32| [300, row % 2];
        // One row that is as long as fits among empty ones, or just too long.
        let lone = |length: u32| move |row: u32| [0, if row == 55 { length } else { 0 }];
        let nibbles = |index: &RowIndex| matches!(index, RowIndex::Nibbles(_));
        let bytes = |index: &RowIndex| matches!(index, RowIndex::Bytes(_));
        let starts = |index: &RowIndex| matches!(index, RowIndex::Starts(_));
        type Lengths<'a> = &'a dyn Fn(u32) -> [u32; 2];
        type Is = fn(&RowIndex) -> bool;
        let cases: [(Lengths, Is); 7] = [
            (&few, nibbles),
            (&many, bytes),
            (&long, starts),
            (&lone(15), nibbles),
            (&lone(16), bytes),
            (&lone(255), bytes),
            (&lone(256), starts),
        ];
        for (lengths, is_right) in cases {
            for rows in [0, 1, 27, 28, 29, 56, 57, 1000] {
                let mut all = [vec![0], vec![0]];
                for row in 0..rows {
                    for (starts, length) in all.iter_mut().zip(lengths(row)) {
                        starts.push(starts[starts.len() - 1] + length);
                    }
                }
                let index = RowIndex::new(all.clone());
                assert!(rows < 57 || is_right(&index));
                let ends = [0, 1].map(|side: usize| all[side][rows as usize] as usize);
                assert_eq!(index.synapses(), ends);
                for row in 0..rows {
                    let expected = [0, 1].map(|side: usize| {
                        let starts = &all[side][row as usize..];
                        starts[0] as usize..starts[1] as usize
                    });
                    assert_eq!(index.ranges(row), expected);
                    index.prefetch(row);
                }
            }
        }
    }

    #[test]
    fn bytes_are_foretold() {
        for (rows, mean) in [(10_000u32, 1u32), (1000, 40), (500, 400)] {
            // About as irregular as random rows, without the rare extremes.
            let length = |row: u32| mean / 2 + row * 7919 % (mean + 1);
            let mut starts = vec![0];
            for row in 0..rows {
                starts.push(starts[row as usize] + length(row));
            }
            starts.shrink_to_fit();
            let synapses = u64::from(starts[rows as usize]);
            let index = RowIndex::new([starts.clone(), starts]);
            let foretold = RowIndex::bytes(rows.into(), [synapses; 2]);
            assert!(index.held().abs_diff(foretold) <= 16, "{mean}");
        }
    }
}
