//! Where results go: nothing is overwritten unasked, places that will not do are refused before
//! any work, and a disk that is full ends the run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::{Bench, assert_refused, network, write};
use crate::common::{self, LIMIT, command_alone, program, read_run, run, start, start_on, text};

/// The files of a directory.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory).expect("directory");
    let paths = entries.map(|entry| entry.expect("entry").path());
    paths
        .map(|path| (path.clone(), fs::read(&path).expect("file")))
        .collect()
}

#[test]
fn results_are_not_overwritten_unless_forced() {
    let bench = Bench::new();
    bench.run(1, &["--quiet"]).expect(0);
    fs::write(bench.out.join("notes.txt"), "mine").expect("written");
    let before = content(&bench.out);
    assert_eq!(before.len(), 4);

    let out = bench.out.display();
    let refused = bench.run(1, &[]);
    let exists = "exists and is not empty: name another directory, or --force to overwrite a \
                  result there";
    assert_refused(&refused, &format!("--out {out}: {exists}"));
    assert_eq!(content(&bench.out), before);

    // Nor by a run that comes to nothing.
    let missing = bench.path("missing.h5");
    let set = format!("neuron.initial={}", missing.display());
    let refused = bench.run(1, &["--force", "--set", &set]);
    let why = "cannot be opened: No such file or directory";
    assert_refused(
        &refused,
        &format!("neuron.initial = {}: {why}", missing.display()),
    );
    assert_eq!(content(&bench.out), before);

    let other = ["--force", "--quiet", "--set", "simulation.seed=2"];
    bench
        .run(
            1,
            &[&other[..], &["--set", "record.weights=false"]].concat(),
        )
        .expect(0);
    let after = content(&bench.out);
    let names: Vec<_> = after
        .keys()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, ["notes.txt", "run.json", "spikes.h5"]);
    assert_eq!(after[&bench.out.join("notes.txt")], b"mine");
    assert_eq!(read_run(&bench.out)["parameters"]["simulation"]["seed"], 2);
}

/// The weights of one run are the network of the next, in the same directory.
#[test]
fn input_may_be_the_result_that_is_overwritten() {
    let bench = Bench::new();
    fs::create_dir_all(&bench.out).expect("directory");
    let path = bench.out.join("weights.h5");
    write(&path, network);
    let set = format!("network.edges={}", path.display());
    bench
        .run(1, &["--quiet", "--force", "--set", &set])
        .expect(0);
    assert_eq!(read_run(&bench.out)["counts"]["synapses_static"], 6);
    assert_eq!(
        common::triples(
            &common::open(&path).group("edges/E_to_E").unwrap(),
            "0/syn_weight"
        )
        .len(),
        2
    );
}

#[test]
fn places_for_results_that_will_not_do() {
    let bench = Bench::new();
    let config = text(&bench.config);
    let refuses = |out: &Path, arguments: &[&str], what: &str| {
        let all = [&[config, "--out", text(out)], arguments].concat();
        let message = format!("--out {}: {what}", out.display());
        assert_refused(&run(1, &all), &message);
    };
    refuses(&bench.config, &[], "is not a directory");
    refuses(&bench.config.join("below"), &[], "Not a directory");
    fs::create_dir_all(bench.path("other/spikes.h5")).expect("directory");
    refuses(
        &bench.path("other"),
        &["--force"],
        "cannot overwrite spikes.h5: is a directory",
    );

    let locked = bench.path("locked");
    fs::create_dir(&locked).expect("directory");
    let mounted = Mounted::new(&locked, "ro");
    let why = match &mounted {
        Some(_) => "Read-only file system",
        None => "Permission denied",
    };
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).ok();
    refuses(&locked, &[], &format!("cannot write there: {why}"));
    refuses(
        &locked.join("a/b"),
        &[],
        &format!("cannot create the directory: {why}"),
    );
}

/// Without --out, where the program is called.
#[test]
fn the_default_place_is_named_after_the_config() {
    let bench = Bench::new();
    let call = |arguments: &[&str]| {
        let mut command = command_alone(program());
        command.arg(&bench.config).args(arguments);
        command.current_dir(bench.desk.path());
        start(command).wait(LIMIT)
    };
    let refused = call(&["--set", "neuron.initial=missing.h5"]);
    let missing = bench.path("missing.h5");
    let why = "cannot be opened: No such file or directory";
    assert_refused(
        &refused,
        &format!("neuron.initial = {}: {why}", missing.display()),
    );
    assert!(
        !bench.path("results").exists(),
        "a directory was left behind"
    );

    let done = call(&[]).expect(0);
    assert!(done.stdout.ends_with("results/small\n"), "{done:?}");
    assert_eq!(read_run(&bench.path("results/small"))["status"], "done");
}

/// A file system of the test's own, gone with the value.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where mounting is not permitted.
    fn new(at: &Path, options: &str) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .output();
        mount
            .is_ok_and(|done| done.status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// Not the fault of the input: exit code 1, and what is there can be read.
#[test]
fn a_full_disk_ends_the_run() {
    let bench = Bench::new();
    let disk = bench.path("disk");
    fs::create_dir(&disk).expect("directory");
    let Some(_mounted) = Mounted::new(&disk, "size=16m") else {
        eprintln!("skipped: mounting a small file system is not permitted here");
        return;
    };
    let result = disk.join("result");
    // 300 spikes in a second of model time. Another file fills the disk once some are written, so
    // that the speed of the machine does not matter.
    let long = [
        "--set",
        "neuron.model=ignore_and_fire",
        "--set",
        "neuron.ignore_and_fire.rate=[0.3, 0.3]",
        "--set",
        "network.N=1000",
        "--set",
        "network.K=0",
        "--set",
        "simulation.T=100000000.0",
        "--set",
        "record.weights=false",
    ];
    let large = ["--set", "network.N=1000", "--set", "network.K=100"];
    for (ranks, sets, file) in [
        (1, &long[..], "spikes.h5"),
        (2, &long[..], "spikes.h5"),
        (1, &large[..], "weights.h5"),
        (2, &large[..], "weights.h5"),
    ] {
        let filler = disk.join("filler");
        if file == "weights.h5" {
            // 130,000 weights do not fit beside it.
            fs::write(&filler, vec![1; (16 << 20) - (160 << 10)]).expect("written");
        }
        let begun = Instant::now();
        let arguments = [&[text(&bench.config), "--out", text(&result)], sets].concat();
        let started = start_on(ranks, &arguments);
        if file == "spikes.h5" {
            fill_after_spikes(&result.join(file), &filler);
        }
        let ended = started.wait(LIMIT);
        let why = "cannot be written: No space left on device";
        let message = format!("stdp-hpc: {}: {why}", result.join(file).display());
        let said: Vec<_> = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("stdp-hpc: "))
            .collect();
        assert_eq!(said, [message], "{ended:?}");
        assert_eq!((ended.code, &ended.stdout[..]), (Some(1), ""));
        assert!(begun.elapsed() < LIMIT);
        let times = common::read_spikes(&result.join("spikes.h5"), "E").1;
        if file == "spikes.h5" {
            assert!(times.len() > 100 && times.is_sorted(), "{}", times.len());
        } else {
            common::open(&result.join("weights.h5"));
        }
        fs::remove_dir_all(&result).expect("removed");
        fs::remove_file(&filler).expect("removed");
    }
}

/// Waits until more than 100 spikes are in `spikes`, then fills the disk with `filler`.
fn fill_after_spikes(spikes: &Path, filler: &Path) {
    let begun = Instant::now();
    while fs::metadata(spikes).map_or(0, |file| file.len()) < 50_000 {
        assert!(begun.elapsed() < LIMIT, "no spikes are written");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut filler = fs::File::create(filler).expect("created");
    while filler.write_all(&[1; 4096]).is_ok() {}
}

/// A run that goes on until it is killed, and has written run.json.
struct Endless(std::process::Child);

impl Endless {
    fn start(bench: &Bench) -> Self {
        let mut command = command_alone(program());
        command.arg(&bench.config).args(["--out", text(&bench.out)]);
        // Two days of model time.
        command.args(["--quiet", "--set", "simulation.T=200000000.0"]);
        command.stderr(std::process::Stdio::null());
        let mut run = Self(command.spawn().expect("started"));
        while !bench.out.join("run.json").exists() {
            assert_eq!(run.0.try_wait().expect("waited for"), None, "it ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        run
    }

    /// Kills it, as nothing else would end it so surely.
    fn kill(mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("waited for");
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lock dies with its process; readers are let in all the while, and tell both apart.
#[test]
fn a_directory_takes_one_run_at_a_time() {
    let bench = Bench::new();
    let first = Endless::start(&bench);
    let out = bench.out.display();
    let page = bench.path("page.html");
    let status = || {
        let page = text(&page);
        let made = ["report", text(&bench.out), "-o", page, "--force"];
        run(1, &made).expect(0);
        let page = fs::read_to_string(page).expect("a page");
        let (_, status) = page.split_once("(status: ").expect("a status");
        status.split(')').next().expect("a word").to_owned()
    };
    let before = fs::read(bench.out.join("run.json")).expect("run.json");
    for (ranks, force) in [(1, &[][..]), (1, &["--force"]), (2, &["--force"])] {
        let refused = bench.run(ranks, force).expect(2);
        let said = refused
            .stderr
            .lines()
            .find(|line| line.starts_with("stdp-hpc: "));
        let said = said.expect("a message");
        let pid = first.0.id();
        let who = format!("stdp-hpc: --out {out}: a run (process {pid}, host ");
        assert!(said.starts_with(&who), "{said}");
        let what = ") is using it: name another directory, or wait until it ends";
        assert!(said.ends_with(what), "{said}");
    }
    assert_eq!(
        fs::read(bench.out.join("run.json")).expect("run.json"),
        before
    );
    assert_eq!(status(), "running");

    first.kill();
    assert_eq!(status(), "killed");
    bench.run(1, &["--force", "--quiet"]).expect(0);
    read_run(&bench.out);
    let names = content(&bench.out).into_keys();
    let names: Vec<_> = names
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["run.json", "spikes.h5", "weights.h5"]);
}

/// What a run left that was killed before it wrote anything is no result.
#[test]
fn a_lock_file_without_a_holder_is_nothing() {
    let bench = Bench::new();
    fs::create_dir_all(&bench.out).expect("created");
    fs::write(bench.out.join("run.lock"), "a run\nprocess 1\n").expect("written");
    bench.run(1, &["--quiet"]).expect(0);
    assert_eq!(content(&bench.out).len(), 3);
}

/// Runs a program on a file system without locks, played by a `flock` that fails with `errno`.
fn without_locks(shim: &Path, errno: i32, arguments: &[&str]) -> common::Ended {
    let mut command = command_alone(program());
    command
        .args(arguments)
        .current_dir(shim.parent().expect("a folder"));
    command
        .env("LD_PRELOAD", shim)
        .env("ERRNO", errno.to_string());
    start(command).wait(LIMIT)
}

#[test]
fn file_systems_without_locks_will_do() {
    let bench = Bench::new();
    let (source, shim) = (bench.path("shim.c"), bench.path("shim.so"));
    let code = "#include <errno.h>\n#include <stdlib.h>\n\
                int flock(int f, int o) { errno = atoi(getenv(\"ERRNO\")); return -1; }\n";
    fs::write(&source, code).expect("written");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .args([&shim, &source]);
    assert!(compiler.status().expect("a C compiler").success());
    let config = text(&bench.config);
    let study = format!("[study]\nconfig = \"{config}\"\n[axes]\nsimulation.seed = [1]\n");
    fs::write(bench.path("study.toml"), study).expect("written");
    // ENOLCK of NFS, ENOSYS of Lustre, EOPNOTSUPP, ENOTSUPP of DVS.
    for errno in [37, 38, 95, 524] {
        let out = format!("out{errno}");
        let run = |arguments: &[&str]| without_locks(&shim, errno, arguments);
        let ended = run(&[config, "--out", &out]).expect(0);
        let warning = format!("warning: {out}: no locks on this file system (");
        assert!(ended.stderr.starts_with(&warning), "{ended:?}");
        run(&["export", &out, "rates"]).expect(0);
        run(&["export", &out, "connectivity"]).expect(0);
        run(&["report", &out, "-o", &format!("{out}.html")]).expect(0);
        // Its own result is the input of the next run.
        let edges = format!("network.edges={out}/weights.h5");
        let next = format!("next{errno}");
        let again = run(&[config, "--out", &next, "--set", &edges]);
        assert!(!again.stderr.contains("ock"), "{again:?}");
        let studied = format!("study{errno}");
        let ended = run(&["study", "study.toml", "--out", &studied]).expect(0);
        let warning = format!("study: {studied}: no locks on this file system (");
        assert!(ended.stderr.starts_with(&warning), "{ended:?}");

        let path = bench.path(&out).join("run.json");
        let done = fs::read_to_string(&path).expect("run.json");
        fs::write(&path, done.replace("\"done\"", "\"running\"")).expect("written");
        fs::write(path.with_file_name("run.lock"), "a run\n").expect("written");
        run(&["report", &out, "-o", &format!("{out}.html"), "--force"]).expect(0);
        let page = fs::read_to_string(bench.path(&format!("{out}.html"))).expect("a page");
        assert!(page.contains("(status: running, or killed)"));
    }
}
