//! Tests of table, CSV and figure of a scaling series, and of runs that form no series.

use super::super::one_series::ScalingSeries;
use super::*;

/// Returns the cells of the Markdown table's row for `ranks`.
#[track_caller]
fn row(table: &str, ranks: usize) -> Vec<&str> {
    let start = format!("| {ranks} | ");
    let line = table.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("{ranks}: {table}"));
    line.trim_matches(['|', ' ']).split(" | ").collect()
}

/// Returns the field `name` in row `nth` of the CSV.
#[track_caller]
fn field(csv: &str, nth: usize, name: &str) -> String {
    let mut lines = csv.lines();
    let names: Vec<_> = lines.next().expect("names").split(',').collect();
    let place = names.iter().position(|of| *of == name).expect(name);
    let line = lines.nth(nth).expect("a row");
    line.split(',').nth(place).expect("a field").to_owned()
}

#[track_caller]
fn refusal(runs: &[RunRecord]) -> String {
    let refused = ScalingSeries::new(runs).err();
    refused.expect("no series").to_string()
}

#[test]
fn strong_scaling_has_a_row_per_run_by_ranks() {
    let mut runs = [
        run(1000, (4, 1), 0.5),
        run(1000, (1, 1), 1.0),
        run(1000, (16, 1), 0.25),
    ];
    let of = &mut outcome(&mut runs[0]).wall_time;
    (of.construction_create, of.construction_connect) = (spread(0.25), spread(0.5));
    of.communicate_prepare = spread(0.125);
    of.phases = of.phases.map(|_| spread(0.05));
    of.phases.receive = Spread {
        min: 0.03,
        mean: 0.03,
        max: 0.03,
    };
    outcome(&mut runs[0]).memory.peak_per_rank = spread(10.0 * 1_048_576.0);
    let series = ScalingSeries::new(&runs).expect("a series");
    let table = series.markdown();
    assert!(table.contains("| efficiency (strong) |"), "{table}");
    assert!(table.contains("\nStrong scaling, 40 ms model time, commit "));
    let of_phase = "0.04 / 0.045 / 0.05";
    let digests = &runs[0].outcome.as_ref().expect("done").digest;
    let synapses = runs[0].outcome.as_ref().expect("done").counts.synapses();
    let expected = [
        "4",
        "1",
        "1,000",
        &grouped(synapses),
        "0.875",
        "0.4 / 0.45 / 0.5",
        of_phase,
        of_phase,
        of_phase,
        of_phase,
        of_phase,
        "0.03",
        of_phase,
        "12.5",
        "50.0%",
        "8 / 9 / 10",
        &digests.spikes.to_string(),
        &digests.weights.to_string(),
    ];
    assert_eq!(row(&table, 4), expected);
    assert_eq!(row(&table, 16)[14], "25.0%");
    let order = [1, 4, 16].map(|ranks| table.find(&format!("\n| {ranks} | ")));
    assert!(order.is_sorted() && order[0].is_some(), "{table}");

    let csv = series.csv();
    for (nth, name, value) in [
        (0, "ranks", "1"),
        (0, "efficiency", "1"),
        (1, "efficiency", "0.5"),
        (1, "simulate_max", "0.5"),
        (1, "receive_mean", "0.03"),
        (1, "construction", "0.875"),
        (1, "scaling", "strong"),
        (2, "directory", "n1000_r16_t1"),
    ] {
        assert_eq!(field(&csv, nth, name), value, "{name}");
    }
    // Every phase has its columns: together with the rest they add up to the loop.
    for name in outcome::Phases::<f64>::NAMES {
        for of in ["min", "mean", "max"] {
            field(&csv, 0, &format!("{name}_{of}"));
        }
    }
    let figure = series.figure();
    let panels: Vec<_> = figure.rows.iter().flatten().collect();
    assert_eq!(panels.len(), 3, "phases, time, efficiency");
}

#[test]
fn weak_scaling_is_recognized_by_neurons_per_rank() {
    let mut runs = [run(1000, (1, 2), 1.0), run(2000, (2, 2), 1.25)];
    outcome(&mut runs[1]).digest.spikes = Digest(7);
    let series = ScalingSeries::new(&runs).expect("a series");
    assert!(series.markdown().contains("| efficiency (weak) |"));
    assert_eq!(row(&series.markdown(), 2)[14], "80.0%");
    assert!(series.disagreements().is_empty(), "another network");
}

#[test]
fn one_run_is_a_series_without_scaling() {
    let runs = [run(1000, (3, 1), 1.0)];
    let series = ScalingSeries::new(&runs).expect("a series");
    assert_eq!(row(&series.markdown(), 3)[14], "100.0%");
    assert_eq!(series.figure().rows.len(), 1);
    assert_eq!(
        refusal(&[]),
        "no finished run: a scaling table needs at least one"
    );
}

#[test]
fn digests_that_differ_in_strong_scaling_are_told() {
    let mut runs = [run(1000, (1, 1), 1.0), run(1000, (2, 1), 1.0)];
    outcome(&mut runs[1]).digest.weights = Digest(9);
    let told = ScalingSeries::new(&runs).expect("a series").disagreements();
    assert!(
        told.len() == 1 && told[0].contains("of weights"),
        "{told:?}"
    );
}

#[test]
fn runs_of_different_configurations_are_no_series() {
    let one = run(1000, (1, 1), 1.0);
    let with = |change: &dyn Fn(&mut RunRecord)| {
        let mut other = run(1000, (2, 1), 1.0);
        change(&mut other);
        refusal(&[one.clone(), other])
    };
    let place = "n1000_r2_t1 and n1000_r1_t1 are not one scaling series";
    let commit = &one.provenance.commit;
    assert_eq!(
        with(&|run| run.provenance.commit = "def".into()),
        format!("{place}: commit is def, not {commit}")
    );
    assert_eq!(
        with(&|run| run.provenance.threads = 4),
        format!("{place}: threads is 4, not 1")
    );
    for (path, value, why) in [
        (
            "/simulation/T",
            json!(50.0),
            "simulation.T is 50 ms, not 40 ms",
        ),
        ("/network/K", json!(99), "network.K is 99, not 10"),
        ("/simulation/seed", json!(2), "simulation.seed is 2, not"),
    ] {
        let told = with(&|run| set(run, path, value.clone()));
        assert!(told.starts_with(&format!("{place}: {why}")), "{told}");
    }
    assert_eq!(
        with(&|run| run.provenance.ranks = 1),
        format!("{place}: both have 1 rank(s)")
    );
    assert_eq!(
        refusal(&[one.clone(), run(1500, (2, 1), 1.0)]),
        "n1500_r2_t1 and n1000_r1_t1 are not one scaling series: 1500 neurons on 2 ranks and 1000 on 1; \
         the number of neurons must be equal in total or per rank"
    );
}
