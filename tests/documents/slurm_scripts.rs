//! slurm/*.sbatch without a Slurm, by mpirun: what they refuse, what they run and what they
//! repeat. With a Slurm: scripts/test_slurm.sh.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
        told.ends_with(" report results/weak_scaling/weak --scaling results/weak_scaling/weak\n"),
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
