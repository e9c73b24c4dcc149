//! File of a rehearsal: the result with its input and machine, and whether it may be kept.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::thread;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::simd;
use crate::io::outcome::COMMIT;
use crate::tools::child;

use super::super::Rehearsal;

/// Input of one rehearsal and the path of its file.
pub(super) struct Input {
    pub(super) path: PathBuf,
    pub(super) ranks: usize,
    /// Arguments of the program.
    pub(super) arguments: Vec<String>,
    pub(super) config_sha256: String,
}

/// Rehearsal with its provenance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rehearsed {
    pub(super) command: String,
    config_sha256: String,
    pub(super) machine: Machine,
    /// Result of the rehearsal.
    pub rehearsal: Rehearsal,
}

/// Machine and date of a rehearsal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    instruction_set: String,
    pub(super) date: String,
}

impl Machine {
    /// Returns the description of this machine with the current date.
    pub(super) fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        Machine {
            cpu: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            instruction_set: simd::in_use().name().to_owned(),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        }
    }
}

impl Input {
    /// Returns the result stored in this rehearsal's file, or `None` if there is no file.
    ///
    /// # Errors
    /// Fails if the file cannot be read, does not hold a rehearsal, has a different command or
    /// config, or is older than one of `files`, which the config names.
    pub(super) fn stored(&self, files: &[PathBuf]) -> Result<Option<Rehearsed>> {
        let fault = |what: String| Error::input(format!("{}: {what}", self.path.display()));
        let written = match fs::metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            meta => meta.and_then(|meta| meta.modified()).ok(),
        };
        let text = files::read_own_text(&self.path)?;
        let found: Rehearsed = serde_json::from_str(&text).map_err(|error| {
            fault(format!(
                "is no result of a rehearsal ({error}): --force rehearses again"
            ))
        })?;
        let command = child::shell_line(&self.arguments);
        for (what, there, here) in [
            ("command", &found.command, &command),
            ("config_sha256", &found.config_sha256, &self.config_sha256),
        ] {
            if there != here {
                return Err(fault(format!(
                    "{what} was {there}, not {here}: name another --out, or --force to rehearse \
                     again"
                )));
            }
        }
        let changed = |file: &&PathBuf| fs::metadata(file).and_then(|meta| meta.modified()).ok();
        if let Some(newer) = files.iter().find(|file| changed(file) > written) {
            let newer = newer.display();
            return Err(fault(format!(
                "is older than {newer}: name another --out, or --force to rehearse again"
            )));
        }
        Ok(Some(found))
    }
}

impl Rehearsed {
    pub(super) fn new(input: Input, machine: Machine, rehearsal: Rehearsal) -> Self {
        Rehearsed {
            command: child::shell_line(&input.arguments),
            config_sha256: input.config_sha256,
            machine,
            rehearsal,
        }
    }

    /// Returns what must be equal for all rehearsals of a series, with names.
    fn origin(&self) -> [(&'static str, &str); 3] {
        origin(&self.rehearsal.commit, &self.machine)
    }
}

fn origin<'a>(commit: &'a str, machine: &'a Machine) -> [(&'static str, &'a str); 3] {
    [
        ("commit", commit),
        ("processor", &machine.cpu),
        ("instruction set", &machine.instruction_set),
    ]
}

/// Checks that the `kept` results of `inputs` have the same commit, processor and instruction set;
/// if any result is missing, that they have this build's and those of `here`.
///
/// # Errors
/// Fails if one differs.
pub(super) fn check_alike(
    inputs: &[Input],
    kept: &[Option<Rehearsed>],
    here: &Machine,
) -> Result<()> {
    let complete = kept.iter().all(Option::is_some);
    let first = kept.iter().flatten().next().filter(|_| complete);
    let expected = first.map_or_else(|| origin(COMMIT, here), Rehearsed::origin);
    let whose = first.map_or("here".to_owned(), |first| {
        format!("for R = {}", first.rehearsal.ranks)
    });
    for (input, kept) in inputs.iter().zip(kept) {
        let Some(kept) = kept else { continue };
        for ((what, there), (_, expected)) in kept.origin().into_iter().zip(expected) {
            if there != expected {
                return Err(Error::input(format!(
                    "{}: {what} is {there}, but {expected} {whose}: name another --out, or --force \
                     to rehearse all again",
                    input.path.display()
                )));
            }
        }
    }
    Ok(())
}
