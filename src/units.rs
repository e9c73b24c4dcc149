//! Units and indices as types: what the compiler knows need not be remembered.
//!
//! Time is counted in [`Steps`] of `dt` everywhere inside; [`Ms`] appears only where
//! people and files meet the program.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

/// A time or duration in milliseconds, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Ms(pub f64);

/// A time stamp or duration in whole steps of `dt`.
///
/// A spike found while advancing from step k to k + 1 carries the stamp k + 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Steps(pub i32);

/// Global index of a neuron, 0 … N − 1, the excitatory ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Gid(pub u32);

/// Index of a neuron on its virtual process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lid(pub u32);

/// The connections from one population to another, named source first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Projection {
    /// Excitatory to excitatory: the plastic one.
    EE,
    /// Excitatory to inhibitory.
    EI,
    /// Inhibitory to excitatory.
    IE,
    /// Inhibitory to inhibitory.
    II,
}

impl Projection {
    /// All four, in the order of their sources, then their targets.
    pub const ALL: [Projection; 4] = [Self::EE, Self::EI, Self::IE, Self::II];

    /// Its name in SONATA files: `E_to_E` and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::EE => "E_to_E",
            Self::EI => "E_to_I",
            Self::IE => "I_to_E",
            Self::II => "I_to_I",
        }
    }

    /// Name of the population its spikes come from, `E` or `I`.
    pub fn source(self) -> &'static str {
        match self {
            Self::EE | Self::EI => "E",
            Self::IE | Self::II => "I",
        }
    }

    /// Name of the population its spikes go to, `E` or `I`.
    pub fn target(self) -> &'static str {
        match self {
            Self::EE | Self::IE => "E",
            Self::EI | Self::II => "I",
        }
    }
}

/// How far a time in steps of `dt` may lie from a whole number and still count as one.
///
/// Decimal times such as 1.5 ms / 0.1 ms are whole up to a few rounding errors only.
const WHOLE: f64 = 1e-6;

impl Ms {
    /// This time in steps of `dt`, or `None` where it is not a whole number of them
    /// (or does not fit).
    pub fn to_steps(self, dt: Ms) -> Option<Steps> {
        let steps = self.0 / dt.0;
        let whole = steps.round();
        let fits = whole.abs() <= f64::from(i32::MAX) && (steps - whole).abs() <= WHOLE;
        fits.then_some(Steps(whole as i32))
    }
}

impl Steps {
    /// This time in milliseconds.
    ///
    /// The product is the double nearest to `steps · dt`, so equal stamps give equal times.
    pub fn to_ms(self, dt: Ms) -> Ms {
        Ms(f64::from(self.0) * dt.0)
    }
}

/// A decimal number with the digits before the point in groups of three: 1234567 as `1,234,567`.
pub fn grouped(number: impl Display) -> String {
    let text = number.to_string();
    let whole = text.find('.').unwrap_or(text.len());
    let first = usize::from(text.starts_with('-'));
    let mut out = String::new();
    for (k, digit) in text.char_indices() {
        if k > first && k < whole && (whole - k).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        let grouped = ["0", "999", "1000", "-1234567.12345"].map(grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "-1,234,567.12345"]);
    }

    #[test]
    fn decimal_times_are_whole_steps() {
        assert_eq!(Ms(1.5).to_steps(Ms(0.1)), Some(Steps(15)));
        assert_eq!(Ms(1000.0).to_steps(Ms(0.1)), Some(Steps(10_000)));
        assert_eq!(Ms(1.5).to_steps(Ms(0.4)), None);
        assert_eq!(Ms(1e12).to_steps(Ms(0.1)), None);
        assert_eq!(Ms(f64::NAN).to_steps(Ms(0.1)), None);
    }
}
