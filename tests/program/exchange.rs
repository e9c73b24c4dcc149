//! The exchange and the job around it, under real mpirun: overflow and regrowth, ranks with
//! nothing to do, many ranks, and ranks that fail.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stdp_hpc::base::error::Result;
use stdp_hpc::base::units::Interval;
use stdp_hpc::comm::Comm;
use stdp_hpc::comm::job::abort_job_on_panic;
use stdp_hpc::engine::{Observer, Simulation};
use stdp_hpc::io::config;
use stdp_hpc::model::recipe::DrawnNetwork;

use crate::common::{
    self, Desk, Ended, LIMIT, RunResult, command_alone, command_mpirun, mpirun, program, signal,
    start, text,
};

#[track_caller]
fn assert_same(one: &RunResult, other: &RunResult) {
    for key in ["digest", "counts"] {
        assert_eq!(one.run[key], other.run[key], "{key}");
    }
}

/// All neurons fire at 250 ms, 1,250 ms and 2,250 ms, together: three bursts that fill the
/// chunks, and between them silence for longer than two windows of 256 intervals.
#[test]
fn chunks_grow_for_bursts_and_shrink_in_silence() {
    let desk = Desk::new();
    let config = desk.config(
        "bursts",
        r"
[network]
N = 1500
K = 100
[neuron.ignore_and_fire]
rate = [1.0, 1.0]
phase = [0.25, 0.25]
[simulation]
T = 2300.0
",
    );
    let alone = desk.result(&config, 1, 1, &[]);
    assert_eq!(alone.count(&["counts", "spikes_E"]), 3 * 1200);
    for (ranks, threads) in [(3, 1), (4, 2)] {
        let split = desk.result(&config, ranks, threads, &[]);
        assert_same(&alone, &split);
        let exchange = |key| split.count(&["exchange", key]);
        assert_eq!(exchange("grown"), 3);
        assert_eq!(exchange("shrunk"), 2);
        assert_eq!(exchange("intervals"), 1534);
        // Every neuron of the fullest rank, one word each, to a rank that listens to all.
        assert_eq!(exchange("peak_words"), 1500_u64.div_ceil(ranks as u64));
        assert_eq!(exchange("received_entries"), 3 * 1500);
        assert_eq!(exchange("entry_bytes"), 4);
    }
}

/// A chunk has room for 14 entries at first: 14 fit, one more is one too many.
#[test]
fn chunks_grow_by_need_and_not_before() {
    let desk = Desk::new();
    for (neurons, grown) in [(2 * 14, 0), (2 * 14 + 1, 1), (2 * 15, 1)] {
        let text = format!(
            "[network]\nN = {neurons}\nK = 200\n[neuron.ignore_and_fire]\n\
             rate = [50.0, 50.0]\nphase = [0.5, 0.5]\n[simulation]\nT = 100.0\n"
        );
        let config = desk.config("edge", &text);
        let alone = desk.result(&config, 1, 1, &[]);
        let split = desk.result(&config, 2, 1, &[]);
        assert_same(&alone, &split);
        assert_eq!(split.count(&["exchange", "received_entries"]), 5 * neurons);
        assert_eq!(
            split.count(&["exchange", "grown"]),
            grown,
            "{neurons} neurons"
        );
    }
}

/// Every neuron fires at every step: each chunk holds neurons × steps entries, and the
/// capacity that the first burst brings stays.
#[test]
fn chunks_hold_a_spike_of_every_neuron_at_every_step() {
    let desk = Desk::new();
    let config = desk.config(
        "dense",
        r"
[network]
N = 61
K = 30
[neuron.ignore_and_fire]
rate = [8000.0, 8000.0]
[simulation]
T = 30.0
",
    );
    let alone = desk.result(&config, 1, 1, &[]);
    let spikes = alone.count(&["counts", "spikes_E"]) + alone.count(&["counts", "spikes_I"]);
    assert_eq!(spikes, 61 * 239, "one a step from the second on");
    let split = desk.result(&config, 3, 2, &[]);
    assert_same(&alone, &split);
    assert_eq!(split.count(&["exchange", "grown"]), 1);
    assert!(split.count(&["exchange", "peak_words"]) > 12 * 15);
}

#[test]
fn ranks_and_threads_without_neurons() {
    let desk = Desk::new();
    for (name, network) in [
        ("three", "N = 3\nK = 4\nallow_autapses = true"),
        ("one", "N = 1\nK = 1\nallow_autapses = true"),
        ("unconnected", "N = 7\nK = 0"),
    ] {
        let simulation = "[neuron]\nmodel = \"iaf_psc_alpha\"\n[stimulus]\neta = 3.0\n\
                          [simulation]\nT = 200.0\n";
        let config = desk.config(name, &format!("[network]\n{network}\n{simulation}"));
        let alone = desk.result(&config, 1, 1, &[]);
        let spikes = alone.count(&["counts", "spikes_E"]) + alone.count(&["counts", "spikes_I"]);
        assert!(spikes > 5, "{name}: {spikes} spikes");
        let split = desk.result(&config, 5, 2, &[]);
        assert_same(&alone, &split);
        common::assert_same_content(&alone.content(), &split.content());
    }
}

#[test]
fn silent_networks() {
    let desk = Desk::new();
    let config = desk.config(
        "silent",
        r#"
[network]
N = 50
K = 10
[neuron]
model = "iaf_psc_alpha"
[stimulus]
rate = 0.0
[simulation]
T = 500.0
"#,
    );
    let alone = desk.result(&config, 1, 1, &[]);
    let split = desk.result(&config, 3, 2, &[]);
    assert_same(&alone, &split);
    common::assert_same_content(&alone.content(), &split.content());
    assert_eq!(split.count(&["counts", "spikes_E"]), 0);
    for key in ["grown", "shrunk", "peak_words", "received_entries"] {
        assert_eq!(split.count(&["exchange", key]), 0, "{key}");
    }
    assert_eq!(split.digests()[0], "0000000000000000");
}

/// Far more ranks than cores.
#[test]
fn sixty_four_ranks() {
    let desk = Desk::new();
    let config = desk.config(
        "many",
        r#"
[network]
N = 640
K = 64
[neuron]
model = "iaf_psc_alpha"
[stimulus]
eta = 3.0
[simulation]
T = 30.0
"#,
    );
    let alone = desk.result(&config, 1, 1, &[]);
    assert!(alone.count(&["counts", "spikes_E"]) > 100);
    let split = desk.result(&config, 64, 1, &[]);
    assert_same(&alone, &split);
    common::assert_same_content(&alone.content(), &split.content());
}

/// Returns the name by which the test program knows the test `name` of this file.
fn exact(name: &str) -> String {
    let (_, module) = module_path!().split_once("::").expect("a module");
    format!("{module}::{name}")
}

/// The variable that makes this test program a rank that gathers.
const GATHER: &str = "STDP_HPC_TEST_GATHER";

/// MPI counts up to 2³¹ − 1 elements a call; with a limit of a few elements real ranks go
/// through as many pieces, of uneven lists.
#[test]
fn collectives_beyond_the_counts_of_mpi_go_in_pieces() {
    if std::env::var_os(GATHER).is_some() {
        return gather_in_pieces();
    }
    let this = std::env::current_exe().expect("this program");
    for ranks in [1, 2, 3, 5] {
        let mut command = command_mpirun(ranks, &this);
        let name = "collectives_beyond_the_counts_of_mpi_go_in_pieces";
        command.args(["--exact", &exact(name), "--nocapture"]);
        command.env(GATHER, "1");
        start(command).wait(LIMIT).expect(0);
    }
}

/// A rank that gathers, sums and broadcasts lists in pieces of several lengths.
fn gather_in_pieces() {
    abort_job_on_panic();
    let mut comm = Comm::from_launcher().expect("MPI");
    let (rank, size) = (comm.rank() as u64, comm.size() as u64);
    let list =
        |rank: u64| -> Vec<u64> { (0..(rank * 7 + 3) % 11).map(|i| 100 * rank + i).collect() };
    let all: Vec<u64> = (0..size).flat_map(list).collect();
    for most in [1, 2, 7, 12, 1000] {
        comm = comm.in_pieces_of(most);
        let gathered = comm.gather(&list(rank));
        assert_eq!(
            gathered,
            if rank == 0 { all.clone() } else { Vec::new() },
            "{most}"
        );
        assert!(comm.gather::<u64>(&[]).is_empty());
        let last = if rank + 1 == size {
            vec![1.5; 9]
        } else {
            Vec::new()
        };
        let expected = if rank == 0 { vec![1.5; 9] } else { Vec::new() };
        assert_eq!(comm.gather(&last), expected, "{most}");
        let mine: Vec<u64> = (0..20).map(|i| rank + i).collect();
        let sum: Vec<u64> = (0..20).map(|i| size * (size - 1) / 2 + size * i).collect();
        assert_eq!(
            comm.sum_each(&mine),
            if rank == 0 { sum } else { Vec::new() }
        );
        let largest: Vec<u64> = (0..20).map(|i| size - 1 + i).collect();
        assert_eq!(comm.max_each(&mine), largest);
        let mut bytes = if rank == 0 {
            b"told in pieces".to_vec()
        } else {
            Vec::new()
        };
        comm.broadcast(0, &mut bytes);
        assert_eq!(bytes, b"told in pieces");
        let send: Vec<Vec<u64>> = (0..size).map(|to| list(rank + to)).collect();
        let expected: Vec<Vec<u64>> = (0..size).map(|from| list(from + rank)).collect();
        assert_eq!(comm.all_to_all_lists(&(0..1), send), expected);
    }
}

/// A run that no test waits for the end of.
fn endless(desk: &Desk) -> PathBuf {
    desk.config(
        "endless",
        "[network]\nN = 500\nK = 50\n[simulation]\nT = 1e7\n[record]\nspikes = false\n",
    )
}

/// The variable that makes this test program a rank of a job, and tells where to panic.
const PANIC_ON: &str = "STDP_HPC_TEST_PANIC_ON";

/// Starts the test `name`, that is the caller, on three ranks, of which the middle one panics
/// after 20 intervals, and expects all to end with its message.
fn a_rank_panics(name: &str, thread: &str) {
    if std::env::var_os(PANIC_ON).is_some() {
        return be_a_rank(thread);
    }
    let this = std::env::current_exe().expect("this program");
    let mut command = command_mpirun(3, &this);
    command.args(["--exact", &exact(name), "--nocapture"]);
    command.env(PANIC_ON, thread);
    let ended = start(command).wait(LIMIT);
    assert!(ended.code != Some(0), "{ended:#?}");
    let message = "stdp-hpc: rank 1: internal error:";
    assert_eq!(ended.stderr.matches(message).count(), 1, "{ended:#?}");
    assert!(ended.stderr.contains("a fault of the"), "{ended:#?}");
}

/// Panics on `thread`, after so many intervals.
struct Fault {
    thread: String,
    intervals_left: u32,
}

impl Observer for Fault {
    fn interval(&mut self, _: &Simulation, _: Interval) -> Result<()> {
        self.intervals_left -= 1;
        if self.intervals_left == 0 {
            match &self.thread[..] {
                "main" => panic!("a fault of the main thread"),
                // Joined, and the panic dropped, as a pool of threads may do.
                _ => drop(std::thread::spawn(|| panic!("a fault of the worker")).join()),
            }
        }
        Ok(())
    }
}

/// A rank of an endless run; rank 1 panics.
fn be_a_rank(thread: &str) {
    abort_job_on_panic();
    let comm = Comm::from_launcher().expect("MPI");
    let fails = comm.rank() == 1;
    let config = "[network]\nN = 100\nK = 10\n[simulation]\nT = 1e7\n[record]\n\
                  spikes = false\nweights = false\n";
    let params = config::load(Path::new("here"), config, &[], None, comm.size());
    let network = DrawnNetwork::new(params.expect("good")).expect("no files");
    let mut simulation = Simulation::build(comm, network).expect("built");
    let mut fault = Fault {
        thread: thread.to_owned(),
        intervals_left: if fails { 20 } else { u32::MAX },
    };
    let run = simulation.run(&mut [&mut fault]);
    drop(run);
}

#[test]
fn a_panic_ends_the_whole_job() {
    a_rank_panics("a_panic_ends_the_whole_job", "main");
}

#[test]
fn a_panic_on_a_worker_thread_ends_the_whole_job() {
    a_rank_panics("a_panic_on_a_worker_thread_ends_the_whole_job", "worker");
}

#[test]
fn a_killed_rank_ends_the_whole_job() {
    let desk = Desk::new();
    let out = desk.path().join("out");
    let config = endless(&desk);
    let mut command = command_mpirun(3, program());
    command.args([text(&config), "--out", text(&out)]);
    let job = start(command);
    // Written when all ranks have built their part: the loop is about to begin.
    await_file(&out.join("run.json"));
    std::thread::sleep(Duration::from_millis(300));
    let ranks = ranks_of(&job);
    assert_eq!(ranks.len(), 3);
    signal("KILL", &ranks[1..2]);
    let ended = job.wait(LIMIT);
    assert!(ended.code != Some(0), "{ended:#?}");
    await_end(&ranks);
}

/// The pids of a job's ranks, ascending.
fn ranks_of(job: &common::Started) -> Vec<u32> {
    let family = job.family().into_iter();
    let mut ranks: Vec<u32> = family
        .filter(|(_, name)| name == "stdp-hpc")
        .map(|(pid, _)| pid)
        .collect();
    ranks.sort_unstable();
    ranks
}

fn await_file(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < LIMIT, "no {}", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// No rank is left behind.
fn await_end(pids: &[u32]) {
    let begun = Instant::now();
    let runs = |pid: &u32| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|name| name.trim_end() == "stdp-hpc")
    };
    while pids.iter().any(runs) {
        assert!(begun.elapsed() < LIMIT, "ranks live on: {pids:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A launcher of another MPI starts as many jobs of one rank as it was to start ranks; its
/// environment gives it away.
#[test]
fn a_launcher_of_another_mpi_is_noticed() {
    let desk = Desk::new();
    let config = endless(&desk);
    let out = desk.path().join("out");
    for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] {
        let mut command = command_alone(program());
        command
            .args([text(&config), "--out", text(&out)])
            .env(name, "4");
        let ended = start(command).wait(LIMIT).expect(1);
        assert_single_line(
            &ended,
            &format!("stdp-hpc: {name} is 4 but MPI_COMM_WORLD has 1"),
        );
        assert!(!out.exists());
    }
}

/// The message once, whatever mpirun adds.
#[track_caller]
fn assert_single_line(ended: &Ended, beginning: &str) {
    let lines = ended
        .stderr
        .lines()
        .filter(|line| line.contains("stdp-hpc: "));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 1, "{ended:#?}");
    assert!(lines[0].starts_with(beginning), "{ended:#?}");
}

/// Rank 0 writes; the others learn of its failure by the exchange's flags.
#[test]
fn a_full_disk_ends_the_whole_job() {
    let desk = Desk::new();
    let config = desk.config(
        "much",
        r"
[network]
N = 300
K = 0
[neuron.ignore_and_fire]
rate = [8000.0, 8000.0]
[simulation]
T = 1e6
[record]
weights = false
",
    );
    let out = desk.path().join("out");
    // A limit on the size of files stands in for the disk: 32 MiB, with room for what MPI
    // shares between ranks.
    let limited = r#"ulimit -f 32768; exec "$0" "$@""#;
    let mut command = command_mpirun(3, Path::new("/bin/bash"));
    command.args([
        "-c",
        limited,
        text(program()),
        text(&config),
        "--out",
        text(&out),
    ]);
    let ended = start(command).wait(LIMIT).expect(1);
    let file = out.join("spikes.h5");
    assert_single_line(
        &ended,
        &format!("stdp-hpc: {}: cannot be written", file.display()),
    );
    assert!(ended.stderr.contains("File too large"), "{ended:#?}");
    let (ids, _) = common::read_spikes(&file, "E");
    assert!(
        ids.len() > 100_000,
        "what was flushed is there: {}",
        ids.len()
    );
}

/// Bad input is found by all ranks together: one line, exit code 2, nothing left behind.
#[test]
fn bad_input_ends_all_ranks_with_one_line() {
    let desk = Desk::new();
    let out = desk.path().join("out");
    let config = desk.config("bad", "[network]\nN = 10\nK = 1\n[simulation]\nT = 0.3\n");
    let ended = mpirun(3, &[text(&config), "--out", text(&out)]).expect(2);
    assert_single_line(&ended, "stdp-hpc: ");
    // Only one rank's neurons have the fault, a rate of 0: its error reaches all.
    let input = desk.path().join("initial.h5");
    let file = hdf5::File::create(&input).expect("created");
    let group = file.create_group("initial").expect("created");
    for (name, values) in [("rate", [1.0, 0.0, 1.0]), ("phase", [0.5; 3])] {
        let dataset = group.new_dataset_builder().with_data(&values);
        dataset.create(name).expect("written");
    }
    drop((group, file));
    let config = desk.config(
        "state",
        &format!(
            "[network]\nN = 3\nK = 0\n[neuron]\ninitial = \"{}\"\n[simulation]\nT = 3.0\n",
            text(&input)
        ),
    );
    let ended = mpirun(3, &[text(&config), "--out", text(&out)]).expect(2);
    assert_single_line(
        &ended,
        &format!("stdp-hpc: {}: /initial/rate", text(&input)),
    );
    assert!(!out.exists());
}
