//! Parameter studies: runs one config with every combination of the values of some keys.
//!
//! `spec` reads the study file, `runs` expands it into checked runs. Each run has a directory in
//! OUT/runs and a log in OUT/logs. Only its run.json determines whether a run is done, so a stopped
//! study resumes where it stopped. `local` starts runs one after the other, `slurm` submits them as
//! jobs, `table` tabulates their results.

mod local;
mod runs;
mod slurm;
mod spec;
mod table;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::lock::{DirectoryLock, Hold, Life, Refusal};
use crate::comm::signals;
use crate::io::analysis::Results;
use crate::io::config::recorded::FORMAT;
use crate::io::outcome::{self, COMMIT, PROGRAM, RunRecord};
use crate::tools::child;
use crate::tools::output_directory;
use crate::tools::report;

use runs::Run;
use slurm::Queue;
use spec::{JobOptions, Spec};
use table::Finished;

/// Study that was read and checked.
pub struct Study {
    /// Absolute path of the base config; paths in the config therefore do not depend on the working
    /// directory of a run.
    config: PathBuf,
    /// OUT, the output directory.
    out: PathBuf,
    runs: Vec<Run>,
    jobs: JobOptions,
}

/// Place where runs are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This machine, one run after the other.
    Here,
    /// Slurm, one job per run.
    Slurm,
}

/// Outcome of a study.
pub struct Conclusion {
    /// Table of the finished runs, one line per run; `None` if no run is finished. An error if the
    /// report or the CSV file cannot be written.
    pub table: Result<Option<String>>,
    /// Names of the runs that failed or that Slurm rejected, with the reasons.
    pub failed: Vec<(String, String)>,
    /// Errors of the results that cannot be read or combine files of different runs. The table has
    /// no numbers for them.
    pub unusable: Vec<Error>,
}

/// Locks that keep other studies and runs out of OUT.
struct Locks {
    /// Lock of the directory, which a single run would also take.
    _directory: DirectoryLock,
    /// Lock that each started run also holds; it is free only after all of them have ended.
    runs: File,
}

/// State of a run.
enum State {
    /// Not started; it has neither a result nor a log.
    New,
    /// In Slurm's queue, with Slurm's name of its state.
    Queued(String),
    /// In progress: a process works in its directory.
    Running,
    /// Started but not finished: it failed or was killed.
    Stopped,
    /// Finished with the study's parameters and by this build.
    Done(Box<RunRecord>),
    /// Finished by another build, described by the string; this build's results may differ.
    OtherBuild(String),
    /// Finished with different parameters; the error names the difference.
    Other(Error),
    /// Finished, but the result is unreadable or combines files of different runs.
    Unusable(Error),
}

impl Study {
    /// Reads the study file at `file` without starting a run. The output directory is `out`, by
    /// default results/NAME with the file's stem as NAME; `quick` selects the quick form and
    /// appends `-quick` to the default.
    ///
    /// # Errors
    /// Fails with a message of one line at the first error in the study file, its config or a run.
    pub fn read(file: &Path, out: Option<&Path>, quick: bool) -> Result<Self> {
        let spec = Spec::read(file, quick)?;
        let config = absolute(&spec.config).unwrap_or(spec.config.clone());
        let runs = runs::expand(file, &spec, &config)?;
        let default = || {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let form = if quick { "-quick" } else { "" };
            Path::new("results").join(format!("{name}{form}"))
        };
        Ok(Study {
            config,
            out: out.map_or_else(default, Path::to_owned),
            runs,
            jobs: spec.jobs,
        })
    }

    /// Returns the output directory.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Returns one line per run: name, ranks x threads, state, settings.
    ///
    /// # Errors
    /// Fails if runs were submitted to Slurm and the query of its queue fails.
    pub fn list(&self) -> Result<String> {
        let queue = Queue::ask(self)?;
        let lengths = self.runs.iter().map(|run| run.name.len());
        let width = lengths.max().unwrap_or(0);
        let mut list = String::new();
        for run in &self.runs {
            let split = format!("{} x {}", run.ranks, run.threads);
            let state = match self.state(run, &queue) {
                State::New => "new".to_owned(),
                State::Queued(state) => state.to_lowercase(),
                State::Running => "running".to_owned(),
                State::Stopped => "stopped".to_owned(),
                State::Done(_) => "done".to_owned(),
                State::OtherBuild(_) => "old build".to_owned(),
                State::Other(_) => "differs".to_owned(),
                State::Unusable(_) => "unusable".to_owned(),
            };
            let (name, set) = (&run.name, run.overrides.join(" ").replace('\n', " "));
            writeln!(list, "{name:<width$}  {split:>7}  {state:<9}  {set}").expect("memory");
        }
        Ok(list)
    }

    /// Starts the unfinished runs, here or as Slurm jobs, and writes the table and the report of
    /// all finished runs. `force` repeats runs whose result has different parameters, comes from
    /// another build or is unusable; it is also passed to the runs. `say` receives lines of
    /// progress.
    ///
    /// # Errors
    /// Fails if OUT is in use or cannot be written, if it holds results with different parameters
    /// or from another build and `force` is not set, if Slurm cannot be queried, or if a signal to
    /// end arrives during local runs. A failed run is not an error here.
    pub fn conduct(
        &self,
        place: Place,
        force: bool,
        say: &mut dyn FnMut(&str),
    ) -> Result<Conclusion> {
        let lock = self.lock(say)?;
        let queue = Queue::ask(self)?;
        let (mut to_do, mut old) = (Vec::new(), Vec::new());
        let (mut done, mut queued, mut running) = (0, 0, 0);
        for run in &self.runs {
            match self.state(run, &queue) {
                State::Done(_) => done += 1,
                State::Queued(_) => queued += 1,
                State::Running => running += 1,
                State::Unusable(_) if !force => {}
                State::Other(error) if !force => return Err(error),
                State::OtherBuild(build) if !force => old.push((self.directory(run), build)),
                State::New
                | State::Stopped
                | State::Other(_)
                | State::OtherBuild(_)
                | State::Unusable(_) => {
                    to_do.push(run);
                }
            }
        }
        if let Some(error) = of_other_builds(&old) {
            return Err(error);
        }
        let of = self.runs.len();
        let left = to_do.len();
        let queued = match (queued, place) {
            (0, Place::Here) => String::new(),
            _ => format!(" {queued} queued,"),
        };
        let running = match running {
            0 => String::new(),
            _ => format!(" {running} running,"),
        };
        say(&format!(
            "{of} runs: {done} done,{running}{queued} {left} to do"
        ));
        let failed = match place {
            Place::Here => {
                signals::watch()?;
                local::work(self, &to_do, force, &lock.runs, say)
            }
            Place::Slurm => slurm::submit(self, &to_do, force, say)?,
        };
        self.end_if_asked()?;
        let queue = Queue::default();
        let (mut finished, mut unusable, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for run in &self.runs {
            match self.state(run, &queue) {
                State::Done(record) => finished.extend(Finished::new(run, *record)),
                State::Unusable(error) => {
                    unusable.push(run);
                    if failed.iter().all(|(name, _)| *name != run.name) {
                        faults.push(error);
                    }
                }
                _ => {}
            }
        }
        Ok(Conclusion {
            table: self.collect(&finished, &unusable),
            failed,
            unusable: faults,
        })
    }

    /// Checks whether a signal has asked the study to end.
    ///
    /// # Errors
    /// Fails with [`Error::Interrupted`] if a signal was received.
    fn end_if_asked(&self) -> Result<()> {
        let Some(signal) = signals::received() else {
            return Ok(());
        };
        let queue = Queue::default();
        let is_done = |run: &&Run| matches!(self.state(run, &queue), State::Done(_));
        let done = self.runs.iter().filter(is_done).count();
        let of = self.runs.len();
        Err(Error::Interrupted(format!(
            "interrupted by {signal}: {done} of {of} runs are done, the same command resumes it"
        )))
    }

    /// Writes study.csv and report.html. Returns the table of the finished runs, which also lists
    /// the runs with `unusable` results, or `None` if no run is finished.
    fn collect(&self, finished: &[Finished], unusable: &[&Run]) -> Result<Option<String>> {
        if finished.is_empty() {
            return Ok(None);
        }
        write(&self.out.join("study.csv"), &table::csv(finished))?;
        let done = finished.iter().map(|of| of.run);
        let runs = done.chain(unusable.iter().copied());
        let directories: Vec<PathBuf> = runs.map(|run| self.directory(run)).collect();
        let found = report::Found::in_directories(&directories);
        report::write(found, &self.out.join("report.html"))?;
        Ok(Some(table::table(finished, unusable)))
    }

    fn state(&self, run: &Run, queue: &Queue) -> State {
        if let Some(state) = queue.state(self, run) {
            return State::Queued(state);
        }
        let directory = self.directory(run);
        if Life::of(&directory) == Life::Alive {
            return State::Running;
        }
        if !directory.join("run.json").exists() {
            let begun = self.log(run).exists();
            return if begun { State::Stopped } else { State::New };
        }
        let unusable = |error: Error| {
            State::Unusable(Error::input(format!("{error}; --force repeats the run")))
        };
        let record = match RunRecord::read(&directory) {
            Ok(record) if record.outcome.is_none() => return State::Stopped,
            Ok(record) => record,
            Err(error) => {
                return unusable(error);
            }
        };
        match run.differs(&record) {
            None => match other_build(&record) {
                None => match Results::open(&directory).and_then(|results| results.check_files()) {
                    Ok(()) => State::Done(Box::new(record)),
                    Err(error) => unusable(error),
                },
                Some(build) => State::OtherBuild(build),
            },
            Some(difference) => State::Other(Error::input(format!(
                "{}: has different parameters, {difference}: name another --out, or --force to \
                 repeat it",
                directory.display()
            ))),
        }
    }

    /// Takes the locks of OUT. Passes a warning to `say` if the file system does not support locks.
    fn lock(&self, say: &mut dyn FnMut(&str)) -> Result<Locks> {
        let directory = output_directory::lock(&self.out, "a study", say)?;
        let fault = |what: String| Error::input(format!("--out {}: {what}", self.out.display()));
        let unwritable = |error| fault(format!("cannot write there: {error}"));
        let runs = File::create(self.out.join("lock")).map_err(unwritable)?;
        // Runs of a study that was killed may take a moment to end.
        match Hold::take(&runs, Duration::from_secs(5)) {
            Hold::Taken | Hold::Unsupported(_) => Ok(Locks {
                _directory: directory,
                runs,
            }),
            Hold::Busy => Err(fault("another study is using it".to_owned())),
        }
    }

    /// Returns the path of the output directory of `run`.
    fn directory(&self, run: &Run) -> PathBuf {
        self.out.join("runs").join(&run.name)
    }

    /// Returns the path of the log file of `run`.
    fn log(&self, run: &Run) -> PathBuf {
        self.out.join("logs").join(format!("{}.log", run.name))
    }

    /// Returns the program arguments for `run`, without its number of threads; adds `--force` if
    /// `force` is set.
    fn arguments(&self, run: &Run, force: bool) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut arguments = vec![path(&self.config)];
        for set in &run.overrides {
            arguments.extend(["--set".to_owned(), set.clone()]);
        }
        arguments.extend(["--out".to_owned(), path(&self.directory(run))]);
        arguments.extend(force.then(|| "--force".to_owned()));
        arguments
    }
}

/// Removes the files of an earlier attempt at `run`.
///
/// # Errors
/// Fails if another process works in its directory, the directory cannot be written, or a file
/// cannot be removed.
fn clear(study: &Study, run: &Run) -> Result<()> {
    let directory = study.directory(run);
    if !directory.exists() {
        return Ok(());
    }
    let fault = |what: String| Error::input(format!("{}: {what}", directory.display()));
    match DirectoryLock::take(&directory, "a study") {
        Ok(_lock) => outcome::clear(&directory),
        Err(Refusal::Busy(who)) => Err(fault(format!("{who} is using it"))),
        Err(Refusal::Unwritable(error)) => Err(fault(format!("cannot write there: {error}"))),
    }
}

/// Returns a description of the build that produced `record`, or `None` if it was this build.
fn other_build(record: &RunRecord) -> Option<String> {
    let provenance = &record.provenance;
    let (format, commit) = (record.format, &provenance.commit);
    let same = format == FORMAT && *commit == COMMIT && provenance.program == PROGRAM;
    (!same).then(|| {
        format!(
            "{} ({commit}), run.json of format {format}",
            provenance.program
        )
    })
}

/// Maximum number of directories that a message names.
const MOST_NAMED: usize = 10;

/// Returns the error for directories that hold results of other builds, or `None` if `old`, pairs
/// of directory and build, is empty.
fn of_other_builds(old: &[(PathBuf, String)]) -> Option<Error> {
    let (_, build) = old.first()?;
    let named = old.iter().take(MOST_NAMED);
    let named: Vec<String> = named.map(|(path, _)| path.display().to_string()).collect();
    let more = match old.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (verb, object) = match old.len() {
        1 => ("comes from", "it"),
        _ => ("come from", "them"),
    };
    let builds: BTreeSet<&String> = old.iter().map(|(_, build)| build).collect();
    let others = match builds.len() {
        1 => "",
        _ => " and others",
    };
    Some(Error::input(format!(
        "{}{more}: {verb} another build, {build}{others}; this is {PROGRAM} ({COMMIT}), whose \
         results may differ: name another --out, or --force to repeat {object}",
        named.join(", ")
    )))
}

/// Writes a file of the study; creates its folder if needed.
fn write(path: &Path, text: &str) -> Result<()> {
    files::create_folder_of(path)?;
    files::replace_own(path, text.as_bytes())
}

/// Returns the reason why a run failed, from its log.
fn last_words(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    child::last_words(&String::from_utf8_lossy(&bytes))
}
