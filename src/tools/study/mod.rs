//! A study: one config, some of its keys varied, every combination a run.
//!
//! `spec` reads the study file, `runs` makes checked runs of it. Each run has a directory in
//! OUT/runs and a log in OUT/logs. Whether it is done its run.json alone tells, so a study that
//! was stopped goes on where it was. `local` starts runs one after the other, `slurm` hands them
//! over as jobs, `table` puts together what they did.

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
use crate::tools::report;

use runs::Run;
use slurm::Queue;
use spec::{JobOptions, Spec};
use table::Finished;

/// A study that was read and checked.
pub struct Study {
    /// The base config: an absolute path, so that paths in it are the same wherever it starts.
    config: PathBuf,
    /// OUT.
    out: PathBuf,
    runs: Vec<Run>,
    jobs: JobOptions,
}

/// Where runs are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Here, one after the other.
    Here,
    /// As jobs, one a run.
    Slurm,
}

/// What came of it.
pub struct Conclusion {
    /// What the runs that are done did, a line each; none if none is. An error if the page or the
    /// CSV of them cannot be written.
    pub table: Result<Option<String>>,
    /// Names of the runs that failed, or were not submitted, and why.
    pub failed: Vec<(String, String)>,
    /// Faults of the results that cannot be read or are mixed up, which the table leaves out.
    pub unusable: Vec<Error>,
}

/// What keeps other studies, and runs, out of OUT.
struct Locks {
    /// The lock that a plain run would take too.
    _directory: DirectoryLock,
    /// The lock that each run started holds as well, so that it is free only when all have ended.
    runs: File,
}

/// How far a run is.
enum State {
    /// Nothing is there.
    New,
    /// Slurm has it, in this state of Slurm's.
    Queued(String),
    /// A process is at work in its directory.
    Running,
    /// It has begun and is not done: it failed or was killed.
    Stopped,
    /// Done as the study has it.
    Done(Box<RunRecord>),
    /// Done by another build, which this one says: its results need not be this build's.
    OtherBuild(String),
    /// There is a result, of something else.
    Other(Error),
    /// There is a result that cannot be used: unreadable, or files of two runs.
    Unusable(Error),
}

impl Study {
    /// Reads the study file at `file` for the output directory `out`, else results/ and the name
    /// of the file; `quick` makes it the quick form, of another name. Starts nothing.
    ///
    /// # Errors
    /// At the first fault, in one line: of the study file, its config, or a run of it.
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

    /// The directory of all that it leaves.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The runs: name, ranks x threads, state, what is set; a line each.
    ///
    /// # Errors
    /// If Slurm is to be asked and does not answer.
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

    /// Runs what is not done, or hands it to Slurm, and writes table and report of all that is.
    /// `force` repeats runs whose result is of other parameters or another build, and is passed
    /// on; `say` takes lines of progress.
    ///
    /// # Errors
    /// If OUT is in use or holds results of other parameters or another build; if it cannot be
    /// written; if Slurm does not answer; if a signal asks to end while runs are started here.
    /// That a run fails is no error here.
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

    /// Fails where a signal has asked the study to end.
    fn end_if_asked(&self) -> Result<()> {
        let Some(signal) = signals::received() else {
            return Ok(());
        };
        let queue = Queue::default();
        let is_done = |run: &&Run| matches!(self.state(run, &queue), State::Done(_));
        let done = self.runs.iter().filter(is_done).count();
        let of = self.runs.len();
        Err(Error::Interrupted(format!(
            "interrupted by {signal}: {done} of {of} runs are done, the same command goes on from \
             there"
        )))
    }

    /// Writes study.csv and report.html of the runs that are done; returns the table of them,
    /// which names those whose result is `unusable` too.
    fn collect(&self, finished: &[Finished], unusable: &[&Run]) -> Result<Option<String>> {
        if finished.is_empty() {
            return Ok(None);
        }
        write(&self.out.join("study.csv"), &table::csv(finished))?;
        let done = finished.iter().map(|of| of.run);
        let runs = done.chain(unusable.iter().copied());
        let directories: Vec<PathBuf> = runs.map(|run| self.directory(run)).collect();
        let found = report::Found::in_directories(&directories);
        report::write(found, &self.out.join("report.html"), None, true)?;
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
                "{}: is of other parameters, {difference}: name another --out, or --force to \
                 repeat it",
                directory.display()
            ))),
        }
    }

    /// Takes the locks of OUT, or tells `say` that its file system has none.
    fn lock(&self, say: &mut dyn FnMut(&str)) -> Result<Locks> {
        let fault = |what: String| Error::input(format!("--out {}: {what}", self.out.display()));
        if self.out.join("run.json").exists() {
            return Err(fault(
                "holds the result of a run: name another directory".to_owned(),
            ));
        }
        let unwritable = |error| fault(format!("cannot write there: {error}"));
        fs::create_dir_all(&self.out).map_err(unwritable)?;
        let directory = match DirectoryLock::take(&self.out, "a study") {
            Ok(lock) => lock,
            Err(Refusal::Busy(who)) => {
                return Err(fault(format!(
                    "{who} is at work there: name another directory, or wait for its end"
                )));
            }
            Err(Refusal::Unwritable(error)) => return Err(unwritable(error)),
        };
        if let Some(warning) = directory.warning() {
            say(&warning);
        }
        let runs = File::create(self.out.join("lock")).map_err(unwritable)?;
        // A run needs a moment to end with a study that was killed.
        match Hold::take(&runs, Duration::from_secs(5)) {
            Hold::Taken | Hold::Unsupported(_) => Ok(Locks {
                _directory: directory,
                runs,
            }),
            Hold::Busy => Err(fault("another study is at work there".to_owned())),
        }
    }

    /// Where the result of `run` goes.
    fn directory(&self, run: &Run) -> PathBuf {
        self.out.join("runs").join(&run.name)
    }

    /// Where goes what `run` says.
    fn log(&self, run: &Run) -> PathBuf {
        self.out.join("logs").join(format!("{}.log", run.name))
    }

    /// The arguments of the program for `run`, but for its threads; `force` is the study's.
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

/// Removes what an earlier attempt at `run` left.
///
/// # Errors
/// If a process is at work in its directory, or a file cannot be removed.
fn clear(study: &Study, run: &Run) -> Result<()> {
    let directory = study.directory(run);
    if !directory.exists() {
        return Ok(());
    }
    let fault = |what: String| Error::input(format!("{}: {what}", directory.display()));
    match DirectoryLock::take(&directory, "a study") {
        Ok(_lock) => outcome::clear(&directory),
        Err(Refusal::Busy(who)) => Err(fault(format!("{who} is at work there"))),
        Err(Refusal::Unwritable(error)) => Err(fault(format!("cannot write there: {error}"))),
    }
}

/// What built the program whose result is `record`, if it was not this build.
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

/// The most directories that a message names.
const MOST_NAMED: usize = 10;

/// The error that these directories hold results of other builds, if there are any.
fn of_other_builds(old: &[(PathBuf, String)]) -> Option<Error> {
    let (_, build) = old.first()?;
    let named = old.iter().take(MOST_NAMED);
    let named: Vec<String> = named.map(|(path, _)| path.display().to_string()).collect();
    let more = match old.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (verb, object) = match old.len() {
        1 => ("is", "it"),
        _ => ("are", "them"),
    };
    let builds: BTreeSet<&String> = old.iter().map(|(_, build)| build).collect();
    let others = match builds.len() {
        1 => "",
        _ => " and others",
    };
    Some(Error::input(format!(
        "{}{more}: {verb} of another build, {build}{others}; this is {PROGRAM} ({COMMIT}), whose \
         results may differ: name another --out, or --force to repeat {object}",
        named.join(", ")
    )))
}

/// Writes a file of the study, and the folder that it is in.
fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)
        .map_err(|error| Error::run(format!("{}: cannot create: {error}", folder.display())))?;
    files::replace_own(path, text.as_bytes())
}

/// Returns why a run failed, by what stands in its log.
fn last_words(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    child::last_words(&String::from_utf8_lossy(&bytes))
}
