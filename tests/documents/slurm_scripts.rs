//! slurm/*.sbatch without a Slurm, by mpirun: what they refuse, what they run and what they
//! repeat; and scripts/collect_scaling.py on made-up results. With a Slurm: scripts/test_slurm.sh.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use stdp_hpc::io::outcome::Phases;
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

// --- job scripts --------------------------------------------------------------------------------

/// A folder like the repository, in which the launcher is a stand-in that notes how it was called
/// and leaves a result, or fails for the number of ranks in the file `fail`.
struct Site(TempDir);

/// `mpirun … -n R …`, with the version line of Open MPI.
const MPIRUN: &str = r#"#!/bin/bash
[[ $1 != --version ]] || { echo "mpirun (Open MPI) 4.1.4"; exit; }
echo "$*" >>calls
ranks=$2
[[ $ranks != "$(cat fail 2>/dev/null)" ]] || exit 3
while [[ $1 != --out ]]; do shift; done
mkdir -p "$2"
printf '{\n  "status": "done",\n  "ranks": %s\n}\n' "$ranks" >"$2/run.json"
"#;

impl Site {
    fn new() -> Self {
        let site = Site(tempfile::tempdir().expect("tempdir"));
        symlink(root().join("slurm"), site.at("slurm")).expect("symlink");
        fs::create_dir(site.at("bin")).expect("created");
        // No srun that knows a protocol: mpirun it is.
        site.script("bin/srun", "#!/bin/bash\nexit 1\n");
        site.script("bin/mpirun", MPIRUN);
        site.script("bin/stdp-hpc", "#!/bin/bash\nexit 1\n");
        let config = "[network]\nN_per_rank = 50\n[simulation]\nT = 10.0\n";
        fs::write(site.at("weak.toml"), config).expect("written");
        let config = "[network]\nN = 100 # not N_per_rank = 3\n[simulation]\nT = 10.0\n";
        fs::write(site.at("strong.toml"), config).expect("written");
        site
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(&self, name: &str, body: &str) {
        fs::write(self.at(name), body).expect("written");
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    /// The script as a job of two nodes with three ranks of two threads each.
    fn command(&self, script: &str, arguments: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("/bin/bash");
        command
            .arg(root().join("slurm").join(script))
            .args(arguments)
            .current_dir(self.0.path())
            .env("PATH", format!("{}:{path}", self.at("bin").display()))
            .env("STDP_HPC", self.at("bin/stdp-hpc"))
            .env("SLURM_SUBMIT_DIR", self.0.path())
            .env("SLURM_JOB_NUM_NODES", "2")
            .env("SLURM_JOB_NODELIST", "n[1-2]")
            .env("SLURM_NTASKS", "6")
            .env("SLURM_NTASKS_PER_NODE", "3")
            .env("SLURM_CPUS_PER_TASK", "2")
            .env_remove("MPIRUN");
        command
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Output {
        self.command(script, arguments)
            .output()
            .expect("bash starts")
    }

    /// The calls of the launcher since the last time, without the program's path.
    fn calls(&self) -> Vec<String> {
        let program = format!("{} ", self.at("bin/stdp-hpc").display());
        let calls = fs::read_to_string(self.at("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.at("calls"));
        calls.lines().map(|c| c.replace(&program, "")).collect()
    }
}

#[test]
fn single_runs_all_ranks_of_the_job_bound_to_cores() {
    let site = Site::new();
    let output = site.run("single.sbatch", &["weak.toml", "--out", "x", "-v"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        site.calls(),
        ["-n 6 --map-by ppr:3:node:PE=2 --bind-to core weak.toml --out x -v --threads 2"]
    );
}

#[test]
fn a_series_is_1_2_4_ranks_and_the_whole_job_each_in_a_directory_of_its_own() {
    let site = Site::new();
    let output = site.run("weak_scaling.sbatch", &["weak.toml", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let call = |ranks: u32, on_a_node: u32| {
        format!(
            "-n {ranks} --map-by ppr:{on_a_node}:node:PE=2 --bind-to core weak.toml -q --out \
             results/weak_scaling/weak/ranks-{ranks} --force --threads 2"
        )
    };
    assert_eq!(
        site.calls(),
        [call(1, 1), call(2, 2), call(4, 3), call(6, 3)]
    );
    let told = text(&output.stdout);
    assert!(
        told.ends_with("scripts/collect_scaling.py results/weak_scaling/weak\n"),
        "{told}"
    );
}

#[test]
fn a_size_that_fails_keeps_no_other_from_running_and_is_repeated() {
    let site = Site::new();
    fs::write(site.at("fail"), "2").expect("written");
    let arguments = ["strong.toml", "--out", "s"];
    let output = site.run("strong_scaling.sbatch", &arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(site.calls().len(), 4);
    let told = text(&output.stdout);
    for line in [
        "ranks 2: FAILED with exit code 3",
        "FAILED: ranks 2; the others are done",
    ] {
        assert!(told.contains(line), "{told}");
    }
    fs::remove_file(site.at("fail")).expect("removed");
    // Killed while it ran: not done either.
    fs::write(
        site.at("s/ranks-4/run.json"),
        "{\n  \"status\": \"running\"\n}",
    )
    .expect("written");
    let output = site.run("strong_scaling.sbatch", &arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let calls = site.calls();
    assert!(calls.len() == 2, "{calls:?}");
    assert!(
        calls[0].starts_with("-n 2 ") && calls[1].starts_with("-n 4 "),
        "{calls:?}"
    );
    let told = text(&output.stdout);
    assert!(
        told.contains("ranks 1: done already, see s/ranks-1"),
        "{told}"
    );
}

#[test]
fn sizes_may_be_named() {
    let site = Site::new();
    let output = site.run("strong_scaling.sbatch", &["strong.toml", "--ranks", "3,5"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let calls = site.calls();
    assert!(calls.len() == 2, "{calls:?}");
    assert!(
        calls[0].starts_with("-n 3 ") && calls[1].starts_with("-n 5 "),
        "{calls:?}"
    );
}

#[test]
fn job_scripts_refuse_what_makes_no_sense_in_one_line() {
    let site = Site::new();
    for (script, arguments, message) in [
        (
            "single.sbatch",
            &[][..],
            "usage: sbatch slurm/single.sbatch",
        ),
        (
            "weak_scaling.sbatch",
            &[],
            "usage: sbatch slurm/weak_scaling.sbatch",
        ),
        (
            "weak_scaling.sbatch",
            &["none.toml"],
            "none.toml: cannot read",
        ),
        (
            "weak_scaling.sbatch",
            &["weak.toml", "--out"],
            "--out needs a value",
        ),
        (
            "weak_scaling.sbatch",
            &["strong.toml"],
            "weak scaling needs network.N_per_rank",
        ),
        (
            "strong_scaling.sbatch",
            &["weak.toml"],
            "strong scaling needs network.N,",
        ),
        (
            "strong_scaling.sbatch",
            &["strong.toml", "--set", "network.N_per_rank=5"],
            "strong scaling needs network.N,",
        ),
        (
            "strong_scaling.sbatch",
            &["strong.toml", "--ranks=2,7"],
            "--ranks 7: must be a whole number, 1 … 6",
        ),
        (
            "strong_scaling.sbatch",
            &["strong.toml", "--ranks", "two"],
            "--ranks two: must be",
        ),
    ] {
        let output = site.run(script, arguments);
        let said = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{script} {arguments:?}: {said}"
        );
        assert!(
            said.contains(message) && said.lines().count() == 1,
            "{said}"
        );
    }
    assert!(site.calls().is_empty());
    let elsewhere = tempfile::tempdir().expect("tempdir");
    for (name, value, message) in [
        (
            "SLURM_SUBMIT_DIR",
            elsewhere.path().to_str(),
            "call sbatch from the repository",
        ),
        (
            "STDP_HPC",
            Some("/none"),
            "no program at /none: build it first",
        ),
    ] {
        let mut command = site.command("weak_scaling.sbatch", &["weak.toml"]);
        let output = command
            .env(name, value.expect("a name"))
            .output()
            .expect("bash starts");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(message), "{output:?}");
    }
}

/// The size given last counts, as it does for the program.
#[test]
fn an_argument_may_give_the_size() {
    let site = Site::new();
    for (script, arguments) in [
        (
            "weak_scaling.sbatch",
            ["strong.toml", "--set=network.N_per_rank=5"],
        ),
        ("strong_scaling.sbatch", ["weak.toml", "--set=network.N=5"]),
    ] {
        let output = site.run(script, &arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(site.calls().len(), 4);
    }
}

/// Without numbers of tasks from sbatch the node's NUMA domains and cores decide.
#[test]
fn a_node_is_split_by_its_domains() {
    let site = Site::new();
    // Two domains of three cores, two hardware threads each.
    let lines: Vec<String> = (0..12)
        .map(|cpu| format!("{cpu},{},{}", cpu % 6, cpu % 6 / 3))
        .collect();
    let lscpu = format!(
        "#!/bin/bash\necho '# CPU,Core,Node'\necho '{}'\n",
        lines.join("\n")
    );
    site.script("bin/lscpu", &lscpu);
    // This machine lets the test use whatever it lets: pretend that it is all of them.
    let sed = "#!/bin/bash\n[[ $* != */proc/self/status ]] || { echo 0-11; exit; }\nexec /bin/sed \"$@\"\n";
    site.script("bin/sed", sed);
    for (cpus, call) in [
        ("12", "-n 4 --map-by ppr:2:node:PE=3 "),
        // A share of two CPUs of a node that shows all.
        ("2", "-n 4 --map-by ppr:2:node:PE=1 "),
        ("1", "-n 2 --map-by ppr:1:node:PE=1 "),
    ] {
        let mut command = site.command("single.sbatch", &["weak.toml", "--out", "x"]);
        for name in [
            "SLURM_NTASKS",
            "SLURM_NTASKS_PER_NODE",
            "SLURM_CPUS_PER_TASK",
        ] {
            command.env_remove(name);
        }
        let output = command
            .env("SLURM_CPUS_ON_NODE", cpus)
            .output()
            .expect("bash starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let calls = site.calls();
        assert!(
            calls.len() == 1 && calls[0].starts_with(call),
            "{call}: {calls:?}"
        );
    }
}

// --- collect_scaling.py -------------------------------------------------------------------------

/// The run.json of a run of 100 ms on so many ranks; each phase takes a tenth of the seconds of
/// `simulate` on average, and every maximum is twice the mean.
fn result(ranks: u32, neurons: u32, simulate: f64) -> Value {
    let spread = |mean: f64| json!({"min": mean / 2.0, "mean": mean, "max": 2.0 * mean});
    let mut times = json!({"simulate": spread(simulate), "waiting": spread(0.1)});
    for phase in Phases::<f64>::NAMES {
        times[phase] = spread(simulate / 10.0);
    }
    for phase in [
        "construction_create",
        "construction_connect",
        "communicate_prepare",
    ] {
        times[phase] = spread(0.25);
    }
    json!({
        "format": 2,
        "status": "done",
        "provenance": {"commit": "abc", "date": "2026-01-02T03:04:05Z", "ranks": ranks,
            "threads": 2},
        "parameters": {
            "network": {"N": neurons, "N_E": neurons / 5 * 4, "K": 100},
            "simulation": {"seed": 1, "threads": 2},
            "record": {"spikes": true, "n_rec": neurons},
        },
        "digest": {"spikes": "0123", "weights": "4567"},
        "counts": {"neurons": neurons, "synapses_plastic": 64 * neurons,
            "synapses_static": 36 * neurons},
        "wall_time": times,
        "model_time_ms": 100.0,
        "memory": {"peak_per_rank": spread(1_048_576.0)},
        "ranks": [{"something": "new"}],
    })
}

/// Results by name of their directory, in a folder.
fn results(runs: &[(&str, &Value)]) -> TempDir {
    let dir = tempfile::tempdir().expect("tempdir");
    for (name, run) in runs {
        let place = dir.path().join(name);
        fs::create_dir_all(&place).expect("created");
        fs::write(place.join("run.json"), run.to_string()).expect("written");
    }
    dir
}

/// Exit code, stdout and stderr of a collection, with the folder's path cut out.
fn collect(dir: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new("python3")
        .arg(root().join("scripts/collect_scaling.py"))
        .arg(dir.path())
        .args(arguments)
        .current_dir(dir.path())
        .output()
        .expect("python3 starts");
    let path = dir.path().display().to_string();
    let said = |bytes: &[u8]| {
        text(bytes)
            .replace(&format!("{path}/"), "")
            .replace(&path, "TOP")
    };
    (
        output.status.code(),
        said(&output.stdout),
        said(&output.stderr),
    )
}

/// The cells of the table's line for these ranks.
fn row(table: &str, ranks: u32) -> Vec<&str> {
    let start = format!("| {ranks} | ");
    let line = table.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("{ranks}: {table}"));
    line.trim_matches(['|', ' ']).split(" | ").collect()
}

#[test]
fn strong_scaling_gives_table_and_files() {
    let runs = [
        result(4, 1000, 0.5),
        result(1, 1000, 1.0),
        result(16, 1000, 0.25),
    ];
    let dir = results(&[
        ("ranks-4", &runs[0]),
        ("ranks-1", &runs[1]),
        ("ranks-16", &runs[2]),
    ]);
    let (code, table, errors) = collect(&dir, &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{table}");
    assert!(table.contains("efficiency (strong)"), "{table}");
    assert_eq!(
        row(&table, 4),
        [
            "4",
            "2",
            "1,000",
            "100,000",
            "1.5",
            "0.25 / 0.5 / 1",
            // Seven phases of a tenth.
            "0.025 / 0.05 / 0.1",
            "0.025 / 0.05 / 0.1",
            "0.025 / 0.05 / 0.1",
            "0.025 / 0.05 / 0.1",
            "0.025 / 0.05 / 0.1",
            "0.025 / 0.05 / 0.1",
            "0.025 / 0.05 / 0.1",
            // 1 s for 0.1 s; 2 s on one rank and 1 s on four.
            "10",
            "50.0%",
            "0.5 / 1 / 2",
            "0123",
            "4567",
        ]
    );
    assert_eq!(row(&table, 16)[14], "25.0%");
    let order: Vec<usize> = [1, 4, 16]
        .map(|r| table.find(&format!("\n| {r} | ")).expect("row"))
        .into();
    assert!(order.is_sorted(), "{table}");

    let saved = |name: &str| fs::read_to_string(dir.path().join(name)).expect(name);
    assert_eq!(saved("scaling.md"), table);
    let csv = saved("scaling.csv");
    let [header, first] = [0, 1].map(|line| csv.lines().nth(line).expect("a line").split(','));
    let first: Vec<(&str, &str)> = header.zip(first).collect();
    for cell in [
        ("ranks", "1"),
        ("deliver_max", "0.2"),
        ("efficiency", "1.0"),
        ("scaling", "strong"),
    ] {
        assert!(first.contains(&cell), "{cell:?}: {first:?}");
    }
    // Bars of 1 s on an axis of 1 s: phases of a tenth of its 240, and what is left.
    let svg = saved("scaling.svg");
    let count = |height: &str| svg.matches(&format!("height=\"{height}\"")).count();
    assert_eq!(
        (count("24.00"), count("72.00"), count("12.00")),
        (7, 1, 7),
        "{svg}"
    );
    assert!(svg.ends_with("</svg>\n"), "{svg}");

    // What it wrote is not taken for a run the next time, wherever it lies.
    let (code, _, errors) = collect(&dir, &["-o", "figures"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(collect(&dir, &[]).0, Some(0));
}

#[test]
fn weak_scaling_is_recognized_by_neurons_per_rank() {
    let mut larger = result(2, 2000, 1.25);
    // Another network has other digests.
    larger["digest"]["spikes"] = json!("89ab");
    let dir = results(&[("a/b/1", &result(1, 1000, 1.0)), ("a/c", &larger)]);
    let (code, table, errors) = collect(&dir, &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{table}");
    assert!(table.contains("efficiency (weak)"), "{table}");
    assert_eq!(row(&table, 2)[14], "80.0%");
}

#[test]
fn one_run_makes_a_table_too() {
    let dir = results(&[("x", &result(3, 1000, 1.0))]);
    let (code, table, errors) = collect(&dir, &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(row(&table, 3)[14], "100.0%");
}

#[test]
fn strong_scaling_that_changes_a_digest_fails() {
    let mut odd = result(2, 1000, 1.0);
    odd["digest"]["weights"] = json!("ffff");
    let dir = results(&[("1", &result(1, 1000, 1.0)), ("2", &odd)]);
    let (code, table, errors) = collect(&dir, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(row(&table, 2)[17], "ffff");
    assert_eq!(
        errors,
        "collect_scaling.py: digests differ: weights ffff in 2, 4567 in 1\n"
    );
}

#[test]
fn runs_that_are_not_done_are_left_out_and_named() {
    let good = result(1, 1000, 1.0).to_string();
    let mut keyless = result(8, 1000, 1.0);
    keyless["wall_time"] = json!({});
    for (content, why) in [
        (None, "8: no run.json"),
        (Some(String::new()), "8/run.json: not JSON ("),
        (
            Some(good[..good.len() / 2].to_owned()),
            "8/run.json: not JSON (",
        ),
        (
            Some("[1]".to_owned()),
            "8/run.json: not what stdp-hpc writes",
        ),
        (Some("{}".to_owned()), "8/run.json: no key 'status'"),
        (
            Some(keyless.to_string()),
            "8/run.json: no key 'construction_create'",
        ),
        (
            Some(good.replace("\"format\":2", "\"format\":3")),
            "8/run.json: format 3 is not known here (1 … 2): use the scripts of the build that",
        ),
        (
            Some(json!({"status": "running"}).to_string()),
            "8/run.json: status 'running', not done",
        ),
        (
            Some(json!({"status": "failed", "error": "disk full"}).to_string()),
            "8/run.json: status 'failed', not done (disk full)",
        ),
    ] {
        let dir = results(&[("1", &result(1, 1000, 1.0)), ("2", &result(2, 1000, 1.0))]);
        fs::create_dir(dir.path().join("8")).expect("created");
        if let Some(content) = content {
            fs::write(dir.path().join("8/run.json"), content).expect("written");
        }
        let (code, table, errors) = collect(&dir, &[]);
        assert_eq!(code, Some(1), "{why}: {errors}");
        assert!(
            errors.starts_with(&format!("collect_scaling.py: left out: {why}")),
            "{errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
        row(&table, 1);
        row(&table, 2);
        assert!(!table.contains("\n| 8 |"), "{table}");
    }
}

#[test]
fn runs_that_do_not_belong_together_are_refused() {
    for (pointer, value, why) in [
        (
            "/provenance/commit",
            json!("def"),
            "commit is def there, abc here",
        ),
        (
            "/provenance/threads",
            json!(4),
            "threads is 4 there, 2 here",
        ),
        (
            "/model_time_ms",
            json!(50.0),
            "model time (ms) is 50.0 there, 100.0 here",
        ),
        (
            "/parameters/network/K",
            json!(99),
            "network.K is 99 there, 100 here",
        ),
        (
            "/parameters/simulation/seed",
            json!(2),
            "simulation.seed is 2 there, 1 here",
        ),
        ("/provenance/ranks", json!(1), "both are of 1 rank(s)"),
        (
            "/counts/neurons",
            json!(1500),
            "1500 neurons on 2 ranks and 1000 on 1, neither the same number in all nor on each rank",
        ),
    ] {
        let mut other = result(2, 1000, 1.0);
        *other.pointer_mut(pointer).expect("there") = value;
        let dir = results(&[("1", &result(1, 1000, 1.0)), ("2", &other)]);
        let (code, table, errors) = collect(&dir, &[]);
        assert_eq!((code, table.as_str()), (Some(2), ""), "{errors}");
        let expected = format!("collect_scaling.py: 2 does not belong with 1: {why}\n");
        assert_eq!(errors, expected);
        assert!(!dir.path().join("scaling.csv").exists());
    }
}

/// Parameters of older builds were in steps.
#[test]
fn times_of_either_format_are_shown_in_ms() {
    let mut runs = [1, 2].map(|ranks| {
        let mut run = result(ranks, 1000, 1.0);
        run["parameters"]["simulation"] = json!({"T": 1003, "dt": 0.1});
        run.as_object_mut().expect("an object").remove("format");
        run
    });
    runs[1]["parameters"]["simulation"]["T"] = json!(3);
    let dir = results(&[("1", &runs[0]), ("2", &runs[1])]);
    let why = "2 does not belong with 1: simulation.T is 0.3 there, 100.3 here\n";
    assert_eq!(collect(&dir, &[]).2, format!("collect_scaling.py: {why}"));
    runs[1]["parameters"]["simulation"]["T"] = json!(100.3);
    runs[1]["format"] = json!(2);
    let dir = results(&[("1", &runs[0]), ("2", &runs[1])]);
    assert_eq!(collect(&dir, &[]).0, Some(0));
}

#[test]
fn no_run_is_no_series() {
    let dir = results(&[]);
    let (code, _, errors) = collect(&dir, &[]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(
        errors.ends_with("collect_scaling.py: no finished run in TOP\n"),
        "{errors}"
    );
    let (code, _, errors) = collect(&dir, &["none"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("none: is not a directory"), "{errors}");
}
