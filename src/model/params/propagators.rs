//! Exact integration of `iaf_psc_alpha` over one step.

use crate::base::units::Ms;

use super::NeuronParams;

/// Coefficients that advance the state by one step; potentials are relative to E_L.
///
/// Source: Rotter & Diesmann (1999), Biol Cybern 81:381.
#[derive(Clone, Copy, Debug)]
pub struct Propagators {
    /// exp(−dt/τ_m)
    pub p33: f64,
    /// Potential per pA of constant current (mV/pA).
    pub p30: f64,
    /// Channel of τ_syn_ex.
    pub ex: Channel,
    /// Channel of τ_syn_in.
    pub inh: Channel,
}

/// Coefficients of one alpha current and its effect on the potential over a step.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// exp(−dt/τ_syn)
    pub p11: f64,
    /// Current from its derivative (ms).
    pub p21: f64,
    /// Potential from the derivative of the current (mV·ms/pA).
    pub p31: f64,
    /// Potential from the current (mV/pA).
    pub p32: f64,
    /// e/τ_syn: jump of the derivative per pA of weight (1/ms).
    pub jump: f64,
}

impl Propagators {
    /// Computes the coefficients for the time constants of `neuron` and steps of `dt`.
    pub fn new(neuron: &NeuronParams, dt: Ms) -> Self {
        let channel = |tau_syn| Channel::new(neuron.tau_m, tau_syn, neuron.C_m, dt.0);
        Propagators {
            p33: libm::exp(-dt.0 / neuron.tau_m),
            p30: -neuron.tau_m / neuron.C_m * libm::expm1(-dt.0 / neuron.tau_m),
            ex: channel(neuron.tau_syn_ex),
            inh: channel(neuron.tau_syn_in),
        }
    }
}

impl Channel {
    /// Computes the coefficients from time constants and step h in ms and the capacitance in pF.
    ///
    /// With x = (1/τ_syn − 1/τ_m)·h, the integrals of a step are P32 = h/C · e^(−h/τ_m) · φ₁(x) and
    /// P31 = h²/C · e^(−h/τ_m) · φ₂(x), regular at x = 0.
    fn new(tau_m: f64, tau_syn: f64, c_m: f64, h: f64) -> Self {
        let x = h * (tau_m - tau_syn) / (tau_m * tau_syn);
        let leak = libm::exp(-h / tau_m) / c_m;
        let p11 = libm::exp(-h / tau_syn);
        Channel {
            p11,
            p21: h * p11,
            p31: h * h * leak * phi2(x),
            p32: h * leak * phi1(x),
            jump: std::f64::consts::E / tau_syn,
        }
    }
}

/// Returns φ₁(x) = (1 − e^(−x))/x, with φ₁(0) = 1.
fn phi1(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { -libm::expm1(-x) / x }
}

/// Returns φ₂(x) = (1 − e^(−x)(1 + x))/x², with φ₂(0) = ½. Uses the series for |x| ≤ 1, where the
/// difference cancels.
fn phi2(x: f64) -> f64 {
    if x.abs() > 1.0 {
        return (1.0 - libm::exp(-x) * (1.0 + x)) / (x * x);
    }
    // Σ (−x)ⁿ (n + 1)/(n + 2)!
    let mut sum = 0.0;
    let mut power_over_factorial = 0.5;
    for n in 0..24 {
        sum += power_over_factorial * f64::from(n + 1);
        power_over_factorial *= -x / f64::from(n + 3);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_functions_are_smooth_across_their_switches() {
        assert_eq!((phi1(0.0), phi2(0.0)), (1.0, 0.5));
        for x in [1e-12, -1e-12, 1e-5, 0.3, -0.7, 1.0, -1.0] {
            // Quadrature of ∫₀¹ e^(−xs) ds and ∫₀¹ s e^(−xs) ds (midpoint, 1e5 points).
            let points = 100_000;
            let (mut first, mut second) = (0.0, 0.0);
            for i in 0..points {
                let s = (f64::from(i) + 0.5) / f64::from(points);
                first += libm::exp(-x * s) / f64::from(points);
                second += s * libm::exp(-x * s) / f64::from(points);
            }
            assert!((phi1(x) - first).abs() < 1e-10, "phi1({x})");
            assert!((phi2(x) - second).abs() < 1e-10, "phi2({x})");
        }
        for edge in [1.0, -1.0f64] {
            let inside = phi2(edge);
            let outside = phi2(edge * (1.0 + 1e-14));
            assert!((inside - outside).abs() < 1e-13, "at {edge}");
        }
    }
}
