//! Rehearses one rank for each of several numbers of ranks and stores the results in files. This
//! predicts weak or strong scaling before a large machine is available.

mod crossover;
mod figure;
mod scaled;
mod table;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::io::outcome::COMMIT;
use crate::tools::child;

use super::Rehearsal;
use scaled::Scaled;

/// Input of a series of rehearsals and the directory of its results.
#[derive(Clone, Debug)]
pub struct Series {
    /// Path of the config file.
    pub config: PathBuf,
    /// Numbers of ranks; a separate process rehearses each.
    pub ranks: Vec<usize>,
    /// Index of the rank to rehearse; the last rank if there are fewer ranks.
    pub rank: usize,
    /// Threads per rank; replaces the config's value.
    pub threads: Option<usize>,
    /// Values of keys, as `TABLE.KEY=VALUE`; they replace the config's.
    pub overrides: Vec<String>,
    /// Output directory.
    pub out: PathBuf,
    /// Repeats rehearsals that already have a result.
    pub force: bool,
}

/// Rehearsal with its provenance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rehearsed {
    command: String,
    config_sha256: String,
    machine: Machine,
    /// Result of the rehearsal.
    pub rehearsal: Rehearsal,
}

/// Machine and date of a rehearsal.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Machine {
    cpu: String,
    cores: usize,
    date: String,
}

impl Series {
    /// Rehearses every number of ranks that has no result in `out`. Returns all results, ordered by
    /// the number of ranks.
    ///
    /// Writes each result to `out`/ranks_R.json as soon as it is available. Calls `say` with one
    /// line before each rehearsal.
    ///
    /// # Errors
    /// Fails if a rehearsal fails (with its message), if a file cannot be read or written, or if a
    /// result in `out` has a different config, command, commit or processor and `force` is not set.
    pub fn rehearse(&self, say: &mut dyn FnMut(&str)) -> Result<Vec<Rehearsed>> {
        let config = sha256_of(&self.config)?;
        let mut ranks = self.ranks.clone();
        ranks.sort_unstable();
        ranks.dedup();
        let mut found: Vec<Rehearsed> = Vec::new();
        for ranks in ranks {
            let path = self.out.join(format!("ranks_{ranks}.json"));
            let arguments = self.arguments(ranks)?;
            let command = child::shell_line(&arguments);
            let stored = match self.force {
                true => None,
                false => stored(&path, &command, &config)?,
            };
            let rehearsed = match stored {
                Some(rehearsed) => rehearsed,
                None => {
                    say(&format!(
                        "rehearsing rank {} of {ranks}",
                        self.rank.min(ranks - 1)
                    ));
                    let rehearsed = Rehearsed {
                        command,
                        config_sha256: config.clone(),
                        rehearsal: run(&arguments)?,
                        machine: Machine::here(),
                    };
                    let text = serde_json::to_string_pretty(&rehearsed).expect("plain data");
                    write(&path, &(text + "\n"))?;
                    rehearsed
                }
            };
            if let Some(first) = found.first() {
                alike(&path, first, &rehearsed)?;
            }
            found.push(rehearsed);
        }
        Ok(found)
    }

    /// Writes table.md, scaling.csv and scaling.png of the results `found` to `out`. Returns the
    /// text of table.md.
    ///
    /// # Errors
    /// Fails if a file cannot be written.
    pub fn write(&self, found: &[Rehearsed]) -> Result<String> {
        let scaled: Vec<_> = found.iter().map(|one| Scaled(&one.rehearsal)).collect();
        let table = table::markdown(&scaled, found);
        let figure = figure::figure(&scaled);
        write(&self.out.join("table.md"), &table)?;
        write(&self.out.join("scaling.csv"), &table::csv(&scaled))?;
        let path = self.out.join("scaling.png");
        files::replace(&path, &figure.png(&path)?)?;
        Ok(table)
    }

    /// Returns the program arguments for the rehearsal of one of `ranks` ranks.
    ///
    /// # Errors
    /// Fails if the path of the config is not UTF-8.
    fn arguments(&self, ranks: usize) -> Result<Vec<String>> {
        let Some(config) = self.config.to_str() else {
            let path = self.config.display();
            return Err(Error::input(format!("{path}: the path must be UTF-8")));
        };
        let rank = self.rank.min(ranks - 1);
        let mut arguments = vec!["dry-run".to_owned(), config.to_owned()];
        arguments.extend([format!("--ranks={ranks}"), format!("--rank={rank}")]);
        arguments.extend(self.threads.map(|threads| format!("--threads={threads}")));
        arguments.extend(self.overrides.iter().map(|set| format!("--set={set}")));
        Ok(arguments)
    }
}

/// Returns the SHA-256 digest of a text file as hexadecimal digits.
fn sha256_of(path: &Path) -> Result<String> {
    let digest = Sha256::digest(files::read_text(path)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Runs the program with `arguments` and returns its result. Uses a separate process because peak
/// memory is measured per process.
fn run(arguments: &[String]) -> Result<Rehearsal> {
    let program = std::env::current_exe();
    let program =
        program.map_err(|error| Error::run(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(program);
    command.args(arguments).args(["--json", "--quiet"]);
    child::prepare(&mut command);
    let output = command
        .output()
        .map_err(|error| Error::run(format!("cannot start a rehearsal: {error}")))?;
    let fault = |code: u8, text: &str| Error::of_exit_code(code, child::last_words(text));
    match output.status.code() {
        Some(0) => serde_json::from_slice(&output.stdout)
            .map_err(|error| Error::run(format!("a rehearsal printed no result: {error}"))),
        Some(code) => {
            let code = u8::try_from(code).unwrap_or(1);
            Err(fault(code, &String::from_utf8_lossy(&output.stderr)))
        }
        None => Err(fault(
            1,
            &format!("a rehearsal ended with {}", output.status),
        )),
    }
}

/// Returns the result stored at `path`, or `None` if there is no file.
///
/// # Errors
/// Fails if the file cannot be read, does not hold a rehearsal, or has a different command or
/// config.
fn stored(path: &Path, command: &str, config: &str) -> Result<Option<Rehearsed>> {
    let fault = |what: String| Error::input(format!("{}: {what}", path.display()));
    if fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    let text = files::read_text(path)?;
    let found: Rehearsed = serde_json::from_str(&text).map_err(|error| {
        fault(format!(
            "is no result of a rehearsal ({error}): --force rehearses again"
        ))
    })?;
    for (what, there, here) in [
        ("command", &found.command[..], command),
        ("config_sha256", &found.config_sha256, config),
    ] {
        if there != here {
            return Err(fault(format!(
                "{what} was {there}, not {here}: name another --out, or --force to rehearse again"
            )));
        }
    }
    Ok(Some(found))
}

/// Checks that `one`, the result stored at `path`, has the same commit and processor as `first`.
fn alike(path: &Path, first: &Rehearsed, one: &Rehearsed) -> Result<()> {
    let commit = |of: &Rehearsed| of.rehearsal.commit.clone();
    let cpu = |of: &Rehearsed| of.machine.cpu.clone();
    for (what, here, there) in [
        ("commit", commit(one), commit(first)),
        ("processor", cpu(one), cpu(first)),
    ] {
        if here != there {
            return Err(Error::input(format!(
                "{}: {what} is {here}, but {there} for R = {}: --force rehearses all again (this is \
                 commit {COMMIT})",
                path.display(),
                first.rehearsal.ranks
            )));
        }
    }
    Ok(())
}

/// Writes a file; creates its directory if needed.
fn write(path: &Path, text: &str) -> Result<()> {
    files::create_folder_of(path)?;
    files::replace(path, text.as_bytes())
}

impl Machine {
    /// Returns the description of this machine with the current date.
    fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        Machine {
            cpu: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        }
    }
}
