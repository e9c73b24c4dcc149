//! Drawing of figures as SVG or as a bitmap.

use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, register_font};

use super::axis::{Places, Tick};
use super::palette::{AXIS, GRID, INK};
use super::shapes::{self, Chart};
use super::{Axis, Figure, Panel, Scale, Series, Shape};

/// Arrangement of panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Rows of the figure, 920 CSS pixels wide.
    Wide,
    /// One column, 360 CSS pixels wide.
    Narrow,
}

impl Layout {
    /// Returns the width of a figure and the height of a standard panel, in CSS pixels.
    fn size(self) -> (u32, u32) {
        match self {
            Layout::Wide => (920, 330),
            Layout::Narrow => (360, 280),
        }
    }
}

/// Number of legend lines that fit into a panel; more lines make it higher.
const LEGEND_ROOM: usize = 4;
/// Height of a legend line, in CSS pixels.
const LEGEND_LINE: i32 = 17;

/// Figure in SVG format.
pub struct Svg {
    /// SVG element.
    pub text: String,
    /// Plot areas of the panels, in order: left, top, width, height in units of the view box.
    pub boxes: Vec<[i32; 4]>,
}

/// Returns the colour of a cell; `value` is clamped to 0 … 1.
pub(super) fn colour_of(value: f64) -> RGBColor {
    // 64 levels look continuous to the eye, and neighbours of equal level can be merged.
    let value = (value.clamp(0.0, 1.0) * 63.0).round() / 63.0;
    // The darkest fifth is omitted, because it is invisible on black.
    ViridisRGB.get_color((0.2 + 0.8 * value) as f32)
}

type Area<'a, B> = DrawingArea<B, Shift>;
type Drawn<B, T> = Result<T, DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// Converter of sizes from CSS pixels to drawing units, `scale` units per CSS pixel.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    scale: f64,
}

impl Pen {
    pub(super) fn px(self, size: i32) -> i32 {
        (f64::from(size) * self.scale).round() as i32
    }

    pub(super) fn line(self, width: f64) -> u32 {
        (width * self.scale).round().max(1.0) as u32
    }

    /// Returns the style of text of `size` CSS pixels.
    fn text(self, size: f64, colour: RGBColor) -> TextStyle<'static> {
        // The library expects the height of a line, not of the letter m.
        let size = size * self.scale * 1.24;
        let mut style = TextStyle::from(("sans-serif", size));
        style.color = colour.to_backend_color();
        style
    }

    fn label(self) -> TextStyle<'static> {
        self.text(11.5, AXIS.light)
    }

    fn legend(self) -> TextStyle<'static> {
        self.text(11.5, INK.light)
    }
}

/// Registers the font that is built into the program: a cluster node may have no fonts.
fn with_font() {
    let font = epaint_default_fonts::UBUNTU_LIGHT;
    for style in [FontStyle::Normal, FontStyle::Bold] {
        assert!(register_font("sans-serif", style, font).is_ok(), "a font");
    }
}

impl Figure {
    /// Returns the rows of panels for a layout.
    fn arranged(&self, layout: Layout) -> Vec<Vec<&Panel>> {
        match layout {
            Layout::Wide => self.rows.iter().map(|row| row.iter().collect()).collect(),
            Layout::Narrow => self
                .rows
                .iter()
                .flatten()
                .map(|panel| vec![panel])
                .collect(),
        }
    }

    /// Returns the width and height in CSS pixels.
    fn size(&self, layout: Layout) -> (u32, u32) {
        let rows = self.arranged(layout);
        let height: f64 = rows.iter().map(|row| height(row, layout)).sum();
        (layout.size().0, height as u32)
    }

    /// Draws the figure as scalable SVG. Text uses the page's font.
    pub fn svg(&self, layout: Layout) -> Svg {
        with_font();
        let mut text = String::new();
        // The library rounds to whole units; units of half a pixel keep lines smooth.
        let scale = 2.0;
        let (width, height) = self.size(layout);
        let backend = SVGBackend::with_string(&mut text, (2 * width, 2 * height));
        let root = backend.into_drawing_area();
        let boxes = self.draw(&root, layout, Pen { scale });
        let boxes = boxes.expect("nothing can fail that draws into memory");
        drop(root);
        // Default values are a third of the text of a large figure.
        let text = text.replace(" opacity=\"1\"", "");
        let text = text.replace(" stroke=\"none\"", "");
        Svg { text, boxes }
    }

    /// Draws the figure as a bitmap on white, with `scale` pixels per CSS pixel. Returns width,
    /// height and the RGB colours, three bytes per pixel.
    pub(super) fn bitmap(&self, scale: f64) -> (u32, u32, Vec<u8>) {
        with_font();
        let (width, height) = self.size(Layout::Wide);
        let size = [width, height].map(|pixels| (f64::from(pixels) * scale) as u32);
        let mut pixels = vec![0xff; (size[0] * size[1] * 3) as usize];
        let backend = BitMapBackend::with_buffer(&mut pixels, (size[0], size[1]));
        let root = backend.into_drawing_area();
        let drawn = self.draw(&root, Layout::Wide, Pen { scale });
        drawn.expect("nothing can fail that draws into memory");
        drop(root);
        (size[0], size[1], pixels)
    }

    fn draw<B: DrawingBackend>(
        &self,
        root: &Area<B>,
        layout: Layout,
        pen: Pen,
    ) -> Drawn<B, Vec<[i32; 4]>> {
        let rows = self.arranged(layout);
        let total: f64 = rows.iter().map(|row| height(row, layout)).sum();
        let whole = f64::from(root.dim_in_pixel().1);
        // If one panel has a colour scale, all panels leave room for one; this aligns their axes.
        let scaled = rows.iter().flatten().any(|panel| panel.cells().is_some());
        let mut boxes = Vec::new();
        let mut rest = root.clone();
        for row in rows {
            let (upper, lower) =
                rest.split_vertically((whole * height(&row, layout) / total).round() as i32);
            rest = lower;
            for (area, panel) in upper.split_evenly((1, row.len())).iter().zip(row) {
                boxes.push(draw_panel(area, panel, scaled, pen)?);
            }
        }
        root.present()?;
        Ok(boxes)
    }
}

/// Returns the height of a row in CSS pixels: the height of its highest panel with legend.
fn height(row: &[&Panel], layout: Layout) -> f64 {
    let (width, each) = layout.size();
    let pen = Pen { scale: 1.0 };
    let panel_height = |panel: &&Panel| {
        let lines = legend(panel, width as i32 / row.len() as i32, pen).len();
        let more = lines.saturating_sub(LEGEND_ROOM) as f64 * f64::from(LEGEND_LINE);
        panel.height * f64::from(each) + more
    };
    row.iter().map(panel_height).fold(0.0, f64::max)
}

/// Draws `panel`, with room for a colour scale if `scaled`. Returns its plot area: left, top,
/// width, height.
fn draw_panel<B: DrawingBackend>(
    area: &Area<B>,
    panel: &Panel,
    scaled: bool,
    pen: Pen,
) -> Drawn<B, [i32; 4]> {
    let body = draw_head(area, panel, pen)?;
    let scale_width = pen.px(if scaled { 62 } else { 0 });
    let whole = body.dim_in_pixel().0 as i32;
    let (body, right) = body.split_horizontally(whole - scale_width);
    let (width, height) = body.dim_in_pixel();
    let pixels = |units: u32| f64::from(units) / pen.scale;
    let x_ticks = panel.x.ticks((pixels(width) / 65.0).max(3.0) as usize);
    let y_ticks = panel.y.ticks((pixels(height) / 45.0).max(3.0) as usize);
    let names = Names::of(&panel.x, &x_ticks, pixels(width) - 90.0);
    let marked = match names.apart {
        true => Vec::new(),
        false => x_ticks.clone(),
    };
    let mut chart = ChartBuilder::on(&body)
        .margin_left(pen.px(6))
        .margin_bottom(pen.px(6))
        .margin_right(pen.px(22))
        .margin_top(pen.px(if panel.cells().is_some() { 24 } else { 6 }))
        .x_label_area_size(pen.px(if names.room > 0 { names.room } else { 38 }))
        .y_label_area_size(pen.px(64))
        .build_cartesian_2d(
            Places::new(&panel.x, marked),
            Places::new(&panel.y, y_ticks),
        )?;
    draw_mesh(&mut chart, panel, &names, pen)?;
    for series in &panel.series {
        shapes::draw(&mut chart, panel, series, pen)?;
    }
    let (x, y) = chart.plotting_area().get_pixel_range();
    names.draw(&body, &x_ticks, [x.start, x.end], y.end, pen)?;
    if let Some(cells) = panel.cells() {
        shapes::draw_scale(&right, cells, [y.start, y.end], &pen.label(), pen)?;
    }
    Ok([x.start, y.start, x.end - x.start, y.end - y.start])
}

/// Draws axes, grid and labels.
fn draw_mesh<B: DrawingBackend>(
    chart: &mut Chart<B>,
    panel: &Panel,
    names: &Names,
    pen: Pen,
) -> Drawn<B, ()> {
    chart
        .configure_mesh()
        .x_desc(if names.room > 0 { "" } else { &panel.x.label })
        .y_desc(&panel.y.label)
        .label_style(pen.label())
        .axis_desc_style(pen.text(12.0, INK.light))
        .axis_style(AXIS.light)
        .bold_line_style(GRID.light)
        .light_line_style(TRANSPARENT)
        .set_all_tick_mark_size(pen.px(4))
        .draw()
}

/// Draws the title and the legend. Returns the remaining area below.
fn draw_head<'a, B: DrawingBackend>(
    area: &Area<'a, B>,
    panel: &Panel,
    pen: Pen,
) -> Drawn<B, Area<'a, B>> {
    let mut y = pen.px(4);
    if !panel.title.is_empty() {
        let style = pen.text(13.0, INK.light);
        area.draw_text(&panel.title, &style, (pen.px(70), y))?;
        y += pen.px(20);
    }
    for line in legend(panel, area.dim_in_pixel().0 as i32, pen) {
        for (series, x) in line {
            draw_entry(area, series, (x, y), pen)?;
        }
        y += pen.px(LEGEND_LINE);
    }
    Ok(area.split_vertically(y).1)
}

/// Arranges the legend in lines of at most `width` pixels. Returns the series of each line with
/// their x positions. Of neighbours with the same name and colour, only the first is listed. A
/// panel with a colour scale has no legend.
fn legend(panel: &Panel, width: i32, pen: Pen) -> Vec<Vec<(&Series, i32)>> {
    if panel.cells().is_some() {
        return Vec::new();
    }
    let named = panel.series.iter().filter(|series| !series.name.is_empty());
    let mut named: Vec<_> = named.collect();
    named.dedup_by_key(|series| (&series.name, series.colour));
    let font = pen.legend().font;
    let left = pen.px(70);
    let mut lines: Vec<Vec<_>> = Vec::new();
    let mut x = left;
    for series in named {
        let text = font
            .box_size(&series.name)
            .map_or(0, |(width, _)| width as i32);
        let needed = pen.px(15) + text;
        if lines.is_empty() || (x > left && x + needed > width) {
            lines.push(Vec::new());
            x = left;
        }
        lines.last_mut().expect("just made").push((series, x));
        x += needed + pen.px(16);
    }
    lines
}

/// Draws the legend entry of `series`: a square of its colour, then its name.
fn draw_entry<B: DrawingBackend>(
    area: &Area<B>,
    series: &Series,
    (x, y): (i32, i32),
    pen: Pen,
) -> Drawn<B, ()> {
    let (square, top) = (pen.px(10), y + pen.px(2));
    let colour = series.colour.pair().light;
    let corner = (x + square, top + square);
    area.draw(&Rectangle::new([(x, top), corner], colour.filled()))?;
    let style = pen.legend().pos(Pos::new(HPos::Left, VPos::Center));
    let middle = (x + pen.px(15), top + square / 2);
    area.draw_text(&series.name, &style, middle)
}

/// Layout of the names below an axis of names.
struct Names {
    /// True for an axis of names: its labels are drawn separately from the axis.
    apart: bool,
    /// Space below the axis for rotated names (CSS pixels); 0 if the names are horizontal.
    room: i32,
    /// Distance between labelled names: every `stride`-th name is written.
    stride: usize,
}

impl Names {
    /// Computes the layout for an axis of `width` CSS pixels.
    fn of(axis: &Axis, ticks: &[Tick], width: f64) -> Self {
        let Scale::Names(names) = &axis.scale else {
            let (apart, room, stride) = (false, 0, 1);
            return Names {
                apart,
                room,
                stride,
            };
        };
        let longest = names.iter().map(|name| name.chars().count()).max();
        let longest = longest.unwrap_or(0) as f64 * 6.2;
        let each = width / ticks.len().max(1) as f64;
        let (room, needed) = if longest + 6.0 <= each {
            (0, longest)
        } else {
            (longest as i32 + 14, 14.0)
        };
        Names {
            apart: true,
            room,
            stride: (needed / each).ceil().max(1.0) as usize,
        }
    }

    /// Draws the names below `y`, between the ends `x` of the axis.
    fn draw<B: DrawingBackend>(
        &self,
        area: &Area<B>,
        ticks: &[Tick],
        x: [i32; 2],
        y: i32,
        pen: Pen,
    ) -> Drawn<B, ()> {
        if !self.apart {
            return Ok(());
        }
        let (left, top) = area.get_base_pixel();
        let style = match self.room {
            0 => pen.label().pos(Pos::new(HPos::Center, VPos::Top)),
            _ => pen
                .label()
                .transform(FontTransform::Rotate270)
                .pos(Pos::new(HPos::Right, VPos::Center)),
        };
        let each = f64::from(x[1] - x[0]) / ticks.len() as f64;
        for (k, tick) in ticks.iter().enumerate().step_by(self.stride) {
            let middle = f64::from(x[0] - left) + (k as f64 + 0.5) * each;
            area.draw_text(&tick.label, &style, (middle as i32, y - top + pen.px(7)))?;
        }
        Ok(())
    }
}

impl Panel {
    /// Returns the cells of the panel, if it has any.
    pub(super) fn cells(&self) -> Option<&Shape> {
        let mut shapes = self.series.iter().map(|series| &series.shape);
        shapes.find(|shape| matches!(shape, Shape::Cells { .. }))
    }
}
