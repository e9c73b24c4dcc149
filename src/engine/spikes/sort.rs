//! Sorting of received entries.

/// Largest number of bits of a digit: its counters stay in the L1 cache.
const DIGIT: u32 = 8;
/// Number of entries below which comparing them is faster.
const FEW: usize = 256;

/// Sorts `entries`, whose bits outside `fields` (first bit, number of bits; ascending) are zero.
/// `spare` is working memory.
///
/// Least significant digit first (Knuth 1998, The Art of Computer Programming 3, 5.2.5):
/// O(entries) per digit.
pub(super) fn sort(entries: &mut Vec<u64>, fields: &[(u32, u32)], spare: &mut Vec<u64>) {
    if entries.len() < FEW {
        entries.sort_unstable();
        return;
    }
    for &(first, bits) in fields {
        let digits = bits.div_ceil(DIGIT);
        for digit in 0..digits {
            let [from, to] = [digit, digit + 1].map(|nth| first + bits * nth / digits);
            // Zeros bring the lines into the cache in order, before they are written in no order.
            spare.clear();
            spare.resize(entries.len(), 0);
            scatter(entries, spare, from, to - from);
            std::mem::swap(entries, spare);
        }
    }
}

/// Copies `entries` to `sorted` in the order of the `bits` bits from bit `first` on; equal ones stay
/// in order.
fn scatter(entries: &[u64], sorted: &mut [u64], first: u32, bits: u32) {
    let digit = |entry: u64| (entry >> first & ((1 << bits) - 1)) as usize;
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
                sort(&mut entries, &[(0, row_bits), (32, lag_bits)], &mut spare);
                assert_eq!(entries, expected);
            }
        }
    }
}
