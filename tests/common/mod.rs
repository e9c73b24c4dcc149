//! What the tests of whole runs share: starting the program with and without mpirun, under a
//! time limit, and reading what it leaves.

#![allow(dead_code, reason = "every test program uses a part of it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use hdf5::types::{TypeDescriptor, VarLenUnicode};
use hdf5::{Attribute, Container, Dataset, File, Group, H5Type};
use serde_json::Value;

/// No limit of a test, only what ends one that hangs, however busy the machine is.
pub const LIMIT: Duration = Duration::from_secs(300);

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Panics, with all that was said, unless the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// The program under test.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_stdp-hpc"))
}

/// `program` without mpirun, as if no launcher were around.
pub fn command_alone(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in [
        "OMPI_COMM_WORLD_SIZE",
        "PMI_SIZE",
        "MV2_COMM_WORLD_SIZE",
        "SLURM_STEP_NUM_TASKS",
        "PMIX_RANK",
        "PMI_RANK",
        "PALS_RANKID",
    ] {
        command.env_remove(name);
    }
    allow_containers(&mut command);
    command
}

/// $MPIRUN, or mpirun.
pub fn launcher() -> PathBuf {
    std::env::var_os("MPIRUN").map_or_else(|| "mpirun".into(), PathBuf::from)
}

/// `program` on `ranks` ranks under $MPIRUN.
pub fn command_mpirun(ranks: usize, program: &Path) -> Command {
    let mut command = command_alone(&launcher());
    command.args(["-n", &ranks.to_string()]).arg(program);
    command
}

/// What Open MPI needs as root and on small machines, as in scripts/mpi-env.sh; other MPIs do
/// not look at it. What the caller has set stands.
fn allow_containers(command: &mut Command) {
    for (name, value) in [
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
        ("OMPI_MCA_hwloc_base_binding_policy", "none"),
        ("OMPI_MCA_mpi_yield_when_idle", "1"),
        ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
        ("PRTE_MCA_hwloc_default_binding_policy", "none"),
    ] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
}

/// A process with a process group of its own and its output in files, so that neither a full
/// pipe nor a child that lives on can hold up the test.
pub struct Started {
    child: Child,
    begun: Instant,
    what: String,
    stdout: fs::File,
    stderr: fs::File,
    _place: Place,
}

/// Starts `command` as soon as there is a place among the runs that may go at once.
pub fn start(mut command: Command) -> Started {
    let place = Place::take();
    let [stdout, stderr] = [(); 2].map(|()| tempfile::tempfile().expect("temporary file"));
    let copy = |file: &fs::File| Stdio::from(file.try_clone().expect("copied handle"));
    command
        .stdin(Stdio::null())
        .stdout(copy(&stdout))
        .stderr(copy(&stderr))
        .process_group(0);
    // Tests may have been started by nohup or in the background of a shell, which have signals
    // ignored; those that they start then would ignore them, too.
    // SAFETY: between fork and exec only signal is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGHUP, libc::SIGINT] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Started {
        child,
        begun: Instant::now(),
        what: format!("{command:?}"),
        stdout,
        stderr,
        _place: place,
    }
}

impl Started {
    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end. Past `limit` the process and all it started are killed, and the
    /// test fails with what they said.
    pub fn wait(mut self, limit: Duration) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waited for") {
                break status;
            }
            if self.begun.elapsed() > limit {
                self.kill_all();
                let (stdout, stderr) = (said(&mut self.stdout), said(&mut self.stderr));
                panic!(
                    "{}: not done after {limit:?}\n{stdout}\n{stderr}",
                    self.what
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ended {
            code: status.code(),
            stdout: said(&mut self.stdout),
            stderr: said(&mut self.stderr),
        }
    }

    /// Asks the launcher to end its ranks, then kills whatever is left of them: Open MPI gives
    /// each rank a process group of its own.
    fn kill_all(&mut self) {
        let family = self.family();
        signal("TERM", &[self.child.id()]);
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(3)
            && self.child.try_wait().expect("waited for").is_none()
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        let left: Vec<u32> = family
            .into_iter()
            .filter(|(pid, name)| name_of(*pid).is_some_and(|now| now == *name))
            .map(|(pid, _)| pid)
            .collect();
        signal("KILL", &left);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The processes that came of this one, itself left out, with their names.
    pub fn family(&self) -> Vec<(u32, String)> {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .expect("/proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, parent_of(pid)?)))
            .collect();
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while next < found.len() {
            let parent = found[next];
            found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(c, _)| c));
            next += 1;
        }
        let named = found[1..].iter();
        named
            .filter_map(|&pid| Some((pid, name_of(pid)?)))
            .collect()
    }
}

/// Sends `signal` to processes that this test started.
pub fn signal(signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>();
    // bash has it built in; a program `kill` need not be there.
    let sent = Command::new("/bin/bash")
        .args(["-c", r#"kill -s "$0" "$@" 2>/dev/null; true"#, signal])
        .args(pids)
        .status();
    sent.expect("bash starts");
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may itself hold blanks and brackets.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

fn name_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

fn said(file: &mut fs::File) -> String {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .expect("output");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One of the runs that may go at once: machines with two cores have to do.
struct Place;

static PLACES: Mutex<usize> = Mutex::new(2);
static PLACE_FREE: Condvar = Condvar::new();

impl Place {
    fn take() -> Self {
        let free = PLACES.lock().expect("no panic under this lock");
        let mut free = PLACE_FREE
            .wait_while(free, |free| *free == 0)
            .expect("no panic under this lock");
        *free -= 1;
        Place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *PLACES.lock().expect("no panic under this lock") += 1;
        PLACE_FREE.notify_one();
    }
}

/// The program on `ranks` ranks, without mpirun where it is one.
pub fn run(ranks: usize, arguments: &[&str]) -> Ended {
    start_on(ranks, arguments).wait(LIMIT)
}

/// Starts the program on `ranks` ranks, without mpirun where it is one.
pub fn start_on(ranks: usize, arguments: &[&str]) -> Started {
    let mut command = command_on(ranks);
    command.args(arguments);
    start(command)
}

/// The program on `ranks` ranks, without mpirun where it is one.
pub fn command_on(ranks: usize) -> Command {
    match ranks {
        1 => command_alone(program()),
        _ => command_mpirun(ranks, program()),
    }
}

/// The program on `ranks` ranks under mpirun, even if it is one.
pub fn mpirun(ranks: usize, arguments: &[&str]) -> Ended {
    let mut command = command_mpirun(ranks, program());
    command.args(arguments);
    start(command).wait(LIMIT)
}

/// A directory for a test's configs and results, gone with it.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        Desk(tempfile::tempdir().expect("temporary directory"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A config with this text.
    pub fn config(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(format!("{name}.toml"));
        fs::write(&path, text).expect("config written");
        path
    }

    /// The result of the program for `config` on `ranks` ranks of `threads` threads, which
    /// must succeed.
    #[track_caller]
    pub fn result(&self, config: &Path, ranks: usize, threads: usize, sets: &[&str]) -> RunResult {
        let threads = threads.to_string();
        let mut arguments = vec![text(config), "--threads", &threads, "--quiet"];
        for set in sets {
            arguments.extend(["--set", set]);
        }
        let (result, ended) = self.result_of(command_on(ranks), &arguments);
        assert_eq!(ended.stderr, "", "a quiet run says nothing");
        result
    }

    /// The result of `command`, which starts the program, with these `arguments` and an output
    /// directory, and what it said. It must succeed.
    #[track_caller]
    pub fn result_of(&self, mut command: Command, arguments: &[&str]) -> (RunResult, Ended) {
        let out = tempfile::tempdir_in(self.path()).expect("temporary directory");
        command.args(arguments).args(["--out", text(out.path())]);
        let ended = start(command).wait(LIMIT).expect(0);
        let result = RunResult {
            run: read_run(out.path()),
            directory: out,
        };
        (result, ended)
    }
}

/// A path of a test, which is always UTF-8.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// What a run left.
pub struct RunResult {
    pub run: Value,
    directory: tempfile::TempDir,
}

impl RunResult {
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The digests of spikes and weights.
    pub fn digests(&self) -> [&str; 2] {
        ["spikes", "weights"].map(|of| self.run["digest"][of].as_str().expect("a digest"))
    }

    /// A whole number of run.json, by its path of keys.
    pub fn count(&self, keys: &[&str]) -> u64 {
        let value = keys.iter().fold(&self.run, |value, key| &value[*key]);
        value
            .as_u64()
            .unwrap_or_else(|| panic!("{keys:?} is {value}"))
    }

    /// The spikes of a population, ids within it, as they stand in the file.
    pub fn spikes(&self, population: &str) -> (Vec<u64>, Vec<f64>) {
        read_spikes(&self.path().join("spikes.h5"), population)
    }

    /// The synapses E→E, as they stand in the file: source, target, weight.
    pub fn weights(&self) -> Vec<(u64, u64, f64)> {
        self.weights_named("syn_weight")
    }

    /// The same with another snapshot.
    pub fn weights_named(&self, name: &str) -> Vec<(u64, u64, f64)> {
        let file = open(&self.path().join("weights.h5"));
        let group = file.group("edges/E_to_E").expect("edges");
        triples(&group, &format!("0/{name}"))
    }

    /// All that spikes.h5 and weights.h5 hold, by path in the file.
    pub fn content(&self) -> BTreeMap<String, Content> {
        content(self.path())
    }
}

/// All that spikes.h5 and weights.h5 of a result hold, by path in the file.
pub fn content(directory: &Path) -> BTreeMap<String, Content> {
    let mut all = BTreeMap::new();
    for name in ["spikes.h5", "weights.h5"] {
        let file = open(&directory.join(name));
        add_group(&file, &format!("{name}:"), &mut all);
    }
    all
}

/// run.json of a finished run.
pub fn read_run(directory: &Path) -> Value {
    let text = fs::read_to_string(directory.join("run.json")).expect("run.json");
    let run: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(run["status"], "done");
    run
}

/// Returns a run.json as builds before format 2 wrote it: times in steps, and none in ms.
pub fn as_format_1(mut run: Value) -> Value {
    let table = run.as_object_mut().expect("an object");
    for key in ["format", "recorded_time_ms"] {
        table.remove(key);
    }
    let steps = table.remove("parameters_in_steps").expect("steps");
    for path in [
        "/neuron/t_ref",
        "/synapse/delay",
        "/simulation/T",
        "/simulation/presim",
        "/record/weights/at",
        "/record/weights_over_time/every",
    ] {
        let place = run["parameters"].pointer_mut(path).expect("a time");
        *place = steps.pointer(path).cloned().unwrap_or_default();
    }
    run["delay"] = steps["delay"].clone();
    run
}

/// An HDF5 file to read.
pub fn open(path: &Path) -> File {
    File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Ids and times of /spikes/`population`.
pub fn read_spikes(path: &Path, population: &str) -> (Vec<u64>, Vec<f64>) {
    let file = open(path);
    let column = |name: &str| {
        let name = format!("spikes/{population}/{name}");
        file.dataset(&name).expect("spikes")
    };
    let ids = column("node_ids").read_raw().expect("ids");
    let times = column("timestamps").read_raw().expect("times");
    assert_eq!(ids.len(), times.len());
    (ids, times)
}

/// The columns source_node_id, target_node_id and `weight` of a group.
pub fn triples(group: &Group, weight: &str) -> Vec<(u64, u64, f64)> {
    let ids = |name| -> Vec<u64> {
        let dataset = group.dataset(name).expect("ids");
        dataset.read_raw().expect("ids")
    };
    let weights: Vec<f64> = group
        .dataset(weight)
        .and_then(|dataset| dataset.read_raw())
        .unwrap_or_else(|error| panic!("{weight}: {error}"));
    let (sources, targets) = (ids("source_node_id"), ids("target_node_id"));
    assert!(sources.len() == weights.len() && targets.len() == weights.len());
    let pairs = sources.into_iter().zip(targets);
    pairs.zip(weights).map(|((s, t), w)| (s, t, w)).collect()
}

/// A dataset or attribute: type, shape and values, numbers as their bits.
#[derive(Debug, PartialEq)]
pub struct Content {
    kind: String,
    shape: Vec<usize>,
    values: Values,
}

#[derive(Debug, PartialEq)]
enum Values {
    Numbers(Vec<u64>),
    Text(String),
}

/// The order of spikes as SONATA's enumeration spells it.
#[derive(Clone, Copy, H5Type)]
#[repr(u8)]
#[expect(non_camel_case_types, reason = "spelled as in the file")]
enum Sorting {
    none = 0,
    by_id = 1,
    by_time = 2,
}

fn content_of(of: &Container) -> Content {
    let kind = of.dtype().and_then(|t| t.to_descriptor()).expect("a type");
    let values = match &kind {
        TypeDescriptor::Float(_) => {
            let values: Vec<f64> = of.read_raw().expect("numbers");
            Values::Numbers(values.into_iter().map(f64::to_bits).collect())
        }
        TypeDescriptor::Unsigned(_) => Values::Numbers(of.read_raw().expect("numbers")),
        TypeDescriptor::Enum(_) => {
            let values: Vec<Sorting> = of.read_raw().expect("an enumeration");
            Values::Numbers(values.into_iter().map(|value| value as u64).collect())
        }
        TypeDescriptor::VarLenUnicode => {
            let text: VarLenUnicode = of.read_scalar().expect("text");
            Values::Text(text.to_string())
        }
        other => panic!("{other:?} is in no file we write"),
    };
    Content {
        kind: format!("{kind:?}"),
        shape: of.shape(),
        values,
    }
}

fn add_attributes(
    names: hdf5::Result<Vec<String>>,
    attribute: impl Fn(&str) -> hdf5::Result<Attribute>,
    path: &str,
    all: &mut BTreeMap<String, Content>,
) {
    // The id of a result is drawn anew for each run.
    for name in names
        .expect("attributes")
        .iter()
        .filter(|name| *name != "id")
    {
        let attribute = attribute(name).expect("an attribute");
        all.insert(format!("{path}@{name}"), content_of(&attribute));
    }
}

fn add_group(group: &Group, path: &str, all: &mut BTreeMap<String, Content>) {
    add_attributes(group.attr_names(), |name| group.attr(name), path, all);
    for name in group.member_names().expect("members") {
        let path = format!("{path}/{name}");
        if let Ok(group) = group.group(&name) {
            add_group(&group, &path, all);
        } else {
            let dataset: Dataset = group.dataset(&name).expect("a dataset");
            add_attributes(dataset.attr_names(), |name| dataset.attr(name), &path, all);
            all.insert(path, content_of(&dataset));
        }
    }
}

/// Panics, naming what differs, unless both hold the same.
#[track_caller]
pub fn assert_same_content(one: &BTreeMap<String, Content>, other: &BTreeMap<String, Content>) {
    let mut differences = String::new();
    let paths = one.keys().chain(other.keys());
    for path in paths.collect::<std::collections::BTreeSet<_>>() {
        if one.get(path) != other.get(path) {
            let _ = write!(differences, " {path}");
        }
    }
    assert!(differences.is_empty(), "the files differ in{differences}");
}
