//! `stdp-hpc study`, through the program: what it makes of a study file, what it starts, what it
//! leaves alone, and what it writes. A real Slurm: scripts/test_slurm.sh.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use stdp_hpc::base::lock::DirectoryLock;
use stdp_hpc::io::outcome::Phases;

use crate::common::{
    Desk, Ended, LIMIT, as_format_1, command_alone, command_mpirun, launcher, program, read_run,
    signal, start,
};

/// The last line of a study of which there is something to see.
const WRITTEN: &str = "study: written results/study/{report.html,study.csv}\n";

/// A config that takes some milliseconds.
const NET: &str = "[network]\nN = 300\nK = 30\n[simulation]\nT = 100.0\n[record]\nn_rec = 10\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with net.toml and a study of it, study.toml.
struct Room(Desk);

impl Room {
    fn new(study: &str) -> Self {
        let room = Room(Desk::new());
        room.0.config("net", NET);
        room.study(study);
        room
    }

    /// Replaces the study.
    fn study(&self, text: &str) {
        let head = "[study]\nconfig = \"net.toml\"\n";
        self.0.config("study", &format!("{head}{text}"));
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command_alone(program());
        command
            .args(["study", "study.toml"])
            .args(arguments)
            .current_dir(self.0.path());
        command
    }

    fn conduct(&self, arguments: &[&str]) -> Ended {
        start(self.command(arguments)).wait(LIMIT)
    }

    /// The folder of a run.
    fn run(&self, name: &str) -> PathBuf {
        self.at("results/study/runs").join(name)
    }

    /// When the run.json of each run was written, by its name.
    fn times(&self) -> BTreeMap<String, SystemTime> {
        let runs = fs::read_dir(self.at("results/study/runs")).expect("runs/");
        let runs = runs.map(|run| run.expect("an entry"));
        runs.map(|run| {
            let name = run.file_name().into_string().expect("UTF-8");
            let file = run.path().join("run.json");
            let written = fs::metadata(file).and_then(|file| file.modified());
            (name, written.expect("run.json"))
        })
        .collect()
    }
}

/// First word of each line.
fn names(list: &str) -> Vec<&str> {
    list.lines()
        .map(|line| line.split_whitespace().next().expect("a name"))
        .collect()
}

// --- what a study file comes to -----------------------------------------------------------------

#[test]
fn a_study_is_every_combination_in_an_order_of_its_own() {
    let room = Room::new(
        "repeats = 2\n\
         [set]\n\
         simulation.T = 50.0\n\
         \"record.weights\" = { at = [0.0] }\n\
         [axes]\n\
         ranks = [2, 1]\n\
         simulation.seed = [7]\n\
         neuron.model = [\"ignore_and_fire\"]\n\
         [[axes.together]]\n\
         threads = [1, 2]\n\
         network.N = [100, 200]\n",
    );
    let ended = room.conduct(&["--list"]).expect(0);
    let all = "record.weights={ at = [0.0] } simulation.T=50.0 neuron.model=\"ignore_and_fire\"";
    let line = |name: &str, split: &str, n: u32| {
        format!("{name:<48}  {split:>7}  new        {all} network.N={n} simulation.seed=7\n")
    };
    let mut expected = String::new();
    for (n, threads) in [(100, 1), (200, 2)] {
        for ranks in [2, 1] {
            let name = format!("ignore_and_fire_N{n}_threads{threads}_ranks{ranks}_seed7");
            let split = format!("{ranks} x {threads}");
            expected += &line(&name, &split, n);
            expected += &line(&format!("{name}_repeat2"), &split, n);
        }
    }
    // The name of the longest is one character longer than the others.
    assert_eq!(squeezed(&ended.stdout), squeezed(&expected));
    assert!(!room.at("results").exists(), "a list starts nothing");
}

/// Blanks in a row as one.
fn squeezed(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines();
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn no_axis_is_one_run_and_alike_keys_are_told_apart() {
    let room = Room::new("");
    assert_eq!(names(&room.conduct(&["--list"]).expect(0).stdout), ["run"]);
    room.study(
        "[axes]\n\
         neuron.ignore_and_fire.rate = [[0.5, 1.5], [1.0, 2.0]]\n\
         stimulus.rate = [1e3]\n",
    );
    let list = room.conduct(&["--list"]).expect(0).stdout;
    assert_eq!(
        names(&list),
        [
            "neuron.ignore_and_fire.rate0.5-1.5_stimulus.rate1000",
            "neuron.ignore_and_fire.rate1.0-2.0_stimulus.rate1000"
        ]
    );
}

/// Ns and models of the published example's scaling script.
#[test]
fn the_example_study_has_both_models_at_eleven_sizes() {
    let desk = Desk::new();
    let study = root().join("configs/study_example.toml");
    for quick in [&["--list"][..], &["--list", "--quick"]] {
        let mut command = command_alone(program());
        command.arg("study").arg(&study).args(quick);
        command.current_dir(desk.path());
        let ended = start(command).wait(LIMIT).expect(0);
        let expected: Vec<String> = ["iaf_psc_alpha", "ignore_and_fire"]
            .iter()
            .flat_map(|model| (1..=11).map(move |n| format!("{model}_N{}", 1250 * n)))
            .collect();
        assert_eq!(names(&ended.stdout), expected);
        let short = ended.stdout.matches("simulation.T=1000.0").count();
        assert_eq!(short, if quick.len() > 1 { 22 } else { 0 });
    }
}

#[test]
fn the_quick_form_wins_and_has_a_place_of_its_own() {
    let room = Room::new(
        "[set]\nsimulation.T = 1e6\nrecord.spikes = false\n\
         [axes]\nnetwork.N = [100, 200, 100000]\nsimulation.seed = [1, 2]\n\
         [quick]\nset.simulation.T = 20.0\naxes.network.N = [50]\n",
    );
    room.conduct(&["--quick", "-q"]).expect(0);
    for seed in [1, 2] {
        let run = read_run(&room.at(&format!("results/study-quick/runs/N50_seed{seed}")));
        assert_eq!(run["model_time_ms"], 20.0);
        assert_eq!(run["parameters"]["record"]["spikes"], false);
    }
    let runs = fs::read_dir(room.at("results/study-quick/runs")).expect("runs/");
    assert_eq!(runs.count(), 2);
    assert!(!room.at("results/study").exists());
}

#[test]
fn bad_studies_end_in_one_line_before_anything_starts() {
    let room = Room::new("");
    for (study, message) in [
        (
            "x = 1",
            "study.toml: [study] unknown key \"x\", known are \"config\", \"repeats\"",
        ),
        (
            "repeat = 2",
            "study.toml: [study] unknown key \"repeat\", did you mean \"repeats\"?",
        ),
        (
            "repeats = 0",
            "study.toml: [study] repeats = 0: must be an integer 1 … 1048576",
        ),
        (
            "[axis]\nranks = [1]",
            "study.toml: unknown table [axis], did you mean [axes]?",
        ),
        ("[axes", "study.toml: line 3: not valid TOML: "),
        (
            "[axes]\nrank = [1]",
            "study.toml: unknown key \"rank\", did you mean \"ranks\"?",
        ),
        (
            "[axes]\nN = [1]",
            "study.toml: unknown key \"N\", it belongs to [network]",
        ),
        (
            "[set]\nnetwork.Kk = 1",
            "study.toml: run run: [network] unknown key \"Kk\", did you mean \"K\"?",
        ),
        (
            "[axes]\nnetwork.K = [30, 30.5]",
            "study.toml: run K30.5: [network] K = 30.5: must be an integer 0 … 4294967295",
        ),
        (
            "[axes]\nnetwork.K = 30",
            "study.toml: [axes] network.K = 30: must be an array of the values it takes, one or \
             more",
        ),
        (
            "[axes]\nnetwork.K = []",
            "study.toml: [axes] network.K = []: must be an array of the values it takes, one or \
             more",
        ),
        (
            "[set]\nnetwork.K = 30\n[axes]\nnetwork.K = [30]",
            "study.toml: network.K is given twice: [set] or [axes] has it, once",
        ),
        (
            "[[axes.together]]\nnetwork.N = [1, 2, 3]\nranks = [1, 2]",
            "study.toml: [[axes.together]] network.N has 3, ranks has 2 values: must be as many \
             of each",
        ),
        (
            "[[axes.together]]\n",
            "study.toml: [[axes.together]] must be a table of keys and the values they take",
        ),
        (
            "[axes]\ntogether = 3",
            "study.toml: [[axes.together]] must be a table of keys and the values they take",
        ),
        (
            "[axes]\nranks = [1, 0]",
            "study.toml: ranks = 0: must be an integer 1 … 4294967295",
        ),
        (
            "[axes]\nthreads = [2000]",
            "study.toml: run threads2000: --threads 2000: must be an integer 1 … 1024",
        ),
        (
            "[axes]\nsimulation.seed = [1, 2, 1]",
            "study.toml: two runs are named seed1: values must differ, and not in marks alone",
        ),
        (
            "repeats = 6000\n[axes]\nranks = [1, 2]",
            "study.toml: 12000 runs: must be at most 10000, every combination of [axes] is one",
        ),
        (
            "[slurm]\nranks_per_node = 0",
            "study.toml: [slurm] ranks_per_node = 0: must be an integer 1 … 1048576",
        ),
        (
            "[slurm]\noptions = [\"-p x\"]",
            "study.toml: [slurm] options = [\"-p x\"]: must be an array of options of sbatch \
             such as \"--partition=NAME\"",
        ),
        (
            "[set]\nnetwork.N = 0",
            "study.toml: run run: [network] N = 0: must be an integer 1 … 4294967295",
        ),
    ] {
        room.study(study);
        let ended = room.conduct(&[]).expect(2);
        let said = ended.stderr.trim_end();
        assert!(said.starts_with(&format!("stdp-hpc: {message}")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!room.at("results").exists(), "{study}");
    }
    let name = "a".repeat(200);
    room.study(&format!("[axes]\nneuron.initial = [\"{name}\"]"));
    let said = room.conduct(&[]).expect(2).stderr;
    let message = format!("a run is named initial{name}: must have at most 200 characters");
    assert!(said.contains(&message), "{said}");
    room.0.config("study", "[axes]\nranks = [1]\n");
    let said = room.conduct(&[]).expect(2).stderr;
    let message = "stdp-hpc: study.toml: [study] config is missing: the path of a config\n";
    assert_eq!(said, message);
    room.0.config("study", "[study]\nconfig = \"none.toml\"\n");
    let said = room.conduct(&[]).expect(2).stderr;
    assert!(said.contains("none.toml: cannot be read: "), "{said}");
}

#[test]
fn mpirun_is_the_studys_own_business() {
    let room = Room::new("");
    for ranks in [1, 2] {
        let mut command = command_mpirun(ranks, program());
        command
            .args(["study", "study.toml"])
            .current_dir(room.0.path());
        let said = start(command).wait(LIMIT).expect(2).stderr;
        let message = "stdp-hpc: study starts its runs itself: must be started without mpirun";
        assert_eq!(said.matches(message).count(), 1, "{said}");
    }
    assert!(!room.at("results").exists());
}

// --- what is started, and what is left alone ----------------------------------------------------

#[test]
fn runs_get_what_the_study_says_and_leave_it_in_table_and_csv() {
    let room = Room::new(
        "[set]\nsimulation.presim = 12.5\n\
         [axes]\nneuron.model = [\"iaf_psc_alpha\", \"ignore_and_fire\"]\nranks = [1, 2]\n",
    );
    let ended = room.conduct(&[]).expect(0);
    let told: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(told[0], "study: 4 runs: 0 done, 4 to do");
    assert_eq!(told.len(), 6, "{told:?}");
    assert_eq!(told[5], WRITTEN.trim_end());
    assert!(
        told[2].starts_with("study: 2/4 iaf_psc_alpha_ranks2: "),
        "{told:?}"
    );
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 100));

    let rows = read_csv(&room.at("results/study/study.csv"));
    assert_eq!(rows.len(), 4);
    for (row, line) in rows.iter().zip(&lines[1..]) {
        let name = &row["run"];
        assert!(line.starts_with(name.as_str()), "{line}");
        let run = read_run(&room.run(name));
        let model = &name[..name.rfind("_ranks").expect("ranks")];
        assert_eq!(run["parameters"]["neuron"]["model"], model);
        let expected = expected_cells(&run);
        for (column, value) in &expected {
            assert_close(column, &row[*column], value);
        }
        let log = room.at(&format!("results/study/logs/{name}.log"));
        let log = fs::read_to_string(log).expect("log");
        assert!(log.starts_with("$ ") && log.contains("digest "), "{log}");
    }
    let page = fs::read_to_string(room.at("results/study/report.html")).expect("a page");
    for row in &rows {
        assert!(page.contains(&row["run"]), "{row:?}");
    }
    for pair in rows.chunks(2) {
        assert_eq!(pair[0]["digest_weights"], pair[1]["digest_weights"]);
        assert_eq!((&*pair[0]["ranks"], &*pair[1]["ranks"]), ("1", "2"));
    }
}

/// The lines of a CSV, by the names in its first.
fn read_csv(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).expect("a CSV");
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let names: Vec<String> = lines.next().expect("names").collect();
    lines
        .map(|cells| {
            let cells: Vec<String> = cells.collect();
            assert_eq!(cells.len(), names.len());
            names.iter().cloned().zip(cells).collect()
        })
        .collect()
}

/// What a run.json says, by the names of the CSV's columns.
fn expected_cells(run: &Value) -> Vec<(&'static str, Value)> {
    let at = |path: &str| {
        run.pointer(path)
            .unwrap_or_else(|| panic!("{path}"))
            .clone()
    };
    let number = |path: &str| at(path).as_f64().expect("a number");
    let ranks = number("/provenance/ranks");
    let mean = |name: &str| number(&format!("/wall_time/{name}/mean"));
    let memory = |name: &str| (number(&format!("/memory/{name}/mean")) * ranks / 1024.0).round();
    let phases = Phases::<f64>::NAMES;
    let structures = at("/memory/by_structure");
    let network: f64 = structures
        .as_object()
        .expect("structures")
        .iter()
        .filter(|(name, _)| !["recording", "construction"].contains(&name.as_str()))
        .map(|(_, bytes)| bytes["mean"].as_f64().expect("bytes"))
        .sum();
    let network = (number("/memory/before_per_rank/mean") + network) * ranks / 1024.0;
    vec![
        ("rng_seed", at("/parameters/simulation/seed")),
        ("num_nodes", 1.into()),
        ("tasks_per_node", ranks.into()),
        ("threads_per_task", at("/provenance/threads")),
        ("ranks", ranks.into()),
        ("model_time_presim", 12.5.into()),
        ("model_time_sim", 100.into()),
        ("wall_time_create", mean("construction_create").into()),
        ("wall_time_connect", mean("construction_connect").into()),
        (
            "wall_time_communicate_prepare",
            mean("communicate_prepare").into(),
        ),
        ("wall_time_sim", mean("simulate").into()),
        ("wall_time_phase_update", mean("update").into()),
        ("wall_time_phase_collocate", mean("collocate").into()),
        ("wall_time_phase_communicate", mean("communicate").into()),
        ("wall_time_phase_deliver", mean("deliver").into()),
        ("wall_time_phase_synchronize", mean("synchronize").into()),
        ("wall_time_phase_receive", mean("receive").into()),
        ("wall_time_phase_record", mean("record").into()),
        (
            "wall_time_phase_other",
            (mean("simulate") - phases.map(mean).iter().sum::<f64>()).into(),
        ),
        ("real_time_factor", at("/real_time_factor")),
        ("base_memory", memory("before_per_rank").into()),
        ("network_memory", network.round().into()),
        ("total_memory", memory("peak_per_rank").into()),
        ("num_neurons", at("/counts/neurons")),
        ("num_connections", 9000.into()),
        ("num_connections_plastic", at("/counts/synapses_plastic")),
        (
            "local_spike_counter",
            (number("/counts/spikes_E") + number("/counts/spikes_I")).into(),
        ),
        ("synaptic_events", at("/counts/synaptic_events")),
        ("rate_E", at("/rates/E")),
        ("rate_I", at("/rates/I")),
        ("weight_mean", at("/weights/mean")),
        ("weight_sd", at("/weights/sd")),
        ("weight_zero_fraction", at("/weights/zero_fraction")),
        ("digest_spikes", at("/digest/spikes")),
        ("digest_weights", at("/digest/weights")),
        ("instruction_set", at("/provenance/instruction_set")),
        ("commit", at("/provenance/commit")),
        ("host", at("/provenance/host")),
        ("date", at("/provenance/date")),
    ]
}

#[track_caller]
fn assert_close(column: &str, cell: &str, expected: &Value) {
    if let Some(text) = expected.as_str() {
        return assert_eq!(cell, text, "{column}");
    }
    let expected = expected.as_f64().expect("a number");
    let got: f64 = cell.parse().unwrap_or_else(|_| panic!("{column}: {cell}"));
    let error = (got - expected).abs();
    assert!(
        error <= 1e-12 * expected.abs(),
        "{column}: {got}, {expected}"
    );
}

#[test]
fn a_study_that_was_killed_goes_on_where_it_was() {
    let room = Room::new(
        "[set]\nneuron.model = \"iaf_psc_alpha\"\n\
         [[axes.together]]\n\
         threads = [1, 1, 2]\n\
         simulation.seed = [1, 2, 3]\n\
         simulation.T = [20.0, 400000.0, 30.0]\n",
    );
    let [first, second, third] = [
        "T20_threads1_seed1",
        "T400000_threads1_seed2",
        "T30_threads2_seed3",
    ];
    let mut child = room
        .command(&[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let begun = Instant::now();
    let running = room.run(second).join("run.json");
    while !running.exists() {
        assert!(begun.elapsed() < LIMIT, "the second run does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    signal("KILL", &[child.id()]);
    child.wait().expect("waited for");
    assert!(!room.run(third).exists(), "it was not killed in time");
    let before = room.times()[first];
    let list = room.conduct(&["--list"]).expect(0).stdout;
    let states: Vec<&str> = list
        .lines()
        .map(|line| line.split_whitespace().nth(4).expect("a state"))
        .collect();
    assert_eq!(states, ["done", "stopped", "new"], "{list}");

    let ended = room.conduct(&[]).expect(0);
    let told = "study: 3 runs: 1 done, 2 to do\n";
    assert!(ended.stderr.starts_with(told), "{}", ended.stderr);
    let after = room.times();
    assert_eq!(after[first], before);
    let direct = room.0.result(
        &room.at("net.toml"),
        1,
        1,
        &[
            "neuron.model=iaf_psc_alpha",
            "simulation.T=400000",
            "simulation.seed=2",
        ],
    );
    assert_eq!(read_run(&room.run(second))["digest"], direct.run["digest"]);
    read_run(&room.run(third));

    let ended = room.conduct(&[]).expect(0);
    assert_eq!(
        ended.stderr,
        format!("study: 3 runs: 3 done, 0 to do\n{WRITTEN}")
    );
    assert_eq!(ended.stdout.lines().count(), 4, "{}", ended.stdout);
    assert_eq!(room.times(), after);
}

#[test]
fn two_studies_do_not_share_a_directory() {
    let room = Room::new("");
    fs::create_dir_all(room.at("results/study")).expect("created");
    let lock = File::create(room.at("results/study/lock")).expect("created");
    lock.lock().expect("free");
    let said = room.conduct(&[]).expect(2).stderr;
    let message = "stdp-hpc: --out results/study: another study is using it\n";
    assert_eq!(said, message);
    drop(lock);
    room.conduct(&["-q"]).expect(0);
}

/// A plain run in the directory of a study, or of one of its runs, is left alone.
#[test]
fn a_study_and_a_run_do_not_share_a_directory() {
    let room = Room::new("[axes]\nsimulation.seed = [1, 2]\n");
    fs::create_dir_all(room.at("results/study")).expect("created");
    let lock = DirectoryLock::take(&room.at("results/study"), "a run").expect("free");
    let said = room.conduct(&["--force"]).expect(2).stderr;
    let who = "stdp-hpc: --out results/study: a run (process ";
    assert!(said.starts_with(who) && said.lines().count() == 1, "{said}");
    drop(lock);

    let directory = room.run("seed1");
    fs::create_dir_all(&directory).expect("created");
    let lock = DirectoryLock::take(&directory, "a run").expect("free");
    fs::write(directory.join("spikes.h5"), "precious").expect("written");
    for force in [&["-q"][..], &["-q", "--force"]] {
        let ended = room.conduct(force).expect(0);
        assert!(ended.stdout.contains("seed2 "), "{}", ended.stdout);
        let kept = fs::read(directory.join("spikes.h5")).expect("spikes.h5");
        assert_eq!(kept, b"precious");
    }
    let list = room.conduct(&["--list"]).expect(0).stdout;
    assert!(list.contains("seed1    1 x 1  running "), "{list}");
    drop(lock);

    let lock = DirectoryLock::take(&room.at("results/study"), "a study").expect("free");
    let mut command = command_alone(program());
    let arguments = ["net.toml", "--out", "results/study", "--force"];
    command.args(arguments).current_dir(room.0.path());
    let said = start(command).wait(LIMIT).expect(2).stderr;
    let who = "stdp-hpc: --out results/study: a study (process ";
    assert!(said.starts_with(who) && said.lines().count() == 1, "{said}");
    drop(lock);
}

/// A result that cannot be used is named; the others have their table and report.
#[test]
fn a_result_that_cannot_be_used_denies_no_other_its_table() {
    let room = Room::new("[axes]\nsimulation.seed = [1, 2, 3]\n");
    room.conduct(&["-q"]).expect(0);
    let run_json = room.run("seed2").join("run.json");
    let good = fs::read_to_string(&run_json).expect("run.json");
    let key = "\"real_time_factor\": ";
    let (head, tail) = good.split_once(key).expect("a number");
    let (_, tail) = tail.split_once(',').expect("more");
    let null = format!("{head}{key}null,{tail}");
    let half = &good[..good.len() / 2];
    for bad in ["", half, "{}", &null] {
        fs::write(&run_json, bad).expect("written");
        unusable(&room, "run.json: is not of a run of stdp-hpc: ");
    }
    fs::write(&run_json, &good).expect("written");
    fs::copy(
        room.run("seed1").join("spikes.h5"),
        room.run("seed2").join("spikes.h5"),
    )
    .expect("copied");
    unusable(&room, "spikes.h5: is not of the run of ");
    room.conduct(&["-q", "--force"]).expect(0);
    assert_eq!(room.conduct(&["-q"]).expect(0).stdout.lines().count(), 4);
}

/// Expects the result of seed2 to be left out and named, and nothing to be run.
#[track_caller]
fn unusable(room: &Room, fault: &str) {
    let before = room.times();
    let ended = room.conduct(&["-q"]).expect(2);
    let line = format!("stdp-hpc: results/study/runs/seed2/{fault}");
    assert!(ended.stderr.starts_with(&line), "{}", ended.stderr);
    assert!(ended.stdout.contains("result unusable"), "{}", ended.stdout);
    assert_eq!(ended.stdout.lines().count(), 4);
    assert_eq!(read_csv(&room.at("results/study/study.csv")).len(), 2);
    let page = fs::read_to_string(room.at("results/study/report.html")).expect("a page");
    assert!(page.contains("results/study/runs/seed2/"), "not named");
    assert_eq!(room.times(), before);
}

#[test]
fn a_run_that_fails_keeps_no_other_from_running() {
    let room = Room::new("[axes]\nranks = [1, 2]\nsimulation.seed = [1, 2]\n");
    // No result, and so not the study's to remove.
    let mine = ["ranks1_seed1", "ranks2_seed1"].map(|name| room.run(name).join("mine"));
    for path in &mine {
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, "").expect("written");
    }
    let ended = room.conduct(&["-q"]).expect(1);
    let why = |name: &str| {
        format!(
            "stdp-hpc: {name} failed: --out results/study/runs/{name}: exists and is not empty: \
             name another directory, or --force to overwrite a result there\n"
        )
    };
    let end = "stdp-hpc: 2 run(s) failed, see the logs; the same command repeats what is not \
               done\n";
    let expected = why("ranks1_seed1") + &why("ranks2_seed1") + end;
    assert_eq!(ended.stderr, expected);
    let names: Vec<String> = read_csv(&room.at("results/study/study.csv"))
        .into_iter()
        .map(|mut row| row.remove("run").expect("a name"))
        .collect();
    assert_eq!(names, ["ranks1_seed2", "ranks2_seed2"]);
    for path in &mine {
        fs::remove_file(path).expect("removed");
    }

    let mut command = room.command(&["-q"]);
    command.env("MPIRUN", "/none/mpirun");
    let said = start(command).wait(LIMIT).expect(1).stderr;
    let line = "stdp-hpc: ranks2_seed1 failed: /none/mpirun cannot be started: ";
    assert!(said.starts_with(line), "{said}");
    room.conduct(&["-q"]).expect(0);
    assert_eq!(room.times().len(), 4);
}

/// A run too big for the machine is refused, as it is without a study, and not killed later.
#[test]
fn a_run_that_does_not_fit_fails_at_once() {
    let room = Room::new("[axes]\nnetwork.N = [300, 3000000000]\n");
    let ended = room.conduct(&["-q"]).expect(1);
    let line = ended.stderr.lines().next().expect("a line");
    assert!(line.starts_with("stdp-hpc: N3000000000 failed: "), "{line}");
    assert!(line.ends_with("; --force runs anyway"), "{line}");
    assert_eq!(ended.stdout.lines().count(), 2);
}

#[test]
fn results_of_other_parameters_are_not_taken_for_these() {
    let room = Room::new("[axes]\nsimulation.seed = [1, 2]\n");
    room.conduct(&["-q"]).expect(0);
    let before = room.times();
    // What a run has no use for is no other parameter.
    room.study("[set]\ninterconnect.latency = 9.0\n[axes]\nsimulation.seed = [1, 2]\n");
    room.conduct(&["-q"]).expect(0);
    assert_eq!(room.times(), before);

    for (set, difference) in [
        ("network.K = 20", "network.K = 30 there, 20 in the study"),
        (
            "threads = 2",
            "simulation.threads = 1 there, 2 in the study",
        ),
        ("ranks = 2", "ranks = 1 there, 2 in the study"),
        (
            "simulation.T = 200.0",
            "simulation.T = 100 ms there, 200 ms in the study",
        ),
        (
            "synapse.delay = 1.25",
            "synapse.delay.E_to_E = 1.5 ms there, 1.25 ms in the study",
        ),
    ] {
        room.study(&format!("[set]\n{set}\n[axes]\nsimulation.seed = [3, 2]\n"));
        let said = room.conduct(&[]).expect(2).stderr;
        assert_eq!(
            said,
            format!(
                "stdp-hpc: results/study/runs/seed2: has different parameters, {difference}: name \
                 another --out, or --force to repeat it\n"
            )
        );
        assert_eq!(room.times(), before, "nothing was started");
    }
    room.study("[set]\nranks = 2\n[axes]\nsimulation.seed = [3, 2]\n");
    let list = room.conduct(&["--list"]).expect(0).stdout;
    assert!(list.contains("seed2    2 x 1  differs "), "{list}");
    room.conduct(&["-q", "--force"]).expect(0);
    assert_eq!(read_run(&room.run("seed2"))["provenance"]["ranks"], 2);
    assert_eq!(room.times()["seed1"], before["seed1"]);
    fs::write(room.run("seed3").join("run.json"), "{}").expect("written");
    let said = room.conduct(&[]).expect(2).stderr;
    assert!(
        said.contains("seed3/run.json: is not of a run of stdp-hpc"),
        "{said}"
    );
    room.conduct(&["-q", "--force"]).expect(0);
}

/// Results of two builds are not mixed: digests may differ.
#[test]
fn results_of_other_builds_are_named() {
    let room = Room::new("[axes]\nsimulation.seed = [1, 2, 3]\n");
    room.conduct(&["-q"]).expect(0);
    let edit = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut run = read_run(&room.run(name));
        change(&mut run);
        fs::write(room.run(name).join("run.json"), run.to_string()).expect("written");
    };
    edit("seed1", &|run| {
        run["provenance"]["commit"] = "0a1b2c3".into()
    });
    let before = room.times();
    let program = concat!("stdp-hpc ", env!("CARGO_PKG_VERSION"));
    let this = format!("this is {program} ({})", stdp_hpc::io::outcome::COMMIT);
    let told = room.conduct(&[]).expect(2).stderr;
    assert_eq!(
        told,
        format!(
            "stdp-hpc: results/study/runs/seed1: comes from another build, {program} (0a1b2c3), \
             run.json of format 2; {this}, whose results may differ: name another --out, or \
             --force to repeat it\n"
        )
    );
    // As older builds wrote it, times in steps.
    edit("seed3", &|run| {
        *run = as_format_1(run.take());
    });
    let told = room.conduct(&[]).expect(2).stderr;
    let [one, other] = ["seed1", "seed3"].map(|name| format!("results/study/runs/{name}"));
    let both = format!("stdp-hpc: {one}, {other}: come from another build, {program} (0a1b2c3)");
    assert!(
        told.starts_with(&both) && told.contains(" and others; this is"),
        "{told}"
    );
    assert!(told.ends_with("or --force to repeat them\n"), "{told}");
    let list = room.conduct(&["--list"]).expect(0).stdout;
    assert_eq!(list.matches("  old build  ").count(), 2, "{list}");
    assert_eq!(
        room.times()["seed2"],
        before["seed2"],
        "nothing was started"
    );
    room.conduct(&["-q", "--force"]).expect(0);
    assert_eq!(room.times()["seed2"], before["seed2"]);
    assert_eq!(read_run(&room.run("seed3"))["format"], 2);
    room.conduct(&["-q"]).expect(0);
}

// --- Slurm --------------------------------------------------------------------------------------

/// Notes how it was called, and with what limit of site.sh; gives ids from 101 on.
const SBATCH: &str = r#"#!/bin/bash
[[ ! -e refuse ]] || { echo "sbatch: error: invalid partition" >&2; exit 1; }
echo "$SBATCH_TIMELIMIT $*" >>calls
echo "$((100 + $(wc -l <calls)));rehearsal"
"#;
const SQUEUE: &str = "#!/bin/bash\n[[ ! -e deaf ]] || exit 1\ncat queue 2>/dev/null || true\n";

/// A room with Slurm's commands as stand-ins, in which slurm/ lies.
fn cluster(study: &str) -> Room {
    let room = Room::new(study);
    symlink(root().join("slurm"), room.at("slurm")).expect("symlink");
    fs::create_dir(room.at("bin")).expect("created");
    // Without the binding to cores, which the test's machine need not have.
    let mpirun = format!(
        "#!/bin/bash\n\
         [[ $1 != --version ]] || {{ echo 'mpirun (Open MPI) 4.1.4'; exit; }}\n\
         PATH=${{PATH#*:}} ranks=$2\n\
         while [[ $1 != */stdp-hpc ]]; do shift; done\n\
         exec {} -n $ranks \"$@\"\n",
        launcher().display()
    );
    let scripts = [
        ("sbatch", SBATCH),
        ("squeue", SQUEUE),
        ("srun", "#!/bin/bash\nexit 1\n"),
        ("mpirun", &mpirun),
    ];
    for (name, body) in scripts {
        let path = room.at("bin").join(name);
        fs::write(&path, body).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    room
}

/// `command` with the stand-ins first on the PATH.
fn on_cluster(room: &Room, mut command: Command) -> Ended {
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{}:{path}", room.at("bin").display()))
        .env_remove("MPIRUN")
        .env_remove("SBATCH_TIMELIMIT")
        .current_dir(room.0.path());
    start(command).wait(LIMIT)
}

/// The job of a run, done here and now as Slurm would have it done.
fn do_job(room: &Room, name: &str, ranks: u32) {
    let mut command = command_alone(Path::new("/bin/bash"));
    let ranks = ranks.to_string();
    command
        .arg(room.at(&format!("results/study/jobs/{name}.sbatch")))
        .env("SLURM_NTASKS", &ranks)
        .env("SLURM_NTASKS_PER_NODE", &ranks)
        .env("SLURM_JOB_NUM_NODES", "1")
        .env("SLURM_CPUS_PER_TASK", "1");
    on_cluster(room, command).expect(0);
}

#[test]
fn slurm_gets_what_is_neither_done_nor_queued() {
    let room = cluster(
        "[axes]\nranks = [1, 2, 5]\n\
         [slurm]\nranks_per_node = 4\noptions = [\"--partition=batch\", \"--time=5\"]\n",
    );
    let study = |arguments: &[&str]| on_cluster(&room, room.command(arguments));
    let ended = study(&["--slurm"]).expect(0);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        (
            "",
            "study: 3 runs: 0 done, 0 queued, 3 to do\n\
         study: ranks1: job 101\nstudy: ranks2: job 102\nstudy: ranks5: job 103\n",
        )
    );
    let calls = fs::read_to_string(room.at("calls")).expect("calls");
    let call = |name: &str| {
        format!("01:00:00 --parsable --partition=batch --time=5 results/study/jobs/{name}.sbatch\n")
    };
    assert_eq!(calls, call("ranks1") + &call("ranks2") + &call("ranks5"));
    let script = room.at("results/study/jobs/ranks5.sbatch");
    let script = fs::read_to_string(script).expect("a script");
    let log = room.at("results/study/logs/ranks5.log");
    for line in [
        "--job-name=ranks5",
        &format!("--output={}", log.display()),
        "--ntasks=5",
        "--cpus-per-task=1",
        "--nodes=2",
        "--ntasks-per-node=4",
        "--no-requeue",
        "--exclusive",
        "--partition=batch",
        "--time=5",
    ] {
        assert!(
            script.contains(&format!("#SBATCH {line}\n")),
            "{line}: {script}"
        );
    }

    do_job(&room, "ranks1", 1);
    do_job(&room, "ranks2", 2);
    fs::write(room.at("queue"), "103 PENDING\n102 COMPLETING\n7 RUNNING\n").expect("written");
    let ended = study(&["--slurm"]).expect(0);
    assert_eq!(
        ended.stderr,
        format!("study: 3 runs: 1 done, 2 queued, 0 to do\n{WRITTEN}")
    );
    let list = study(&["--list"]).expect(0).stdout;
    assert!(list.contains("5 x 1  pending "), "{list}");
    // Nor is it run here what Slurm has.
    let ended = study(&[]).expect(0);
    assert_eq!(
        ended.stderr,
        format!("study: 3 runs: 1 done, 2 queued, 0 to do\n{WRITTEN}")
    );

    // The third has gone without a result.
    fs::write(room.at("queue"), "").expect("written");
    fs::write(&log, "slurmstepd: error: *** JOB 103 CANCELLED\n").expect("written");
    let ended = study(&["--slurm"]).expect(0);
    assert_eq!(
        ended.stderr,
        format!(
            "study: 3 runs: 2 done, 0 queued, 1 to do\n\
             study: ranks5: job 104, failed before: slurmstepd: error: *** JOB 103 CANCELLED\n\
             {WRITTEN}"
        )
    );
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
    let rows = read_csv(&room.at("results/study/study.csv"));
    assert_eq!(rows[0]["digest_spikes"], rows[1]["digest_spikes"]);
    let direct = room.0.result(&room.at("net.toml"), 1, 1, &[]);
    assert_eq!(rows[1]["digest_spikes"], direct.digests()[0]);
}

#[test]
fn slurm_may_refuse_and_may_be_deaf() {
    let room = cluster("[axes]\nsimulation.seed = [1, 2]\n");
    let study = |arguments: &[&str]| on_cluster(&room, room.command(arguments));
    fs::write(room.at("refuse"), "").expect("written");
    let said = study(&["--slurm", "-q"]).expect(1).stderr;
    let first = "stdp-hpc: seed1 failed: sbatch: sbatch: error: invalid partition\n";
    assert!(said.starts_with(first), "{said}");
    fs::remove_file(room.at("refuse")).expect("removed");
    study(&["--slurm", "-q"]).expect(0);
    // Who does not know what is queued must not submit it again.
    fs::write(room.at("deaf"), "").expect("written");
    let said = study(&["--slurm", "-q"]).expect(1).stderr;
    assert_eq!(said, "stdp-hpc: squeue: failed\n");
    let calls = fs::read_to_string(room.at("calls")).expect("calls");
    assert_eq!(calls.lines().count(), 2, "{calls}");

    fs::remove_file(room.at("slurm")).expect("removed");
    fs::remove_file(room.at("deaf")).expect("removed");
    let said = study(&["--slurm", "-q"]).expect(2).stderr;
    let message = "stdp-hpc: --slurm: no slurm/site.sh here: start the study from the repository\n";
    assert_eq!(said, message);
}

// --- its document -------------------------------------------------------------------------------

#[test]
fn every_column_is_explained() {
    let room = Room::new("");
    room.conduct(&["-q"]).expect(0);
    let csv = fs::read_to_string(room.at("results/study/study.csv")).expect("CSV");
    let columns: Vec<&str> = csv.lines().next().expect("names").split(',').collect();
    let text = fs::read_to_string(root().join("docs/study.md")).expect("docs/study.md");
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| column |"));
    let rows = rows.skip(2).take_while(|line| line.starts_with("| `"));
    let explained: Vec<&str> = rows
        .flat_map(|row| row.split('|').nth(1).expect("a cell").split(", "))
        .map(|name| name.trim_matches([' ', '`']))
        .collect();
    assert_eq!(explained, columns);
}
