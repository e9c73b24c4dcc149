//! Sorting of packed words by radix.

/// Bits of a digit: its counters stay in the L1 cache.
const DIGIT: u32 = 8;
/// Number of entries below which comparing them is faster.
const FEW: usize = 256;

/// Sorts `entries`. `spare` is working memory.
///
/// Least significant digit first (Knuth 1998, The Art of Computer Programming 3, 5.2.5), without the
/// bits that are equal in all entries: O(entries) per digit.
pub fn by_radix(entries: &mut Vec<u64>, spare: &mut Vec<u64>) {
    if entries.len() < FEW {
        entries.sort_unstable();
        return;
    }
    let first = entries[0];
    let mut varying = entries.iter().fold(0, |bits, entry| bits | entry ^ first);
    while varying != 0 {
        let digit = varying.trailing_zeros();
        // Zeros bring the lines into the cache in order, before they are written in no order.
        spare.clear();
        spare.resize(entries.len(), 0);
        scatter(entries, spare, digit);
        std::mem::swap(entries, spare);
        varying &= u64::MAX.unbounded_shl(digit + DIGIT);
    }
}

/// Copies `entries` to `sorted` in the order of the digit from bit `first` on; equal ones stay in
/// order.
fn scatter(entries: &[u64], sorted: &mut [u64], first: u32) {
    let digit = |entry: u64| (entry >> first & ((1 << DIGIT) - 1)) as usize;
    let mut places = [0u32; 1 << DIGIT];
    for &entry in entries {
        let count = &mut places[digit(entry)];
        *count = count.wrapping_add(1);
    }
    let mut next = 0u32;
    for place in &mut places {
        let count = *place;
        *place = next;
        next = next.wrapping_add(count);
    }
    for &entry in entries {
        let place = &mut places[digit(entry)];
        sorted[*place as usize] = entry;
        *place = place.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::pack;

    #[test]
    fn entries_ascend() {
        let mut spare = Vec::new();
        for (row_bits, lag_bits) in [(0, 0), (1, 0), (13, 4), (24, 4), (32, 9)] {
            for len in [0, 1, FEW - 1, FEW, 10_000] {
                // Multiplicative hashing: rows and lags in no order, some of them equal.
                let hash = |n: usize| (n as u64 % 7000).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let bits = |of: u64, bits: u32| (u128::from(of) >> (64 - bits)) as u32;
                let entry = |n| pack(bits(hash(n), lag_bits), bits(hash(n + 1), row_bits));
                let mut entries: Vec<u64> = (0..len).map(entry).collect();
                let mut expected = entries.clone();
                expected.sort_unstable();
                by_radix(&mut entries, &mut spare);
                assert_eq!(entries, expected);
            }
        }
    }
}
