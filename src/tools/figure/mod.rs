//! Figures as data: panels, axes, series; what is drawn, and what a reader can point at.
//!
//! A [`Figure`] says what there is to see and nothing of how it is drawn: the numbers that are
//! drawn are the numbers that stand beside it for the reader's pointer.
//!
//! [`Figure::svg`] and [`Figure::png`] draw it; as JSON (`serde`) it is what a script needs.

mod axis;
mod bitmap;
mod draw;
mod palette;
mod shapes;
mod stack;
#[cfg(test)]
mod tests;

use serde::{Serialize, Serializer};

pub use axis::nice;
pub use draw::{Layout, Svg};
pub use palette::dark_rules;
pub(in crate::tools) use stack::{places, stacked};

/// A figure of one or more panels.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its id on a page and the name of its file: lower case and underscores.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub title: String,
    /// What to know to read it: what was counted, sampled, left out.
    #[serde(skip)]
    pub caption: String,
    /// Rows of panels side by side; where there is little room all panels stand in one column.
    #[serde(rename = "panels", serialize_with = "in_order")]
    pub rows: Vec<Vec<Panel>>,
}

/// A pair of axes and what is drawn between them.
#[derive(Clone, Debug, Serialize)]
pub struct Panel {
    /// Above it, where the figure has several.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Later ones are drawn over earlier ones.
    pub series: Vec<Series>,
    /// Its height in a row, compared with other rows' 1.
    #[serde(skip)]
    pub height: f64,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: String,
    /// Its ends, `low < high`; positive where logarithmic.
    pub range: (f64, f64),
    /// How values are spread over it.
    pub scale: Scale,
}

/// How values are spread over an axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm.
    Log,
    /// The same, marked at powers of two: counts of cores.
    #[serde(rename = "log")]
    Doubling,
    /// Value k, 0 …, has a name; the axis reaches from −0.5 to their number − 0.5.
    #[serde(untagged)]
    Names(Vec<String>),
}

/// Numbers that belong together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// In the legend, where a panel has several, and by the pointer.
    pub name: String,
    /// Its colour.
    #[serde(skip)]
    pub colour: Colour,
    /// What they are.
    #[serde(flatten)]
    pub shape: Shape,
}

/// Colours by what they mean; a page gives each another value in the dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Excitatory neurons, and the first of two.
    Excitatory,
    /// Inhibitory neurons, and the second of two.
    Inhibitory,
    /// What is compared with: the state before, an ideal.
    Reference,
    /// A colour by number; [`Colour::DISTINCT`] of them differ.
    Nth(usize),
}

/// How the numbers of a series are drawn. Values that are not finite, and on a logarithmic
/// axis those not positive, are left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "shape", rename_all = "lowercase")]
pub enum Shape {
    /// A dot a pair.
    Dots {
        /// Where, across.
        x: Vec<f64>,
        /// Where, upwards.
        y: Vec<f64>,
    },
    /// A line from pair to pair, with markers where there are few.
    Line {
        /// Ascending.
        x: Vec<f64>,
        /// As many.
        y: Vec<f64>,
        /// Lower and upper end of a band about it, as many each, or empty.
        band: (Vec<f64>, Vec<f64>),
    },
    /// A histogram: an outline over bins, filled.
    Bins {
        /// Ascending, one more than there are bins.
        edges: Vec<f64>,
        /// Height of each bin.
        values: Vec<f64>,
    },
    /// Boxes over the names of the x axis, from `low` to `high`; the pointer tells their length.
    Bars {
        /// Which name.
        at: Vec<f64>,
        /// Lower end of each.
        low: Vec<f64>,
        /// Upper end of each.
        high: Vec<f64>,
    },
    /// A mark at `middle` and a line from `low` to `high`: mean, minimum and maximum.
    Spreads {
        /// Where, across.
        at: Vec<f64>,
        /// The smallest.
        low: Vec<f64>,
        /// The mean.
        middle: Vec<f64>,
        /// The largest.
        high: Vec<f64>,
    },
    /// A value a cell, as colour. `values[row * columns + column]`; rows go upwards.
    Cells {
        /// Bounds of the columns, ascending.
        x_edges: Vec<f64>,
        /// Bounds of the rows, ascending.
        y_edges: Vec<f64>,
        /// NaN where there is nothing, which stays blank.
        values: Vec<f32>,
        /// What the values are, with their unit.
        label: String,
        /// How they are spread over the colours: `Linear` or `Log`.
        scale: Scale,
    },
}

/// The panels of all rows, one after the other.
fn in_order<S: Serializer>(rows: &[Vec<Panel>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rows.iter().flatten())
}

impl Colour {
    /// Number of distinct colours of [`Colour::Nth`].
    pub const DISTINCT: usize = 8;
}

impl Axis {
    /// A linear axis from `low` to `high`; wider where they are equal.
    pub fn linear(label: impl Into<String>, low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Axis {
            label: label.into(),
            range: (low, high),
            scale: Scale::Linear,
        }
    }

    /// A logarithmic axis from `low` > 0 to `high`; wider where they are equal.
    pub fn log(label: impl Into<String>, low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low * 10.0 };
        Axis {
            label: label.into(),
            range: (low, high),
            scale: Scale::Log,
        }
    }

    /// A logarithmic axis from `low` > 0 to `high`, of what goes in powers of two.
    pub fn doubling(label: impl Into<String>, low: f64, high: f64) -> Self {
        Axis {
            scale: Scale::Doubling,
            ..Axis::log(label, low, if high > low { high } else { 2.0 * low })
        }
    }

    /// An axis of names.
    pub fn names(label: impl Into<String>, names: Vec<String>) -> Self {
        Axis {
            label: label.into(),
            range: (-0.5, names.len().max(1) as f64 - 0.5),
            scale: Scale::Names(names),
        }
    }
}

impl Panel {
    /// An empty panel.
    pub fn new(x: Axis, y: Axis) -> Self {
        Panel {
            title: String::new(),
            x,
            y,
            series: Vec::new(),
            height: 1.0,
        }
    }

    /// The same with a title.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The same with one more series.
    pub fn with(mut self, name: impl Into<String>, colour: Colour, shape: Shape) -> Self {
        self.series.push(Series {
            name: name.into(),
            colour,
            shape,
        });
        self
    }
}
