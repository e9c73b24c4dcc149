//! Colours on light and dark backgrounds.

use plotters::style::RGBColor;

use super::Colour;

/// Colour on a white background and its replacement on a black one.
pub(super) struct Pair {
    pub(super) light: RGBColor,
    dark: &'static str,
}

const fn pair(light: (u8, u8, u8), dark: &'static str) -> Pair {
    let (red, green, blue) = light;
    Pair {
        light: RGBColor(red, green, blue),
        dark,
    }
}

/// Colour of text.
pub(super) const INK: Pair = pair((0x1c, 0x20, 0x26), "#e6e9ee");
/// Colour of axes and secondary text.
pub(super) const AXIS: Pair = pair((0x55, 0x5e, 0x6b), "#aab3c0");
/// Colour of grid lines.
pub(super) const GRID: Pair = pair((0xdc, 0xe0, 0xe6), "#343b46");

const EXCITATORY: Pair = pair((0x1f, 0x6f, 0xb5), "#6db3f2");
const INHIBITORY: Pair = pair((0xc2, 0x41, 0x2d), "#ff8a73");
const REFERENCE: Pair = pair((0x83, 0x8b, 0x97), "#8d97a5");

/// Colours that are distinguishable with any kind of colour vision, after Okabe & Ito (2008).
const NTH: [Pair; Colour::DISTINCT] = [
    pair((0x00, 0x72, 0xb2), "#4a9be0"),
    pair((0xd9, 0x8e, 0x04), "#f0b541"),
    pair((0x00, 0x8f, 0x6b), "#2fc79c"),
    pair((0xc2, 0x66, 0x9a), "#e39bc6"),
    pair((0x4b, 0xa3, 0xd6), "#b5e3fa"),
    pair((0xc8, 0x55, 0x0a), "#f58a4b"),
    pair((0x6b, 0x4c, 0xa8), "#ab93e0"),
    pair((0x76, 0x7d, 0x1e), "#a3ad3f"),
];

impl Colour {
    /// Returns the colour for a white and for a black background.
    pub(super) fn pair(self) -> &'static Pair {
        match self {
            Colour::Excitatory => &EXCITATORY,
            Colour::Inhibitory => &INHIBITORY,
            Colour::Reference => &REFERENCE,
            Colour::Nth(n) => &NTH[n % Colour::DISTINCT],
        }
    }
}

/// Returns style sheet rules that replace the colours of an SVG by those for a black background.
pub fn dark_rules() -> String {
    let fixed = [&INK, &AXIS, &GRID, &EXCITATORY, &INHIBITORY, &REFERENCE];
    let rule = |pair: &Pair| {
        let RGBColor(red, green, blue) = pair.light;
        let (light, dark) = (format!("#{red:02X}{green:02X}{blue:02X}"), pair.dark);
        format!("svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}\n")
    };
    fixed.into_iter().chain(&NTH).map(rule).collect()
}
