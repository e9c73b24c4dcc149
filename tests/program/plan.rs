//! `stdp-hpc plan` against the program: what it foretells is what a run then measures, for
//! every config in configs/ on 1, 2 and 4 ranks; and what does not fit is refused beforehand.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bench::{Bench, assert_refused};
use crate::common::{Desk, RunResult, run, text};

/// How far the plan may be off.
const TOLERANCE: f64 = 0.05;

/// And its memory of a process besides, in bytes: how many pages of libraries a run touches differs
/// by that much from machine to machine and from run to run.
const PAGES: f64 = 1048576.0;

/// The same of the spike history alone: it keeps what the longest silence of thousands of sources
/// asks for, and that differs by a tenth from seed to seed.
const TOLERANCE_OF_HISTORY: f64 = 0.25;

fn configs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let entries = fs::read_dir(folder).expect("configs/");
    let paths = entries.map(|entry| entry.expect("entry").path());
    let study = |path: &PathBuf| path.to_string_lossy().contains("/study_");
    let mut configs: Vec<PathBuf> = paths.filter(|path| !study(path)).collect();
    configs.sort();
    assert!(configs.len() >= 5, "{configs:?}");
    configs
}

/// Of the big ones a length that takes a second or two and still has seen everything: all ring
/// slots, a block of external input, a snapshot before the end.
fn shortened(config: &Path) -> &'static [&'static str] {
    match config.file_stem().and_then(|name| name.to_str()) {
        Some("hpc_benchmark") => &["simulation.T=4", "simulation.presim=1"],
        Some("scale") => &["simulation.T=60", "simulation.presim=15"],
        Some("default") => &["simulation.T=60"],
        _ => &[],
    }
}

fn plan(config: &Path, arguments: &[&str], sets: &[&str]) -> Value {
    let mut all = vec!["plan", text(config), "--json"];
    all.extend(arguments);
    for set in sets {
        all.extend(["--set", set]);
    }
    let ended = run(1, &all).expect(0);
    assert_eq!(ended.stderr, "");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

fn number(of: &Value) -> f64 {
    of.as_f64().unwrap_or_else(|| panic!("{of} is no number"))
}

/// What `--rate` is to be given where the neurons decide it.
fn measured_rates(of: &RunResult) -> String {
    let [e, i] = ["E", "I"].map(|population| number(&of.run["rates"][population]));
    format!("{e},{i}")
}

#[track_caller]
fn assert_near(what: &str, planned: f64, measured: f64, tolerance: f64) {
    assert!(
        (planned / measured - 1.0).abs() <= tolerance,
        "{what}: planned {planned}, measured {measured}, {:+.1} %",
        100.0 * (planned / measured - 1.0)
    );
}

/// Memory by structure (those above 1 % of all) and in total, on rank 0 and in the mean.
fn compare_memory(what: &str, planned: &Value, measured: &Value, ranks: f64) {
    let grown = |of: &Value| number(&of["peak"]) - number(&of["program"]);
    let [first, other] = ["rank_0", "other_ranks"].map(|rank| &planned[rank]);
    let total = &measured["grown_per_rank"];
    let most = number(&total["max"]);
    let near = |measured: f64| TOLERANCE + PAGES / measured;
    assert_near(&format!("{what}, rank 0"), grown(first), most, near(most));
    let planned = (grown(first) + (ranks - 1.0) * grown(other)) / ranks;
    let mean = number(&total["mean"]);
    assert_near(&format!("{what}, mean"), planned, mean, near(mean));
    let structures = measured["by_structure"].as_object().expect("structures");
    let mut compared = 0;
    for (name, held) in structures {
        if number(&held["max"]) < 0.01 * most {
            continue;
        }
        compared += 1;
        let bytes = number(&first["by_structure"][name]);
        let tolerance = match &name[..] {
            "spike_history" => TOLERANCE_OF_HISTORY,
            _ => TOLERANCE,
        };
        assert_near(
            &format!("{what}, {name}"),
            bytes,
            number(&held["max"]),
            tolerance,
        );
    }
    assert!(
        compared >= 2,
        "{what}: synapses of both kinds are above 1 %"
    );
}

/// Sizes within 5 %, or one chunk for each of the four columns of spikes: there are few.
fn compare_files(what: &str, planned: &Value, directory: &Path) {
    for (key, name, chunks) in [
        ("spikes", "spikes.h5", f64::from(4 * (32 << 10))),
        ("weights", "weights.h5", 0.0),
        ("run", "run.json", 0.0),
    ] {
        let size = fs::metadata(directory.join(name)).expect("a file").len() as f64;
        let tolerance = TOLERANCE + chunks / size;
        assert_near(
            &format!("{what}, {name}"),
            number(&planned[key]),
            size,
            tolerance,
        );
    }
}

/// Entries within 5 % and what chance does to so few.
fn compare_exchange(what: &str, planned: &Value, measured: &Value) {
    assert_eq!(planned["intervals"], measured["intervals"], "{what}");
    assert_eq!(planned["entry_bytes"], measured["entry_bytes"], "{what}");
    let intervals = number(&measured["intervals"]);
    let expected = number(&planned["entries_per_rank"]) * intervals;
    let received = number(&measured["received_entries"]);
    let tolerance = TOLERANCE + 4.0 / received.sqrt();
    assert_near(&format!("{what}, entries"), expected, received, tolerance);
}

#[test]
fn foretells_what_runs_measure() {
    let desk = Desk::new();
    for config in configs() {
        let sets = shortened(&config);
        for ranks in [1, 2, 4] {
            let what = format!("{} on {ranks}", config.display());
            let result = desk.result(&config, ranks, 1, sets);
            let rates = measured_rates(&result);
            let count = ranks.to_string();
            let mut arguments = vec!["--ranks", &count];
            let heeds = result.run["parameters"]["neuron"]["model"] == "iaf_psc_alpha";
            if heeds {
                arguments.extend(["--rate", &rates]);
            }
            let planned = plan(&config, &arguments, sets);
            compare_memory(&what, &planned, &result.run["memory"], ranks as f64);
            compare_files(&what, &planned["files"], result.path());
            // Neurons that heed their input fire otherwise in the warm-up, which is not timed.
            if !heeds || result.run["parameters"]["simulation"]["presim"] == 0.0 {
                compare_exchange(&what, &planned["exchange"], &result.run["exchange"]);
            }
        }
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let bench = Bench::new();
    let sets = ["--set", "network.N=100000", "--set", "network.K=1000"];
    let small = [&sets[..], &["--memory-per-rank", "256MiB"]].concat();
    let ended = bench.run(1, &small).expect(2);
    let why = "does not fit: needs 9";
    assert!(
        ended.stderr.starts_with(&format!("stdp-hpc: {why}")),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .ends_with("ranks with this much memory each are enough; --force runs anyway\n"),
        "{ended:?}"
    );
    assert!(!bench.out.exists(), "nothing was begun");
}

/// The smallest number of ranks that is named fits, one fewer does not.
#[test]
fn names_the_smallest_machine() {
    let bench = Bench::new();
    let config = text(&bench.config);
    let sets = ["--set", "network.N=100000", "--set", "network.K=1000"];
    let ask = |ranks: u64| {
        let ranks = ranks.to_string();
        let arguments = [
            "plan",
            config,
            "--memory-per-rank",
            "256MiB",
            "--ranks",
            &ranks,
        ];
        run(1, &[&arguments[..], &sets].concat())
    };
    let ended = ask(1).expect(2);
    assert!(
        ended.stdout.contains("\nfits                 no: "),
        "{ended:?}"
    );
    let words: Vec<&str> = ended.stderr.split_whitespace().collect();
    let at = words
        .iter()
        .position(|word| *word == "ranks")
        .expect("ranks");
    let least: u64 = words[at - 1].parse().expect("a number");
    assert!(least > 2, "{least}");
    let ended = ask(least).expect(0);
    assert!(
        ended.stdout.contains("\nfits                 yes: "),
        "{ended:?}"
    );
    ask(least - 1).expect(2);

    // N_per_rank: the number of neurons
    let sets = [
        "--set",
        "network.N_per_rank=100000",
        "--set",
        "network.K=1000",
    ];
    let ask = [
        &[
            "plan",
            config,
            "--memory-per-rank",
            "256MiB",
            "--ranks",
            "3",
        ],
        &sets[..],
    ];
    let ended = run(1, &ask.concat()).expect(2);
    let (_, rest) = ended.stderr.split_once("N_per_rank = ").expect("a size");
    let most: u64 = rest
        .split_once(' ')
        .expect("a number")
        .0
        .parse()
        .expect("a number");
    // What the program itself takes differs by a page or two.
    for (neurons, code) in [(most * 99 / 100, 0), (most * 101 / 100, 2)] {
        let set = format!("network.N_per_rank={neurons}");
        let mut arguments = vec![
            "plan",
            config,
            "--memory-per-rank",
            "256MiB",
            "--ranks",
            "3",
        ];
        arguments.extend(["--set", &set, "--set", "network.K=1000"]);
        run(1, &arguments).expect(code);
    }
}

#[test]
fn force_overrides() {
    let bench = Bench::new();
    let tight = ["--memory-per-rank", "1MB", "--quiet"];
    let ended = bench.run(2, &tight).expect(2);
    assert_eq!(
        ended.stderr.matches("does not fit").count(),
        1,
        "one rank says it: {ended:?}"
    );
    bench.run(2, &[&tight[..], &["--force"]].concat()).expect(0);
}

#[test]
fn what_a_plan_cannot_be_asked() {
    let bench = Bench::new();
    let config = text(&bench.config);
    for (arguments, message) in [
        (
            &["--memory-per-rank", "64"][..],
            "--memory-per-rank 64: must be a size such as 64GB, 1.5GiB or 500MB",
        ),
        (
            &["--ranks", "0"],
            "--ranks 0: must be an integer 1 … 4294967295",
        ),
        (
            &["--ranks", "4294967295", "--threads", "2"],
            "--ranks 4294967295: must be an integer 1 … 2147483647 with 2 threads",
        ),
        (
            &["--rate", "3,-0.1"],
            "invalid value '3,-0.1' for '--rate <RATE|E,I>': must be one or two rates, 0 … 1e6 \
             (spikes/s) (--help explains all)",
        ),
        (
            &["--threads", "0"],
            "--threads 0: must be an integer 1 … 1024",
        ),
    ] {
        let all = [&["plan", config], arguments].concat();
        assert_refused(&run(1, &all), message);
    }
    bench.refuses(
        &["--memory-per-rank", "much"],
        "--memory-per-rank much: must be a size such as 64GB, 1.5GiB or 500MB",
    );
}

/// What the run and the plan read of files, and the plan of edges against a run.
#[test]
fn edges_from_a_file() {
    let bench = Bench::new();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let config = bench.path("nest.toml");
    let written = format!(
        "[network]\nN = 1250\nedges = {:?}\n[neuron]\nmodel = \"iaf_psc_alpha\"\n\
         [synapse]\nweight = 31.8\n[simulation]\nT = 60.0\n[stimulus]\nspikes = {:?}\n",
        reference.join("iaf_1250_network.h5"),
        reference.join("iaf_1250_input.h5"),
    );
    fs::write(&config, written).expect("config");
    let desk = Desk::new();
    let result = desk.result(&config, 2, 1, &[]);
    let planned = plan(&config, &["--ranks", "2"], &[]);
    let held = &result.run["memory"]["by_structure"];
    for name in [
        "plastic_synapses",
        "static_synapses",
        "row_index",
        "target_table",
    ] {
        let bytes = number(&planned["rank_0"]["by_structure"][name]);
        assert_near(name, bytes, number(&held[name]["max"]), TOLERANCE);
    }
}
