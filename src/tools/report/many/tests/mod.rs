//! Tests on runs of the program, and on runs with numbers set for results computed by hand.

mod bars;
mod lines;
mod one_series;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::figures;
use super::table::{Table, table};
use crate::base::digest::Digest;
use crate::base::units::grouped;
use crate::comm::{Comm, Spread};
use crate::engine::Simulation;
use crate::io::config;
use crate::io::outcome::{self, Outcome, Provenance, RunRecord, Status};
use crate::io::recording::Recorder;
use crate::model::recipe::DrawnNetwork;
use crate::tools::figure::{Colour, Figure, Panel, Scale, Shape};

/// Runs the program on a small network and reads the record back from run.json.
fn simulated(sets: &[&str], threads: usize) -> RunRecord {
    const CONFIG: &str = "
        [network]
        N = 100
        K = 10
        [neuron]
        model = \"iaf_psc_alpha\"
        [simulation]
        T = 40.0
    ";
    let directory = tempfile::tempdir().expect("a directory");
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let comm = Comm::Alone;
    let path = Path::new("small.toml");
    let params = config::load(path, CONFIG, &sets, Some(threads), 1).expect("a good config");
    let provenance = Provenance::new(&comm, &params, "portable");
    let mut simulation = Simulation::build(comm, DrawnNetwork { params }).expect("built");
    let id = outcome::new_id().expect("random");
    let mut recorder = Recorder::new(&simulation, directory.path(), &id).expect("files");
    let timers = simulation.run(&mut [&mut recorder]).expect("run");
    let outcome = Outcome::new(&simulation, &timers, 1 << 20, recorder.held());
    recorder.close(simulation.comm()).expect("closed");
    let done = Status::Done(&outcome);
    outcome::write(
        directory.path(),
        &id,
        &provenance,
        simulation.params(),
        done,
    )
    .expect("written");
    RunRecord::read(directory.path()).expect("what was written")
}

static SMALL: LazyLock<RunRecord> = LazyLock::new(|| simulated(&[], 1));

/// Returns a run as if a network of `neurons` had taken `seconds` on `ranks` × `threads`.
fn run(neurons: u64, (ranks, threads): (usize, usize), seconds: f64) -> RunRecord {
    let mut run = SMALL.clone();
    let n_e = neurons * 4 / 5;
    set(&mut run, "/network/N", json!(neurons));
    set(&mut run, "/network/N_E", json!(n_e));
    set(&mut run, "/network/N_I", json!(neurons - n_e));
    set(&mut run, "/record/n_rec", json!(neurons));
    set(&mut run, "/simulation/threads", json!(threads));
    (run.provenance.ranks, run.provenance.threads) = (ranks, threads);
    run.directory = PathBuf::from(format!("n{neurons}_r{ranks}_t{threads}"));
    let outcome = outcome(&mut run);
    outcome.counts.neurons = neurons;
    outcome.wall_time.simulate = spread(seconds);
    outcome.real_time_factor = seconds * 1000.0 / outcome.model_time_ms;
    run
}

fn set(run: &mut RunRecord, path: &str, value: Value) {
    let place = run.parameters.pointer_mut(path);
    *place.unwrap_or_else(|| panic!("no parameter {path}")) = value;
}

/// Returns `run` with another seed.
fn seeded(mut run: RunRecord, seed: u64) -> RunRecord {
    set(&mut run, "/simulation/seed", json!(seed));
    run
}

fn outcome(run: &mut RunRecord) -> &mut Outcome {
    run.outcome.as_mut().expect("a run that is done")
}

fn spread(max: f64) -> Spread {
    let [min, mean] = [0.8, 0.9].map(|part| part * max);
    Spread { min, mean, max }
}

/// Draws the figures of `runs` and checks what holds for all figures, such as values inside axes.
fn drawn(runs: &[RunRecord]) -> Vec<Figure> {
    let figures = figures(runs);
    for figure in &figures {
        for panel in figure.rows.iter().flatten() {
            let (low, high) = panel.x.range;
            assert!(low < high && panel.y.range.0 < panel.y.range.1, "{panel:?}");
            assert!(panel.x.scale != Scale::Doubling || low > 0.0, "{panel:?}");
            assert!(!panel.series.is_empty());
            for series in &panel.series {
                let (x, ys) = values(&series.shape);
                let inside = |x: &f64| (low..=high).contains(x);
                assert!(x.iter().all(inside), "{}: {x:?}", figure.name);
                for y in ys {
                    assert_eq!(y.len(), x.len());
                    let (low, high) = panel.y.range;
                    let inside = |y: &f64| (low..=high).contains(y);
                    assert!(
                        y.iter().all(inside),
                        "{}: {y:?} in {low}…{high}",
                        figure.name
                    );
                }
            }
        }
    }
    figures
}

/// Returns the x values of a shape and all of its heights.
fn values(shape: &Shape) -> (&[f64], Vec<&[f64]>) {
    match shape {
        Shape::Line { x, y, band } if band.0.is_empty() => (x, vec![y]),
        Shape::Line { x, y, band } => (x, vec![&band.0, y, &band.1]),
        Shape::Bars { at, low, high } => (at, vec![low, high]),
        Shape::Spreads {
            at,
            low,
            middle,
            high,
        } => (at, vec![low, middle, high]),
        other => panic!("{other:?} is none of these figures'"),
    }
}

fn named<'a>(figures: &'a [Figure], name: &str) -> &'a Figure {
    let figure = figures.iter().find(|figure| figure.name == name);
    figure.unwrap_or_else(|| panic!("no {name}"))
}

fn names(figures: &[Figure]) -> Vec<&str> {
    figures.iter().map(|figure| figure.name).collect()
}

/// Returns panel `nth` in the first row of a figure.
fn panel<'a>(figures: &'a [Figure], name: &str, nth: usize) -> &'a Panel {
    &named(figures, name).rows[0][nth]
}

/// Returns x and y of a panel's line by its name.
fn line<'a>(panel: &'a Panel, name: &str) -> (&'a [f64], &'a [f64]) {
    match &series(panel, name) {
        Shape::Line { x, y, .. } => (x, y),
        other => panic!("{other:?} is no line"),
    }
}

fn series<'a>(panel: &'a Panel, name: &str) -> &'a Shape {
    let series = panel.series.iter().find(|series| series.name == name);
    let names = || legend(panel).join(", ");
    &series
        .unwrap_or_else(|| panic!("no {name} in {}", names()))
        .shape
}

fn legend(panel: &Panel) -> Vec<&str> {
    panel.series.iter().map(|series| &series.name[..]).collect()
}

/// Returns the names of the bars.
fn bars(figures: &[Figure]) -> Vec<String> {
    match &panel(figures, "real_time_factor", 0).x.scale {
        Scale::Names(names) => names.clone(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn close(one: &[f64], other: &[f64]) {
    assert_eq!(one.len(), other.len(), "{one:?} {other:?}");
    for (one, other) in one.iter().zip(other) {
        assert!(
            (one - other).abs() <= 1e-12 * other.abs(),
            "{one} is not {other}"
        );
    }
}

const IAF: &str = "iaf_psc_alpha";

/// Returns the cell of a column in the row of run `nth`.
fn cell<'a>(table: &'a Table, nth: usize, column: &str) -> &'a str {
    let place = table.header.iter().position(|name| *name == column);
    &table.rows[nth][place.unwrap_or_else(|| panic!("no column {column}"))]
}

#[test]
fn runs_of_the_program_are_shown_as_they_are() {
    let mut runs = Vec::new();
    for model in ["iaf_psc_alpha", "ignore_and_fire"] {
        for neurons in [100, 200] {
            for (threads, seed) in [(1, 1), (1, 2), (2, 1)] {
                let sets = [
                    format!("neuron.model={model}"),
                    format!("network.N={neurons}"),
                    format!("simulation.seed={seed}"),
                ];
                runs.push(simulated(&sets.each_ref().map(|set| &set[..]), threads));
            }
        }
    }
    let figures = drawn(&runs);
    let all = [
        "network_size",
        "weak_scaling",
        "strong_scaling",
        "real_time_factor",
        "memory",
    ];
    assert_eq!(names(&figures), all);
    let outcome = |nth: usize| runs[nth].outcome.as_ref().expect("done");
    // Runs 6 … 8 have 100 neurons of model ignore_and_fire.
    let (x, y) = line(panel(&figures, "network_size", 1), "ignore_and_fire");
    close(x, &[100.0, 200.0]);
    let rate = |nth| {
        let rates = &outcome(nth).rates;
        0.8 * rates.E.expect("E") + 0.2 * rates.I.expect("I")
    };
    assert!((y[0] - (rate(6) + rate(7) + rate(8)) / 3.0).abs() < 1e-9);
    let (_, mean) = line(panel(&figures, "network_size", 2), "iaf_psc_alpha, mean");
    let (_, upper) = line(
        panel(&figures, "network_size", 2),
        "iaf_psc_alpha, mean + SD",
    );
    let weights = [3, 4, 5].map(|nth| {
        let weights = &outcome(nth).weights;
        [weights.mean, weights.sd].map(|value| value.expect("plastic synapses"))
    });
    close(
        &mean[1..],
        &[weights.map(|[mean, _]| mean).iter().sum::<f64>() / 3.0],
    );
    close(
        &upper[1..],
        &[weights.map(|[mean, sd]| mean + sd).iter().sum::<f64>() / 3.0],
    );
    // Bars are sorted by model, size, split and seed, which is the order of the runs above.
    let factors = runs
        .iter()
        .map(|run| run.outcome.as_ref().expect("done").real_time_factor);
    let (_, tops) = stack(panel(&figures, "real_time_factor", 0), 8);
    close(&tops, &factors.collect::<Vec<_>>());
    assert_eq!(bars(&figures)[0], "iaf N 100 1×1 seed 1");
    assert_eq!(bars(&figures)[11], "ignore N 200 1×2 seed 1");
    assert_eq!(table(&runs).warnings, [""; 0]);
}

/// Returns bottoms and tops of the first `count` series of a panel, and checks that they are
/// stacked.
fn stack(panel: &Panel, count: usize) -> (Vec<f64>, Vec<f64>) {
    let stacked = panel.series[..count]
        .iter()
        .map(|series| match &series.shape {
            Shape::Bars { low, high, .. } => (low.clone(), high.clone()),
            other => panic!("{other:?}"),
        });
    let join = |(bottom, top): (Vec<f64>, Vec<f64>), (low, high): (Vec<f64>, Vec<f64>)| {
        assert_eq!(low, top, "they stand upon each other");
        assert!(low.iter().zip(&high).all(|(low, high)| low <= high));
        (bottom, high)
    };
    stacked.reduce(join).expect("a series")
}

#[test]
fn a_network_without_excitatory_neurons_or_plastic_synapses_is_shown() {
    let runs = [100, 200].map(|neurons| {
        let neurons = format!("network.N={neurons}");
        simulated(&[&neurons, "network.beta=0.0"], 1)
    });
    let figures = drawn(&runs);
    let (_, rates) = line(panel(&figures, "network_size", 1), IAF);
    let outcome = runs[1].outcome.as_ref().expect("done");
    assert_eq!(
        (outcome.rates.E, outcome.counts.synapses_plastic),
        (None, 0)
    );
    close(&rates[1..], &[outcome.rates.I.expect("I")]);
    // No synapses, so no weight panel.
    assert_eq!(named(&figures, "network_size").rows[0].len(), 2);
    assert_eq!(cell(&table(&runs), 0, "rate E (spikes/s)"), "none");
}
