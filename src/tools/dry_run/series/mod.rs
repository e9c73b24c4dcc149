//! Rehearses one rank for each of several numbers of ranks and stores the results in files. This
//! predicts weak or strong scaling before a large machine is available.

mod crossover;
mod figure;
mod scaled;
mod stored;
mod table;

use std::fs;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use sha2::{Digest, Sha256};

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::lock::DirectoryLock;
use crate::comm::signals;
use crate::tools::child;
use crate::tools::output_directory;

use super::Rehearsal;
use scaled::Scaled;
pub use stored::Rehearsed;
use stored::{Input, Machine};

/// Names of the files that are made from the results.
const DERIVED: [&str; 3] = ["table.md", "scaling.csv", "scaling.png"];

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
    /// Files that the config names.
    pub files: Vec<PathBuf>,
    /// Output directory.
    pub out: PathBuf,
    /// Repeats rehearsals that already have a result and overwrites other files.
    pub force: bool,
}

impl Series {
    /// Rehearses every number of ranks that has no result in `out`, and writes the table and the
    /// figure of all. Returns the results, ordered by the number of ranks, and the table.
    ///
    /// Writes each result to `out`/ranks_R.json as soon as it is available; then table.md,
    /// scaling.csv and scaling.png. Calls `say` with one line before each rehearsal.
    ///
    /// # Errors
    /// Fails before the first rehearsal if `out` is in use or cannot be written, if a result in it
    /// belongs to something else (config, command, input file, commit, processor or instruction
    /// set) and `force` is not set, or if a file there was not written by a series. Fails if the
    /// config changes meanwhile, a signal to end arrives, a rehearsal fails, or a file cannot be
    /// written.
    pub fn conduct(&self, say: &mut dyn FnMut(&str)) -> Result<(Vec<Rehearsed>, String)> {
        let config = sha256_of(&self.config)?;
        let _lock = self.lock(say)?;
        let machine = Machine::here();
        let inputs = self.inputs(&config)?;
        let kept = inputs
            .iter()
            .map(|input| match self.force {
                true => Ok(None),
                false => input.stored(&self.files),
            })
            .collect::<Result<Vec<_>>>()?;
        stored::check_alike(&inputs, &kept, &machine)?;
        signals::watch()?;
        let mut found = Vec::new();
        for (done, (input, kept)) in inputs.into_iter().zip(kept).enumerate() {
            let rehearsed = match kept {
                Some(rehearsed) => rehearsed,
                None => self.rehearse(input, machine.clone(), done, say)?,
            };
            found.push(rehearsed);
        }
        let table = self.write(&found)?;
        Ok((found, table))
    }

    /// Locks `out`, creating it if needed. Passes a warning to `say` if the file system does not
    /// support locks.
    ///
    /// # Errors
    /// Fails if `out` is in use or cannot be written, or if it holds a file of a name in [`DERIVED`]
    /// but no rehearsal and `force` is not set.
    fn lock(&self, say: &mut dyn FnMut(&str)) -> Result<DirectoryLock> {
        let lock = output_directory::lock(&self.out, "a dry run", say)?;
        let is_rehearsal = |name: &str| name.starts_with("ranks_") && name.ends_with(".json");
        let names = fs::read_dir(&self.out).into_iter().flatten().flatten();
        let mut names = names.map(|entry| entry.file_name());
        if !self.force && !names.any(|name| is_rehearsal(&name.to_string_lossy())) {
            for name in DERIVED {
                files::refuse_existing("--out", &self.out.join(name), false)?;
            }
        }
        Ok(lock)
    }

    /// Returns the inputs of the rehearsals, ordered by the number of ranks, each once. `config` is
    /// the digest of the config.
    fn inputs(&self, config: &str) -> Result<Vec<Input>> {
        let mut ranks = self.ranks.clone();
        ranks.sort_unstable();
        ranks.dedup();
        let inputs = ranks.into_iter().map(|ranks| {
            Ok(Input {
                path: self.out.join(format!("ranks_{ranks}.json")),
                ranks,
                arguments: self.arguments(ranks)?,
                config_sha256: config.to_owned(),
            })
        });
        inputs.collect()
    }

    /// Returns the index of the rank to rehearse of `ranks` ranks.
    fn rank_of(&self, ranks: usize) -> usize {
        self.rank.min(ranks - 1)
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
        let rank = self.rank_of(ranks);
        let mut arguments = vec!["dry-run".to_owned()];
        arguments.extend([format!("--ranks={ranks}"), format!("--rank={rank}")]);
        arguments.extend(self.threads.map(|threads| format!("--threads={threads}")));
        arguments.extend(self.overrides.iter().map(|set| format!("--set={set}")));
        // A path may begin with a dash.
        arguments.extend((config.starts_with('-')).then(|| "--".to_owned()));
        arguments.push(config.to_owned());
        Ok(arguments)
    }

    /// Rehearses `input` and stores the result; `done` rehearsals were done before.
    fn rehearse(
        &self,
        input: Input,
        machine: Machine,
        done: usize,
        say: &mut dyn FnMut(&str),
    ) -> Result<Rehearsed> {
        let (rank, ranks) = (self.rank_of(input.ranks), input.ranks);
        say(&format!("rehearsing rank {rank} of {ranks}"));
        let rehearsal = run(
            &input.arguments,
            &format!("rehearsal of rank {rank} of {ranks}"),
        );
        if let Some(signal) = signals::received() {
            return Err(Error::Interrupted(format!(
                "interrupted by {signal}: {done} rehearsals are done, the same command resumes it"
            )));
        }
        let rehearsal = rehearsal?;
        if sha256_of(&self.config)? != input.config_sha256 {
            let config = self.config.display();
            return Err(Error::input(format!(
                "{config}: changed during the rehearsal of rank {rank} of {ranks}: start again"
            )));
        }
        let path = input.path.clone();
        let rehearsed = Rehearsed::new(input, machine, rehearsal);
        let text = serde_json::to_string_pretty(&rehearsed).expect("plain data");
        files::replace_own(&path, (text + "\n").as_bytes())?;
        Ok(rehearsed)
    }

    /// Writes table and figure of the results `found`. Returns the table.
    fn write(&self, found: &[Rehearsed]) -> Result<String> {
        let scaled: Vec<_> = found.iter().map(|one| Scaled(&one.rehearsal)).collect();
        let table = table::markdown(&scaled, found);
        let [table_path, csv_path, png_path] = DERIVED.map(|name| self.out.join(name));
        let png = figure::figure(&scaled).png(&png_path)?;
        files::replace_own(&table_path, table.as_bytes())?;
        files::replace_own(&csv_path, table::csv(&scaled).as_bytes())?;
        files::replace_own(&png_path, &png)?;
        Ok(table)
    }
}

/// Returns the SHA-256 digest of a text file as hexadecimal digits.
fn sha256_of(path: &Path) -> Result<String> {
    let digest = Sha256::digest(files::read_text(path)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Runs the program with `arguments` and returns its result. Uses a separate process because peak
/// memory is measured per process. `what` it is begins the message if it fails.
fn run(arguments: &[String], what: &str) -> Result<Rehearsal> {
    let fault = |error: io::Error| Error::run(format!("{what}: {error}"));
    let (mut stdout, mut stderr) = (
        tempfile::tempfile().map_err(fault)?,
        tempfile::tempfile().map_err(fault)?,
    );
    let mut command = Command::new(std::env::current_exe().map_err(fault)?);
    let (verb, arguments) = arguments.split_at(1);
    command
        .args(verb)
        .args(["--json", "--quiet"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().map_err(fault)?)
        .stderr(stderr.try_clone().map_err(fault)?);
    let status = child::run(command).map_err(fault)?;
    let read = |file: &mut fs::File| {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let printed = read(&mut stdout).map_err(fault)?;
    let said = read(&mut stderr).map_err(fault)?;
    if status.success() {
        return serde_json::from_str(&printed)
            .map_err(|error| Error::run(format!("{what} printed no result: {error}")));
    }
    Err(failure(status, &said, what))
}

/// Returns the error of a rehearsal that ended with `status` and `said` why.
fn failure(status: ExitStatus, said: &str, what: &str) -> Error {
    let words = child::last_words(said);
    match status.code() {
        Some(code) => {
            let code = u8::try_from(code).unwrap_or(1);
            Error::of_exit_code(code, format!("{what}: {words}"))
        }
        None => Error::run(format!("{what} ended with {status}: {words}")),
    }
}
