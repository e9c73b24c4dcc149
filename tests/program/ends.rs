//! Runs that end before their time: signals, a directory that is taken away, limits on files and
//! memory. Each ends with one line and an exit code that tells, and leaves what it had written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{
    self, Desk, Ended, LIMIT, Started, command_alone, command_mpirun, launcher, program, read_run,
    signal, start, text,
};

/// A run without end, of some spikes in every interval.
const LONG: &str = r#"
[network]
N = 500
K = 50
[neuron]
model = "iaf_psc_alpha"
[simulation]
T = 1e8
"#;

/// Waits until `what` is there.
#[track_caller]
fn until<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The run.json in `directory`, whatever its status.
fn status(directory: &Path) -> Option<Value> {
    let text = fs::read_to_string(directory.join("run.json")).ok()?;
    Some(serde_json::from_str(&text).expect("whole or not at all"))
}

/// What the program itself says on standard error; a launcher adds to it.
fn lines(ended: &Ended) -> Vec<&str> {
    let lines = ended.stderr.lines();
    lines
        .filter(|line| line.starts_with("stdp-hpc: "))
        .collect()
}

/// The command for `ranks` ranks.
fn command(ranks: usize) -> Command {
    match ranks {
        1 => command_alone(program()),
        _ => command_mpirun(ranks, program()),
    }
}

/// A run of [`LONG`] that simulates, and its directory.
fn begin(desk: &Desk, ranks: usize, name: &str, sets: &[&str]) -> (Started, PathBuf) {
    let config = desk.config("long", LONG);
    let directory = desk.path().join(name);
    let mut command = command(ranks);
    command.args([text(&config), "--quiet", "--out", text(&directory)]);
    for set in sets {
        command.args(["--set", set]);
    }
    let run = start(command);
    until("run.json", || status(&directory));
    (run, directory)
}

/// The processes of `run` that are the program.
fn ranks_of(run: &Started) -> Vec<u32> {
    let family = run.family().into_iter();
    let ranks = family.filter(|(_, name)| name == "stdp-hpc");
    ranks.map(|(pid, _)| pid).collect()
}

/// A signal to the program, or to its launcher, leaves all spikes until then and says so.
#[test]
fn a_signal_ends_a_run_in_good_order() {
    let desk = Desk::new();
    for (ranks, name) in [
        (1, "INT"),
        (1, "TERM"),
        (1, "HUP"),
        (1, "USR1"),
        (2, "USR1"),
    ] {
        let (run, directory) = begin(&desk, ranks, &format!("{name}{ranks}"), &[]);
        signal(name, &[run.id()]);
        let ended = run.wait(LIMIT).expect(75);
        let found = status(&directory).expect("run.json");
        let reached = &found["interrupted"]["model_time_ms"];
        assert_eq!(found["status"], "interrupted");
        assert_eq!(found["interrupted"]["signal"], format!("SIG{name}"));
        let line = format!(
            "stdp-hpc: interrupted by SIG{name} at {} ms of model time; {} holds what was \
             recorded until then",
            reached.as_f64().expect("a time"),
            directory.display()
        );
        assert_eq!(lines(&ended), [line]);
        assert_eq!(ended.stdout, "");
        assert!(!directory.join("run.json.reserve").exists());

        // What was written is what a run to that time writes.
        let set = format!("simulation.T={reached}");
        if reached.as_f64() != Some(0.0) {
            let whole = desk.result(&desk.path().join("long.toml"), 1, 1, &[&set]);
            for population in ["E", "I"] {
                let spikes = common::read_spikes(&directory.join("spikes.h5"), population);
                assert_eq!(spikes, whole.spikes(population));
            }
        }
    }
}

/// The first has been noted by then; what the rank waits for never comes.
#[test]
fn a_second_interrupt_ends_at_once() {
    let desk = Desk::new();
    let (run, directory) = begin(&desk, 2, "stuck", &[]);
    let ranks = ranks_of(&run);
    signal("STOP", &ranks[1..]);
    let process = format!("/proc/{}/stat", ranks[0]);
    let goes_on = || {
        let stat = fs::read_to_string(&process).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    until("its end", || {
        signal("INT", &ranks[..1]);
        (!goes_on()).then_some(())
    });
    signal("CONT", &ranks[1..]);
    let ended = run.wait(LIMIT);
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert_eq!(status(&directory).expect("run.json")["status"], "running");
}

/// Whenever it comes: before the loop nothing is left behind.
#[test]
fn a_signal_while_the_network_is_built_leaves_nothing_or_a_status() {
    let desk = Desk::new();
    let config = desk.config("large", "[network]\nN = 10000\n[simulation]\nT = 1e6\n");
    for ranks in [1, 2] {
        let directory = desk.path().join(format!("early{ranks}"));
        let mut command = command(ranks);
        command.args([text(&config), "--out", text(&directory)]);
        let run = start(command);
        // From then on signals are noted.
        until("the directory", || directory.exists().then_some(()));
        let pids = match ranks {
            1 => vec![run.id()],
            _ => ranks_of(&run),
        };
        signal("USR1", &pids);
        let ended = run.wait(LIMIT).expect(75);
        let said = lines(&ended);
        assert_eq!(said.len(), 1, "{ended:?}");
        match status(&directory) {
            Some(found) => assert_eq!(found["status"], "interrupted"),
            None => {
                let built = "SIGUSR1 while the network was built, before anything was written";
                assert_eq!(said, [format!("stdp-hpc: interrupted by {built}")]);
                assert!(!directory.exists());
            }
        }
    }
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let desk = Desk::new();
    let config = desk.config("long", LONG);
    let directory = desk.path().join("nohup");
    let mut command = command_alone(Path::new("/bin/bash"));
    command.args(["-c", r#"trap "" HUP; exec "$0" "$@""#]);
    command
        .arg(program())
        .args([text(&config), "--quiet", "--out", text(&directory)]);
    let run = start(command);
    until("run.json", || status(&directory));
    signal("HUP", &[run.id()]);
    signal("USR1", &[run.id()]);
    run.wait(LIMIT).expect(75);
    let found = status(&directory).expect("run.json");
    assert_eq!(found["interrupted"]["signal"], "SIGUSR1");
}

/// A study of three runs, the second without end, that has come to it.
fn begin_study(desk: &Desk, ranks: usize) -> (Child, PathBuf) {
    desk.config("net", &LONG.replace("T = 1e8", "T = 10.0"));
    let study = desk.config(
        "study",
        &format!(
            "[study]\nconfig = \"net.toml\"\n[set]\nranks = {ranks}\n[[axes.together]]\n\
             simulation.T = [10.0, 1e8, 20.0]\nsimulation.seed = [1, 2, 3]\n"
        ),
    );
    let out = desk.path().join("out");
    let mut command = command_alone(program());
    command.arg("study").arg(&study).args(["--out", text(&out)]);
    command.env("MPIRUN", launcher()).stdout(Stdio::null());
    let child = command.stderr(Stdio::piped()).spawn().expect("starts");
    let second = out.join("runs/T100000000_seed2");
    until("the second run", || status(&second));
    (child, out)
}

#[test]
fn a_signal_ends_a_study_and_its_run() {
    for ranks in [1, 2] {
        let desk = Desk::new();
        let (child, out) = begin_study(&desk, ranks);
        signal("INT", &[child.id()]);
        let output = child.wait_with_output().expect("waited for");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(75), "{said}");
        let line =
            "stdp-hpc: interrupted by SIGINT: 1 of 3 runs are done, the same command resumes it";
        assert_eq!(said.lines().last(), Some(line), "{said}");
        assert_eq!(said.matches("stdp-hpc: ").count(), 1, "{said}");
        let second = status(&out.join("runs/T100000000_seed2")).expect("run.json");
        assert_eq!(second["status"], "interrupted");
        assert!(!out.join("runs/T20_seed3").exists());
        read_run(&out.join("runs/T10_seed1"));
        // It is no longer at work there, and what was interrupted is to be done.
        let mut list = command_alone(program());
        list.arg("study").arg(desk.path().join("study.toml"));
        list.args(["--list", "--out", text(&out)]);
        let states = start(list).wait(LIMIT).expect(0).stdout;
        let states: Vec<&str> = states.split_whitespace().collect();
        for state in ["done", "stopped", "new"] {
            assert!(states.contains(&state), "{states:?}");
        }
    }
}

#[test]
fn a_directory_that_is_taken_away_ends_the_run() {
    let desk = Desk::new();
    let nothing = ["record.spikes=false", "record.weights=false"];
    for (ranks, again, sets) in [
        (1, false, &[][..]),
        (2, false, &[]),
        (1, true, &[]),
        (1, false, &nothing),
    ] {
        let (run, directory) = begin(&desk, ranks, "taken", sets);
        if sets.is_empty() {
            for file in ["spikes.h5", "weights.h5"].map(|name| directory.join(name)) {
                until("its files", || file.exists().then_some(()));
            }
        }
        fs::rename(&directory, desk.path().join("elsewhere")).expect("moved");
        if again {
            fs::create_dir(&directory).expect("created");
        }
        let ended = run.wait(LIMIT).expect(1);
        let line = format!(
            "stdp-hpc: {}: was removed or replaced while the run went on, which ends it",
            directory.display()
        );
        assert_eq!(lines(&ended), [line]);
        assert_eq!(directory.exists(), again, "nothing is put there");
        let _ = fs::remove_dir(&directory);
        fs::remove_dir_all(desk.path().join("elsewhere")).expect("removed");
    }
}

/// The program with `arguments` under limits that bash's `ulimit` sets.
fn limited(limits: &str, arguments: &[&str]) -> Ended {
    let mut command = command_alone(Path::new("/bin/bash"));
    command.args(["-c", &format!(r#"{limits}; exec "$0" "$@""#)]);
    command.arg(program()).args(arguments);
    start(command).wait(LIMIT)
}

/// At every size of the largest file the run says what it could not write, in run.json too
/// unless not even the first one had room.
#[test]
fn a_limit_on_file_sizes_is_a_failure_that_is_noted() {
    let desk = Desk::new();
    let config = desk.config("small", &LONG.replace("1e8", "100.0"));
    let mut noted = 0;
    for compression in ["record.compression=0", "record.compression=6"] {
        for kibibytes in [1, 6, 10, 15, 18, 22, 30, 60, 90, 150, 200, 300, 400, 500] {
            let directory = desk.path().join("limited");
            let out = ["--quiet", "--out", text(&directory), "--set", compression];
            let arguments = [&[text(&config)], &out[..]].concat();
            let ended = limited(&format!("ulimit -f {kibibytes}"), &arguments);
            let of = format!("{kibibytes} KiB, {compression}: {ended:?}");
            match (ended.code, status(&directory)) {
                (Some(0), Some(found)) => assert_eq!(found["status"], "done", "{of}"),
                (Some(1), Some(found)) => {
                    assert_eq!(found["status"], "failed", "{of}");
                    let error = found["error"].as_str().expect("an error");
                    assert_eq!(lines(&ended), [format!("stdp-hpc: {error}")]);
                    noted += 1;
                }
                (Some(1), None) => assert!(kibibytes < 30, "{of}"),
                _ => panic!("{of}"),
            }
            if ended.code == Some(1) {
                assert_eq!(ended.stderr.lines().count(), 1, "{of}");
                assert!(ended.stderr.contains("File too large"), "{of}");
            }
            let _ = fs::remove_dir_all(&directory);
        }
    }
    assert!(noted > 6, "{noted} failures were noted");
}

/// Ends in order whatever the limit on addresses: not by a signal, not by a panic.
#[test]
fn memory_that_runs_out_is_told_in_one_line() {
    let desk = Desk::new();
    let config = desk.config(
        "net",
        "[network]\nN = 2000\nK = 400\n[simulation]\nT = 15.0\nthreads = 3\n",
    );
    let result = desk.path().join("result");
    let run = |out: &str| {
        ["--quiet", text(&config), "--out", out]
            .map(str::to_owned)
            .to_vec()
    };
    limited("true", &run(text(&result)).each_ref()).expect(0);
    let page = desk.path().join("page.html");
    let table = desk.path().join("table.csv");
    let out = desk.path().join("out");
    let force = |mut arguments: Vec<String>| {
        arguments.push("--force".to_owned());
        arguments
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let tried: [Vec<String>; 4] = [
        run(text(&out)),
        force(run(text(&out))),
        words(&["report", text(&result), "-o", text(&page), "--force"]),
        words(&[
            "export",
            text(&result),
            "connectivity",
            "-o",
            text(&table),
            "--force",
        ]),
    ];
    let mut failed = 0;
    for arguments in &tried {
        // As far as the libraries are loaded; below, the system's own loader complains.
        for mebibytes in (60..400).step_by(28) {
            let limits = format!("ulimit -v {}", mebibytes << 10);
            let ended = limited(&limits, &arguments.each_ref());
            let of = format!("{mebibytes} MiB, {arguments:?}: {ended:?}");
            let _ = fs::remove_dir_all(&out);
            match ended.code {
                Some(0) => {}
                Some(127) => assert!(ended.stderr.contains("shared libraries"), "{of}"),
                Some(1 | 2) => {
                    assert_eq!(lines(&ended).len(), 1, "{of}");
                    assert_eq!(ended.stderr.lines().count(), 1, "{of}");
                    failed += 1;
                }
                _ => panic!("{of}"),
            }
        }
    }
    assert!(failed > 4, "{failed} runs met a limit");
}

/// More threads than the limit on addresses has room for.
#[test]
fn threads_that_cannot_start_are_told_of_in_one_line() {
    let desk = Desk::new();
    let text_of = "[network]\nN = 3000\nK = 2\n[simulation]\nT = 1.5\nthreads = 1000\n";
    let config = desk.config("threads", text_of);
    let out = desk.path().join("out");
    let arguments = [text(&config), "--force", "--out", text(&out)];
    for mebibytes in [500, 1000, 2000, 3000] {
        let ended = limited(&format!("ulimit -v {}", mebibytes << 10), &arguments).expect(1);
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        let start = "stdp-hpc: rank 0: ";
        assert!(ended.stderr.starts_with(start), "{ended:?}");
    }
}

/// A result that claims more than its file can hold.
#[test]
fn lengths_that_a_result_claims_are_not_believed() {
    let desk = Desk::new();
    let config = desk.config("small", &LONG.replace("1e8", "20.0"));
    let result = desk.path().join("result");
    let run = [text(&config), "--quiet", "--out", text(&result)];
    limited("true", &run).expect(0);
    let path = result.join("weights.h5");
    let file = hdf5::File::open_rw(&path).expect("weights.h5");
    let group = file.group("weight_histogram").expect("histogram");
    group.unlink("edges").expect("unlinked");
    let builder = group.new_dataset::<f64>().chunk(1000);
    builder.shape(1_usize << 36).create("edges").expect("made");
    drop((group, file));
    let page = desk.path().join("page.html");
    let ended = limited("true", &["report", text(&result), "-o", text(&page)]).expect(0);
    let claims = format!("warning: not shown: {}", path.display());
    let begins = ended.stderr.starts_with(&claims);
    let column = ": /weight_histogram/edges claims ";
    assert!(begins && ended.stderr.contains(column), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

/// Words as arguments.
trait EachRef {
    fn each_ref(&self) -> Vec<&str>;
}

impl EachRef for Vec<String> {
    fn each_ref(&self) -> Vec<&str> {
        self.iter().map(String::as_str).collect()
    }
}
