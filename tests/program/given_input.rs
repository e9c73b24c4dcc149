//! Networks and input from files: what they replace does not count, and what of them is not used
//! is told.

use std::path::PathBuf;

use crate::bench;
use crate::common::{Desk, RunResult, command_alone, command_mpirun, program, run, text};

/// With `edges` a delay of the config holds for X alone: the default of the others, which does
/// not lie on this grid, neither refuses the run nor shows in run.json.
#[test]
fn delays_of_edges_replace_those_of_the_config() {
    let desk = Desk::new();
    bench::write(&desk.path().join("network.h5"), |file| {
        bench::network(file);
        for name in ["E_to_E", "E_to_I", "I_to_E"] {
            let group = file.group(&format!("edges/{name}")).expect("group");
            bench::put(&group, "0/delay", &[3.0, 3.0]);
        }
        let empty = file.group("edges/I_to_I").expect("group");
        for name in ["source_node_id", "target_node_id"] {
            bench::put::<u64>(&empty, name, &[]);
        }
        for name in ["0/syn_weight", "0/delay"] {
            bench::put::<f64>(&empty, name, &[]);
        }
    });
    let config = desk.config(
        "edges",
        "
[network]
N = 10
edges = \"network.h5\"
[neuron]
model = \"iaf_psc_alpha\"
[synapse]
delay = { X_to_all = 2.0 }
[simulation]
T = 20.0
dt = 1.0
",
    );
    let result = desk.result(&config, 2, 1, &[]).run;
    let asked = &result["parameters"]["synapse"]["delay"];
    for name in ["E_to_E", "E_to_I", "I_to_E", "I_to_I"] {
        assert!(asked[name].is_null(), "{asked}");
    }
    assert!(!asked["X_to_all"].is_null(), "{asked}");
    let held = &result["delay"];
    assert!(held["I_to_I"].is_null(), "{held}");
    for name in ["E_to_E", "E_to_I", "I_to_E"] {
        assert!(!held[name].is_null(), "{held}");
    }
    let plan = run(1, &["plan", text(&config), "--json"]).expect(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).expect("JSON");
    assert_eq!(plan["exchange"]["interval_ms"], 3.0);
    let rehearsal = ["dry-run", text(&config), "--ranks", "2", "--quiet"];
    let ignoring = ["--set", "neuron.model=ignore_and_fire"];
    run(1, &[&rehearsal[..], &ignoring].concat()).expect(0);
}

/// Ten neurons and external spikes of neuron 0 at `times` (ms), for 100 ms after 10 of warm-up.
fn given(desk: &Desk, times: &[f64]) -> PathBuf {
    bench::write(&desk.path().join("input.h5"), |file| {
        let group = file.create_group("spikes/X").expect("group");
        bench::put(&group, "node_ids", &vec![0_u64; times.len()]);
        bench::put(&group, "timestamps", times);
    });
    desk.config(
        "given",
        "
[network]
N = 10
K = 0
[neuron]
model = \"iaf_psc_alpha\"
[stimulus]
spikes = \"input.h5\"
[simulation]
T = 100.0
presim = 10.0
",
    )
}

/// Counts of external spikes in run.json: all, outside, undelivered.
fn counts(result: &RunResult) -> [u64; 3] {
    ["", "_outside", "_undelivered"]
        .map(|what| result.count(&["counts", &format!("external_spikes{what}")]))
}

#[test]
fn spikes_outside_of_the_run_are_counted_and_told() {
    let desk = Desk::new();
    for (times, expected, told) in [
        // The last two are of the run, and still on their way at its end.
        (&[1.0, 108.5, 108.625, 110.0][..], [4, 0, 2], None),
        (
            &[1.0, 110.125, 300.0],
            [3, 2, 2],
            Some(
                "2 of 3 external spikes are later than the end of the run at 110 ms (the last at 300 ms)",
            ),
        ),
        // Microseconds for milliseconds; more steps than can be counted.
        (
            &[1e6, 1e12],
            [2, 2, 2],
            Some("2 of 2 external spikes are later than the end of the run at 110 ms"),
        ),
        (
            &[109.0],
            [1, 0, 1],
            Some("none of 1 external spikes arrives by the end of the run at 110 ms"),
        ),
        (&[], [0; 3], None),
    ] {
        let config = given(&desk, times);
        for (ranks, threads) in [("1", "2"), ("3", "1")] {
            let command = match ranks {
                "1" => command_alone(program()),
                _ => command_mpirun(3, program()),
            };
            let arguments = [text(&config), "--threads", threads];
            let (result, ended) = desk.result_of(command, &arguments);
            assert_eq!(counts(&result), expected, "{times:?}");
            let warned: Vec<&str> = ended
                .stderr
                .lines()
                .filter(|line| line.contains("/spikes/X"))
                .collect();
            match told {
                None => assert!(warned.is_empty(), "{warned:?}"),
                Some(told) => {
                    assert_eq!(warned.len(), 1, "{}", ended.stderr);
                    assert!(warned[0].starts_with("warning: ") && warned[0].contains("input.h5: "));
                    assert!(warned[0].contains(told), "{}", warned[0]);
                }
            }
        }
        // It asserts that a quiet run says nothing.
        assert_eq!(counts(&desk.result(&config, 1, 1, &[])), expected);
    }
    let drawn = ["stimulus.rate=100"];
    let config = given(&desk, &[1.0]);
    let run = desk.result(&config, 1, 1, &drawn).run;
    assert!(run["counts"]["external_spikes"].is_null());
}

/// A population that no run reads, of spikes or of edges, is named.
#[test]
fn populations_that_are_not_read_are_told() {
    let desk = Desk::new();
    let config = given(&desk, &[1.0]);
    bench::write(&desk.path().join("input.h5"), |file| {
        bench::spikes(file);
        file.create_group("spikes/Y").expect("group");
    });
    bench::write(&desk.path().join("network.h5"), |file| {
        bench::network(file);
        file.create_group("edges/X_to_E").expect("group");
    });
    let plain = [text(&config), "--set", "network.edges=network.h5"];
    let (_, ended) = desk.result_of(command_alone(program()), &plain);
    for name in [
        "input.h5: /spikes/Y is not read",
        "network.h5: /edges/X_to_E is not read",
    ] {
        assert!(ended.stderr.contains(name), "{}", ended.stderr);
    }
}
