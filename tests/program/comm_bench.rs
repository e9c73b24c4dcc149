//! `stdp-hpc comm-bench` under real mpirun: what it measures, the model it fits, what it prints.

use std::path::Path;

use serde_json::Value;

use crate::common::{Desk, Ended, mpirun, run};
use stdp_hpc::comm::interconnect::Interconnect;
use stdp_hpc::comm::interconnect::{Algorithm, InterconnectParams};
use stdp_hpc::io::config;

/// The parameters of a config with these lines.
fn parameters(lines: &str) -> InterconnectParams {
    let config = format!("[network]\nN = 1000\n[simulation]\nT = 1.0\n{lines}\n");
    let params = config::load(Path::new("x.toml"), &config, &[], None, 1);
    params
        .unwrap_or_else(|error| panic!("{error}"))
        .interconnect
}

/// What `--json` says on `ranks` ranks.
#[track_caller]
fn measured(ranks: usize, algorithm: &str) -> Value {
    let ended = mpirun(ranks, &["comm-bench", "--json", "--algorithm", algorithm]).expect(0);
    assert_eq!(ended.stderr, "");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

fn number(value: &Value) -> f64 {
    let number = value.as_f64();
    number.unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_model_is_as_near_as_it_says() {
    for (ranks, algorithm) in [(2, "best"), (3, "pairwise"), (4, "bruck"), (8, "best")] {
        let report = measured(ranks, algorithm);
        assert_eq!(report["ranks"], ranks);
        assert_eq!(report["nodes"], 1);
        assert!(!report["library"].as_str().expect("a name").is_empty());
        let fitted = &report["interconnect"];
        let interconnect = Interconnect::from_params(&parameters(&format!(
            "[interconnect]\nlatency = {}\nbandwidth = {}\nalgorithm = {}",
            fitted["latency"], fitted["bandwidth"], fitted["algorithm"]
        )));
        assert_eq!(interconnect.algorithm.name(), algorithm);
        let (mut squares, mut largest) = (0.0, 0.0f64);
        let sizes = report["sizes"].as_array().expect("sizes");
        for (i, size) in sizes.iter().enumerate() {
            let bytes = size["bytes_per_peer"].as_u64().expect("a whole number");
            assert_eq!(bytes, 64 << i);
            assert!(size["repetitions"].as_u64() >= Some(11));
            let median = number(&size["median_seconds"]);
            assert!(median > 0.0 && median < 10.0);
            let model = interconnect.alltoall_seconds(ranks as u64, bytes);
            assert!((model / number(&size["model_seconds"]) - 1.0).abs() < 1e-9);
            let deviation = (model / median - 1.0).abs();
            squares += deviation * deviation;
            largest = largest.max(deviation);
        }
        let rms = (squares / sizes.len() as f64).sqrt();
        assert!((rms - number(&report["rms_error"])).abs() < 1e-9);
        assert!((largest - number(&report["max_error"])).abs() < 1e-9);
        assert!(
            largest < 5.0,
            "no more than an idea of the times: {report:#}"
        );
    }
}

/// It ends in time, with fewer sizes if need be.
#[test]
fn sixty_four_ranks() {
    let report = measured(64, "best");
    let sizes = report["sizes"].as_array().expect("sizes");
    assert!(!sizes.is_empty() && sizes.len() <= 11);
    assert!(number(&report["interconnect"]["bandwidth"]) > 0.0);
}

/// The last lines are a table of the config.
#[test]
fn the_lines_can_be_pasted() {
    let ended = mpirun(2, &["comm-bench", "--algorithm", "bruck"]).expect(0);
    assert_eq!(ended.stderr, "");
    let at = ended.stdout.find("[interconnect]").expect("the table");
    let pasted = parameters(&ended.stdout[at..]);
    assert_eq!(pasted.algorithm, Algorithm::Bruck);
    assert!(pasted.latency >= 0.0 && pasted.latency < 1e6, "{pasted:?}");
    assert!(
        ended
            .stdout
            .starts_with("MPI_Alltoall, 2 ranks on 1 node(s), ")
    );
    assert!(ended.stdout.contains("All ranks are on one node"));
    let rows = ended.stdout.lines().filter(|line| line.ends_with(" %"));
    assert!(rows.count() > 0, "{}", ended.stdout);
}

#[track_caller]
fn assert_one_line(ended: &Ended, expected: &str) {
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let said = lines.iter().filter(|line| line.contains("stdp-hpc: "));
    assert_eq!(said.count(), 1, "{ended:#?}");
    assert!(ended.stderr.contains(expected), "{ended:#?}");
    assert_eq!(
        ended.stdout.matches("MPI_Alltoall").count(),
        0,
        "{ended:#?}"
    );
}

#[test]
fn one_rank_has_nothing_to_measure() {
    let expected = "stdp-hpc: comm-bench: nothing to measure between fewer than two ranks";
    assert_one_line(&run(1, &["comm-bench"]).expect(2), expected);
    assert_one_line(&mpirun(1, &["comm-bench", "--json"]).expect(2), expected);
}

#[test]
fn unknown_algorithms_are_refused() {
    let ended = mpirun(2, &["comm-bench", "--algorithm", "ring"]).expect(2);
    assert_one_line(&ended, "must be one of best, bruck, pairwise");
}

/// The network's model changes nothing of a run; run.json keeps it.
#[test]
fn a_run_ignores_the_model() {
    let desk = Desk::new();
    let text = "[network]\nN = 200\nK = 20\n[simulation]\nT = 50.0\n";
    let config = desk.config("net", text);
    let plain = desk.result(&config, 2, 1, &[]);
    let sets = ["interconnect.latency=1e6", "interconnect.algorithm=bruck"];
    let slow = desk.result(&config, 2, 1, &sets);
    assert_eq!(plain.digests(), slow.digests());
    let kept = |key: &str| &slow.run["parameters"]["interconnect"][key];
    assert_eq!(*kept("latency"), 1e6);
    assert_eq!(*kept("bandwidth"), 25.0);
    assert_eq!(*kept("algorithm"), "bruck");
}
