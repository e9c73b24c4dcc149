//! Tests of lines over size and over cores.

use super::*;

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
    let all = ["network_size", "weak_scaling", "real_time_factor", "memory"];
    assert_eq!(names(&figures), all);
    let time = panel(&figures, "weak_scaling", 0);
    close(line(time, IAF).0, &[2.0, 4.0, 8.0]);
    close(line(time, "ideal").1, &[4.0; 3]);
    assert_eq!(time.series[0].colour, Colour::Reference);
    close(
        line(panel(&figures, "weak_scaling", 1), IAF).1,
        &[1.0, 0.8, 0.5],
    );
    let scaling = named(&figures, "network_size");
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
    assert_eq!(
        names(&figures),
        ["network_size", "real_time_factor", "memory"]
    );
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
    let time = panel(&figures, "network_size", 0);
    assert_eq!(legend(time), ["1×1", "2×1"]);
    close(line(time, "2×1").1, &[2.0, 4.0]);
    assert_eq!(legend(panel(&figures, "network_size", 1)), [IAF]);
    let strong = legend(panel(&figures, "strong_scaling", 1));
    assert_eq!(strong, ["ideal", "N 1000", "N 2000"]);
    // 1000 neurons per core, on one core and on two.
    close(line(panel(&figures, "weak_scaling", 1), IAF).1, &[1.0, 1.0]);
}

#[test]
fn splits_of_one_size_have_no_line_beside_those_of_several() {
    let mut runs = vec![run(1000, (1, 1), 1.0), run(2000, (1, 1), 2.0)];
    runs.push(run(2000, (2, 1), 1.0));
    let figures = drawn(&runs);
    let time = panel(&figures, "network_size", 0);
    assert_eq!(legend(time), [IAF]);
    close(line(time, IAF).1, &[1.0, 2.0]);
    assert!(
        named(&figures, "network_size")
            .caption
            .contains("only of ranks")
    );
    runs.remove(1);
    runs.push(run(2000, (1, 2), 3.0));
    let figures = drawn(&runs);
    let all = legend(panel(&figures, "network_size", 0));
    assert_eq!(all, ["1×1", "1×2", "2×1"], "dots where there is no line");
    assert!(
        !named(&figures, "network_size")
            .caption
            .contains("only of ranks")
    );
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
        let legend = legend(panel(&figures, "network_size", 1));
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
    let time = panel(&figures, "network_size", 0);
    assert_eq!(legend(time), [IAF, "ignore_and_fire"]);
    close(line(time, "ignore_and_fire").1, &[3.0]);
    let colours = [time.series[0].colour, time.series[1].colour];
    assert_eq!(colours, [Colour::Excitatory, Colour::Inhibitory]);
    assert_eq!(bars(&figures), ["iaf", "ignore"]);
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
    assert_eq!(
        panel(&figures, "network_size", 1).series.len(),
        Colour::DISTINCT
    );
    let caption = &named(&figures, "network_size").caption;
    assert!(caption.contains("first 8 of 10 lines"), "{caption}");
}
