//! Round numbers for axes and bins, and numbers as text.

use crate::base::units::grouped;
use crate::tools::figure::nice;

/// Returns the end of an axis that starts at 0 and shows values up to `most`: a round number, or 1
/// if `most` is not positive.
pub(super) fn end_above(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let step = nice(most / 5.0);
    multiple((most / step).ceil(), step)
}

/// Returns `k` times a round number, without the rounding error of decimal fractions.
fn multiple(k: f64, round: f64) -> f64 {
    match round {
        1.0.. => k * round,
        _ => k / (1.0 / round).round(),
    }
}

/// Returns the powers of ten that enclose all positive `values`, but at most the twelve decades
/// below the largest; 0.1 and 1 if no value is positive.
pub(super) fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let positive = values.filter(|value| *value > 0.0);
    let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if high == 0.0 {
        return (0.1, 1.0);
    }
    let top = high.log10().ceil();
    let bottom = low.log10().floor().clamp(top - 12.0, top - 1.0);
    (10_f64.powf(bottom), 10_f64.powf(top))
}

/// Returns the multiples of a round `width`, from 0 to the first above `most`.
pub(super) fn edges(width: f64, most: f64) -> Vec<f64> {
    let mut edges = vec![0.0];
    while edges.last().is_none_or(|last| *last <= most) {
        edges.push(multiple(edges.len() as f64, width));
    }
    edges
}

/// Returns the fraction of `values` in each bin between `edges`; bins include their lower end.
///
/// # Panics
/// Panics if a value lies in no bin.
pub(super) fn fractions(edges: &[f64], values: &[f64]) -> Vec<f64> {
    let mut counts = vec![0_u32; edges.len() - 1];
    for value in values {
        counts[edges.partition_point(|edge| edge <= value) - 1] += 1;
    }
    let share = |count| f64::from(count) / values.len() as f64;
    counts.into_iter().map(share).collect()
}

/// Returns at most `most` of the indices 0 … `all` − 1, evenly spaced from 0.
pub(super) fn evenly(all: usize, most: usize) -> Vec<usize> {
    let chosen = all.min(most);
    (0..chosen).map(|k| k * all / chosen).collect()
}

/// Formats `x` with at most 4 decimals and grouped digits; below 0.001 as `2.00e-5`.
pub(super) fn short(x: f64) -> String {
    match x.abs() {
        0.0 | 0.001.. => {
            let text = format!("{x:.4}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            grouped(text)
        }
        _ => format!("{x:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers_lie_just_above() {
        for (x, expected) in [
            (0.03, 0.05),
            (1.0, 1.0),
            (2.1, 5.0),
            (7.0, 10.0),
            (200.0, 200.0),
        ] {
            let found = nice(x);
            assert!((found / expected - 1.0).abs() < 1e-12, "{x}: {found}");
        }
        assert_eq!(
            [0.0, 0.29, 5.0, 5.1, 61.0].map(end_above),
            [1.0, 0.3, 5.0, 6.0, 80.0]
        );
    }

    #[test]
    fn decades_enclose_what_is_positive() {
        assert_eq!(decades([0.0, 0.02, 30.0].into_iter()), (0.01, 100.0));
        assert_eq!(decades([1e-20, 1.0].into_iter()), (1e-12, 1.0));
        assert_eq!(decades([1.0].into_iter()), (0.1, 1.0));
        assert_eq!(decades([0.0].into_iter()), (0.1, 1.0));
    }

    #[test]
    fn every_value_has_its_bin() {
        let edges = edges(0.5, 1.0);
        assert_eq!(edges, [0.0, 0.5, 1.0, 1.5]);
        assert_eq!(fractions(&edges, &[0.0, 0.49, 0.5, 1.0]), [0.5, 0.25, 0.25]);
    }

    #[test]
    fn chosen_ones_are_evenly_spaced() {
        assert_eq!(evenly(10, 4), [0, 2, 5, 7]);
        assert_eq!(evenly(3, 4), [0, 1, 2]);
        assert!(evenly(0, 4).is_empty());
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 12000.0, 0.79290001, 0.00002].map(short);
        assert_eq!(texts, ["0", "12,000", "0.7929", "2.00e-5"]);
    }
}
