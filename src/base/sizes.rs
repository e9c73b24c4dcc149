//! Saturating arithmetic for sizes in bytes.

/// Returns the sum of `parts`, at most 2⁶⁴ − 1. Files and configs may state absurd sizes: these
/// must stay too large for every machine and must not wrap to a small number.
pub fn total(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

/// Returns the product of `factors`, at most 2⁶⁴ − 1; see [`total`].
pub fn product<const N: usize>(factors: [u64; N]) -> u64 {
    if factors.contains(&0) {
        return 0;
    }
    factors.into_iter().fold(1, u64::saturating_mul)
}

/// Rounds `bytes` up to a multiple of `unit` > 0, at most 2⁶⁴ − 1; see [`total`].
pub fn whole(bytes: u64, unit: u64) -> u64 {
    bytes.div_ceil(unit).saturating_mul(unit)
}
