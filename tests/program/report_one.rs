//! The figures of one run: what they show equals what this test computes for itself from the
//! files; what there are no data for is left out; files that will not do are named on one line.

use std::fs;
use std::path::Path;

use serde_json::Value;
use stdp_hpc::io::analysis::Results;
use stdp_hpc::tools::figure::{Colour, Figure, Panel, Shape};
use stdp_hpc::tools::report::figures_of_run;

use crate::common::{Desk, RunResult, open};

/// 240 excitatory and 60 inhibitory neurons, 40 synapses each; 100 ms of warm-up, 1000 more. Of E
/// all, of I 10 are recorded; weights of 200 sources and 110 targets.
const CONFIG: &str = r#"
[network]
N = 300
K = 40
[neuron]
model = "iaf_psc_alpha"
[simulation]
T = 1000.0
presim = 100.0
[record]
n_rec = 250
weights = { at = [0.0, 250.0], sources = 200, targets = 110 }
"#;

/// The populations, how many of each were recorded, and rows of the raster: first, how many.
const POPULATIONS: [(&str, &str, usize, [usize; 2]); 2] = [
    ("E", "excitatory", 240, [0, 60]),
    ("I", "inhibitory", 10, [60, 10]),
];

fn result(desk: &Desk) -> RunResult {
    desk.result(&desk.config("small", CONFIG), 2, 1, &[])
}

#[track_caller]
fn figures(directory: &Path) -> Vec<Figure> {
    figures_of_run(directory).unwrap_or_else(|error| panic!("{error}"))
}

fn names(figures: &[Figure]) -> Vec<&str> {
    figures.iter().map(|figure| figure.name).collect()
}

#[track_caller]
fn find<'a>(figures: &'a [Figure], name: &str) -> &'a Figure {
    let found = figures.iter().find(|figure| figure.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among {:?}", names(figures)))
}

#[track_caller]
fn shape<'a>(panel: &'a Panel, name: &str) -> &'a Shape {
    let found = panel.series.iter().find(|series| series.name == name);
    &found
        .unwrap_or_else(|| panic!("no {name} in {panel:?}"))
        .shape
}

#[track_caller]
fn bins<'a>(panel: &'a Panel, name: &str) -> (&'a [f64], &'a [f64]) {
    match shape(panel, name) {
        Shape::Bins { edges, values } => (edges, values),
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
fn line<'a>(panel: &'a Panel, name: &str) -> (&'a [f64], &'a [f64]) {
    match shape(panel, name) {
        Shape::Line { x, y, .. } => (x, y),
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
fn dots(panel: &Panel, name: &str) -> Vec<(f64, f64)> {
    match shape(panel, name) {
        Shape::Dots { x, y } => x.iter().copied().zip(y.iter().copied()).collect(),
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
fn cells(panel: &Panel) -> (&[f64], &[f64], &[f32]) {
    let cells = panel.series.iter().find_map(|series| match &series.shape {
        Shape::Cells {
            x_edges,
            y_edges,
            values,
            ..
        } => Some((&x_edges[..], &y_edges[..], &values[..])),
        _ => None,
    });
    cells.unwrap_or_else(|| panic!("no cells in {panel:?}"))
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3);
        assert!(near, "{place}: {found}, not {expected}");
    }
}

/// The share of `of` values that lie in each bin, by comparing with its ends.
fn shares(edges: &[f64], values: &[f64], of: usize) -> Vec<f64> {
    let within = |ends: &[f64]| {
        let inside = values.iter().filter(|v| ends[0] <= **v && **v < ends[1]);
        inside.count() as f64 / of as f64
    };
    edges.windows(2).map(within).collect()
}

/// The times of the spikes of each recorded neuron.
fn trains(result: &RunResult, population: &str, neurons: usize) -> Vec<Vec<f64>> {
    let mut trains = vec![Vec::new(); neurons];
    let (ids, times) = result.spikes(population);
    for (id, time) in ids.into_iter().zip(times) {
        trains[id as usize].push(time);
    }
    trains
}

#[test]
fn a_run_has_all_figures_in_order() {
    let desk = Desk::new();
    let result = result(&desk);
    let figures = figures(result.path());
    let expected = [
        "activity",
        "rates",
        "cv",
        "weights",
        "weights_full",
        "matrices",
        "weights_over_time",
        "trajectories",
        "phases",
    ];
    assert_eq!(names(&figures), expected);
    for figure in &figures {
        assert!(figure.caption.ends_with('.'), "{}", figure.caption);
        for panel in figure.rows.iter().flatten() {
            assert!(!panel.series.is_empty());
            for (low, high) in [panel.x.range, panel.y.range] {
                assert!(low < high && high.is_finite(), "{panel:?}");
            }
        }
    }
}

#[test]
fn activity_is_that_of_the_spikes() {
    let desk = Desk::new();
    let result = result(&desk);
    let figures = figures(result.path());
    let [raster, rate] = &find(&figures, "activity").rows[..] else {
        panic!("not two rows")
    };
    assert_eq!(raster[0].x, rate[0].x);
    assert_eq!(raster[0].x.range, (100.0, 1100.0));
    let mut all = 0;
    for (population, name, recorded, [first, rows]) in POPULATIONS {
        let trains = trains(&result, population, recorded);
        let mut expected = Vec::new();
        for row in 0..rows {
            let train = trains[row * recorded / rows].iter();
            expected.extend(train.map(|time| (*time, (first + row) as f64)));
        }
        expected.sort_by(|one, other| one.partial_cmp(other).expect("numbers"));
        assert!(expected.len() > 20, "{population}: {}", expected.len());
        assert_eq!(dots(&raster[0], name), expected);
        all += expected.len();

        let (x, y) = line(&rate[0], name);
        let starts: Vec<f64> = (0..200).map(|bin| 100.0 + 5.0 * f64::from(bin)).collect();
        assert_close(
            x,
            &starts.iter().map(|start| start + 2.5).collect::<Vec<_>>(),
        );
        let rate = |start: &f64| {
            let inside = |time: &&f64| *start < **time && **time <= start + 5.0;
            let spikes = trains.iter().flatten().filter(inside).count();
            spikes as f64 / recorded as f64 / 0.005
        };
        assert_close(y, &starts.iter().map(rate).collect::<Vec<_>>());
    }
    let caption = &find(&figures, "activity").caption;
    assert!(
        caption.contains(&format!("Top: {all} spikes of 60 exc")),
        "{caption}"
    );
}

#[test]
fn rates_and_irregularity_are_those_of_the_spikes() {
    let desk = Desk::new();
    let result = result(&desk);
    let figures = figures(result.path());
    let (rates, cv) = (find(&figures, "rates"), find(&figures, "cv"));
    for (population, name, recorded, _) in POPULATIONS {
        let trains = trains(&result, population, recorded);
        let (edges, values) = bins(&rates.rows[0][0], name);
        // A hair above, where counts by time are rounded.
        let found: Vec<f64> = trains
            .iter()
            .map(|train| train.len() as f64 + 1e-9)
            .collect();
        assert_close(values, &shares(edges, &found, recorded));
        assert!(values.iter().filter(|value| **value > 0.0).count() > 3);

        let cv_of = |train: &Vec<f64>| {
            let intervals: Vec<f64> = train.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let n = intervals.len() as f64;
            let mean = intervals.iter().sum::<f64>() / n;
            let variance = intervals.iter().map(|i| (i - mean).powi(2)).sum::<f64>() / n;
            (n >= 2.0).then(|| variance.sqrt() / mean)
        };
        let cvs: Vec<f64> = trains.iter().filter_map(cv_of).collect();
        let (edges, values) = bins(&cv.rows[0][0], name);
        assert_close(values, &shares(edges, &cvs, cvs.len()));
        let have = format!("{} of {recorded} {name} neurons", cvs.len());
        assert!(cv.caption.contains(&have), "{have}: {}", cv.caption);
    }
    let which = "all 240 excitatory and the first 10 of 60 inhibitory neurons";
    assert!(rates.caption.contains(which), "{}", rates.caption);
}

#[test]
fn a_raster_is_short_where_there_are_many_spikes() {
    let desk = Desk::new();
    let text = CONFIG
        .replace("iaf_psc_alpha", "ignore_and_fire")
        .replace("n_rec = 250", "");
    let sets = ["neuron.ignore_and_fire.rate=[100, 101]"];
    let result = desk.result(&desk.config("busy", &text), 1, 1, &sets);
    let figures = figures(result.path());
    let raster = &find(&figures, "activity").rows[0][0];
    // 75 neurons: 3750 spikes in 500 ms would be too many.
    assert_eq!(raster.x.range, (900.0, 1100.0));
    let (ids, times) = result.spikes("I");
    let shown = |(id, time): &(u64, f64)| id % 4 == 0 && *time > 900.0;
    let expected = ids.into_iter().zip(times).filter(shown);
    let expected: Vec<_> = expected
        .map(|(id, time)| (time, (60 + id / 4) as f64))
        .collect();
    assert!(expected.len() > 280, "{}", expected.len());
    assert_eq!(dots(raster, "inhibitory"), expected);
    // Clocks.
    let (edges, values) = bins(&find(&figures, "cv").rows[0][0], "excitatory");
    assert_eq!((edges[0], values[0]), (0.0, 1.0));
}

#[test]
fn weights_are_those_of_the_snapshots() {
    let desk = Desk::new();
    let result = result(&desk);
    let figures = figures(result.path());
    for (name, end) in [("weights", Some(150.0)), ("weights_full", None)] {
        let figure = find(&figures, name);
        let panel = &figure.rows[0][0];
        let mut largest = 0.0_f64;
        for (series, dataset) in [
            ("at 0 ms", "syn_weight_at_0ms"),
            ("at 1,100 ms", "syn_weight"),
        ] {
            let all: Vec<f64> = result
                .weights_named(dataset)
                .iter()
                .map(|edge| edge.2)
                .collect();
            let positive: Vec<f64> = all.iter().copied().filter(|w| *w > 0.0).collect();
            let (edges, values) = bins(panel, series);
            let width = edges[1] - edges[0];
            let density = shares(edges, &positive, all.len()).into_iter();
            assert_close(
                values,
                &density.map(|share| share / width).collect::<Vec<_>>(),
            );
            let zeros = (all.len() - positive.len()) as f64 / all.len() as f64;
            let inside = values.iter().sum::<f64>() * width + zeros;
            largest = positive.iter().copied().fold(largest, f64::max);
            if let Some(end) = end {
                assert_eq!((edges.len(), *edges.last().expect("edges")), (76, end));
                let beyond = positive.iter().filter(|w| **w >= end).count();
                assert_close(&[1.0 - inside], &[beyond as f64 / all.len() as f64]);
            } else {
                assert_close(&[inside], &[1.0]);
            }
            if series != "at 0 ms" {
                assert!(zeros > 0.01, "{zeros}");
                let said = figure.caption.split("0 % at 0 ms and ").nth(1);
                let said = said.and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
                let said = said.unwrap_or_else(|| panic!("{}", figure.caption));
                assert!(
                    (said / 100.0 - zeros).abs() < 0.005 * zeros,
                    "{said} {zeros}"
                );
            }
        }
        let total = format!("all {} recorded synapses", result.weights().len());
        let caption = figure.caption.replace(',', "");
        assert!(caption.contains(&total), "{total}: {caption}");
        assert!(end.is_some() || largest < panel.x.range.1);
    }
}

#[test]
fn a_sample_of_the_weights_is_evenly_spaced() {
    let desk = Desk::new();
    let result = result(&desk);
    let weights = Results::open(result.path())
        .and_then(|results| results.weights(None))
        .expect("weights");
    let all: Vec<f64> = result.weights().iter().map(|edge| edge.2).collect();
    assert_eq!(weights.synapses(), all.len());
    for (most, one_in) in [
        (all.len(), 1),
        (all.len() - 1, 2),
        (100, all.len().div_ceil(100)),
    ] {
        let values = weights.values(most);
        assert_eq!(values.one_in(), one_in);
        let found: Vec<f64> = values.collect::<Result<_, _>>().expect("weights");
        let stretches = all.chunks(most).step_by(one_in);
        assert_eq!(found, stretches.flatten().copied().collect::<Vec<_>>());
        assert!(found.len() <= most);
    }
}

#[test]
fn matrices_sum_multapses_and_tell_zero_from_none() {
    let desk = Desk::new();
    let result = result(&desk);
    let figures = figures(result.path());
    let panels = &find(&figures, "matrices").rows[0];
    assert_eq!(panels.len(), 2);
    for (panel, dataset) in panels.iter().zip(["syn_weight_at_0ms", "syn_weight"]) {
        let mut sums = vec![f64::NAN; 100 * 100];
        let mut multapses = 0;
        for (source, target, weight) in result.weights_named(dataset) {
            if source < 100 && target < 100 {
                let sum = &mut sums[target as usize * 100 + source as usize];
                multapses += u32::from(!sum.is_nan());
                *sum = if sum.is_nan() { weight } else { *sum + weight };
            }
        }
        assert!(multapses > 10);
        let (x_edges, y_edges, values) = cells(panel);
        assert_eq!((x_edges.len(), y_edges.len()), (101, 101));
        assert_eq!((x_edges[0], y_edges[100]), (-0.5, 99.5));
        let mut zeros = Vec::new();
        for (place, (found, expected)) in values.iter().zip(&sums).enumerate() {
            let same = *found == *expected as f32 || found.is_nan() && expected.is_nan();
            assert!(same, "{place}: {found}, not {expected}");
            if *expected == 0.0 {
                zeros.push(((place % 100) as f64, (place / 100) as f64));
            }
        }
        assert_eq!(dots(panel, "exactly 0"), zeros);
        assert_eq!(zeros.is_empty(), dataset == "syn_weight_at_0ms");
    }
}

#[test]
fn weights_over_time_are_those_of_the_file() {
    let desk = Desk::new();
    let result = result(&desk);
    let figures = figures(result.path());
    let file = open(&result.path().join("weights.h5"));
    let read = |name: &str| -> Vec<f64> {
        let dataset = file.dataset(name).expect("dataset");
        dataset.read_raw().expect("numbers")
    };
    let figure = find(&figures, "weights_over_time");
    let (x_edges, y_edges, values) = cells(&figure.rows[0][0]);
    let seconds: Vec<f64> = read("weight_histogram/time")
        .iter()
        .map(|ms| ms / 1e3)
        .collect();
    assert_eq!(seconds.len(), 12);
    assert_close(&x_edges[..2], &[0.0, 0.05]);
    assert_close(&x_edges[11..], &[1.05, 1.1]);
    assert_eq!(y_edges, read("weight_histogram/edges"));
    let (counts, zeros) = (
        read("weight_histogram/counts"),
        read("weight_histogram/zeros"),
    );
    let above = read("weight_histogram/above");
    let of = |sample: usize, count: f64| {
        let counts: f64 = counts[sample * 150..][..150].iter().sum();
        count / (counts + zeros[sample] + above[sample])
    };
    for (sample, bin) in (0..12).flat_map(|sample| (0..150).map(move |bin| (sample, bin))) {
        let expected = of(sample, counts[sample * 150 + bin]) as f32;
        let found = values[bin * 12 + sample];
        let same = found == expected || expected == 0.0 && found.is_nan();
        assert!(same, "sample {sample}, bin {bin}: {found}, not {expected}");
    }
    let apart = &figure.rows[1][0];
    for (name, counts) in [("exactly 0", &zeros), ("above 150 pA", &above)] {
        let (x, y) = line(apart, name);
        assert_close(x, &seconds);
        let expected: Vec<f64> = (0..12).map(|sample| of(sample, counts[sample])).collect();
        assert!(expected[11] > 0.0, "{name}");
        assert_close(y, &expected);
    }

    let panel = &find(&figures, "trajectories").rows[0][0];
    let (sources, targets) = (
        read("trajectories/source_node_id"),
        read("trajectories/target_node_id"),
    );
    let (weights, followed) = (read("trajectories/weight"), sources.len());
    assert_eq!(panel.series.len(), Colour::DISTINCT);
    for nth in 0..Colour::DISTINCT {
        let synapse = nth * followed / Colour::DISTINCT;
        let (x, y) = line(
            panel,
            &format!("{} to {}", sources[synapse], targets[synapse]),
        );
        assert_close(x, &seconds);
        let column = weights.iter().skip(synapse).step_by(followed);
        assert_eq!(y, column.copied().collect::<Vec<_>>());
    }
}

#[test]
fn phases_are_those_of_run_json() {
    let desk = Desk::new();
    let result = result(&desk);
    let figures = figures(result.path());
    let figure = find(&figures, "phases");
    let phases = [
        "update",
        "deliver",
        "synchronize",
        "collocate",
        "communicate",
        "receive",
        "record",
    ];
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value}"));
    let ranks = result.run["ranks"].as_array().expect("ranks");
    let mut below = vec![0.0; 2];
    let stacked: Vec<_> = figure.rows[0][0]
        .series
        .iter()
        .map(|s| &s.name[..])
        .collect();
    assert_eq!(stacked[..7], phases);
    assert_eq!(stacked[7..], ["rest"]);
    for phase in phases {
        let Shape::Bars { at, low, high } = shape(&figure.rows[0][0], phase) else {
            panic!("no bars")
        };
        assert_eq!(at, &[0.0, 1.0]);
        assert_close(low, &below);
        for (below, rank) in below.iter_mut().zip(ranks) {
            *below += number(&rank["phases"][phase]["total"]);
        }
        assert_close(high, &below);
    }
    let Shape::Bars { low, high, .. } = shape(&figure.rows[0][0], "rest") else {
        panic!("no bars")
    };
    assert_close(low, &below);
    let whole: Vec<f64> = ranks.iter().map(|rank| number(&rank["simulate"])).collect();
    assert_close(high, &whole);
    let [panel] = &figure.rows[1][..] else {
        panic!("not one panel")
    };
    let Shape::Spreads {
        low, middle, high, ..
    } = &panel.series[0].shape
    else {
        panic!("no spreads")
    };
    let built = [
        "construction_create",
        "construction_connect",
        "communicate_prepare",
        "simulate",
    ];
    let wall_time = |part: &str| -> Vec<f64> {
        let names = built.iter().chain(&phases);
        names
            .map(|name| number(&result.run["wall_time"][*name][part]))
            .collect()
    };
    assert_close(low, &wall_time("min"));
    assert_close(middle, &wall_time("mean"));
    assert_close(high, &wall_time("max"));
}

#[test]
fn what_was_not_recorded_is_left_out() {
    let desk = Desk::new();
    let config = desk.config("small", CONFIG);
    let of = |sets: &[&str]| {
        let result = desk.result(&config, 1, 1, sets);
        names(&figures(result.path())).join(" ")
    };
    let (spikes, snapshots) = ("activity rates cv", "weights weights_full matrices");
    let over_time = "weights_over_time trajectories";
    assert_eq!(
        of(&["record.spikes=false"]),
        format!("{snapshots} {over_time} phases")
    );
    assert_eq!(of(&["record.weights=false"]), format!("{spikes} phases"));
    assert_eq!(
        of(&["record.weights.targets=0"]),
        format!("{spikes} {over_time} phases")
    );
    assert_eq!(
        of(&["record.weights_over_time=false"]),
        format!("{spikes} {snapshots} phases")
    );
    assert_eq!(
        of(&[
            "stimulus.rate=0",
            "record.weights=false",
            "record.weights_over_time=false"
        ]),
        "activity rates phases"
    );
    assert_eq!(
        of(&["network.beta=0", "record.weights=true"]),
        format!("{spikes} phases")
    );
}

#[test]
fn one_population_or_one_snapshot_will_do() {
    let desk = Desk::new();
    let config = desk.config("small", CONFIG);
    let result = desk.result(&config, 1, 1, &["record.n_rec=100", "record.weights=true"]);
    let figures = figures(result.path());
    for (name, series) in [
        ("activity", "excitatory"),
        ("rates", "excitatory"),
        ("weights", "at 1,100 ms"),
    ] {
        let panel = &find(&figures, name).rows[0][0];
        let names: Vec<_> = panel.series.iter().map(|series| &series.name[..]).collect();
        assert_eq!(names, [series]);
    }
    assert_eq!(find(&figures, "matrices").rows[0].len(), 1);
}

/// Replaces the status of a result, as if the run had not come to its end.
fn cut_short(directory: &Path, status: &str) {
    let path = directory.join("run.json");
    let text = fs::read_to_string(&path).expect("run.json");
    fs::write(path, text.replace("\"done\"", status)).expect("written");
}

#[test]
fn a_run_without_end_shows_what_its_files_hold() {
    let desk = Desk::new();
    let result = result(&desk);
    cut_short(result.path(), "\"running\"");
    let all = figures(result.path());
    assert_eq!(all.len(), 8);
    assert!(!names(&all).contains(&"phases"));
    let last = [result.spikes("E").1, result.spikes("I").1];
    let last = last.iter().flatten().copied().fold(0.0, f64::max);
    assert_eq!(find(&all, "activity").rows[0][0].x.range, (100.0, last));

    fs::remove_file(result.path().join("weights.h5")).expect("removed");
    assert_eq!(names(&figures(result.path())), ["activity", "rates", "cv"]);
    fs::remove_file(result.path().join("spikes.h5")).expect("removed");
    assert_eq!(names(&figures(result.path())), [""; 0]);
}

/// Takes the id from run.json, as if an older build had written it.
fn forget_id(directory: &Path) {
    let path = directory.join("run.json");
    let text = fs::read_to_string(&path).expect("run.json");
    fs::write(path, text.replace("\"id\": ", "\"no_id\": ")).expect("written");
}

/// Expects no figures of `directory`, but a line that begins with the name of `file` in it.
#[track_caller]
fn refused(directory: &Path, file: &str, what: &str) {
    let Err(error) = figures_of_run(directory) else {
        panic!("{file} was taken")
    };
    let message = error.to_string();
    let begin = format!("{}: {what}", directory.join(file).display());
    assert!(message.starts_with(&begin), "{message}");
    assert!(!message.contains('\n'), "{message}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn files_that_will_not_do_are_named() {
    let desk = Desk::new();
    let result = result(&desk);
    let small = CONFIG
        .replace("N = 300", "N = 250")
        .replace("sources = 200, targets = 110", "");
    let small = desk.result(&desk.config("other", &small), 1, 1, &["simulation.seed=2"]);
    for file in ["spikes.h5", "weights.h5"] {
        let path = result.path().join(file);
        let whole = fs::read(&path).expect("read");
        fs::remove_file(&path).expect("removed");
        refused(result.path(), file, "cannot be opened: No such file");

        fs::write(&path, &whole[..whole.len() / 2]).expect("written");
        refused(result.path(), file, "cannot be opened as an HDF5 file: ");

        fs::write(&path, "no HDF5").expect("written");
        refused(result.path(), file, "cannot be opened as an HDF5 file: ");

        hdf5::File::create(&path)
            .and_then(hdf5::File::close)
            .expect("created");
        refused(result.path(), file, "was not written by stdp-hpc");
        fs::write(&path, whole).expect("written");
    }
    assert_eq!(figures(result.path()).len(), 9);

    // Files of another run: known by their id, or as those of an older build, by their counts.
    fs::copy(
        result.path().join("spikes.h5"),
        small.path().join("spikes.h5"),
    )
    .expect("copied");
    refused(small.path(), "spikes.h5", "is not of the run of ");
    forget_id(small.path());
    refused(small.path(), "spikes.h5", "contains ");
    let spikes = desk.result(
        &desk.config("again", CONFIG),
        1,
        1,
        &["record.weights=true"],
    );
    fs::copy(
        small.path().join("weights.h5"),
        spikes.path().join("weights.h5"),
    )
    .expect("copied");
    refused(spikes.path(), "weights.h5", "is not of the run of ");
    forget_id(spikes.path());
    refused(spikes.path(), "weights.h5", "contains ");
    fs::write(spikes.path().join("run.json"), "{}").expect("written");
    refused(spikes.path(), "run.json", "is not of a run of stdp-hpc: ");
}
