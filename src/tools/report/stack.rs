//! Bars of parts on top of each other, and the phases of the loop as such.

use crate::io::outcome::Phases;
use crate::tools::figure::{Colour, Panel, Shape};

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

/// `panel` with `parts` on top of each other, of each bar so much; and how high the bars are.
pub(super) fn stacked<const N: usize>(
    mut panel: Panel,
    parts: [(&str, Colour); N],
    bars: &[[f64; N]],
) -> (Panel, Vec<f64>) {
    let mut top = vec![0.0; bars.len()];
    for (nth, (name, colour)) in parts.into_iter().enumerate() {
        let low = top.clone();
        for (top, parts) in top.iter_mut().zip(bars) {
            *top += parts[nth];
        }
        let shape = Shape::Bars {
            at: places(bars.len()),
            low,
            high: top.clone(),
        };
        panel = panel.with(name, colour, shape);
    }
    (panel, top)
}

/// Where `bars` bars stand.
pub(super) fn places(bars: usize) -> Vec<f64> {
    (0..bars).map(|place| place as f64).collect()
}
