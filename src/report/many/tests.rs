//! Figures of runs of the program, and of such whose numbers were set to be worked out by hand.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::figures;
use super::table::{Table, table};
use crate::comm::{Comm, Spread};
use crate::digest::Digest;
use crate::engine::Simulation;
use crate::figure::{Colour, Figure, Panel, Scale, Shape};
use crate::outcome::{self, Outcome, Provenance, RunRecord, Status};
use crate::params::Params;
use crate::recording::Recorder;

/// The program's run of a small network, as its run.json is read again.
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
    let comm = Comm::alone();
    let path = Path::new("small.toml");
    let params = Params::load(path, CONFIG, &sets, Some(threads), 1).expect("a good config");
    let provenance = Provenance::new(&comm, &params, "portable");
    let mut simulation = Simulation::build(comm, params).expect("built");
    let out = Some(directory.path());
    let delay = simulation.delays().ee;
    let mut recorder =
        Recorder::new(simulation.comm(), simulation.params(), out, delay).expect("files");
    let timers = simulation.run(&mut recorder, &mut |_| {}).expect("run");
    recorder.flush(simulation.comm());
    let outcome = Outcome::new(&mut simulation, &recorder, &timers, 1 << 20);
    recorder.close(simulation.comm()).expect("closed");
    let done = Status::Done(&outcome);
    outcome::write(directory.path(), &provenance, simulation.params(), done).expect("written");
    RunRecord::read(directory.path()).expect("what was written")
}

static SMALL: LazyLock<RunRecord> = LazyLock::new(|| simulated(&[], 1));

/// As if a network of `neurons` had taken `seconds` on `ranks` × `threads`.
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

/// The same of another seed.
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

/// The figures of `runs`, of which what always holds was seen to hold.
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

/// Where a shape stands, and all heights.
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

/// Panel `nth` of a figure.
fn panel<'a>(figures: &'a [Figure], name: &str, nth: usize) -> &'a Panel {
    &named(figures, name).rows[0][nth]
}

/// A line of a panel by its name: x and y.
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

/// Names of the bars.
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
        "scaling",
        "weak_scaling",
        "strong_scaling",
        "real_time_factor",
        "memory",
    ];
    assert_eq!(names(&figures), all);
    let outcome = |nth: usize| runs[nth].outcome.as_ref().expect("done");
    // Runs 6 … 8 are of 100 neurons that ignore.
    let (x, y) = line(panel(&figures, "scaling", 1), "ignore_and_fire");
    close(x, &[100.0, 200.0]);
    let rate = |nth| {
        let rates = &outcome(nth).rates;
        0.8 * rates.E.expect("E") + 0.2 * rates.I.expect("I")
    };
    assert!((y[0] - (rate(6) + rate(7) + rate(8)) / 3.0).abs() < 1e-9);
    let (_, mean) = line(panel(&figures, "scaling", 2), "iaf_psc_alpha, mean");
    let (_, upper) = line(panel(&figures, "scaling", 2), "iaf_psc_alpha, mean + SD");
    let weights = [3, 4, 5].map(|nth| &outcome(nth).weights);
    close(
        &mean[1..],
        &[weights.map(|w| w.mean).iter().sum::<f64>() / 3.0],
    );
    close(
        &upper[1..],
        &[weights.map(|w| w.mean + w.sd).iter().sum::<f64>() / 3.0],
    );
    // Bars come by model, size, split, seed, as the runs above but for the seeds.
    let factors = runs
        .iter()
        .map(|run| run.outcome.as_ref().expect("done").real_time_factor);
    let (_, tops) = stack(panel(&figures, "real_time_factor", 0), 8);
    close(&tops, &factors.collect::<Vec<_>>());
    assert_eq!(bars(&figures)[0], "iaf N 100 1×1 seed 1");
    assert_eq!(bars(&figures)[11], "ignore N 200 1×2 seed 1");
    assert_eq!(table(&runs).warnings, [""; 0]);
}

/// Bottoms and tops of the first `count` series of a panel, which stand upon each other.
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
fn more_cores_for_one_network_scale_strongly() {
    let runs = [
        run(1000, (4, 1), 2.5),
        seeded(run(1000, (2, 1), 6.0), 2),
        run(1000, (1, 1), 8.0),
        seeded(run(1000, (2, 1), 4.0), 1),
    ];
    let figures = drawn(&runs);
    let all = ["strong_scaling", "real_time_factor", "memory"];
    assert_eq!(names(&figures), all, "one size, so nothing else");
    let time = panel(&figures, "strong_scaling", 0);
    assert_eq!(
        (&time.x.scale, &time.y.scale),
        (&Scale::Doubling, &Scale::Log)
    );
    close(line(time, IAF).0, &[1.0, 2.0, 4.0]);
    close(line(time, IAF).1, &[8.0, 5.0, 2.5]);
    close(line(time, "ideal").1, &[8.0, 4.0, 2.0]);
    let (_, heights) = values(series(time, IAF));
    close(heights[0], &[8.0, 4.0, 2.5]);
    close(heights[2], &[8.0, 6.0, 2.5]);
    let efficiency = panel(&figures, "strong_scaling", 1);
    assert_eq!(efficiency.y.range, (0.0, 1.1));
    let (_, heights) = values(series(efficiency, IAF));
    close(heights[0], &[1.0, 8.0 / 12.0, 0.8]);
    close(heights[1], &[1.0, 0.8, 0.8]);
    close(heights[2], &[1.0, 1.0, 0.8]);
    assert!(named(&figures, "strong_scaling").caption.contains("band"));
}

#[test]
fn a_network_that_grows_with_the_cores_scales_weakly() {
    let mut runs = [
        run(1000, (1, 2), 4.0),
        run(2000, (2, 2), 5.0),
        run(4000, (4, 2), 8.0),
    ];
    for run in &mut runs {
        let per_rank = json!(1000);
        set(run, "/network/N_per_rank", per_rank);
    }
    let figures = drawn(&runs);
    let all = ["scaling", "weak_scaling", "real_time_factor", "memory"];
    assert_eq!(names(&figures), all);
    let time = panel(&figures, "weak_scaling", 0);
    close(line(time, IAF).0, &[2.0, 4.0, 8.0]);
    close(line(time, "ideal").1, &[4.0; 3]);
    assert_eq!(time.series[0].colour, Colour::Reference);
    close(
        line(panel(&figures, "weak_scaling", 1), IAF).1,
        &[1.0, 0.8, 0.5],
    );
    let scaling = named(&figures, "scaling");
    assert!(
        scaling
            .caption
            .contains("Ranks and threads vary along with N")
    );
    close(line(&scaling.rows[0][0], IAF).1, &[4.0, 5.0, 8.0]);
    let Shape::Line { band, .. } = series(time, IAF) else {
        panic!("a line")
    };
    assert!(band.0.is_empty(), "of one run each there is no band");
}

#[test]
fn sizes_that_no_rank_shares_evenly_do_not_scale_weakly() {
    let figures = drawn(&[run(1000, (1, 1), 4.0), run(2001, (2, 1), 5.0)]);
    assert_eq!(names(&figures), ["scaling", "real_time_factor", "memory"]);
}

#[test]
fn an_efficiency_above_one_is_not_cut_off() {
    let figures = drawn(&[run(1000, (1, 1), 9.0), run(1000, (1, 3), 2.0)]);
    let efficiency = panel(&figures, "strong_scaling", 1);
    close(line(efficiency, IAF).1, &[1.0, 1.5]);
}

#[test]
fn cores_that_were_had_in_several_ways_make_several_lines() {
    let splits = [(1, 1), (2, 1), (4, 1), (1, 2), (1, 4)];
    let runs = splits.map(|split| run(1000, split, 10.0 / (split.0 * split.1) as f64));
    let figures = drawn(&runs);
    let time = panel(&figures, "strong_scaling", 0);
    let lines = ["ideal", "ideal", "R×1", "1×T"];
    assert_eq!(legend(time), lines);
    for name in ["R×1", "1×T"] {
        close(line(time, name).0, &[1.0, 2.0, 4.0]);
    }
    let runs = [(1, 1), (2, 1), (1, 2), (2, 2)].map(|split| run(1000, split, 1.0));
    let time = drawn(&runs);
    let time = panel(&time, "strong_scaling", 0);
    assert_eq!(legend(time)[2..], ["R×1", "R×2"]);
    close(line(time, "R×2").0, &[2.0, 4.0]);
}

#[test]
fn sizes_on_several_splits_have_a_line_of_time_for_each() {
    let mut runs = Vec::new();
    for (neurons, seconds) in [(1000, 4.0), (2000, 8.0)] {
        runs.push(run(neurons, (1, 1), seconds));
        runs.push(run(neurons, (2, 1), seconds / 2.0));
    }
    let figures = drawn(&runs);
    let time = panel(&figures, "scaling", 0);
    assert_eq!(legend(time), ["1×1", "2×1"]);
    close(line(time, "2×1").1, &[2.0, 4.0]);
    assert_eq!(legend(panel(&figures, "scaling", 1)), [IAF]);
    let strong = legend(panel(&figures, "strong_scaling", 1));
    assert_eq!(strong, ["ideal", "N 1000", "N 2000"]);
    // 1000 neurons a core, on one core and on two.
    close(line(panel(&figures, "weak_scaling", 1), IAF).1, &[1.0, 1.0]);
}

#[test]
fn splits_of_one_size_have_no_line_beside_those_of_several() {
    let mut runs = vec![run(1000, (1, 1), 1.0), run(2000, (1, 1), 2.0)];
    runs.push(run(2000, (2, 1), 1.0));
    let figures = drawn(&runs);
    let time = panel(&figures, "scaling", 0);
    assert_eq!(legend(time), [IAF]);
    close(line(time, IAF).1, &[1.0, 2.0]);
    assert!(named(&figures, "scaling").caption.contains("only of ranks"));
    runs.remove(1);
    runs.push(run(2000, (1, 2), 3.0));
    let figures = drawn(&runs);
    let all = legend(panel(&figures, "scaling", 0));
    assert_eq!(all, ["1×1", "1×2", "2×1"], "dots where there is no line");
    assert!(!named(&figures, "scaling").caption.contains("only of ranks"));
}

#[test]
fn series_differ_in_what_does_not_follow_from_the_size() {
    let of = |neurons, changes: &[(&str, Value)]| {
        let mut run = run(neurons, (1, 1), 1.0);
        for (path, value) in changes {
            set(&mut run, path, value.clone());
        }
        run
    };
    let rates = |runs: &[RunRecord]| -> Vec<String> {
        let figures = drawn(runs);
        let legend = legend(panel(&figures, "scaling", 1));
        legend.into_iter().map(str::to_owned).collect()
    };
    let k = |k: u64| ("/network/K", json!(k));
    assert_eq!(rates(&[of(1000, &[k(10)]), of(2000, &[k(20)])]), [IAF]);
    let grid = [
        of(1000, &[k(10)]),
        of(2000, &[k(10)]),
        of(1000, &[k(20)]),
        of(2000, &[k(20)]),
    ];
    assert_eq!(rates(&grid), ["K 10", "K 20"]);
    let recorded = |spikes: u64| ("/record/n_rec", json!(spikes));
    let few = [recorded(500)];
    let all = [of(1000, &[]), of(2000, &[]), of(1000, &few), of(2000, &few)];
    assert_eq!(rates(&all).len(), 2, "all recorded, and few");
    assert_eq!(
        rates(&[of(500, &few), of(1000, &few), of(2000, &few)]),
        [IAF]
    );
    let alpha = [("/stdp/alpha", json!(0.5))];
    let both = [of(1000, &[]), of(2000, &alpha)];
    assert_eq!(rates(&both).len(), 2);
    assert!(rates(&both)[1].contains("alpha 0.5"), "{:?}", rates(&both));
    let mut newer = of(2000, &[]);
    newer.provenance.commit = "other".into();
    assert_eq!(rates(&[of(1000, &[]), newer.clone()]).len(), 2);
    let interconnect = [("/interconnect", json!(null))];
    assert_eq!(rates(&[of(1000, &[]), of(2000, &interconnect)]), [IAF]);
}

#[test]
fn models_of_one_size_stand_side_by_side() {
    let mut other = run(1000, (1, 1), 3.0);
    set(&mut other, "/neuron/model", json!("ignore_and_fire"));
    let figures = drawn(&[other, run(1000, (1, 1), 1.0)]);
    let time = panel(&figures, "scaling", 0);
    assert_eq!(legend(time), [IAF, "ignore_and_fire"]);
    close(line(time, "ignore_and_fire").1, &[3.0]);
    let colours = [time.series[0].colour, time.series[1].colour];
    assert_eq!(colours, [Colour::Excitatory, Colour::Inhibitory]);
    assert_eq!(bars(&figures), ["iaf", "ignore"]);
}

#[test]
fn runs_that_are_alike_in_all_are_told_apart_by_number() {
    let runs = [run(1000, (1, 1), 1.0), run(1000, (1, 1), 2.0)];
    let figures = drawn(&runs);
    assert_eq!(names(&figures), ["real_time_factor", "memory"]);
    assert_eq!(bars(&figures), ["iaf #1", "iaf #2"]);
    let mut per_rank = runs.clone();
    set(&mut per_rank[0], "/network/N_per_rank", json!(1000));
    assert_eq!(bars(&drawn(&per_rank)), ["iaf #1", "iaf #2"]);
}

#[test]
fn names_of_bars_say_what_differs_and_no_more() {
    let mut longer = run(1000, (1, 1), 1.0);
    outcome(&mut longer).model_time_ms = 80.0;
    set(&mut longer, "/simulation/T", json!(640));
    let figures = drawn(&[longer, run(1000, (1, 1), 1.0)]);
    assert_eq!(
        bars(&figures),
        ["iaf T 80 ms", "iaf T 40 ms"].map(|n| &n[4..])
    );
}

#[test]
fn very_many_bars_are_means_over_seeds_and_then_fewer() {
    let mut runs: Vec<_> = (0..40).map(|i| run(1000 + i, (1, 1), 1.0)).collect();
    let figures = drawn(&runs);
    assert_eq!(bars(&figures).len(), 40);
    assert!(!named(&figures, "memory").caption.contains("seeds"));
    runs.push(seeded(run(1039, (1, 1), 3.0), 7));
    let figures = drawn(&runs);
    assert_eq!(bars(&figures).len(), 40);
    assert!(
        named(&figures, "memory")
            .caption
            .contains("but their seeds")
    );
    let (_, tops) = stack(panel(&figures, "real_time_factor", 0), 8);
    close(&tops[38..], &[1.0, 2.0].map(|seconds| seconds / 0.04));
    runs.extend((40..50).map(|i| run(1000 + i, (1, 1), 1.0)));
    let figures = drawn(&runs);
    assert_eq!(bars(&figures).len(), 40);
    assert!(named(&figures, "memory").caption.contains("first 40 of 50"));
}

#[test]
fn more_series_than_colours_are_not_all_drawn() {
    let runs: Vec<_> = (0..20)
        .map(|i| {
            let mut run = run(1000 * (1 + i % 2), (1, 1), 1.0);
            set(&mut run, "/stdp/alpha", json!(i / 2));
            run
        })
        .collect();
    let figures = drawn(&runs);
    assert_eq!(panel(&figures, "scaling", 1).series.len(), Colour::MANY);
    let caption = &named(&figures, "scaling").caption;
    assert!(caption.contains("first 8 of 10 lines"), "{caption}");
}

#[test]
fn memory_is_stacked_and_its_peak_marked() {
    const MIB: f64 = 1048576.0;
    let mut one = run(1000, (2, 1), 1.0);
    let memory = &mut outcome(&mut one).memory;
    memory.before_per_rank = spread(10.0 * MIB);
    memory.peak_per_rank = spread(4000.0 * MIB);
    let held: f64 = memory
        .by_structure
        .iter()
        .map(|(_, bytes)| bytes.mean)
        .sum();
    let figures = drawn(&[one]);
    let panel = panel(&figures, "memory", 0);
    let (bottom, top) = stack(panel, 9);
    assert_eq!(bottom, [0.0]);
    assert!(held > 0.0 && (top[0] - 9.0 - held / MIB).abs() < 1e-9);
    let (_, peak) = values(series(panel, "peak"));
    close(&peak.concat(), &[3200.0, 3600.0, 4000.0]);
}

#[test]
fn phases_and_the_rest_make_the_real_time_factor() {
    let mut one = run(1000, (1, 1), 2.0);
    let times = &mut outcome(&mut one).wall_time;
    times.phases = times.phases.map(|_| spread(0.1));
    times.phases.update = spread(0.5);
    let figures = drawn(&[one]);
    let panel = panel(&figures, "real_time_factor", 0);
    let height = |name| match series(panel, name) {
        Shape::Bars { low, high, .. } => high[0] - low[0],
        other => panic!("{other:?}"),
    };
    // Means are 0.9 of the maxima; 40 ms of model time.
    let heights = ["update", "record", "rest"].map(height);
    for (height, seconds) in heights.into_iter().zip([0.45, 0.09, 2.0 - 0.45 - 0.54]) {
        assert!((height - seconds / 0.04).abs() < 1e-9, "{height}");
    }
}

#[test]
fn digests_that_differ_where_they_must_not_are_told() {
    let wrong = |mut run: RunRecord| {
        outcome(&mut run).digest.weights = Digest(1);
        run
    };
    let one = run(1000, (1, 1), 1.0);
    let warned = |other: RunRecord| table(&[one.clone(), other]).warnings;
    assert_eq!(warned(run(1000, (2, 1), 1.0)), [""; 0]);
    let told = warned(wrong(run(1000, (2, 1), 1.0)));
    let ours = one.outcome.as_ref().expect("done").digest.weights;
    let expected = format!(
        "digests differ where they must not: of weights {ours} in n1000_r1_t1, \
         0000000000000001 in n1000_r2_t1"
    );
    assert_eq!(told, [expected]);
    let mut recorded = wrong(run(1000, (2, 1), 1.0));
    set(&mut recorded, "/record/n_rec", json!(7));
    assert_eq!(
        warned(recorded).len(),
        1,
        "what is recorded changes nothing"
    );
    assert_eq!(warned(seeded(wrong(one.clone()), 9)), [""; 0]);
    assert_eq!(warned(wrong(run(2000, (1, 1), 1.0))), [""; 0]);
    let mut newer = wrong(one.clone());
    newer.provenance.commit = "other".into();
    assert_eq!(warned(newer), [""; 0]);
}

/// The cell of a column in the row of run `nth`.
fn cell<'a>(table: &'a Table, nth: usize, column: &str) -> &'a str {
    let place = table.header.iter().position(|name| *name == column);
    &table.rows[nth][place.unwrap_or_else(|| panic!("no column {column}"))]
}

#[test]
fn runs_that_are_not_done_are_in_the_table_only() {
    let mut failed = run(3000, (2, 4), 1.0);
    (failed.status, failed.outcome) = ("failed".into(), None);
    failed.error = Some("out of memory".into());
    let mut running = failed.clone();
    (running.status, running.error) = ("running".into(), None);
    assert!(drawn(&[failed.clone(), running.clone()]).is_empty());
    let runs = [failed, run(1000, (1, 1), 1.0), running];
    assert_eq!(names(&drawn(&runs)), ["real_time_factor", "memory"]);
    assert_eq!(bars(&drawn(&runs)), ["iaf"]);
    let table = table(&runs);
    let statuses = [0, 1, 2].map(|nth| cell(&table, nth, "status"));
    assert_eq!(statuses, ["failed: out of memory", "done", "running"]);
    assert_eq!(cell(&table, 0, "result"), "n3000_r2_t4");
    assert_eq!(cell(&table, 0, "neurons"), "3,000");
    assert_eq!(cell(&table, 0, "ranks × threads"), "2 × 4");
    assert_eq!(cell(&table, 0, "simulate (s)"), "");
}

#[test]
fn the_table_has_the_numbers_of_a_run() {
    let mut one = run(1000, (1, 1), 0.123456);
    let changed = outcome(&mut one);
    (changed.rates.E, changed.rates.I) = (Some(1.23456), None);
    (changed.weights.mean, changed.weights.sd) = (12345.678, 0.0);
    changed.digest.spikes = Digest(0xabc);
    changed.memory.peak_per_rank = spread(100.0 * 1048576.0);
    (
        changed.counts.synapses_plastic,
        changed.counts.synapses_static,
    ) = (70, 7);
    let table = table(&[one]);
    for (column, text) in [
        ("status", "done"),
        ("model", IAF),
        ("synapses", "77"),
        ("seed", "1"),
        ("model time (ms)", "40"),
        ("simulate (s)", "0.1235"),
        ("real-time factor", "3.086"),
        ("rate E (spikes/s)", "1.235"),
        ("rate I (spikes/s)", "none"),
        ("weight mean (pA)", "12346"),
        ("weight SD (pA)", "0.000"),
        ("peak memory of a rank", "100 MiB"),
        ("digest of spikes", "00000000"),
    ] {
        assert_eq!(cell(&table, 0, column), text, "{column}");
    }
}

#[test]
fn a_network_without_excitatory_neurons_or_plastic_synapses_is_shown() {
    let runs = [100, 200].map(|neurons| {
        let neurons = format!("network.N={neurons}");
        simulated(&[&neurons, "network.beta=0.0"], 1)
    });
    let figures = drawn(&runs);
    let (_, rates) = line(panel(&figures, "scaling", 1), IAF);
    let outcome = runs[1].outcome.as_ref().expect("done");
    assert_eq!(
        (outcome.rates.E, outcome.counts.synapses_plastic),
        (None, 0)
    );
    close(&rates[1..], &[outcome.rates.I.expect("I")]);
    let weights = panel(&figures, "scaling", 2);
    close(line(weights, "iaf_psc_alpha, mean + SD").1, &[0.0, 0.0]);
    assert_eq!(cell(&table(&runs), 0, "rate E (spikes/s)"), "none");
}
