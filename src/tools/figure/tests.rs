use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// Returns a figure with every shape and every kind of axis.
fn everything() -> Figure {
    let line = |k: f64| -> Vec<f64> {
        (0..60)
            .map(|i| k + (f64::from(i) / 9.0 + k).sin())
            .collect()
    };
    let x: Vec<f64> = (0..60).map(f64::from).collect();
    let time = || Axis::linear("time (ms)", 0.0, 60.0);
    let names = ["rank 0", "rank 1", "a rank of a longer name"].map(str::to_owned);
    let dots = Shape::Dots {
        x: x.clone(),
        y: line(2.0),
    };
    let banded = Shape::Line {
        x: x.clone(),
        y: line(3.0),
        band: (line(2.5), line(3.5)),
    };
    let bins = Shape::Bins {
        edges: (0..11).map(f64::from).collect(),
        values: vec![1.0, 0.5, 0.2, 0.0, 0.03, 0.01, 0.004, 0.0, 0.0, 1e-4],
    };
    let bars = |low: f64, high: f64| Shape::Bars {
        at: vec![0.0, 1.0, 2.0],
        low: vec![low; 3],
        high: vec![high; 3],
    };
    let spreads = Shape::Spreads {
        at: vec![0.0, 1.0, 2.0],
        low: vec![0.1, 0.2, 0.3],
        middle: vec![0.15, 0.25, 0.5],
        high: vec![0.2, 0.5, 0.9],
    };
    let cells = Shape::Cells {
        x_edges: vec![0.0, 1.0, 2.0, 3.0],
        y_edges: vec![0.0, 1.0, 2.0],
        values: vec![1.0, 1.0, 100.0, f32::NAN, 0.0, 10.0],
        label: "weight (pA)".to_owned(),
        scale: Scale::Log,
    };
    let upper = Panel::new(time(), Axis::linear("y", 0.0, 5.0))
        .titled("dots and a line")
        .with("E", Colour::Excitatory, dots)
        .with("I", Colour::Inhibitory, banded);
    let lower = [
        Panel::new(
            Axis::linear("weight (pA)", 0.0, 10.0),
            Axis::log("density", 1e-5, 1.0),
        )
        .with("after", Colour::Reference, bins),
        Panel::new(
            Axis::linear("source", 0.0, 3.0),
            Axis::linear("target", 0.0, 2.0),
        )
        .titled("cells")
        .with("", Colour::Excitatory, cells),
    ];
    let last = [
        Panel::new(
            Axis::names("rank", names.to_vec()),
            Axis::linear("s", 0.0, 3.0),
        )
        .with("update", Colour::Nth(0), bars(0.0, 1.0))
        .with("deliver", Colour::Nth(1), bars(1.0, 2.5)),
        Panel::new(Axis::names("", names.to_vec()), Axis::log("s", 0.1, 1.0)).with(
            "",
            Colour::Nth(2),
            spreads,
        ),
    ];
    Figure {
        name: "everything",
        title: "Everything".to_owned(),
        caption: String::new(),
        rows: vec![vec![upper], lower.into(), last.into()],
    }
}

/// Returns the number of occurrences of `hex` in the SVG `text`.
fn count(text: &str, hex: &str) -> usize {
    text.matches(hex).count()
}

#[test]
fn every_shape_leaves_its_mark_in_every_layout() {
    let figure = everything();
    for (layout, width) in [(Layout::Wide, 1840), (Layout::Narrow, 720)] {
        let svg = figure.svg(layout);
        assert_eq!(svg.boxes.len(), 5, "{layout:?}");
        for [left, top, w, h] in &svg.boxes {
            assert!(
                *left > 0 && *top > 0 && *w > 200 && *h > 150,
                "{:?}",
                svg.boxes
            );
            assert!(left + w <= width, "{:?}", svg.boxes);
        }
        let circles = svg.text.matches("<circle").count();
        assert_eq!(circles, 60 + 9, "dots, and the ends and means of spreads");
        assert_eq!(
            svg.text.matches("<polygon").count(),
            2,
            "a band and filled bins"
        );
        // Three bars and one legend square per colour.
        assert_eq!(count(&svg.text, "fill=\"#0072B2\""), 4);
        assert_eq!(count(&svg.text, "fill=\"#D98E04\""), 4);
        for text in [
            "dots and a line",
            "a rank of a longer name",
            "weight (pA)",
            "0.01",
        ] {
            assert!(svg.text.contains(text), "{text}");
        }
    }
}

#[test]
fn panels_of_a_row_do_not_overlap() {
    let svg = everything().svg(Layout::Wide);
    let [first, second, third, fourth, fifth] = svg.boxes[..] else {
        panic!("five panels")
    };
    assert!(first[1] + first[3] < second[1] && second[1] + second[3] < fourth[1]);
    assert!(second[0] + second[2] < third[0] && fourth[0] + fourth[2] < fifth[0]);
}

#[test]
fn what_cannot_be_shown_is_left_out() {
    let line = Shape::Line {
        x: vec![1.0, 2.0, 3.0, 4.0, 5.0],
        y: vec![1.0, 0.0, f64::NAN, 2.0, 1e9],
        band: (Vec::new(), Vec::new()),
    };
    let panel = Panel::new(Axis::linear("x", 0.0, 6.0), Axis::log("y", 0.1, 10.0));
    let figure = Figure {
        rows: vec![vec![panel.with("", Colour::Nth(0), line)]],
        ..everything()
    };
    let svg = figure.svg(Layout::Wide);
    // A value beyond the axis is drawn at its end.
    assert_eq!(svg.text.matches("<circle").count(), 3);
    assert!(!svg.text.contains("NaN") && !svg.text.contains("inf"));
}

#[test]
fn the_numbers_stand_beside_the_figure() {
    let data: Value = serde_json::to_value(everything()).expect("plain data");
    let panel = &data["panels"][2];
    assert_eq!(
        panel["x"],
        json!({"label": "source", "range": [0.0, 3.0], "scale": "linear"})
    );
    let cells = &panel["series"][0];
    assert_eq!(cells["shape"], "cells");
    assert_eq!(cells["values"], json!([1.0, 1.0, 100.0, null, 0.0, 10.0]));
    assert_eq!(
        data["panels"][3]["x"]["scale"][2],
        "a rank of a longer name"
    );
    assert_eq!(
        data["panels"][0]["series"][1]["band"][0][0],
        2.5 + 2.5f64.sin()
    );
}

#[test]
fn a_bitmap_is_a_png_with_the_colours_of_the_figure() {
    let bytes = everything()
        .png(Path::new("everything.png"))
        .expect("drawn");
    let decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
    let info = reader.next_frame(&mut pixels).expect("pixels");
    assert_eq!((info.width, info.height), (1840, 3 * 660));
    let holds = |colour: [u8; 3]| pixels.chunks(3).any(|pixel| pixel == colour);
    assert!(holds([0xff; 3]) && holds([0, 0x72, 0xb2]) && holds([0x1f, 0x6f, 0xb5]));
    // Text contains the darkest pixels, even with smoothed edges.
    assert!(
        pixels
            .chunks(3)
            .any(|pixel| pixel.iter().all(|part| *part < 0x40))
    );
}

#[test]
fn a_long_legend_leaves_the_panel_its_height() {
    let panel = |series: usize| {
        let axis = || Axis::linear("value", 0.0, 1.0);
        let line = || Shape::Line {
            x: vec![0.0, 1.0],
            y: vec![0.0, 1.0],
            band: Default::default(),
        };
        (0..series).fold(Panel::new(axis(), axis()), |panel, nth| {
            let name = format!("a name that fills a line of a legend, {nth}");
            panel.with(name, Colour::Nth(nth), line())
        })
    };
    let height = |series, layout| {
        let figure = Figure {
            name: "legend",
            title: String::new(),
            caption: String::new(),
            rows: vec![vec![panel(1), panel(series), panel(1)]],
        };
        figure.svg(layout).boxes[1][3]
    };
    for layout in [Layout::Wide, Layout::Narrow] {
        let short = height(4, layout);
        for series in [5, 16, 60] {
            let long = height(series, layout);
            assert!((long - short).abs() <= 2, "{series}: {long}, {short}");
        }
    }
}
