//! Derived values: weights in pA from PSP amplitudes in mV, and rates in spikes/s from relative
//! rates.
//!
//! All transcendental functions come from `libm`, compiled from Rust: they give the same bits on
//! every machine, whatever its C library.

use std::f64::consts::E;

/// Returns ⌊β·whole⌋, the product in double precision, as in the published example.
pub(crate) fn part(beta: f64, whole: u32) -> u32 {
    (beta * f64::from(whole)) as u32
}

/// Returns the maximum potential caused by a unit alpha current (mV/pA): the effect of one synaptic
/// event of 1 pA peak amplitude on a resting membrane.
///
/// `tau_m`, `tau_syn` in ms, `c_m` in pF, all finite and > 0; the result is > 0. With r = τ_m/τ_syn
/// the potential peaks at t = x/(1/τ_syn − 1/τ_m), where x solves (eˣ − 1)/x = r, and there C_m·V =
/// τ_m·I(t). The root exists and is unique for every r > 0; τ_syn ≥ τ_m and τ_syn = τ_m are
/// therefore no special cases.
pub(crate) fn unit_psp_maximum(tau_m: f64, tau_syn: f64, c_m: f64) -> f64 {
    let r = tau_m / tau_syn;
    let x = root_of_mean_exponential(r);
    // t/τ_m = x/(r − 1) = 1/φ₂(x), regular at r = 1, x = 0.
    let t = if libm::fabs(x) < SERIES_BELOW {
        tau_m / phi_2(x)
    } else {
        tau_m * (x / (r - 1.0))
    };
    E * r * (t / c_m) * libm::exp(-t / tau_syn)
}

/// Returns the unit PSP (mV/pA) as the published example computes it: with e^{+a} instead of e^{−a}
/// in the Lambert argument, a = τ_syn/τ_m. The potential is slightly off its maximum.
///
/// Returns `None` if that argument leaves the domain of W₋₁, i.e. a·eᵃ > 1/e (a > 0.278).
pub(crate) fn unit_psp_nest_example(tau_m: f64, tau_syn: f64, c_m: f64) -> Option<f64> {
    let a = tau_syn / tau_m;
    let b = 1.0 / tau_syn - 1.0 / tau_m;
    // −W₋₁(−a·eᵃ) = 1 + s with s − ln(1 + s) = −ln a − a − 1.
    let s = root_of_log_excess(-libm::log(a) - a - 1.0)?;
    let t = (1.0 + s - a) / b;
    let (slow, fast) = (libm::exp(-t / tau_m), libm::exp(-t / tau_syn));
    Some(E / (c_m * (1.0 - a)) * ((slow - fast) / b - t * fast))
}

/// Returns the rate (spikes/s) of input of weight `i_x` (pA, > 0) at which the mean input just
/// reaches the threshold `theta` (mV above E_L, > 0).
pub(crate) fn threshold_rate(theta: f64, c_m: f64, i_x: f64, tau_m: f64, tau_syn: f64) -> f64 {
    1000.0 * theta * c_m / (i_x * E * tau_m * tau_syn)
}

/// Bound of |x| below which the divided differences of the exponential are summed as series.
const SERIES_BELOW: f64 = 0.5;

/// Returns φ₂(x) = (eˣ − 1 − x)/x² = Σ xᵏ/(k + 2)!, for |x| < [`SERIES_BELOW`].
fn phi_2(x: f64) -> f64 {
    // Horner's scheme; the first omitted term is below 1e-19.
    (3..=16)
        .rev()
        .fold(1.0, |sum, k| 1.0 + x / f64::from(k) * sum)
        / 2.0
}

/// Returns the x with (eˣ − 1)/x = r > 0.
///
/// Uses Newton's method on ln((eˣ − 1)/x), which is increasing and convex. The start lies right of
/// the root, from where all steps go left.
fn root_of_mean_exponential(r: f64) -> f64 {
    let log_r = libm::log(r);
    let start = if r > 1.0 { 2.0 * log_r } else { 0.0 };
    newton(start, |x| {
        let (log_mean, slope) = if libm::fabs(x) < 1e-3 {
            (x / 2.0 + x * x / 24.0, 0.5 + x / 12.0)
        } else if x > 0.0 {
            let rest = -libm::expm1(-x);
            (x + libm::log(rest / x), 1.0 / rest - 1.0 / x)
        } else {
            let rest = libm::expm1(x);
            (libm::log(rest / x), 1.0 + 1.0 / rest - 1.0 / x)
        };
        (log_mean - log_r) / slope
    })
}

/// Returns the s ≥ 0 with s − ln(1 + s) = `excess`, or `None` if `excess` is negative.
///
/// The start δ + √(2δ) bounds the root from above (Chatzigeorgiou 2013, IEEE Commun Lett 17:1505),
/// and the function is convex.
fn root_of_log_excess(excess: f64) -> Option<f64> {
    if excess <= 0.0 {
        return (excess == 0.0).then_some(0.0);
    }
    let start = excess + libm::sqrt(2.0 * excess);
    Some(newton(start, |s| {
        (s - libm::log1p(s) - excess) * (1.0 + s) / s
    }))
}

/// Iterates x ← x − `step`(x) until the steps are lost in rounding.
fn newton(start: f64, step: impl Fn(f64) -> f64) -> f64 {
    // Convergence is quadratic; the limit stops an oscillation of the last bit.
    const MOST_STEPS: usize = 64;
    let mut x = start;
    for _ in 0..MOST_STEPS {
        let dx = step(x);
        x -= dx;
        if libm::fabs(dx) <= f64::EPSILON * (1.0 + libm::fabs(x)) {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(got: f64, expected: f64, relative: f64) {
        let error = libm::fabs(got / expected - 1.0);
        assert!(
            error <= relative,
            "{got:e} for {expected:e}: off by {error:e}"
        );
    }

    /// Values computed with 50 digits (mpmath) from the closed form: τ_m, τ_syn, C_m, J_unit.
    const MAXIMA: [(f64, f64, f64, f64); 10] = [
        (20.0, 2.0, 250.0, 0.015734467797231053),
        (10.0, 0.325_827_224_037_228_4, 250.0, 0.003069529200614965),
        (10.0, 9.0, 100.0, 0.07094899631834392),
        (10.0, 10.0, 250.0, 0.029430355293715386),
        (10.0, 10.000000001, 250.0, 0.029430355294696398),
        (10.0, 10.0001, 250.0, 0.029430453394245694),
        (10.0, 12.5, 250.0, 0.03152908610624994),
        (2.0, 20.0, 250.0, 0.00795416739478811),
        (20.0, 0.002, 250.0, 2.172288138135742e-5),
        (0.001, 100.0, 250.0, 3.9999999997999974e-6),
    ];

    #[test]
    fn maximum_is_exact_on_both_sides_of_equal_time_constants() {
        for (tau_m, tau_syn, c_m, expected) in MAXIMA {
            assert_close(unit_psp_maximum(tau_m, tau_syn, c_m), expected, 2e-14);
        }
    }

    /// Checks that the integrated response attains the formula's value and never exceeds it.
    #[test]
    fn maximum_is_that_of_the_integrated_response() {
        for (tau_m, tau_syn) in [(20.0, 2.0), (3.0, 3.0), (2.0, 5.0)] {
            let (h, c_m) = (1e-4, 250.0);
            let (mut v, mut highest) = (0.0, 0.0_f64);
            for k in 0..600_000 {
                // The current at the middle of the step, then an exact step of the membrane.
                let t = (f64::from(k) + 0.5) * h;
                let current = E * t / tau_syn * libm::exp(-t / tau_syn);
                v += -libm::expm1(-h / tau_m) * (tau_m / c_m * current - v);
                highest = highest.max(v);
            }
            assert_close(unit_psp_maximum(tau_m, tau_syn, c_m), highest, 1e-8);
        }
    }

    #[test]
    fn maximum_survives_extreme_time_constants() {
        for (tau_m, tau_syn) in [(1e-150, 1e150), (1e150, 1e-150), (1.0, 1e-12), (1e-12, 1.0)] {
            let psp = unit_psp_maximum(tau_m, tau_syn, 1.0);
            assert!(psp.is_finite() && psp > 0.0, "{tau_m} {tau_syn}: {psp}");
        }
    }

    #[test]
    fn nest_example_differs_as_published() {
        let psp = unit_psp_nest_example(20.0, 2.0, 250.0).unwrap();
        assert_close(psp, 0.015673586777504723, 1e-14);
        assert_close(0.5 / psp, 31.900802738886634, 1e-14);
    }

    #[test]
    fn nest_example_ends_where_the_lambert_function_does() {
        assert!(unit_psp_nest_example(20.0, 0.2784 * 20.0, 250.0).is_some());
        assert!(unit_psp_nest_example(20.0, 0.2785 * 20.0, 250.0).is_none());
        assert!(unit_psp_nest_example(20.0, 20.0, 250.0).is_none());
    }

    #[test]
    fn threshold_rate_of_the_reference_network() {
        let nu_theta = threshold_rate(20.0, 250.0, 31.77736968568057, 20.0, 2.0);
        assert_close(1.2 * nu_theta, 1736.5161661124605, 1e-15);
    }
}
