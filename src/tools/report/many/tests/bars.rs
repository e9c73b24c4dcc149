//! Tests of the bars and their names.

use super::*;

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
    set(&mut longer, "/simulation/T", json!(80.0));
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
            .contains("only in their seeds")
    );
    let (_, tops) = stack(panel(&figures, "real_time_factor", 0), 8);
    close(&tops[38..], &[1.0, 2.0].map(|seconds| seconds / 0.04));
    runs.extend((40..50).map(|i| run(1000 + i, (1, 1), 1.0)));
    let figures = drawn(&runs);
    assert_eq!(bars(&figures).len(), 40);
    assert!(named(&figures, "memory").caption.contains("first 40 of 50"));
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
    // Means are 0.9 of the maxima; the model time is 40 ms.
    let heights = ["update", "record", "rest"].map(height);
    for (height, seconds) in heights.into_iter().zip([0.45, 0.09, 2.0 - 0.45 - 0.54]) {
        assert!((height - seconds / 0.04).abs() < 1e-9, "{height}");
    }
}
