//! Units and indices as distinct types, which lets the compiler check their use.
//!
//! Internal times are in [`Steps`] of `dt`. [`Ms`] appears only in user input and output.

use std::fmt::Display;
use std::ops::{Add, Range, Sub};

use serde::{Deserialize, Serialize};

/// Time or duration in milliseconds, used in user input and output.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ms(pub f64);

/// Time stamp or duration in whole steps of `dt`.
///
/// A spike found while advancing from step k to k + 1 carries the stamp k + 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Steps(pub i32);

/// Global index of a neuron, 0 … N − 1, excitatory neurons first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Gid(pub u32);

/// Index of a neuron on its virtual process, excitatory neurons first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lid(pub u32);

/// Packs two numbers into a word; words sort by `high`, then by `low`.
#[inline(always)]
pub const fn pack(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

/// Returns the two numbers of a packed word, the high one first.
#[inline(always)]
pub const fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// All connections from one population to another, source named first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Projection {
    /// Excitatory to excitatory, with plastic synapses.
    EE,
    /// Excitatory to inhibitory.
    EI,
    /// Inhibitory to excitatory.
    IE,
    /// Inhibitory to inhibitory.
    II,
}

impl Projection {
    /// All four projections, ordered by source, then by target.
    pub const ALL: [Projection; 4] = [Self::EE, Self::EI, Self::IE, Self::II];

    /// Returns the name in SONATA files, such as `E_to_E`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EE => "E_to_E",
            Self::EI => "E_to_I",
            Self::IE => "I_to_E",
            Self::II => "I_to_I",
        }
    }

    /// Returns the name of the source population, `E` or `I`.
    pub fn source(self) -> &'static str {
        match self {
            Self::EE | Self::EI => "E",
            Self::IE | Self::II => "I",
        }
    }

    /// Returns the name of the target population, `E` or `I`.
    pub fn target(self) -> &'static str {
        match self {
            Self::EE | Self::IE => "E",
            Self::EI | Self::II => "I",
        }
    }
}

/// Maximum deviation from a whole number of steps that is rounded away.
///
/// Quotients of decimal times, such as 1.5 ms / 0.1 ms, differ from whole numbers by a few
/// rounding errors.
const WHOLE: f64 = 1e-6;

/// Number of neurons that are advanced together.
pub const GROUP: usize = 64;

/// Interval of one update: the steps with stamps `start` + 1 … `start` + `steps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Start time.
    pub start: Steps,
    /// Number of steps, ≤ min_delay.
    pub steps: i32,
}

impl Interval {
    /// Returns the stamp of the step `lag`, counted from 0.
    #[inline(always)]
    pub fn stamp(self, lag: u32) -> Steps {
        Steps(self.start.0 + 1 + lag as i32)
    }

    /// Returns the lags of its steps, 0 … `steps` − 1.
    #[inline(always)]
    pub fn lags(self) -> Range<u32> {
        0..self.steps as u32
    }

    /// Returns the last stamp, which is the start of the next interval.
    #[inline(always)]
    pub fn end(self) -> Steps {
        Steps(self.start.0 + self.steps)
    }
}

impl Add for Steps {
    type Output = Steps;

    #[inline(always)]
    fn add(self, other: Steps) -> Steps {
        Steps(self.0 + other.0)
    }
}

impl Sub for Steps {
    type Output = Steps;

    #[inline(always)]
    fn sub(self, other: Steps) -> Steps {
        Steps(self.0 - other.0)
    }
}

impl Ms {
    /// Converts to steps of `dt`. Returns `None` if the time is not a whole number of steps or
    /// their number exceeds 2³¹ − 1.
    pub fn to_steps(self, dt: Ms) -> Option<Steps> {
        let steps = self.0 / dt.0;
        let whole = steps.round();
        let fits = whole.abs() <= f64::from(i32::MAX) && (steps - whole).abs() <= WHOLE;
        fits.then_some(Steps(whole as i32))
    }
}

impl Steps {
    /// Converts to milliseconds, as the double nearest to the decimal number.
    ///
    /// With steps of 0.1 ms, step 3 is 0.3 ms. The product of two doubles would be
    /// 0.30000000000000004. Loops over many times should create the [`Grid`] once.
    pub fn to_ms(self, grid: impl Into<Grid>) -> Ms {
        Ms(grid.into().ms(self.0.into()))
    }
}

/// Time grid of whole steps of the decimal number `dt`.
///
/// Users write `dt` as a decimal number. It is taken to be the shortest decimal number that
/// parses to the same double: `digits` times a power of ten. Times on the grid are exact
/// multiples of that number, each rounded once to the nearest double.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    dt: Ms,
    digits: i64,
    exponent: i32,
    /// 10^|exponent| if a double represents it exactly.
    power: Option<f64>,
}

/// Largest exponent of ten that a double represents exactly: 5^22 has 52 bits.
const LARGEST_POWER: i32 = 22;

/// Largest magnitude up to which a double represents all integers exactly, 2⁵³.
const LARGEST_INTEGER: i64 = 1 << f64::MANTISSA_DIGITS;

impl Grid {
    /// Creates the grid with steps of `dt`, which is finite and > 0.
    pub fn new(dt: Ms) -> Self {
        // The shortest form that parses to the same double, such as "1.25e-1".
        let shortest = format!("{:e}", dt.0);
        let (mantissa, exponent) = shortest.split_once('e').unwrap_or(("0", "0"));
        let decimals = mantissa.split_once('.').map_or(0, |(_, after)| after.len());
        let digits = mantissa.replace('.', "").parse().unwrap_or(0);
        let exponent = exponent.parse().unwrap_or(0) - decimals as i32;
        let power = (exponent.abs() <= LARGEST_POWER)
            .then(|| format!("1e{}", exponent.abs()).parse().ok())
            .flatten();
        Grid {
            dt,
            digits,
            exponent,
            power,
        }
    }

    /// Returns the step length.
    pub fn dt(self) -> Ms {
        self.dt
    }

    /// Returns the midpoint of two times.
    pub fn middle(self, [one, other]: [Steps; 2]) -> Ms {
        // Halving a double is exact.
        Ms(self.ms(i64::from(one.0) + i64::from(other.0)) / 2.0)
    }

    /// Converts `steps` to milliseconds.
    ///
    /// Costs one division (4 ns). If the product of the digits of `dt` and `steps` exceeds 2⁵³,
    /// costs one division of 128-bit integers. If the exponent of `dt` is out of range for these,
    /// parses a decimal number (0.3 µs).
    #[inline]
    fn ms(self, steps: i64) -> f64 {
        let exact = self.digits.checked_mul(steps);
        let exact = exact.filter(|product| product.abs() <= LARGEST_INTEGER);
        match (exact, self.power) {
            // Both operands are exact: the result is rounded only once.
            (Some(product), Some(power)) if self.exponent < 0 => product as f64 / power,
            (Some(product), Some(power)) => product as f64 * power,
            _ if (1 - LARGEST_POWER..0).contains(&self.exponent) => self.divided(steps),
            _ => self.read(steps),
        }
    }

    /// Converts like [`Grid::ms`], for `dt` of 16 or 17 digits and up to 21 decimals.
    fn divided(self, steps: i64) -> f64 {
        let product = i128::from(self.digits) * i128::from(steps);
        let power = 10_u128.pow(self.exponent.unsigned_abs());
        // 128 bits divided by at most 70 bits: the quotient has at least 58 bits, five more than
        // a double's 53. Its lowest bit is set if there is a remainder. It therefore rounds like
        // the exact quotient.
        let shift = product.unsigned_abs().leading_zeros().min(127);
        let shifted = product.unsigned_abs() << shift;
        let quotient = (shifted / power) | u128::from(!shifted.is_multiple_of(power));
        let value = quotient as f64 / (1_u128 << shift) as f64;
        if product < 0 { -value } else { value }
    }

    /// Converts like [`Grid::ms`], for any `dt`: formats the decimal number and parses it.
    #[cold]
    fn read(self, steps: i64) -> f64 {
        let product = i128::from(self.digits) * i128::from(steps);
        let decimal = format!("{product}e{}", self.exponent);
        decimal.parse().unwrap_or(steps as f64 * self.dt.0)
    }
}

impl From<Ms> for Grid {
    fn from(dt: Ms) -> Self {
        Grid::new(dt)
    }
}

/// Formats a decimal number with commas between groups of three integer digits: `1,234,567`.
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

    /// Returns `digits` · 10^−`decimals` · `steps`, by decimal arithmetic on the text.
    fn decimal(digits: i128, decimals: usize, steps: i32) -> f64 {
        let product = digits * i128::from(steps);
        let text = format!("{:0>width$}", product, width = decimals + 1);
        let (whole, fraction) = text.split_at(text.len() - decimals);
        format!("{whole}.{fraction}0").parse().expect("a decimal")
    }

    #[test]
    fn times_are_the_doubles_nearest_to_the_decimal_numbers() {
        let grids = [
            ("0.1", 1, 1),
            ("0.125", 125, 3),
            ("0.05", 5, 2),
            ("0.01", 1, 2),
            ("0.025", 25, 3),
            ("0.3", 3, 1),
            ("0.001", 1, 3),
            ("0.7", 7, 1),
            ("0.0078125", 78_125, 7),
            ("1.0", 1, 0),
            ("2.5", 25, 1),
            ("30.0", 30, 0),
            ("1e-7", 1, 7),
            ("0.3333333333333333", 3_333_333_333_333_333, 16),
            ("0.14285714285714285", 14_285_714_285_714_285, 17),
            ("0.0033333333333333335", 33_333_333_333_333_335, 19),
            ("1.4285714285714285e-5", 14_285_714_285_714_285, 21),
            ("1.4285714285714285e-7", 14_285_714_285_714_285, 23),
            ("1e-25", 1, 25),
        ];
        let steps = (0..20_000).chain((0..31).flat_map(|bit| [(1 << bit) - 1, 1 << bit]));
        let steps = steps
            .chain((1..2000).map(|k| k * 1_000_003))
            .chain([i32::MAX]);
        for (text, digits, decimals) in grids {
            let dt = Ms(text.parse().expect("a number"));
            let grid = Grid::new(dt);
            for step in steps.clone() {
                let (ms, expected) = (Steps(step).to_ms(grid), decimal(digits, decimals, step));
                assert_eq!(ms.0, expected, "{step} steps of {text} ms");
                assert_eq!(
                    ms.to_steps(dt),
                    Some(Steps(step)),
                    "{step} steps of {text} ms"
                );
                let product = Ms(f64::from(step) * dt.0);
                assert_eq!(
                    product.to_steps(dt),
                    Some(Steps(step)),
                    "written by older builds"
                );
            }
        }
        assert_eq!(Steps(3).to_ms(Ms(0.1)), Ms(0.3));
        assert_eq!(Steps(3).to_ms(Ms(1e300)), Ms(3e300));
        assert_eq!(Steps(-3).to_ms(Ms(0.1)), Ms(-0.3));
        assert_eq!(Grid::new(Ms(0.1)).middle([Steps(1), Steps(2)]), Ms(0.15));
    }
}
