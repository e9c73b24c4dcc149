//! Phases of the loop as parts of stacked bars.

use crate::io::outcome::Phases;
use crate::tools::figure::Colour;

/// Returns the parts from the bottom: the phases, each with the colour of its index, then the rest.
pub(super) fn phases() -> [(&'static str, Colour); 8] {
    std::array::from_fn(|nth| match Phases::<f64>::NAMES.get(nth) {
        Some(name) => (*name, Colour::Nth(nth)),
        None => ("rest", Colour::Reference),
    })
}

/// Returns the time of each phase, then the rest of `whole`, which is at least 0.
pub(super) fn with_rest(phases: Phases<f64>, whole: f64) -> [f64; 8] {
    let [a, b, c, d, e, f, g] = phases.named();
    [a, b, c, d, e, f, g, phases.rest(whole).max(0.0)]
}
