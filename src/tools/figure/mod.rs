//! Figures as data: panels, axes and series.
//!
//! A [`Figure`] holds the numbers to show, independent of how they are drawn. The drawing and the
//! values under the reader's pointer use the same numbers.
//!
//! [`Figure::svg`] and [`Figure::png`] draw it. Serialized as JSON (`serde`), it is the input of
//! the script that shows values under the pointer.

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

/// Figure of one or more panels.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Id on a page and file name: lower-case letters and underscores.
    pub name: &'static str,
    /// Short title.
    pub title: String,
    /// Caption: data that was counted, sampled or omitted.
    #[serde(skip)]
    pub caption: String,
    /// Rows of panels; on a narrow page, all panels are in one column.
    #[serde(rename = "panels", serialize_with = "in_order")]
    pub rows: Vec<Vec<Panel>>,
}

/// Pair of axes with the series drawn between them.
#[derive(Clone, Debug, Serialize)]
pub struct Panel {
    /// Title above the panel, for figures with several panels.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Series; later ones are drawn over earlier ones.
    pub series: Vec<Series>,
    /// Height relative to a standard panel, which has height 1.
    #[serde(skip)]
    pub height: f64,
}

/// Axis of a panel or of a colour scale.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// Quantity with its unit.
    pub label: String,
    /// Ends, `low < high`; positive on a logarithmic axis.
    pub range: (f64, f64),
    /// Scale that maps values to positions.
    pub scale: Scale,
}

/// Scale of an axis or of colours.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Linear scale.
    Linear,
    /// Logarithmic scale.
    Log,
    /// Logarithmic scale with ticks at powers of two, for numbers of cores.
    #[serde(rename = "log")]
    Doubling,
    /// Names of the values 0, 1, …; with n names the axis covers −0.5 to n − 0.5.
    #[serde(untagged)]
    Names(Vec<String>),
}

/// Series of numbers that are drawn with one shape and colour.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Name in the legend and at the pointer; empty for none.
    pub name: String,
    /// Colour of the shape.
    #[serde(skip)]
    pub colour: Colour,
    /// Shape and numbers.
    #[serde(flatten)]
    pub shape: Shape,
}

/// Colours by meaning; a page replaces each by another value in dark mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Excitatory neurons, or the first of two series.
    Excitatory,
    /// Inhibitory neurons, or the second of two series.
    Inhibitory,
    /// Reference for comparison, such as the initial state or an ideal.
    Reference,
    /// Colour by number; [`Colour::DISTINCT`] of them differ.
    Nth(usize),
}

/// Shape of a series with its numbers. Values that are not finite are omitted, and so are values
/// that are not positive on a logarithmic axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "shape", rename_all = "lowercase")]
pub enum Shape {
    /// One dot per pair of numbers.
    Dots {
        /// Horizontal positions.
        x: Vec<f64>,
        /// Vertical positions, one per dot.
        y: Vec<f64>,
    },
    /// Line through pairs of numbers, with markers if there are few.
    Line {
        /// Horizontal positions, ascending.
        x: Vec<f64>,
        /// Vertical positions, one per point.
        y: Vec<f64>,
        /// Lower and upper ends of a band around the line, one per point, or empty.
        band: (Vec<f64>, Vec<f64>),
    },
    /// Histogram: filled outline over bins.
    Bins {
        /// Edges of the bins, ascending, one more than there are bins.
        edges: Vec<f64>,
        /// Height of each bin.
        values: Vec<f64>,
    },
    /// Bars over the names of the x axis, from `low` to `high`; the pointer shows their length.
    Bars {
        /// Index of the name of each bar.
        at: Vec<f64>,
        /// Lower end of each bar.
        low: Vec<f64>,
        /// Upper end of each bar.
        high: Vec<f64>,
    },
    /// Mark at `middle` and a line from `low` to `high`: mean, minimum and maximum.
    Spreads {
        /// Horizontal positions.
        at: Vec<f64>,
        /// Minima.
        low: Vec<f64>,
        /// Means.
        middle: Vec<f64>,
        /// Maxima.
        high: Vec<f64>,
    },
    /// Cells with one value each, shown as a colour. The value of a cell is `values[row * columns +
    /// column]`; rows are numbered upwards.
    Cells {
        /// Bounds of the columns, ascending.
        x_edges: Vec<f64>,
        /// Bounds of the rows, ascending.
        y_edges: Vec<f64>,
        /// Values of the cells; cells with NaN stay blank.
        values: Vec<f32>,
        /// Quantity with its unit.
        label: String,
        /// Scale of the colours: `Linear` or `Log`.
        scale: Scale,
    },
}

/// Serializes the panels of all rows as one sequence.
fn in_order<S: Serializer>(rows: &[Vec<Panel>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rows.iter().flatten())
}

impl Colour {
    /// Number of distinct colours of [`Colour::Nth`].
    pub const DISTINCT: usize = 8;
}

impl Axis {
    /// Creates a linear axis from `low` to `high`, or to `low` + 1 unless `high` > `low`.
    pub fn linear(label: impl Into<String>, low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Axis {
            label: label.into(),
            range: (low, high),
            scale: Scale::Linear,
        }
    }

    /// Creates a logarithmic axis from `low` > 0 to `high`, or to 10 · `low` unless `high` > `low`.
    pub fn log(label: impl Into<String>, low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low * 10.0 };
        Axis {
            label: label.into(),
            range: (low, high),
            scale: Scale::Log,
        }
    }

    /// Creates a logarithmic axis with ticks at powers of two from `low` > 0 to `high`, or to 2 ·
    /// `low` unless `high` > `low`.
    pub fn doubling(label: impl Into<String>, low: f64, high: f64) -> Self {
        Axis {
            scale: Scale::Doubling,
            ..Axis::log(label, low, if high > low { high } else { 2.0 * low })
        }
    }

    /// Creates an axis of names.
    pub fn names(label: impl Into<String>, names: Vec<String>) -> Self {
        Axis {
            label: label.into(),
            range: (-0.5, names.len().max(1) as f64 - 0.5),
            scale: Scale::Names(names),
        }
    }
}

impl Panel {
    /// Creates a panel of height 1 without title and series.
    pub fn new(x: Axis, y: Axis) -> Self {
        Panel {
            title: String::new(),
            x,
            y,
            series: Vec::new(),
            height: 1.0,
        }
    }

    /// Returns the panel with this title.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Returns the panel with one more series.
    pub fn with(mut self, name: impl Into<String>, colour: Colour, shape: Shape) -> Self {
        self.series.push(Series {
            name: name.into(),
            colour,
            shape,
        });
        self
    }
}
