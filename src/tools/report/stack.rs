//! The phases of the loop as parts of stacked bars.

use crate::io::outcome::Phases;
use crate::tools::figure::Colour;

/// The phases, each with the colour of its place, and the rest: what to stack, from the bottom.
pub(super) fn phases() -> [(&'static str, Colour); 8] {
    std::array::from_fn(|nth| match Phases::<f64>::NAMES.get(nth) {
        Some(name) => (*name, Colour::Nth(nth)),
        None => ("rest", Colour::Reference),
    })
}

/// What each phase takes of `whole`, and what remains.
pub(super) fn with_rest(phases: Phases<f64>, whole: f64) -> [f64; 8] {
    let [a, b, c, d, e, f, g] = phases.named();
    [a, b, c, d, e, f, g, phases.rest(whole).max(0.0)]
}
