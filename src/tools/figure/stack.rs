//! Stacked bars.

use super::{Colour, Panel, Shape};

/// Adds stacked bars to `panel`. `bars[k][nth]` is the length of part `nth` of bar k; the last part
/// is on top. Returns the panel and the height of each bar.
pub(in crate::tools) fn stacked<const N: usize>(
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

/// Returns the positions of `bars` bars on an axis of names.
pub(in crate::tools) fn places(bars: usize) -> Vec<f64> {
    (0..bars).map(|place| place as f64).collect()
}
