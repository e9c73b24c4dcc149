//! Drawing of the shapes of series.

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Places;
use super::draw::{Pen, colour_of};
use super::palette::AXIS;
use super::{Axis, Panel, Scale, Series, Shape};

pub(super) type Chart<'a, 'b, B> = ChartContext<'a, B, Cartesian2d<Places, Places>>;
type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;
type Place = (f64, f64);

/// Maximum number of points of a line with markers.
const MOST_MARKERS: usize = 40;

/// Draws `series` between the axes of `panel`.
pub(super) fn draw<B: DrawingBackend>(
    chart: &mut Chart<B>,
    panel: &Panel,
    series: &Series,
    pen: Pen,
) -> Drawn<B> {
    let colour = series.colour.pair().light;
    let at = |x: f64, y: f64| Some((panel.x.within(x)?, panel.y.within(y)?));
    match &series.shape {
        Shape::Dots { x, y } => {
            let inside = |x: &f64, y: &f64| panel.x.holds(*x) && panel.y.holds(*y);
            let pairs = x.iter().zip(y).filter(|(x, y)| inside(x, y));
            let dots = pairs.filter_map(|(&x, &y)| at(x, y));
            let size = pen.line(1.5);
            chart.draw_series(dots.map(|place| Circle::new(place, size, colour.filled())))?;
        }
        Shape::Line { x, y, band } => {
            let edge = |ends: &[f64]| -> Vec<Place> {
                let pairs = x.iter().zip(ends);
                pairs.filter_map(|(&x, &y)| at(x, y)).collect()
            };
            let (mut outline, upper) = (edge(&band.0), edge(&band.1));
            outline.extend(upper.into_iter().rev());
            if outline.len() > 2 {
                chart.draw_series([Polygon::new(outline, colour.mix(0.2))])?;
            }
            let places = x.iter().zip(y).map(|(&x, &y)| at(x, y));
            draw_line(chart, places, colour, pen)?;
        }
        Shape::Bins { edges, values } => draw_bins(chart, panel, edges, values, colour, pen)?,
        Shape::Bars { at, low, high } => {
            let spans = at.iter().zip(low.iter().zip(high));
            let boxes = spans.filter_map(|(at, (low, high))| {
                let (low, high) = (panel.y.within(*low)?, panel.y.within(*high)?);
                let corners = [(at - 0.4, low), (at + 0.4, high)];
                Some(Rectangle::new(corners, colour.filled()))
            });
            chart.draw_series(boxes)?;
        }
        Shape::Spreads {
            at: x,
            low,
            middle,
            high,
        } => {
            for ((&x, &middle), (&low, &high)) in x.iter().zip(middle).zip(low.iter().zip(high)) {
                let ends = [low, high].map(|end| at(x, end)).into_iter();
                draw_line(chart, ends, colour, pen)?;
                let mark = at(x, middle).map(|at| Circle::new(at, pen.line(4.0), colour.filled()));
                chart.draw_series(mark)?;
            }
        }
        Shape::Cells { .. } => draw_cells(chart, panel, &series.shape)?,
    }
    Ok(())
}

/// Draws a line through `places`, interrupted at each `None`.
fn draw_line<B: DrawingBackend>(
    chart: &mut Chart<B>,
    places: impl Iterator<Item = Option<Place>>,
    colour: RGBColor,
    pen: Pen,
) -> Drawn<B> {
    let places: Vec<_> = places.collect();
    let style = colour.stroke_width(pen.line(1.6));
    for piece in places.split(Option::is_none) {
        let piece: Vec<Place> = piece.iter().flatten().copied().collect();
        if places.len() <= MOST_MARKERS {
            let size = pen.line(2.5);
            chart.draw_series(
                piece
                    .iter()
                    .map(|at| Circle::new(*at, size, colour.filled())),
            )?;
        }
        if piece.len() > 1 {
            chart.draw_series([PathElement::new(piece, style)])?;
        }
    }
    Ok(())
}

/// Draws a filled outline over the bins. A bin whose value cannot be shown is drawn at the lower
/// end of the axis.
fn draw_bins<B: DrawingBackend>(
    chart: &mut Chart<B>,
    panel: &Panel,
    edges: &[f64],
    values: &[f64],
    colour: RGBColor,
    pen: Pen,
) -> Drawn<B> {
    let foot = panel.y.ends().0;
    let mut outline = Vec::new();
    for (bin, value) in edges.windows(2).zip(values) {
        let top = panel.y.within(*value).unwrap_or(foot);
        let (Some(left), Some(right)) = (panel.x.within(bin[0]), panel.x.within(bin[1])) else {
            continue;
        };
        if left < right {
            outline.extend([(left, top), (right, top)]);
        }
    }
    let (Some(&first), Some(&last)) = (outline.first(), outline.last()) else {
        return Ok(());
    };
    let mut filled = vec![(first.0, foot)];
    filled.extend(&outline);
    filled.push((last.0, foot));
    chart.draw_series([Polygon::new(filled, colour.mix(0.18))])?;
    let style = colour.stroke_width(pen.line(1.4));
    chart.draw_series([PathElement::new(outline, style)])?;
    Ok(())
}

/// Draws the cells; merges neighbours in a row that have the same colour.
fn draw_cells<B: DrawingBackend>(chart: &mut Chart<B>, panel: &Panel, cells: &Shape) -> Drawn<B> {
    let Shape::Cells {
        x_edges,
        y_edges,
        values,
        ..
    } = cells
    else {
        return Ok(());
    };
    let range = shown_range(cells);
    let columns = x_edges.len() - 1;
    for (row, bounds) in values.chunks(columns).zip(y_edges.windows(2)) {
        let colours: Vec<Option<RGBColor>> = row.iter().map(|value| range.colour(*value)).collect();
        let mut start = 0;
        for alike in colours.chunk_by(|one, other| one == other) {
            let end = start + alike.len();
            let corner = |x: f64, y: f64| Some((panel.x.within(x)?, panel.y.within(y)?));
            if let (Some(colour), Some(lower), Some(upper)) = (
                alike[0],
                corner(x_edges[start], bounds[0]),
                corner(x_edges[end], bounds[1]),
            ) {
                chart.draw_series([Rectangle::new([lower, upper], colour.filled())])?;
            }
            start = end;
        }
    }
    Ok(())
}

/// Range of values that the colours cover.
struct ColourRange {
    axis: Axis,
}

/// Returns the range from the smallest value that can be shown to the largest. A linear range
/// includes 0 as its lower end unless values are negative.
fn shown_range(cells: &Shape) -> ColourRange {
    let Shape::Cells {
        values,
        label,
        scale,
        ..
    } = cells
    else {
        unreachable!("asked of cells only")
    };
    let log = *scale == Scale::Log;
    let shown = values.iter().map(|value| f64::from(*value));
    let shown = shown.filter(|value| value.is_finite() && (!log || *value > 0.0));
    let (low, high) = shown.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let (low, high) = if low <= high {
        (low, high)
    } else {
        (1.0, 10.0)
    };
    let axis = match log {
        true => Axis::log(label, low, high),
        false => Axis::linear(label, low.min(0.0), high),
    };
    ColourRange { axis }
}

impl ColourRange {
    /// Returns the colour of `value`, or `None` for NaN. On a logarithmic scale, 0 has the lowest
    /// colour.
    fn colour(&self, value: f32) -> Option<RGBColor> {
        if value.is_nan() {
            return None;
        }
        let (low, high) = self.axis.ends();
        let place = self.axis.within(f64::from(value)).unwrap_or(low);
        Some(colour_of((place - low) / (high - low)))
    }
}

/// Draws the colour scale of `cells` next to the panel, between the pixel rows `y`.
pub(super) fn draw_scale<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    cells: &Shape,
    y: [i32; 2],
    style: &TextStyle,
    pen: Pen,
) -> Drawn<B> {
    let axis = shown_range(cells).axis;
    let top = area.get_base_pixel().1;
    let [upper, lower] = y.map(|y| y - top);
    let height = f64::from(lower - upper);
    let at = |part: f64| lower - (part * height).round() as i32;
    let right = pen.px(12);
    for step in 0..64 {
        let [from, to] = [step, step + 1].map(|step| at(f64::from(step) / 64.0));
        let colour = colour_of(f64::from(step) / 63.0);
        area.draw(&Rectangle::new([(0, to), (right, from)], colour.filled()))?;
    }
    let (low, high) = axis.ends();
    for tick in axis.ticks((height / pen.px(40) as f64).max(2.0) as usize) {
        let y = at((tick.place - low) / (high - low));
        let line = [(right, y), (right + pen.px(4), y)];
        area.draw(&PathElement::new(line, AXIS.light))?;
        area.draw_text(&tick.label, style, (right + pen.px(6), y - pen.px(7)))?;
    }
    let style = style.pos(Pos::new(HPos::Right, VPos::Bottom));
    let corner = (area.dim_in_pixel().0 as i32, upper - pen.px(9));
    area.draw_text(&axis.label, &style, corner)?;
    Ok(())
}
