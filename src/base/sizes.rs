//! Arithmetic of sizes in bytes that does not wrap.

/// The sum of `parts`, or 2⁶⁴ − 1 if it is larger: sizes that a file or a config asks for may be
/// absurd, and then are too large for every machine, not small.
pub fn total(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

/// The product of `factors`, or 2⁶⁴ − 1 if it is larger; see [`total`].
pub fn product<const N: usize>(factors: [u64; N]) -> u64 {
    if factors.contains(&0) {
        return 0;
    }
    factors.into_iter().fold(1, u64::saturating_mul)
}

/// The smallest multiple of `unit` > 0 that is at least `bytes`, or 2⁶⁴ − 1; see [`total`].
pub fn whole(bytes: u64, unit: u64) -> u64 {
    bytes.div_ceil(unit).saturating_mul(unit)
}
