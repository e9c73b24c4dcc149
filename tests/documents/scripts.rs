//! The shell scripts: they parse, explain themselves, and say what a machine lacks.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `bash script args…` from a directory that is not the repository's.
fn bash(script: &str, args: &[&str]) -> Output {
    Command::new("/bin/bash")
        .arg(root().join(script))
        .args(args)
        .current_dir("/")
        .output()
        .expect("bash starts")
}

/// A machine that lacks nearly everything: a PATH of coreutils, an `id` that answers `uid`,
/// and whatever else `commands` names, each an empty script that succeeds.
fn bare_machine(dir: &Path, uid: &str, commands: &[&str]) -> Command {
    for tool in ["dirname", "env", "mktemp", "rm", "cat"] {
        let real = ["/usr/bin", "/bin"]
            .iter()
            .map(|place| PathBuf::from(place).join(tool))
            .find(|path| path.exists())
            .expect("coreutils are there");
        symlink(real, dir.join(tool)).expect("symlink");
    }
    let script = |name: &str, body: &str| {
        let path = dir.join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    };
    script("id", &format!("echo {uid}"));
    for name in commands {
        script(name, "");
    }
    let mut command = Command::new("/bin/bash");
    command
        .arg(root().join("scripts/setup.sh"))
        .env_clear()
        .env("PATH", dir)
        .env("HOME", dir);
    command
}

#[test]
fn every_script_parses_and_may_be_executed() {
    let mut scripts = vec![root().join(".ci/run")];
    for dir in ["scripts", "slurm"] {
        for entry in fs::read_dir(root().join(dir)).expect("directory") {
            let path = entry.expect("entry").path();
            if path.extension().is_some_and(|e| e == "sh" || e == "sbatch") {
                scripts.push(path);
            }
        }
    }
    assert!(scripts.len() >= 11, "{scripts:?}");
    for script in scripts {
        let output = Command::new("/bin/bash")
            .arg("-n")
            .arg(&script)
            .output()
            .expect("bash starts");
        assert!(
            output.status.success(),
            "{script:?}: {}",
            text(&output.stderr)
        );
        // mpi-env.sh and those in slurm/ are sourced, an sbatch file is handed to sbatch.
        let called = !script.ends_with("mpi-env.sh")
            && !script.starts_with(root().join("slurm"))
            && script.extension().is_none_or(|e| e == "sh");
        let mode = fs::metadata(&script)
            .expect("metadata")
            .permissions()
            .mode();
        assert!(!called || mode & 0o111 != 0, "{script:?} is not executable");
    }
}

#[test]
fn run_explains_itself_from_any_directory() {
    let output = bash("scripts/run.sh", &["--help"]);
    assert!(output.status.success());
    let help = text(&output.stdout);
    for word in ["usage: run.sh [-n R]", "MPICC", "CARGO_TARGET_DIR"] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
}

#[test]
fn run_refuses_a_number_of_ranks_that_is_none() {
    for args in [
        &["-n", "0", "a.toml"][..],
        &["-n"],
        &["-n2x", "a.toml"],
        &[],
    ] {
        let output = bash("scripts/run.sh", args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains("run.sh"), "{args:?}");
    }
}

#[test]
fn setup_is_silent_where_nothing_is_missing() {
    // This test was built here, so nothing is.
    let output = bash("scripts/setup.sh", &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout) + &text(&output.stderr), "");
}

#[test]
fn setup_without_root_names_what_is_missing_and_installs_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    // apt-get is there, but must not be called: it would succeed, and setup would not say so.
    let output = bare_machine(dir.path(), "1000", &["cargo", "apt-get"])
        .output()
        .expect("bash starts");
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for package in [
        "gcc",
        "pkg-config",
        "libopenmpi-dev",
        "openmpi-bin",
        "libhdf5-dev",
    ] {
        assert!(message.contains(package), "{package} is not in:\n{message}");
    }
    assert!(message.contains("module load"), "{message}");
    assert!(!message.contains("installing"), "{message}");
}

#[test]
fn setup_for_the_tests_asks_for_a_browser_too() {
    for (commands, asked) in [
        (&["cargo"][..], true),
        (&["cargo", "chromium"], true),
        (&["cargo", "chrome", "chromedriver"], false),
    ] {
        let dir = tempfile::tempdir().expect("tempdir");
        let output = bare_machine(dir.path(), "1000", commands)
            .arg("--tests")
            .output()
            .expect("bash starts");
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        let asks = message.contains("chromedriver") || message.contains("chromium-driver");
        assert_eq!(asks, asked, "{commands:?}: {message}");
    }
}

#[test]
fn setup_says_where_rust_comes_from() {
    let dir = tempfile::tempdir().expect("tempdir");
    let output = bare_machine(dir.path(), "0", &[])
        .output()
        .expect("bash starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("rustup.rs"));
}

#[test]
fn setup_takes_the_mpi_that_is_there() {
    let dir = tempfile::tempdir().expect("tempdir");
    let output = bare_machine(dir.path(), "1000", &["cargo", "mpicc.other", "mpiexec"])
        .env("MPICC", "mpicc.other")
        .output()
        .expect("bash starts");
    let message = text(&output.stderr);
    assert!(message.contains("libhdf5-dev"), "{message}");
    assert!(!message.contains("openmpi"), "{message}");
}

#[test]
fn setup_does_not_install_over_a_misspelt_mpicc() {
    let dir = tempfile::tempdir().expect("tempdir");
    let output = bare_machine(dir.path(), "0", &["cargo", "apt-get"])
        .env("MPICC", "mpicc.typo")
        .output()
        .expect("bash starts");
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("MPICC=mpicc.typo is not a command"),
        "{message}"
    );
    assert!(!message.contains("installing"), "{message}");
}

#[test]
fn setup_as_root_that_cannot_install_says_what_is_still_missing() {
    let dir = tempfile::tempdir().expect("tempdir");
    // This apt-get succeeds and does nothing.
    let output = bare_machine(dir.path(), "0", &["cargo", "apt-get"])
        .output()
        .expect("bash starts");
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("installing gcc"), "{message}");
    assert!(message.contains("setup: missing"), "{message}");
}
