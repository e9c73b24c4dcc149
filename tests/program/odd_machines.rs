//! Machines with less than was asked for: many ranks and threads on few cores, fewer neurons
//! than threads, cpusets. The result is that of one thread, in reasonable time, and rank 0
//! says which numbers do not go together.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Desk, Ended, RunResult, command_alone, launcher, program, text};

/// 200 ms of a lively network: every interval has spikes to exchange, and there are enough
/// intervals (133) for slow hand-overs between threads or ranks to add up.
fn network(desk: &Desk, neurons: u32) -> PathBuf {
    desk.config(
        "net",
        &format!(
            "[network]\nN = {neurons}\nK = 50\n[neuron]\nmodel = \"iaf_psc_alpha\"\n\
             [stimulus]\neta = 3.0\n[simulation]\nT = 200.0\n"
        ),
    )
}

/// The first `count` cores that this test may use, as taskset wants them; fewer if there are
/// no more.
fn cores(count: usize) -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .expect("a list");
    let ranges = list.trim().split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<u32>().expect("a core");
        number(first)..=number(last)
    });
    let cores = ranges.flatten().map(|core| core.to_string());
    cores.take(count).collect()
}

/// The program on `ranks` ranks, without mpirun where they are 0, held to these `cores`.
fn held_to(cores: &[String], ranks: usize) -> Command {
    let mut command = command_alone(Path::new("taskset"));
    command.args(["-c", &cores.join(",")]);
    if ranks > 0 {
        command.arg(launcher()).args(["-n", &ranks.to_string()]);
    }
    command.arg(program());
    command
}

/// The warnings of a run.
fn warnings(ended: &Ended) -> Vec<&str> {
    let lines = ended.stderr.lines();
    lines
        .filter_map(|line| line.strip_prefix("warning: "))
        .collect()
}

/// Runs on `cores`, checks that the result is `expected`, and returns the one warning, if any.
#[track_caller]
fn run_on(
    (desk, config): (&Desk, &Path),
    cores: &[String],
    (ranks, threads): (usize, usize),
    expected: &RunResult,
) -> Option<String> {
    let threads = threads.to_string();
    let arguments = [text(config), "--threads", &threads];
    let (result, ended) = desk.result_of(held_to(cores, ranks), &arguments);
    for key in ["digest", "counts"] {
        assert_eq!(result.run[key], expected.run[key], "{key}");
    }
    let warnings = warnings(&ended);
    assert!(warnings.len() < 2, "{ended:#?}");
    warnings.first().map(|&warning| warning.to_owned())
}

/// What is said of `threads` threads on `cores` cores: both numbers, and what to do.
#[track_caller]
fn assert_warns(warning: Option<String>, start: &str, threads: usize, cores: usize) {
    let plural = if cores == 1 { "" } else { "s" };
    let start = format!("{start} {threads} threads but may use {cores} core{plural}: ");
    let warning = warning.expect("a warning");
    assert!(warning.starts_with(&start), "{warning}");
    for remedy in ["--threads", "--bind-to none", "--cpus-per-task"] {
        assert!(warning.contains(remedy), "{warning}");
    }
}

#[test]
fn more_threads_than_cores() {
    let desk = Desk::new();
    let config = network(&desk, 500);
    let alone = desk.result(&config, 1, 1, &[]);
    assert!(alone.count(&["counts", "spikes_E"]) > 1000);
    let bench = (&desk, &*config);
    for (available, threads) in [(1, 4), (2, 16)] {
        let cores = cores(available);
        let warning = run_on(bench, &cores, (0, threads), &alone);
        assert_warns(warning, "rank 0 has", threads, cores.len());
    }
    assert_eq!(run_on(bench, &cores(1), (0, 1), &alone), None);
}

#[test]
fn quiet_runs_do_not_warn() {
    let desk = Desk::new();
    let config = network(&desk, 100);
    let arguments = [text(&config), "--threads", "4", "--quiet"];
    let (_, ended) = desk.result_of(held_to(&cores(1), 0), &arguments);
    assert_eq!(ended.stderr, "");
}

#[test]
fn sixty_four_ranks_on_two_cores() {
    let desk = Desk::new();
    let config = network(&desk, 640);
    let alone = desk.result(&config, 1, 1, &[]);
    let cores = cores(2);
    let warning = run_on((&desk, &config), &cores, (64, 1), &alone);
    assert_warns(
        warning,
        "the 64 ranks on the node of rank 0 have",
        64,
        cores.len(),
    );
}

#[test]
fn ranks_of_several_threads_on_few_cores() {
    let desk = Desk::new();
    let config = network(&desk, 500);
    let alone = desk.result(&config, 1, 1, &[]);
    for (available, ranks, threads) in [(2, 8, 4), (1, 2, 3)] {
        let cores = cores(available);
        let warning = run_on((&desk, &config), &cores, (ranks, threads), &alone);
        let start = format!("the {ranks} ranks on the node of rank 0 have");
        assert_warns(warning, &start, ranks * threads, cores.len());
    }
}

/// Where ranks have cores and only threads are too many, Open MPI has to be told to give way.
#[test]
fn ranks_that_would_not_give_way() {
    let desk = Desk::new();
    let config = network(&desk, 100);
    for (yields, advised) in [("0", true), ("1", false)] {
        let mut command = held_to(&cores(1), 2);
        command
            .env("OMPI_MCA_mpi_yield_when_idle", yields)
            .env("OMPI_MCA_mpi_oversubscribe", "0");
        let arguments = [text(&config), "--threads", "2"];
        let (result, ended) = desk.result_of(command, &arguments);
        let mpi = result.run["provenance"]["mpi"].as_str().expect("a name");
        let [warning] = warnings(&ended)[..] else {
            panic!("one warning expected: {ended:#?}");
        };
        assert_eq!(
            warning.ends_with("export OMPI_MCA_mpi_yield_when_idle=1"),
            advised && mpi.starts_with("Open MPI"),
            "{warning}"
        );
    }
}

/// Most threads have no neuron, and some ranks have none.
#[test]
fn more_threads_than_neurons() {
    let desk = Desk::new();
    for neurons in [7, 20] {
        let config = network(&desk, neurons);
        let alone = desk.result(&config, 1, 1, &[]);
        let spikes = alone.count(&["counts", "spikes_E"]) + alone.count(&["counts", "spikes_I"]);
        assert!(spikes > 20, "{spikes} spikes");
        for (ranks, threads) in [(1, 32), (4, 8), (12, 2), (24, 1)] {
            let split = desk.result(&config, ranks, threads, &[]);
            for key in ["digest", "counts"] {
                assert_eq!(split.run[key], alone.run[key], "{key}, {ranks} × {threads}");
            }
        }
    }
}

/// As many ranks as cores, each bound to its own, as mpirun does by default; and one core.
#[test]
fn one_rank_per_core() {
    let desk = Desk::new();
    let config = network(&desk, 500);
    let alone = desk.result(&config, 1, 1, &[]);
    for available in [1, 2] {
        let cores = cores(available);
        let threads = ["--threads", "1"];
        let mut command = held_to(&cores, cores.len());
        command
            .env("OMPI_MCA_hwloc_base_binding_policy", "core")
            .env("PRTE_MCA_hwloc_default_binding_policy", "core");
        let arguments = [&[text(&config)], &threads[..]].concat();
        let (result, ended) = desk.result_of(command, &arguments);
        assert_eq!(result.digests(), alone.digests());
        assert_eq!(warnings(&ended), [""; 0]);
    }
    let bound = run_on((&desk, &config), &cores(1), (2, 1), &alone);
    assert_warns(bound, "the 2 ranks on the node of rank 0 have", 2, 1);
}
