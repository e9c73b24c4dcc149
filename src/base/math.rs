//! Numerics shared by the hot loops: exponentials on the time grid and a vector power.
//!
//! All functions use plain IEEE operations in a fixed order, without fused multiply-add, and
//! constants from the pure-Rust `libm`. Results do not depend on the instruction set or on the
//! system's libm.

use crate::base::units::{Ms, Steps};

/// Table of exp(−n·dt/τ) for whole n ≥ 0, as the product of two small tables that stay in L1.
///
/// The relative error is ≤ 3e-16 · (1 + n·dt/τ), which is the rounding of the argument. The result
/// is exactly 0 where the true value is below 2⁻¹⁰²⁰.
#[derive(Clone, Debug)]
pub struct GridExp {
    fine: Box<[f64; FINE]>,
    coarse: Box<[f64]>,
}

const FINE_BITS: u32 = 8;
const FINE: usize = 1 << FINE_BITS;
/// ln 2¹⁰²⁰. Beyond it the exponential is set to 0, before subnormal numbers lose digits.
const ZERO_BEYOND: f64 = 1020.0 * std::f64::consts::LN_2;

impl GridExp {
    /// Creates the tables for time constant `tau` (ms) and up to `longest` steps. They take 2 KiB
    /// and 8 bytes per 256 steps.
    pub fn new(dt: Ms, tau: f64, longest: Steps) -> Self {
        let decay = |n: usize| libm::exp(-(n as f64) * dt.0 / tau);
        let coarse = (0..=longest.0 as usize >> FINE_BITS)
            .map(|c| c << FINE_BITS)
            .take_while(|&n| n as f64 * dt.0 / tau < ZERO_BEYOND)
            .map(decay)
            .collect();
        GridExp {
            fine: Box::new(std::array::from_fn(decay)),
            coarse,
        }
    }

    /// Returns exp(−n·dt/τ) for 0 ≤ n ≤ `longest`, and 0 for all n beyond the table. Negative n
    /// stand for n + 2³² and give 0.
    #[inline(always)]
    pub fn at(&self, n: i32) -> f64 {
        let n = n as u32 as usize;
        self.coarse
            .get(n >> FINE_BITS)
            .map_or(0.0, |coarse| self.fine[n % FINE] * coarse)
    }

    /// Returns the shortest time from which on [`GridExp::at`] is exactly 0.
    pub fn horizon(&self) -> Steps {
        Steps((self.coarse.len() << FINE_BITS) as i32)
    }
}

/// Power function x^μ for 0 ≤ x < ∞ and fixed 0 ≤ μ ≤ 1, branch-free for vectorized loops.
#[derive(Clone, Copy, Debug)]
pub struct Power {
    mu: f64,
    /// 0^μ: 1 for μ = 0, else 0.
    of_zero: f64,
    /// 2^(−54μ), which undoes the scaling of subnormal numbers.
    unscale: f64,
}

/// 1.5 · 2⁵². Adding it rounds a double to a whole number, which is then in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Number that, added to the bits of a double, carries into the exponent if the mantissa is ≥ √2.
const SQRT2_CARRY: u64 = 0x0009_5f61_9980_c433;
const EXPONENT_BIAS: u64 = 1023 << 52;
const TWO_52: f64 = 4_503_599_627_370_496.0;
const TWO_52_BITS: u64 = 0x4330_0000_0000_0000;
const TWO_54: f64 = 18_014_398_509_481_984.0;

/// Coefficients of P in log₂ m = s·P(s²), with s = (m − 1)/(m + 1) and m in [√½, √2). P passes
/// through the Chebyshev nodes of that range, error 4e-18; `mpmath.chebyfit` with 60 digits.
const LOG2: [f64; 8] = [
    2.8853900817779268,
    0.9617966939259898,
    0.5770780163455203,
    0.4121985858409005,
    0.32059853491395984,
    0.262334352504183,
    0.2209130842311768,
    0.2136589569431927,
];

/// Coefficients of 2^f for f in [−½, ½], computed likewise, error 4e-18.
const EXP2: [f64; 12] = [
    1.0,
    std::f64::consts::LN_2,
    0.24022650695910158,
    0.055504108664821625,
    0.009618129107587256,
    0.001333355814640647,
    0.00015403530463724353,
    1.5252733841556773e-05,
    1.3215432535912375e-06,
    1.0178057087733941e-07,
    7.074194297288521e-09,
    4.4558179083360645e-10,
];

/// Evaluates c₀ + c₁x + …, N a multiple of 4, by Estrin's scheme on groups of four. Few steps
/// depend on each other, so vector units rarely wait for earlier results.
#[inline(always)]
fn polynomial<const N: usize>(c: &[f64; N], x: f64) -> f64 {
    let x2 = x * x;
    let x4 = x2 * x2;
    let four = |k: usize| (c[k] + c[k + 1] * x) + (c[k + 2] + c[k + 3] * x) * x2;
    let mut sum = four(N - 4);
    for k in (0..N / 4 - 1).rev() {
        sum = sum * x4 + four(4 * k);
    }
    sum
}

/// Returns 2ⁿ for a whole number −1022 ≤ n ≤ 1023 stored in a double.
#[inline(always)]
fn power_of_two(n: f64) -> f64 {
    f64::from_bits((n + (ROUND + 1023.0)).to_bits() << 52)
}

impl Power {
    /// Creates the power function with exponent `mu`, 0 ≤ `mu` ≤ 1.
    pub fn new(mu: f64) -> Self {
        Power {
            mu,
            of_zero: if mu == 0.0 { 1.0 } else { 0.0 },
            unscale: libm::exp2(-54.0 * mu),
        }
    }

    /// Returns x^μ with a relative error ≤ 1e-14 for x < 2¹⁰²³. Costs about 50 operations, one of
    /// them a division.
    #[inline(always)]
    pub fn of(&self, x: f64) -> f64 {
        let subnormal = x < f64::MIN_POSITIVE;
        let bits = if subnormal { x * TWO_54 } else { x }.to_bits();
        // x = 2^k · m with m in [√½, √2)
        let k = bits.wrapping_add(SQRT2_CARRY) >> 52;
        let m = f64::from_bits(bits.wrapping_sub(k << 52).wrapping_add(EXPONENT_BIAS));
        let k = f64::from_bits(k | TWO_52_BITS) - (TWO_52 + 1023.0);
        let s = (m - 1.0) / (m + 1.0);
        let y = self.mu * k + self.mu * (s * polynomial(&LOG2, s * s));
        // 2^y = 2^f · 2^n
        let n = (y + ROUND) - ROUND;
        let power = polynomial(&EXP2, y - n) * power_of_two(n);
        let power = if subnormal {
            power * self.unscale
        } else {
            power
        };
        if x == 0.0 { self.of_zero } else { power }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_exponentials() {
        let table = GridExp::new(Ms(0.125), 15.0, Steps(200_000));
        for n in [0, 1, 12, 255, 256, 257, 8000, 70_001] {
            let exact = libm::exp(-f64::from(n) * 0.125 / 15.0);
            assert!((table.at(n) / exact - 1.0).abs() < 2e-13, "{n}");
        }
        assert_eq!(table.at(200_000), 0.0);
        assert_eq!(table.at(table.horizon().0), 0.0);
        assert!(table.at(table.horizon().0 - 256) > 0.0);
    }

    #[test]
    fn power_agrees_with_libm() {
        for mu in [0.0, 0.1, 0.4, 0.5, 0.77, 1.0] {
            let power = Power::new(mu);
            for i in 0..20_000 {
                let x = libm::exp((f64::from(i) / 20_000.0 - 0.6) * 60.0);
                let exact = libm::pow(x, mu);
                let error = (power.of(x) / exact - 1.0).abs();
                assert!(error <= 1e-14, "{x}^{mu}: relative error {error}");
            }
        }
    }

    #[test]
    fn power_at_the_edges() {
        for mu in [0.0, 0.4, 1.0] {
            let power = Power::new(mu);
            assert_eq!(power.of(0.0), libm::pow(0.0, mu));
            assert_eq!(power.of(1.0), 1.0);
            for x in [5e-324, 1e-310, f64::MIN_POSITIVE, 1e-300, 1e300] {
                let exact = libm::pow(x, mu);
                let error = (power.of(x) - exact).abs() / exact;
                assert!(error <= 1e-12, "{x}^{mu}: relative error {error}");
            }
        }
    }
}
