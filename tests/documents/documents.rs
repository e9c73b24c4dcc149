//! What the documents say is run: README.md, ARCHITECTURE.md and docs/*.md.
//!
//! Every fenced block says what it is, and a block that says something else fails:
//!
//! - `console`: lines that begin with `$ ` are commands, the others what they print, if any
//!   are given. Numbers in lines that report time or memory may differ. A command must
//!   succeed unless `$ echo $?` follows or it prints an error that the block shows.
//! - `console cluster`: the same, with stand-ins for `module`, `sbatch` and, for the big
//!   configs, a `mpirun` that makes the network small; see [`Bench::stand_ins`].
//! - `python`: run where STDP_HPC_PYTHON names a Python with what scripts/test.sh installs.
//! - `toml NAME`: written to NAME for the commands that follow.
//! - `text`, `math`: not run.
//!
//! The blocks of a document are run in order in one scratch folder that looks like the
//! repository, and in which cargo has just built the program.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use stdp_hpc::io::config;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stdp-hpc");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).expect("docs/");
    let mut documents: Vec<PathBuf> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    documents.extend(["README.md", "ARCHITECTURE.md"].map(|name| root().join(name)));
    documents
}

/// A fenced block.
struct Block {
    /// `README.md:12`
    place: String,
    kind: String,
    lines: Vec<String>,
}

fn blocks(document: &Path) -> Vec<Block> {
    let text = fs::read_to_string(document).expect("a document");
    let name = document.file_name().expect("a name").to_string_lossy();
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if let Some(kind) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                blocks.push(Block {
                    place: format!("{name}:{}", number + 1),
                    kind: kind.to_owned(),
                    lines: Vec::new(),
                });
            }
        } else if inside {
            let block = blocks.last_mut().expect("a block was begun");
            block.lines.push(line.to_owned());
        }
    }
    assert!(!inside, "{name}: a block does not end");
    blocks
}

/// The scratch folder of one document.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Bench {
            dir: tempfile::tempdir().expect("tempdir"),
        };
        for name in ["scripts", "bin", "cluster", "target/release"] {
            fs::create_dir_all(bench.at(name)).expect("create");
        }
        for name in ["configs", "slurm", "tests"] {
            symlink(root().join(name), bench.at(name)).expect("symlink");
        }
        symlink(PROGRAM, bench.at("target/release/stdp-hpc")).expect("symlink");
        let scripts = root().join("scripts").display().to_string();
        bench.script("scripts/run.sh", &format!("exec {scripts}/run.sh \"$@\""));
        // It runs this test.
        bench.script(
            "scripts/test.sh",
            &format!("exec bash -n {scripts}/test.sh"),
        );
        // It takes minutes, and tests/bench_script.rs runs it.
        bench.script(
            "scripts/bench_vs_nest.sh",
            &format!("exec bash -n {scripts}/bench_vs_nest.sh"),
        );
        bench.script(
            "bin/cargo",
            "[[ $1 == build ]] || { echo \"no stand-in for: cargo $*\"; exit 1; }",
        );
        bench.stand_ins();
        bench
    }

    /// What a cluster has and this machine need not have. `sbatch` runs its script here and
    /// now as a job of one node would be, whatever its options; `mpirun` starts the ranks that
    /// are asked for, but of the big configs small versions. (scripts/test_slurm.sh has a Slurm.)
    fn stand_ins(&self) {
        self.script("cluster/module", "[[ $1 == load ]]");
        self.script("cluster/srun", "exit 1");
        self.script(
            "cluster/sbatch",
            "export SLURM_NTASKS=$(($(nproc) > 1 ? 2 : 1)) SLURM_CPUS_PER_TASK=1\n\
             export SLURM_JOB_NODELIST=here SLURM_SUBMIT_DIR=$PWD\n\
             while [[ $1 == --* ]]; do shift; done\n\
             exec bash \"$@\"",
        );
        self.script(
            "cluster/mpirun",
            &format!(
                "PATH=${{PATH//$(dirname \"$0\"):/}}\n\
                 source {}/scripts/mpi-env.sh\n\
                 mpi_env_allow_crowding\n\
                 mpi_env_yield\n\
                 case \"$*\" in\n\
                 *configs/scale.toml*) small=(network.N_per_rank=50 network.K=20\n\
                 simulation.T=20 simulation.presim=3 record.n_rec=10 record.weights=true) ;;\n\
                 *configs/hpc_benchmark.toml*) small=(network.N=500 network.K=100\n\
                 simulation.T=20 simulation.presim=3 record.n_rec=10) ;;\n\
                 *configs/default.toml*) small=(network.N=1000 network.K=100 simulation.T=50) ;;\n\
                 *) small=() ;;\n\
                 esac\n\
                 exec \"$MPIRUN\" \"$@\" \"${{small[@]/#/--set=}}\"",
                root().display()
            ),
        );
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self, name: &str, body: &str) {
        let path = self.at(name);
        fs::write(&path, format!("#!/bin/bash\n{body}\n")).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    /// `program` in the scratch folder, with its tools first on the PATH and a time limit.
    fn command(&self, program: &str, cluster: bool) -> Command {
        let mut path = format!(
            "{}:{}",
            self.at("bin").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        if cluster {
            path = format!("{}:{path}", self.at("cluster").display());
        }
        // No limit of a document, only what ends a block that hangs, however busy the machine is.
        let mut command = Command::new("timeout");
        command
            .args(["-k", "5", "900", program])
            .current_dir(self.dir.path())
            .env("PATH", path)
            .env("CARGO_TARGET_DIR", self.at("target"));
        command
    }

    fn run(&self, block: &Block) {
        let text = block.lines.join("\n") + "\n";
        match block.kind.split_once(' ').unwrap_or((&block.kind, "")) {
            ("console", "") => self.console(block, false),
            ("console", "cluster") => self.console(block, true),
            ("python", "") => self.python(block, &text),
            ("toml", name) if !name.is_empty() => {
                fs::write(self.at(name), text).expect("write");
            }
            ("text" | "math", "") => {}
            _ => panic!("{}: what is a block of {:?}?", block.place, block.kind),
        }
    }

    fn python(&self, block: &Block, text: &str) {
        let Ok(python) = std::env::var("STDP_HPC_PYTHON") else {
            eprintln!("{}: not run, STDP_HPC_PYTHON is not set", block.place);
            return;
        };
        let mut command = self.command(&python, false);
        let output = command.args(["-c", text]).output().expect("Python starts");
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", block.place);
    }

    fn console(&self, block: &Block, cluster: bool) {
        let steps = steps(block);
        // One shell for the block. After each command a line tells its exit code, which the
        // next command finds in $?.
        let mut shell = String::from("code=0\n");
        for step in &steps {
            let command = &step.command;
            shell += &format!("(exit $code)\n{command}\ncode=$?\nprintf '\\036%s\\n' $code\n");
        }
        let mut command = self.command("bash", cluster);
        let output = command
            .args(["-c", &format!("exec 2>&1\n{shell}")])
            .output()
            .expect("bash starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        let mut rest = &printed[..];
        for (i, step) in steps.iter().enumerate() {
            let (said, code, left) = cut(rest)
                .unwrap_or_else(|| panic!("{}: {}: no end: {rest}", block.place, step.command));
            rest = left;
            let asked = steps
                .get(i + 1)
                .is_some_and(|next| next.command == "echo $?");
            let told = step
                .output
                .first()
                .is_some_and(|line| line.starts_with("stdp-hpc: "));
            let what = format!(
                "{}: {} (exit code {code}):\n{said}",
                block.place, step.command
            );
            assert!((code == 0) != (told || asked), "{what}");
            if !step.output.is_empty() {
                let said: Vec<String> = said.lines().map(unmeasured).collect();
                let shown: Vec<String> = step.output.iter().map(|line| unmeasured(line)).collect();
                assert_eq!(said, shown, "{what}");
            }
        }
    }
}

/// A command and what the document says it prints.
struct Step {
    command: String,
    output: Vec<String>,
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in &block.lines {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else {
            let step = steps.last_mut();
            let step = step.unwrap_or_else(|| panic!("{}: begins without $", block.place));
            step.output.push(line.clone());
        }
    }
    assert!(!steps.is_empty(), "{}: no command", block.place);
    steps
}

/// What the first of the commands printed, its exit code, and what comes after.
fn cut(printed: &str) -> Option<(&str, i32, &str)> {
    let (said, rest) = printed.split_once('\x1e')?;
    let (code, rest) = rest.split_once('\n')?;
    Some((said, code.parse().ok()?, rest))
}

/// The line without the numbers of measured times and sizes.
fn unmeasured(line: &str) -> String {
    const MEASURED: [&str; 8] = [
        "construction",
        "simulate",
        "a core per thread",
        "real-time factor",
        "memory",
        "program",
        "peak",
        "fits",
    ];
    if !MEASURED.iter().any(|label| line.starts_with(label)) {
        return line.to_owned();
    }
    let number = |c: char| c.is_ascii_digit() || "./,".contains(c);
    let words = line.split_whitespace();
    let words = words.map(|word| {
        let bare = word.trim_matches(number);
        if bare.len() < word.len() && bare.is_empty() {
            "#".to_owned()
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn run(document: &str) {
    let bench = Bench::new();
    for block in blocks(&root().join(document)) {
        bench.run(&block);
    }
}

#[test]
fn readme() {
    run("README.md");
}

#[test]
fn architecture() {
    run("ARCHITECTURE.md");
}

#[test]
fn docs() {
    thread::scope(|scope| {
        for document in documents() {
            if document.starts_with(root().join("docs")) {
                scope.spawn(move || run(document.to_str().expect("a name in UTF-8")));
            }
        }
    });
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document");
        for link in text.split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap_or_default();
            if link.is_empty() || link.contains("://") {
                continue;
            }
            let target = document.parent().expect("a folder").join(link);
            assert!(target.exists(), "{}: {link}", document.display());
        }
    }
}

#[test]
fn help_fits_a_terminal() {
    let help = |option| {
        let output = Command::new(PROGRAM).arg(option).output().expect("starts");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    };
    let (short, long) = (help("-h"), help("--help"));
    assert!(short.lines().count() < 25, "{short}");
    let keys = config::help();
    assert!(long.contains(keys.trim_end()), "{long}");
    for line in keys.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
