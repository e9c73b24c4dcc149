//! A run is killed before each of its changes to a file, or that change fails as on a full disk,
//! one run per change; what it leaves must be what some completed flush left, in all columns.
//!
//! One in a few of the changes is tried, and all with `STDP_HPC_KILL_ALL=1`, which
//! `scripts/test.sh --all` sets for the run on one rank.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread;

use hdf5::Group;
use serde_json::Value;
use stdp_hpc::io::sonata::read::{WeightsOverTime, read_weights_over_time};

use crate::common::{
    Desk, Ended, LIMIT, command_alone, command_mpirun, open, program, read_run, read_spikes, start,
    text,
};

/// So many spikes that they are flushed several times; snapshots and samples in between.
const CONFIG: &str = "
[network]
N = 2000
K = 4
[neuron.ignore_and_fire]
rate = [400.0, 500.0]
[simulation]
T = 250.0
[record.weights]
at = [0, 50, 120, 200]
target_to_source = true
[record.weights_over_time]
every = 3
";

/// The library that kills, compiled once.
static KILLER: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/kill.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kill.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o", text(&library)])
        .args([text(&source), "-ldl"])
        .status();
    assert!(compiled.is_ok_and(|status| status.success()));
    library
});

/// What a run leaves.
struct Left {
    /// Ids and times of E and of I.
    spikes: Option<[(Vec<u64>, Vec<f64>); 2]>,
    /// Names and weights of the snapshots, by time.
    snapshots: Vec<(String, Vec<f64>)>,
    samples: Option<WeightsOverTime>,
}

/// Reads a result, and checks what must hold within it.
fn read(directory: &Path) -> Left {
    let path = directory.join("spikes.h5");
    let spikes = path
        .exists()
        .then(|| ["E", "I"].map(|population| read_spikes(&path, population)));
    let path = directory.join("weights.h5");
    let (mut snapshots, mut samples) = (Vec::new(), None);
    if path.exists() {
        let edges = open(&path).group("edges").expect("edges");
        if edges.link_exists("E_to_E") {
            snapshots = read_snapshots(&edges.group("E_to_E").expect("E_to_E"));
        }
        samples = read_weights_over_time(&path, usize::MAX).expect("samples");
    }
    Left {
        spikes,
        snapshots,
        samples,
    }
}

fn read_snapshots(edges: &Group) -> Vec<(String, Vec<f64>)> {
    let column = |name: &str| {
        edges
            .dataset(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let weights = |name: &str| -> Vec<f64> { column(name).read_raw().expect("weights") };
    let names = edges.group("0").and_then(|group| group.member_names());
    let time = |name: &str| -> f64 {
        let time = name
            .strip_prefix("syn_weight_at_")
            .and_then(|rest| rest.strip_suffix("ms"));
        time.map_or(f64::NAN, |time| time.parse().expect("a time"))
    };
    let names = names.expect("members").into_iter();
    let mut names: Vec<String> = names.filter(|name| !time(name).is_nan()).collect();
    names.sort_by(|one, other| time(one).total_cmp(&time(other)));
    let snapshots: Vec<_> = names
        .into_iter()
        .map(|name| (name.clone(), weights(&format!("0/{name}"))))
        .collect();
    let latest = weights("0/syn_weight");
    assert!(
        snapshots
            .last()
            .is_some_and(|(_, weights)| *weights == latest)
    );
    for name in [
        "source_node_id",
        "target_node_id",
        "edge_group_index",
        "edge_type_id",
        "0/delay",
    ] {
        assert_eq!(column(name).size(), latest.len(), "{name}");
    }
    snapshots
}

/// Panics unless `left` is what some flush of the run that left `all` had completed.
fn check(left: &Left, all: &Left) {
    if let (Some(spikes), Some(all)) = (&left.spikes, &all.spikes) {
        let mut last = Vec::new();
        let mut next = Vec::new();
        for (population, ((ids, times), (all_ids, all_times))) in (0..).zip(spikes.iter().zip(all))
        {
            assert!(all_ids.starts_with(ids) && all_times.starts_with(times));
            let spike = |row: usize| Some((all_times.get(row)?, population, all_ids.get(row)?));
            last.extend(ids.len().checked_sub(1).and_then(spike));
            next.extend(spike(ids.len()));
        }
        // Both populations up to the same moment: by time, within it E first, then by neuron.
        let ordered = last.iter().all(|last| next.iter().all(|next| last < next));
        assert!(ordered, "the file holds {last:?}, but not {next:?}");
    }
    assert!(all.snapshots.starts_with(&left.snapshots));
    if let (Some(left), Some(all)) = (&left.samples, &all.samples) {
        assert!(all.samples.starts_with(&left.samples));
        assert_eq!((&left.edges, &left.followed), (&all.edges, &all.followed));
    }
}

/// Disturbance of one change of a run to a file.
#[derive(Clone, Copy)]
enum Blow {
    /// The run is killed before it.
    Kill,
    /// It fails, once.
    Fail,
}

impl Blow {
    fn variable(self) -> &'static str {
        match self {
            Blow::Kill => "KILL_AT",
            Blow::Fail => "FAIL_AT",
        }
    }

    /// Panics unless a run may end so, after the blow, with the files that it left in `out`.
    fn check_end(self, ended: &Ended, out: &Path) {
        if let Blow::Kill = self {
            return;
        }
        let drafts = ["spikes.h5.new", "weights.h5.new"];
        assert!(
            drafts.iter().all(|name| !out.join(name).exists()),
            "{ended:?}"
        );
        let mut lines = ended.stderr.lines();
        match ended.code {
            // The note in the lock file or its removal failed: the run does not depend on them.
            Some(0) => assert_eq!(lines.next(), None),
            Some(1 | 2) => {
                let line = lines.next().unwrap_or_default();
                assert!(line.ends_with("No space left on device"), "{ended:?}");
                // The report of mpirun begins with a line of dashes.
                assert!(
                    lines.next().is_none_or(|line| line.starts_with("---")),
                    "{ended:?}"
                );
            }
            _ => panic!("{ended:?}"),
        }
    }
}

fn command(desk: &Desk, ranks: usize, sets: &[&str], out: &Path) -> Command {
    let config = desk.path().join("killed.toml");
    let mut command = match ranks {
        1 => command_alone(program()),
        _ => command_mpirun(ranks, program()),
    };
    command
        .env("LD_PRELOAD", &*KILLER)
        .env("KILL_BELOW", out)
        .args([text(&config), "--quiet", "--out", text(out)]);
    for set in sets {
        command.args(["--set", set]);
    }
    command
}

/// Returns the number of changes of an undisturbed run.
fn count(desk: &Desk, ranks: usize, sets: &[&str], out: &Path) -> usize {
    let count = desk.path().join("count");
    let mut command = command(desk, ranks, sets, out);
    command.env("KILL_COUNT", &count);
    start(command).wait(LIMIT).expect(0);
    let count = fs::read_to_string(count).expect("the count");
    count.parse().expect("a number")
}

/// Disturbs runs at one in `step` of their changes, and checks what they leave.
fn sweep(blow: Blow, ranks: usize, sets: &[&str], step: usize) {
    let all_of_them = std::env::var_os("STDP_HPC_KILL_ALL").is_some();
    let step = if all_of_them { 1 } else { step };
    let desk = Desk::new();
    desk.config("killed", CONFIG);
    let undisturbed = desk.path().join("undisturbed");
    let changes = count(&desk, ranks, sets, &undisturbed);
    let all = read(&undisturbed);
    check_undisturbed(&all, &read_run(&undisturbed));
    let next = AtomicUsize::new(1);
    let states = Mutex::new([const { BTreeSet::new() }; 3]);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(step, Ordering::Relaxed);
                    if at > changes {
                        return;
                    }
                    let out = desk.path().join(at.to_string());
                    let mut command = command(&desk, ranks, sets, &out);
                    command.env(blow.variable(), at.to_string());
                    let ended = start(command).wait(LIMIT);
                    let left = read(&out);
                    check(&left, &all);
                    check_record(&out);
                    blow.check_end(&ended, &out);
                    let spikes = left
                        .spikes
                        .map_or(0, |[(e, _), (i, _)]| 1 + e.len() + i.len());
                    let samples = left.samples.map_or(0, |samples| 1 + samples.samples.len());
                    let mut states = states.lock().expect("no panic under this lock");
                    let seen = [spikes, left.snapshots.len(), samples];
                    for (states, seen) in states.iter_mut().zip(seen) {
                        states.insert(seen);
                    }
                    drop(states);
                    // Nothing is there where the first change failed.
                    let _ = fs::remove_dir_all(&out);
                }
            });
        }
    });
    let states = states.into_inner().expect("no panic under this lock");
    println!("{changes} changes, one in {step} tried; spikes, snapshots, samples left: {states:?}");
    // The sweep has met several flushes of each.
    assert!(states.iter().all(|states| states.len() >= 4), "{states:?}");
}

/// Panics unless what a run left that was not killed is all there.
fn check_undisturbed(all: &Left, run: &Value) {
    let spikes = all.spikes.as_ref().expect("spikes");
    for ((_, times), name) in spikes.iter().zip(["spikes_E", "spikes_I"]) {
        assert_eq!(run["counts"][name], times.len());
        // Rows that no chunk is found for are 0.
        assert!(times[0] > 0.0 && times.is_sorted());
    }
    let samples = &all.samples.as_ref().expect("samples").samples;
    assert!(samples.is_sorted_by(|one, other| one.at < other.at));
}

/// run.json is whole or missing.
fn check_record(directory: &Path) {
    if let Ok(text) = fs::read_to_string(directory.join("run.json")) {
        serde_json::from_str::<Value>(&text).expect("whole JSON");
    }
}

#[test]
fn a_run_killed_at_any_write_leaves_a_completed_flush() {
    sweep(Blow::Kill, 1, &[], 7);
}

#[test]
fn a_compressing_run_killed_at_any_write_leaves_a_completed_flush() {
    sweep(Blow::Kill, 1, &["record.compression=4"], 9);
}

#[test]
fn ranks_killed_at_any_write_leave_a_completed_flush() {
    sweep(Blow::Kill, 2, &[], 25);
}

#[test]
fn compressing_ranks_killed_at_any_write_leave_a_completed_flush() {
    sweep(Blow::Kill, 2, &["record.compression=1"], 25);
}

#[test]
fn a_run_whose_write_fails_leaves_a_completed_flush() {
    sweep(Blow::Fail, 1, &[], 5);
}

#[test]
fn a_compressing_run_whose_write_fails_leaves_a_completed_flush() {
    sweep(Blow::Fail, 1, &["record.compression=4"], 7);
}

#[test]
fn ranks_of_which_one_fails_to_write_leave_a_completed_flush() {
    sweep(Blow::Fail, 2, &[], 17);
}
