//! Tests of the table of all runs and its warnings.

use super::*;

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
        "digests of weights differ but must be equal: {ours} in n1000_r1_t1, \
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
    (changed.weights.mean, changed.weights.sd) = (Some(12345.678), Some(0.0));
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
        ("peak memory per rank", "100 MiB"),
        ("spike digest", "00000000"),
    ] {
        assert_eq!(cell(&table, 0, column), text, "{column}");
    }
}
