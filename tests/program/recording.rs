//! What a run leaves: spikes.h5, weights.h5 and run.json, complete, restricted, compressed or
//! cut short by a kill; and what it says meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::common::{
    self, Desk, Ended, LIMIT, RunResult, command_alone, command_mpirun, open, program, read_run,
    read_spikes, run, signal, start, text,
};
use stdp_hpc::base::digest::Digest;
use stdp_hpc::base::units::{Gid, Steps};
use stdp_hpc::io::sonata::read::{WeightsOverTime, read_weights_over_time};

/// 800 excitatory and 200 inhibitory neurons, some thousand spikes.
const CONFIG: &str = r#"
[network]
N = 1000
K = 100
[neuron]
model = "iaf_psc_alpha"
[simulation]
T = 300.0
"#;

const N_E: u64 = 800;
const DT: f64 = 0.125;

fn config(desk: &Desk) -> PathBuf {
    desk.config("network", CONFIG)
}

/// All spikes in the files of a run: (time in steps, gid), by population as in the file.
fn spikes(directory: &Path) -> [Vec<(u64, u64)>; 2] {
    [("E", 0), ("I", N_E)].map(|(population, first)| {
        let (ids, times) = read_spikes(&directory.join("spikes.h5"), population);
        let steps = times.iter().map(|time| {
            assert_eq!((time / DT).fract(), 0.0, "{time} is on the grid");
            (time / DT) as u64
        });
        steps.zip(ids.iter().map(|id| first + id)).collect()
    })
}

fn digest_of_spikes(spikes: &[Vec<(u64, u64)>; 2]) -> String {
    let mut digest = Digest::default();
    for &(step, gid) in spikes.iter().flatten() {
        digest.add_spike(Gid(gid as u32), Steps(step as i32));
    }
    digest.to_string()
}

#[test]
fn spikes_are_sorted_and_within_the_run() {
    let desk = Desk::new();
    let result = desk.result(&config(&desk), 1, 2, &[]);
    let spikes = spikes(result.path());
    for population in &spikes {
        assert!(population.len() > 100, "{}", population.len());
        assert!(population.is_sorted_by(|a, b| a < b), "by time, then id");
        assert!(
            population
                .iter()
                .all(|&(step, _)| (1..=2400).contains(&step))
        );
    }
    let id = |population: usize| spikes[population].iter().map(|&(_, gid)| gid);
    assert!(id(0).max() < Some(N_E) && id(1).max() < Some(1000));
}

#[test]
fn n_rec_restricts_the_file_and_nothing_else() {
    let desk = Desk::new();
    let config = config(&desk);
    let all = desk.result(&config, 1, 1, &[]);
    let whole = spikes(all.path());
    for (n_rec, threads) in [(0, 1), (1, 1), (500, 2), (799, 1), (801, 3), (1000, 1)] {
        let set = format!("record.n_rec={n_rec}");
        let some = desk.result(&config, 1, threads, &[&set]);
        let expected = whole.each_ref().map(|population| {
            let within = population.iter().filter(|(_, gid)| *gid < n_rec);
            within.copied().collect::<Vec<_>>()
        });
        assert_eq!(spikes(some.path()), expected, "{n_rec}");
        assert_eq!(some.digests(), all.digests());
        assert_eq!(some.run["rates"], all.run["rates"]);
    }
}

#[test]
fn what_is_not_asked_for_is_not_written() {
    let desk = Desk::new();
    let config = config(&desk);
    let all = desk.result(&config, 1, 1, &[]);
    for (sets, files) in [
        (&[][..], &["run.json", "spikes.h5", "weights.h5"][..]),
        (&["record.spikes=false"], &["run.json", "weights.h5"]),
        (&["record.weights=false"], &["run.json", "spikes.h5"]),
        (
            &["record.spikes=false", "record.weights=false"],
            &["run.json"],
        ),
    ] {
        let result = desk.result(&config, 1, 1, sets);
        let entries = fs::read_dir(result.path()).expect("directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("entry").file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, files);
        assert_eq!(result.digests(), all.digests(), "{sets:?}");
        assert_eq!(result.run["counts"], all.run["counts"], "{sets:?}");
    }
}

#[test]
fn a_warm_up_is_left_out_and_shifts_nothing() {
    let desk = Desk::new();
    let config = config(&desk);
    let whole = desk.result(&config, 1, 1, &[]);
    // In the middle of an interval of 1.5 ms, and at the end of one.
    for (presim, steps) in [("100.0", 800), ("150.0", 1200)] {
        let rest = 300.0 - presim.parse::<f64>().unwrap();
        let sets = [
            format!("simulation.presim={presim}"),
            format!("simulation.T={rest:?}"),
        ];
        let late = desk.result(&config, 1, 1, &sets.each_ref().map(|set| &set[..]));
        let expected = spikes(whole.path()).map(|population| {
            let after = population.into_iter().filter(|&(step, _)| step > steps);
            after.collect::<Vec<_>>()
        });
        assert!(expected[0][0].0 <= steps + 80, "there are early spikes");
        let found = spikes(late.path());
        assert_eq!(found, expected);
        assert_eq!(late.digests()[0], digest_of_spikes(&found));
        assert_eq!(late.digests()[1], whole.digests()[1], "weights");
        let seconds = rest / 1000.0;
        let rate = found[0].len() as f64 / 800.0 / seconds;
        let told = late.run["rates"]["E"].as_f64().unwrap();
        assert!((told / rate - 1.0).abs() < 1e-12, "{told} for {rate}");
        assert_eq!(late.run["model_time_ms"], rest);
    }
}

#[test]
fn snapshots_are_the_weights_of_their_time() {
    let desk = Desk::new();
    let config = config(&desk);
    // The start, the middle and the end of an interval, one step beside it, and the end.
    let times = ["0.0", "61.375", "61.5", "61.625", "100.0", "300.0"];
    let set = format!("record.weights={{ at = [{}] }}", times.join(", "));
    let all = desk.result(&config, 1, 2, &[&set]);
    let named = |time: &str| format!("syn_weight_at_{}ms", time.trim_end_matches(".0"));

    let initial = all.run["parameters"]["synapse"]["I_E"].as_f64().unwrap();
    let at_0 = all.weights_named(&named("0.0"));
    assert_eq!(at_0.len(), 800 * 80);
    assert!(at_0.iter().all(|&(_, _, w)| w == initial));
    assert!(at_0.is_sorted_by_key(|&(source, target, _)| (source, target)));
    let mut before = at_0;
    for time in &times[1..] {
        let short = desk.result(&config, 1, 1, &[&format!("simulation.T={time}")]);
        let then = all.weights_named(&named(time));
        assert!(short.weights() == then, "at {time}");
        assert!(*time == "61.375" || *time == "61.5" || then != before);
        before = then;
    }
    assert!(all.weights() == before, "syn_weight is the last");

    let file = open(&all.path().join("weights.h5"));
    for time in times {
        let name = format!("edges/E_to_E/0/{}", named(time));
        let at = file.dataset(&name).and_then(|d| d.attr("time_ms"));
        let at: f64 = at.and_then(|a| a.read_scalar()).expect("a time");
        assert_eq!(at, time.parse::<f64>().unwrap());
    }
}

/// Samples of a result, and the histogram that the weights of a snapshot come to: zeros, bins
/// of 1 pA up to 150 pA, above; counting what the file says is counted.
fn samples(result: &RunResult) -> WeightsOverTime {
    let samples = read_weights_over_time(&result.path().join("weights.h5"), usize::MAX);
    samples.expect("a file").expect("samples")
}

fn histogram(weights: &[(u64, u64, f64)], one_in: u64) -> Vec<u64> {
    let mut counts = vec![0; 152];
    for &(source, target, weight) in weights {
        let part = target * 4 / N_E;
        if !(source + part * one_in.div_ceil(4)).is_multiple_of(one_in) {
            continue;
        }
        let place = match weight {
            0.0 => 0,
            _ if weight >= 150.0 => 151,
            _ => 1 + weight as usize,
        };
        counts[place] += 1;
    }
    counts
}

#[test]
fn samples_are_the_weights_of_their_time() {
    let desk = Desk::new();
    let config = config(&desk);
    let weights = "record.weights={ at = [0.0, 60.0, 240.0] }";
    let learn = "stdp.lambda=400.0";
    for one_in in [1, 2, 3, 50] {
        let set = format!(
            "record.weights_over_time={{ every = 60.0, one_in = {one_in}, trajectories = 90 }}"
        );
        let result = desk.result(&config, 1, 2, &[weights, learn, &set]);
        let over_time = samples(&result);
        let times: Vec<f64> = over_time.samples.iter().map(|sample| sample.at.0).collect();
        assert_eq!(times, [0.0, 60.0, 120.0, 180.0, 240.0, 300.0]);
        assert_eq!(over_time.one_in, one_in);
        let sources: Vec<u64> = over_time.followed.iter().map(|pair| pair.0).collect();
        assert_eq!(sources, (0..90).map(|i| i * N_E / 90).collect::<Vec<_>>());
        let targets: std::collections::BTreeSet<u64> =
            over_time.followed.iter().map(|pair| pair.1).collect();
        assert!(targets.len() > 60, "{} targets", targets.len());
        for (place, name) in [
            (0, "syn_weight_at_0ms"),
            (1, "syn_weight_at_60ms"),
            (4, "syn_weight_at_240ms"),
            (5, "syn_weight"),
        ] {
            let snapshot = result.weights_named(name);
            let sample = &over_time.samples[place];
            let found = [&[sample.zeros], &sample.counts[..], &[sample.above]].concat();
            assert_eq!(
                found,
                histogram(&snapshot, one_in.into()),
                "{name}, one in {one_in}"
            );
            for (&(source, target), weight) in over_time.followed.iter().zip(&sample.weights) {
                let of = snapshot.partition_point(|edge| (edge.0, edge.1) < (source, target));
                assert_eq!(snapshot[of], (source, target, *weight), "{name}");
            }
        }
        let last = &over_time.samples[5];
        let counted = last.zeros + last.above + last.counts.iter().sum::<u64>();
        let expected = 64_000 / u64::from(one_in);
        assert!(
            counted.abs_diff(expected) < expected / 10 + 1,
            "{counted} for {expected}"
        );
        assert!(one_in > 1 || counted == 64_000);
        assert!(last.counts.iter().filter(|&&count| count > 0).count() > 20);
        assert!(last.zeros + last.above > 0);
        assert_ne!(over_time.samples[0].weights, last.weights);
    }
}

#[test]
fn samples_can_be_switched_off() {
    let desk = Desk::new();
    let config = config(&desk);
    let on = desk.result(&config, 1, 1, &[]);
    assert_eq!(samples(&on).samples.len(), 4);
    let off = desk.result(&config, 1, 1, &["record.weights_over_time=false"]);
    let groups = |result: &RunResult| {
        let mut names = open(&result.path().join("weights.h5"))
            .member_names()
            .expect("members");
        names.sort();
        names
    };
    assert_eq!(groups(&on), ["edges", "trajectories", "weight_histogram"]);
    assert_eq!(groups(&off), ["edges"]);
    assert_eq!(on.digests(), off.digests());
    let set = "record.weights_over_time={ trajectories = 0 }";
    let without = desk.result(&config, 1, 1, &[set]);
    assert_eq!(groups(&without), ["edges", "weight_histogram"]);
    // No synapse to follow, and none to count.
    let unconnected = desk.result(&config, 2, 2, &["network.K=0"]);
    let none = samples(&unconnected);
    assert_eq!((none.samples.len(), none.followed.len()), (4, 0));
    assert!(
        none.samples
            .iter()
            .all(|s| s.counts.iter().all(|&count| count == 0))
    );
    // More than one sample an interval: the same weights.
    let dense = desk.result(&config, 1, 1, &["record.weights_over_time={ every = 0.5 }"]);
    let dense = samples(&dense).samples;
    assert_eq!(dense.len(), 601);
    assert_eq!(dense[598].counts, dense[600].counts);
}

/// The clock of snapshots starts with the warm-up, as all clocks do.
#[test]
fn snapshots_may_fall_into_the_warm_up() {
    let desk = Desk::new();
    let config = config(&desk);
    let set = "record.weights={ at = [60.0, 150.0] }";
    let plain = desk.result(&config, 1, 1, &[set]);
    let sets = [set, "simulation.presim=100.0", "simulation.T=200.0"];
    let warmed = desk.result(&config, 1, 1, &sets);
    for name in ["syn_weight_at_60ms", "syn_weight_at_150ms", "syn_weight"] {
        assert!(
            warmed.weights_named(name) == plain.weights_named(name),
            "{name}"
        );
    }
}

#[test]
fn weights_of_some_are_those_of_all() {
    let desk = Desk::new();
    let config = config(&desk);
    let all = desk.result(&config, 1, 1, &["record.weights={ at = [0.0, 60.0] }"]);
    for (targets, sources) in [(5, 800), (800, 7), (30, 40), (1, 1), (0, 800)] {
        let set = format!(
            "record.weights={{ at = [0.0, 60.0], targets = {targets}, sources = {sources} }}"
        );
        let some = desk.result(&config, 1, 2, &[&set]);
        for name in ["syn_weight_at_0ms", "syn_weight_at_60ms", "syn_weight"] {
            let mut expected = all.weights_named(name);
            expected.retain(|&(source, target, _)| source < sources && target < targets);
            assert!(some.weights_named(name) == expected, "{set} {name}");
        }
        assert_eq!(some.digests(), all.digests());
    }
}

#[test]
fn run_json_says_what_the_files_hold() {
    let desk = Desk::new();
    let config = config(&desk);
    let result = desk.result(&config, 2, 2, &["simulation.seed=7"]);
    let spikes = spikes(result.path());
    let weights = result.weights();
    let run = &result.run;
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value}"));

    let counts = &run["counts"];
    assert_eq!(counts["neurons"], 1000);
    assert_eq!(counts["synapses_plastic"], weights.len());
    assert_eq!(weights.len(), 800 * 80);
    assert_eq!(counts["synapses_static"], 800 * 20 + 200 * 100);
    assert_eq!(counts["spikes_E"], spikes[0].len());
    assert_eq!(counts["spikes_I"], spikes[1].len());
    // Each spike but those of the last delay meets about 100 synapses.
    let events = number(&counts["synaptic_events"]);
    let all = (spikes[0].len() + spikes[1].len()) as f64;
    assert!(
        (0.9..1.1).contains(&(events / all / 100.0)),
        "{events}, {all}"
    );
    for (name, spikes, n) in [("E", &spikes[0], 800.0), ("I", &spikes[1], 200.0)] {
        let rate = spikes.len() as f64 / n / 0.3;
        assert!((number(&run["rates"][name]) / rate - 1.0).abs() < 1e-12);
    }

    let mut digest = Digest::default();
    for &(source, target, weight) in &weights {
        digest.add_weight(Gid(source as u32), Gid(target as u32), weight);
    }
    let digests = [digest_of_spikes(&spikes), digest.to_string()];
    assert_eq!(
        result.digests(),
        digests.each_ref().map(|digest| &digest[..])
    );
    let mean = weights.iter().map(|w| w.2).sum::<f64>() / weights.len() as f64;
    let square = weights.iter().map(|w| w.2 * w.2).sum::<f64>() / weights.len() as f64;
    let zeros = weights.iter().filter(|w| w.2 == 0.0).count() as f64 / weights.len() as f64;
    assert!((number(&run["weights"]["mean"]) / mean - 1.0).abs() < 1e-9);
    let sd = (square - mean * mean).sqrt();
    assert!((number(&run["weights"]["sd"]) / sd - 1.0).abs() < 1e-6);
    assert_eq!(number(&run["weights"]["zero_fraction"]), zeros);

    let provenance = &run["provenance"];
    assert_eq!(
        (&provenance["ranks"], &provenance["threads"]),
        (&2.into(), &2.into())
    );
    let program = format!("stdp-hpc {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(provenance["program"], program);
    for name in ["commit", "host", "date", "mpi"] {
        assert!(!provenance[name].as_str().unwrap().is_empty(), "{name}");
    }
    let command: Vec<_> = provenance["command"].as_array().unwrap().iter().collect();
    assert!(command.contains(&&text(&config).into()), "{command:?}");
    assert_eq!(run["parameters"]["simulation"]["seed"], 7);
    assert_eq!(run["parameters"]["network"]["K_E"], 80);
    assert_eq!(run["delay"]["E_to_E"], 1.5);
}

#[test]
fn run_json_says_what_the_run_cost() {
    let desk = Desk::new();
    let run = desk.result(&config(&desk), 2, 1, &[]).run;
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value}"));
    let spread = |value: &Value| -> [f64; 3] {
        let [min, mean, max] = ["min", "mean", "max"].map(|of| number(&value[of]));
        assert!(0.0 < min && min <= mean && mean <= max, "{value}");
        [min, mean, max]
    };
    let wall = &run["wall_time"];
    for name in [
        "construction_create",
        "construction_connect",
        "communicate_prepare",
    ] {
        spread(&wall[name]);
    }
    let phases: f64 = ["update", "collocate", "communicate", "deliver"]
        .map(|name| spread(&wall[name])[1])
        .iter()
        .sum();
    let simulate = spread(&wall["simulate"]);
    assert!((0.5..1.001).contains(&(phases / simulate[1])), "{wall}");
    assert_eq!(number(&run["model_time_ms"]), 300.0);
    let factor = number(&run["real_time_factor"]);
    assert!(
        (factor / (simulate[2] / 0.3) - 1.0).abs() < 1e-12,
        "{factor}"
    );
    let peak = spread(&run["memory"]["peak_per_rank"]);
    assert!((1e6..1e9).contains(&peak[2]), "{peak:?}");
    assert!(number(&run["memory"]["per_synapse"]) > 4.0);
}

#[test]
fn compressed_files_hold_the_same_in_less() {
    let desk = Desk::new();
    let config = config(&desk);
    let at = "record.weights={ at = [0.0, 60.0] }";
    let plain = desk.result(&config, 1, 1, &[at]);
    for level in ["1", "9"] {
        let set = format!("record.compression={level}");
        let packed = desk.result(&config, 2, 1, &[at, &set]);
        common::assert_same_content(&packed.content(), &plain.content());
        for name in ["spikes.h5", "weights.h5"] {
            let size = |run: &RunResult| fs::metadata(run.path().join(name)).unwrap().len();
            assert!(size(&packed) < size(&plain) / 2, "{name} at level {level}");
        }
        assert!(!packed.path().join("spikes.h5.new").exists());
    }
}

/// Runs tests/libsonata_check.py on a result and on `indexed`, files of edges with an index by
/// target, where a Python with libsonata is named.
fn assert_libsonata_reads(directory: &Path, indexed: &[PathBuf]) {
    let Some(python) = std::env::var_os("STDP_HPC_PYTHON") else {
        eprintln!("note: not checked with libsonata, STDP_HPC_PYTHON is not set");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/libsonata_check.py");
    let mut command = Command::new(python);
    command.arg(script).arg(directory).args(indexed);
    let ended = start(command).wait(LIMIT).expect(0);
    assert!(ended.stdout.contains(" synapses, "), "{ended:?}");
}

#[test]
fn libsonata_reads_the_files() {
    let desk = Desk::new();
    let config = config(&desk);
    let at = "record.weights={ at = [0.0, 60.0] }";
    let few = "record.weights={ at = [60.0], targets = 5, sources = 400 }";
    for (ranks, sets) in [
        (1, &[at][..]),
        (2, &[few, "record.n_rec=100"]),
        (
            1,
            &[
                "stimulus.rate=0.0",
                "neuron.V_init={ uniform = [0.0, 1.0] }",
            ],
        ),
    ] {
        assert_libsonata_reads(desk.result(&config, ranks, 1, sets).path(), &[]);
    }
}

/// Written with the run, and added by `export`.
#[test]
fn libsonata_finds_the_edges_onto_a_neuron() {
    let desk = Desk::new();
    let set = "record.weights={ targets = 50, target_to_source = true }";
    let result = desk.result(&config(&desk), 2, 1, &[set]);
    let own = result.path().join("weights.h5");
    let exported = desk.path().join("edges.h5");
    let export = [
        "export",
        text(result.path()),
        "edges",
        "-o",
        text(&exported),
    ];
    run(1, &export).expect(0);
    assert_libsonata_reads(result.path(), &[own, exported]);
}

/// Which processes of a running job die.
#[derive(Clone, Copy, Debug)]
enum Victims {
    /// The one that writes the files.
    Writer,
    /// One that does not; the launcher then ends the other.
    Other,
    /// All at once.
    All,
}

/// What a killed job left.
struct Killed {
    directory: PathBuf,
    lived: Duration,
    /// How long before the end spikes.h5 had been written to.
    age: Duration,
    ended: Ended,
}

/// Runs the program for `life` from the moment it simulates, then kills it without warning.
fn kill(
    desk: &Desk,
    config: &Path,
    trial: usize,
    ranks: usize,
    victims: Victims,
    life: Duration,
) -> Killed {
    let directory = desk.path().join(format!("killed{trial}"));
    // The program comes as a child of what is started, also without mpirun.
    let mut command = match ranks {
        1 => {
            let mut shell = command_alone(Path::new("/bin/bash"));
            shell.args(["-c", r#""$0" "$@"; exit $?"#]).arg(program());
            shell
        }
        _ => command_mpirun(ranks, program()),
    };
    command.arg(config).arg("--out").arg(&directory);
    let job = start(command);
    let begun = SystemTime::now();
    while !directory.join("run.json").exists() {
        let waited = begun.elapsed().unwrap();
        assert!(waited < LIMIT, "it does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    let begun = SystemTime::now();
    std::thread::sleep(life);
    let ranks_of = |(pid, name): (u32, String)| (name == "stdp-hpc").then_some(pid);
    let pids: Vec<u32> = job.family().into_iter().filter_map(ranks_of).collect();
    assert_eq!(pids.len(), ranks);
    let writes = |pid: &u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("open files");
        open.flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|path| path.ends_with("spikes.h5"))
    };
    let (writer, others): (Vec<u32>, Vec<u32>) = pids.iter().partition(|pid| writes(pid));
    assert_eq!(writer.len(), 1, "one process writes");
    match victims {
        Victims::Writer => signal("KILL", &writer),
        Victims::Other => signal("KILL", &others),
        Victims::All => signal("KILL", &pids),
    }
    let killed = SystemTime::now();
    let ended = job.wait(LIMIT);
    let written = fs::metadata(directory.join("spikes.h5")).and_then(|m| m.modified());
    Killed {
        directory,
        lived: killed.duration_since(begun).unwrap(),
        age: killed.duration_since(written.unwrap()).unwrap_or_default(),
        ended,
    }
}

/// Life after which a run has flushed several times, on a busy machine too.
const LONG: Duration = Duration::from_secs(8);

/// After SIGKILL at any moment the files open, lack no more than the last seconds, and hold
/// what an undisturbed run would have written.
#[test]
fn a_killed_run_leaves_what_it_had_flushed() {
    let desk = Desk::new();
    let long = CONFIG.replace("T = 300.0", "T = 100000000.0");
    let long = long + "[record]\nweights = { at = [0.0, 60.0], targets = 50 }\n";
    let config = desk.config("long", &long);
    use Victims::{All, Other, Writer};
    let killed: Vec<Killed> = [
        (1, All, 50),
        (2, All, 333),
        (2, Writer, 700),
        (1, All, 1020),
        (2, Other, 1400),
        (1, All, 1750),
        (2, Writer, 2300),
        (1, All, 11_500),
    ]
    .into_iter()
    .zip(0..)
    .map(|((ranks, victims, life), trial)| {
        kill(
            &desk,
            &config,
            trial,
            ranks,
            victims,
            Duration::from_millis(life),
        )
    })
    .collect();

    let last = |killed: &Killed| {
        let of = |population: &Vec<(u64, u64)>| population.last().map_or(0, |spike| spike.0);
        spikes(&killed.directory).iter().map(of).max().unwrap()
    };
    let furthest = killed.iter().map(last).max().unwrap().next_multiple_of(12);
    let set = format!("simulation.T={:?}", furthest as f64 * DT);
    let whole = desk.result(&config, 1, 1, &[&set]);
    let expected = spikes(whole.path());
    for killed in &killed {
        let lived = killed.lived;
        assert_ne!(killed.ended.code, Some(0));
        let found = spikes(&killed.directory);
        let end = last(killed);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(expected.starts_with(found), "after {lived:?}");
            // Up to the last stamp both populations are complete.
            let next = expected.get(found.len()).map_or(u64::MAX, |spike| spike.0);
            assert!(next >= end, "after {lived:?}");
        }
        if lived > LONG {
            assert!(killed.age < lived / 2, "{:?} old", killed.age);
            assert!(end > 0, "no spikes after {lived:?}");
        }
        let run = fs::read_to_string(killed.directory.join("run.json")).expect("run.json");
        let run: Value = serde_json::from_str(&run).expect("JSON");
        assert_eq!(run["status"], "running");
        assert_eq!(run["parameters"]["network"]["N"], 1000);
        assert!(run.get("digest").is_none());
    }
    let times: Vec<u64> = killed.iter().map(last).collect();
    assert!(times[7] > times[5], "a longer life leaves more: {times:?}");

    let survivor = &killed[7].directory;
    let of = |directory: &Path| {
        let file = open(&directory.join("weights.h5"));
        let group = file.group("edges/E_to_E").expect("edges");
        common::triples(&group, "0/syn_weight_at_60ms")
    };
    assert!(of(survivor) == of(whole.path()), "the snapshot at 60 ms");
    let expected = samples(&whole);
    for killed in &killed {
        let path = killed.directory.join("weights.h5");
        let found = read_weights_over_time(&path, usize::MAX).expect("readable");
        let Some(found) = found else {
            assert!(killed.lived < LONG, "no samples");
            continue;
        };
        // Every 100 ms up to about where the spikes end.
        let until = last(killed) as f64 * DT;
        let lacking = until / 100.0 - found.samples.len() as f64;
        assert!(
            lacking <= 1.0,
            "{} samples in {until} ms",
            found.samples.len()
        );
        // Samples may have been flushed after the last spikes.
        let common = found.samples.len().min(expected.samples.len());
        let [found, expected] = [&found, &expected].map(|all| &all.samples[..common]);
        assert!(found == expected, "until {until}");
    }
    assert_libsonata_reads(survivor, &[]);

    // Ten seconds without a terminal: a line about the progress, and no other noise.
    let said = &killed[7].ended.stderr;
    let lines: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("simulate: "))
        .collect();
    assert_eq!(lines.len(), 1, "{said}");
    for part in [
        " of 100000000 ms, real-time factor ",
        " spikes/s, ",
        " left",
    ] {
        assert!(lines[0].contains(part), "{said}");
    }
}

#[test]
fn what_is_said_can_be_chosen() {
    let desk = Desk::new();
    let config = config(&desk);
    let say = |ranks: usize, arguments: &[&str]| {
        let out = tempfile::tempdir_in(desk.path()).expect("temporary directory");
        let all = [&[text(&config), "--out", text(out.path())], arguments].concat();
        let ended = run(ranks, &all).expect(0);
        if arguments.contains(&"--verbose") || arguments.contains(&"-v") {
            let built = "build: 800 E and 200 I neurons (iaf_psc_alpha) on ";
            assert!(ended.stderr.starts_with(built), "{}", ended.stderr);
        } else {
            assert_eq!(ended.stderr, "", "no progress worth telling");
        }
        let digest = read_run(out.path())["digest"]["spikes"].to_string();
        (ended.stdout, digest.trim_matches('"').to_owned())
    };
    for ranks in [1, 2] {
        assert_eq!(say(ranks, &["--quiet"]).0, "");
        let (normal, digest) = say(ranks, &[]);
        for part in [
            "network            1,000 iaf_psc_alpha neurons, 64,000 plastic and 36,000 static synapses\n",
            &format!("split              {ranks} rank(s) x 1 thread(s)\n"),
            "\nrates ",
            "\nreal-time factor ",
            "\nmemory ",
            &format!("spikes {digest}"),
        ] {
            assert!(normal.contains(part), "{part:?} in {normal}");
        }
        let (verbose, _) = say(ranks, &["--verbose"]);
        assert!(verbose.lines().count() > normal.lines().count());
        assert!(verbose.contains("\nexchange ") && verbose.contains(" synaptic events\n"));
    }
}

/// The reader of the table may go away before the end of the run.
#[test]
fn a_closed_pipe_is_no_failure() {
    let desk = Desk::new();
    let out = desk.path().join("out");
    let mut shell = command_alone(Path::new("/bin/bash"));
    shell
        .args(["-c", r#""$0" "$@" | true; exit ${PIPESTATUS[0]}"#])
        .args([program(), &config(&desk), Path::new("--out"), &out]);
    let ended = start(shell).wait(LIMIT).expect(0);
    assert_eq!(ended.stderr, "");
    read_run(&out);
}

/// On a terminal there is a bar, and it is gone at the end.
#[test]
fn a_terminal_shows_a_bar() {
    let desk = Desk::new();
    let config = config(&desk);
    let bar = |arguments: &str| {
        let out = tempfile::tempdir_in(desk.path()).expect("temporary directory");
        let program = [program(), &config, out.path()].map(text);
        let line = format!(
            "{} {} --out {} --set simulation.T=80000.0 {arguments}",
            program[0], program[1], program[2]
        );
        let mut script = command_alone(Path::new("script"));
        script
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm");
        start(script).wait(LIMIT).expect(0)
    };
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: no `script` (util-linux), so no terminal");
        return;
    }
    let shown = bar("").stdout;
    assert!(shown.contains("simulate [="), "{shown}");
    assert!(shown.contains(" of 80000 ms, real-time factor "), "{shown}");
    let after = shown.rsplit("simulate [").next().unwrap();
    assert!(
        after.contains("\u{1b}[2K") && after.contains("\ndigest "),
        "{shown:?}"
    );
    assert_eq!(bar("--quiet").stdout, "");
}
