//! scripts/bench_vs_nest.sh: its arithmetic on made-up data, and, where NEST is installed, a
//! comparison of small networks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn bench(arguments: &[&str]) -> Output {
    Command::new("/bin/bash")
        .arg(root().join("scripts/bench_vs_nest.sh"))
        .args(arguments)
        .output()
        .expect("bash starts")
}

fn bench_table(arguments: &[&str]) -> Output {
    Command::new("python3")
        .arg(root().join("scripts/bench_table.py"))
        .args(arguments)
        .output()
        .expect("python3 starts")
}

/// A line of raw data. `at` is the position of the run among those of its program: 0 for the
/// empty network, else the pair.
fn line(program: &str, precision: &str, pair: u32, result: &Value) -> Value {
    let network = if pair == 0 { "empty" } else { "full" };
    json!({"work": "brunel", "program": program, "precision": precision, "network": network,
        "pair": pair, "date": "2026-01-01", "result": result})
}

/// What a program says that needed these seconds and bytes for 500 ms of 1,000 synapses.
fn result(simulate: &Value, construction: f64, peak: &Value) -> Value {
    json!({
        "provenance": {"threads": 2},
        "counts": {"neurons": 100, "synapses_plastic": 600, "synapses_static": 400,
            "spikes_E": 40, "spikes_I": 20},
        "wall_time": {"construction_create": 0.25 * construction,
            "construction_connect": 0.5 * construction,
            "communicate_prepare": 0.25 * construction, "simulate": simulate},
        "model_time_ms": 500.0,
        "memory": {"peak_per_rank": peak},
    })
}

fn ours(seconds: f64, construction: f64, peak: u32) -> Value {
    let spread = |value: f64| json!({"min": 0.0, "mean": value / 2.0, "max": value});
    let mut result = result(&spread(seconds), construction, &spread(f64::from(peak)));
    result["rates"] = json!({"E": 1.0, "I": 2.0});
    result["weights"] = json!({"mean": 30.0, "sd": 8.0, "zero_fraction": 0.0});
    result
}

fn nest(seconds: f64, construction: f64, peak: u32) -> Value {
    let entry = |value: f64, part: f64, se_subset: f64, se_network: f64| json!({"value": value, "part": part, "se_subset": se_subset, "se_network": se_network});
    let mut result = result(&json!(seconds), construction, &json!(peak));
    result["rates"] = json!({"E": entry(1.1, 0.44, 0.5, 0.0), "I": entry(2.0, 1.0, 0.1, 0.0),
        "all": entry(1.2, 1.0, 0.1, 0.1)});
    result["weights"] = json!({"mean": entry(30.3, 0.0, 0.3, 0.0),
        "sd": entry(8.0, 0.5, 0.1, 0.2), "zero_fraction": entry(0.0, 0.5, 0.0, 0.0)});
    result
}

/// Three pairs, with medians that are neither means nor those of neighbouring pairs.
fn lines() -> Vec<Value> {
    let mut lines = vec![
        line("stdp-hpc", "f64", 0, &ours(0.0, 0.0, 1_000)),
        line("stdp-hpc", "f32", 0, &ours(0.0, 0.0, 500)),
        line("nest", "f64", 0, &nest(0.0, 0.0, 10_000)),
    ];
    let pairs = [
        (9.0, 4.0, 50_000, 0.5, 0.5),
        (2.0, 6.0, 51_000, 0.1, 0.4),
        (4.0, 90.0, 90_000, 0.2, 9.0),
    ];
    for (pair, (simulate, construct, peak, our_simulate, our_construct)) in (1..).zip(pairs) {
        let mine = ours(our_simulate, our_construct, 9_000 + pair * 1_000);
        lines.push(line("stdp-hpc", "f64", pair, &mine));
        lines.push(line("nest", "f64", pair, &nest(simulate, construct, peak)));
        let small = ours(0.125, our_construct / 2.0, 7_500);
        lines.push(line("stdp-hpc", "f32", pair, &small));
    }
    lines
}

/// The table of these lines: exit code, stdout, stderr.
fn table(lines: &[Value], options: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("runs.jsonl");
    let raw: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, raw).expect("written");
    let path = path.to_str().expect("UTF-8");
    let output = bench_table(&[&["table", path], options].concat());
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| text(bytes));
    (output.status.code(), stdout, stderr)
}

#[test]
fn the_table_has_medians_and_ratios_beside_the_bars() {
    let (code, said, errors) = table(&lines(), &[]);
    assert_eq!(code, Some(0), "{said}{errors}");
    for row in [
        // 4 s and 0.2 s for 0.5 s; f32 0.125 s.
        "| brunel.toml, `iaf_psc_alpha` | simulate (real-time factor) | 8 | 0.4 | 0.25 | 20.0 | ≥ 15, met |",
        "|  | construction (s) | 6 | 0.5 | 0.25 | 12.0 | ≥ 12, met |",
        // (51,000 − 10,000), (11,000 − 1,000) and (7,500 − 500) over 1,000 synapses.
        "|  | memory (bytes per synapse) | 41.0 | 10.0 | 7.0 | 4.1 | f64 ≤ 10, met; f32 ≤ 6.5, **missed** |",
        "Medians of 3 alternating pair(s), 2 thread(s) each.",
        // 0.1 over √((0.5² · 1.44) / 3)
        "| brunel f64 | rate E | 1.1 | 1 | +0.3 |",
        "| brunel f64 | rate all | 1.2 | 1.2 | +0.0 |",
        // 0.3 over √(0.3² / 3)
        "| brunel f32 | weight mean | 30.3 | 30 | +1.7 |",
        "| brunel f64 | weight zero_fraction | 0 | 0 | +0.0 |",
        "All agree within 5 standard errors.",
    ] {
        assert!(said.lines().any(|line| line == row), "{row}\n{said}");
    }
    let (_, said, _) = table(&lines(), &["--no-bars"]);
    assert!(!said.contains('≥') && !said.contains('≤'), "{said}");
}

#[test]
fn a_network_that_needs_no_memory_has_no_ratio() {
    let mut lines = lines();
    for line in &mut lines {
        if line["program"] == "stdp-hpc" {
            line["result"]["memory"]["peak_per_rank"]["max"] = json!(1_000);
        }
    }
    let (code, said, errors) = table(&lines, &["--no-bars"]);
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(said.contains("| 41.0 | 0.0 | 0.0 | – |"), "{said}");
}

#[test]
fn programs_that_disagree_fail() {
    for (pointer, value, row) in [
        // √(0.1² · 2 / 3) is the error of the mean over three pairs.
        ("/rates/I", json!(4.0), "rate I | 2 | 2.6667 | **-8.2** |"),
        // No weight is 0 in NEST, and there is no scatter.
        (
            "/weights/zero_fraction",
            json!(0.01),
            "weight zero_fraction | 0 | 0.0033333 | **-inf** |",
        ),
        ("/weights/mean", json!(f64::MAX), "**-"),
    ] {
        let mut lines = lines();
        let line = &mut lines[3];
        assert_eq!(line["program"], "stdp-hpc");
        *line["result"].pointer_mut(pointer).expect("there") = value;
        let (code, said, _) = table(&lines, &[]);
        assert_eq!(code, Some(1), "{pointer}: {said}");
        assert!(said.contains(row), "{row}\n{said}");
        assert!(
            said.contains("1 of these disagree by more than 5 standard errors."),
            "{said}"
        );
    }
}

#[test]
fn the_plot_has_a_bar_as_long_as_the_logarithm_of_each_median() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("runs.jsonl");
    let raw: String = lines().iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, raw).expect("written");
    let output = bench_table(&["plot", path.to_str().expect("UTF-8")]);
    let plot = text(&output.stdout);
    // 8, 0.4 and 0.25 on a scale from 0.1 to 10 that is 600 wide.
    for width in ["570.9", "180.6", "119.4"] {
        assert!(plot.contains(&format!("width=\"{width}\"")), "{plot}");
    }
}

#[test]
fn missing_runs_are_named() {
    let without = |program: &str, network: &str| {
        let mut lines = lines();
        lines.retain(|line| line["program"] != program || line["network"] != network);
        table(&lines, &[])
    };
    for (program, network) in [("nest", "full"), ("nest", "empty"), ("stdp-hpc", "full")] {
        let (code, _, errors) = without(program, network);
        assert_eq!(code, Some(1));
        let expected = format!("brunel: no run of {program} (f64, {network} network)");
        assert!(errors.contains(&expected), "{errors}");
    }
    let mut unpaired = lines();
    unpaired.remove(3);
    let (code, _, errors) = table(&unpaired, &[]);
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("pair 1 has no run of stdp-hpc (f64)"),
        "{errors}"
    );
}

#[test]
fn the_folder_is_named_by_date_and_machine() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("machine.json");
    for (cpu, cores, name) in [
        ("AMD EPYC", 2, "2026-03-04-amd-epyc-2cores"),
        (
            "Intel(R) Xeon(R) Platinum 8480+ CPU @ 2.00GHz",
            112,
            "2026-03-04-intel-xeon-platinum-8480-112cores",
        ),
    ] {
        let machine = json!({"cpu": cpu, "cores": cores, "date": "2026-03-04T05:06:07+00:00"});
        fs::write(&path, machine.to_string()).expect("written");
        let output = bench_table(&["name", path.to_str().expect("UTF-8")]);
        assert_eq!(text(&output.stdout).trim(), name);
    }
    let output = bench_table(&["machine", "--commit", "abc"]);
    let machine: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(machine["commit"], "abc");
    assert!(machine["cores"].as_u64() >= Some(1), "{machine}");
    assert!(machine["memory_GiB"].as_f64() > Some(0.0), "{machine}");
}

#[test]
fn the_script_explains_itself_and_refuses_what_it_does_not_know() {
    let output = bench(&["--help"]);
    assert!(output.status.success());
    let help = text(&output.stdout);
    for word in ["usage: bench_vs_nest.sh", "STDP_HPC_NEST_PYTHON", "rate10"] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
    for (arguments, message) in [
        (
            &["--pairs", "0"][..],
            "--pairs 0: must be a whole number, 1 or more",
        ),
        (&["--threads"], "--threads : must be a whole number"),
        (&["brunnel"], "unknown argument \"brunnel\": works are"),
        (&["--out", "/"], "--out /: exists"),
    ] {
        let output = bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(message), "{output:?}");
    }
}

/// A Python with NEST, if the bench has set one up or the caller names one.
fn python_with_nest() -> Option<PathBuf> {
    let named = std::env::var_os("STDP_HPC_NEST_PYTHON").map(PathBuf::from);
    let own = root().join(".venv-nest/bin/python");
    named.or_else(|| own.exists().then_some(own))
}

/// Both models, f64 and f32, against NEST: the whole script on small networks.
#[test]
fn small_networks_agree_with_nest() {
    let Some(python) = python_with_nest() else {
        eprintln!("not run: no .venv-nest, and STDP_HPC_NEST_PYTHON is not set");
        return;
    };
    let dir = tempfile::tempdir().expect("tempdir");
    let out = dir.path().join("runs");
    let output = Command::new("/bin/bash")
        .arg(root().join("scripts/bench_vs_nest.sh"))
        .args(["--quick", "--pairs", "2", "brunel", "rate10", "--out"])
        .arg(&out)
        .current_dir(dir.path())
        .env("STDP_HPC_NEST_PYTHON", python)
        .env("STDP_HPC_PROGRAM", env!("CARGO_BIN_EXE_stdp-hpc"))
        .output()
        .expect("bash starts");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("All agree within 5 standard errors."));
    let plot = fs::read_to_string(out.join("plot.svg")).expect("plot.svg");
    assert!(plot.ends_with("</svg>\n"), "{plot}");
    let saved = fs::read_to_string(out.join("table.md")).expect("table.md");
    assert_eq!(saved, text(&output.stdout));
    let raw = fs::read_to_string(out.join("runs.jsonl")).expect("runs.jsonl");
    let runs: Vec<Value> = raw
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    // Of each work: three on the empty network, three in each pair, in turn.
    let begun: Vec<&str> = runs
        .iter()
        .map(|run| run["program"].as_str().expect("a name"))
        .collect();
    let of_pair = ["stdp-hpc", "nest", "stdp-hpc"];
    let of_work = [&["stdp-hpc", "stdp-hpc", "nest"][..], &of_pair, &of_pair].concat();
    assert_eq!(begun, of_work.repeat(2));
    let spikes = |run: &Value| run["result"]["counts"]["spikes"].as_u64();
    let nest: Vec<_> = runs.iter().filter_map(spikes).collect();
    assert!(
        nest.iter().filter(|spikes| **spikes > 1_000).count() == 4,
        "{nest:?}"
    );
}
