//! Runs on this machine, one after the other, each in a separate process.

use std::fs::File;
use std::io;
use std::process::{Command, ExitStatus};
use std::time::Instant;

use crate::comm::signals;
use crate::tools::child::{self, shell_line};

use super::{Queue, Run, State, Study, clear, last_words, write};

/// Runs all of `to_do` and continues after a failed run. Returns the names of the failed runs with
/// the reasons. After a signal to end, passes it to the current run and starts no other. Each run
/// also holds `lock`, the study's lock, until it ends.
pub(super) fn work(
    study: &Study,
    to_do: &[&Run],
    force: bool,
    lock: &File,
    say: &mut dyn FnMut(&str),
) -> Vec<(String, String)> {
    let mut failed = Vec::new();
    for (i, run) in to_do.iter().enumerate() {
        let begun = Instant::now();
        let ended = start(study, run, force, lock);
        if signals::received().is_some() {
            break;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let what = match ended.and_then(|status| judge(study, run, status)) {
            Ok(factor) => format!("{seconds:.1} s, real-time factor {factor:.3}"),
            Err(why) => {
                let what = format!("failed: {why}");
                failed.push((run.name.clone(), why));
                what
            }
        };
        say(&format!("{}/{} {}: {what}", i + 1, to_do.len(), run.name));
    }
    failed
}

/// Returns the real-time factor of a run that has ended with `status`, or the reason why it failed.
fn judge(study: &Study, run: &Run, status: ExitStatus) -> std::result::Result<f64, String> {
    if status.success() {
        match study.state(run, &Queue::default()) {
            State::Done(record) => {
                if let Some(outcome) = record.outcome {
                    return Ok(outcome.real_time_factor);
                }
            }
            State::Unusable(error) => return Err(error.to_string()),
            _ => {}
        }
    }
    let words = last_words(&study.log(run));
    Err(match status.code() {
        Some(_) => words,
        None => format!("{status}; {words}"),
    })
}

/// Runs the program, under mpirun if it has several ranks, and waits for its end.
fn start(
    study: &Study,
    run: &Run,
    force: bool,
    lock: &File,
) -> std::result::Result<ExitStatus, String> {
    clear(study, run).map_err(|error| error.to_string())?;
    let words = command(study, run, force)?;
    let path = study.log(run);
    let fault = |error: io::Error| format!("{}: {error}", path.display());
    write(&path, &format!("$ {}\n", shell_line(&words))).map_err(|error| error.to_string())?;
    let log = File::options().append(true).open(&path).map_err(fault)?;
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        // The lock file is empty and serves as stdin. The run thereby holds the lock, so the lock
        // is free only after the run has ended.
        .stdin(lock.try_clone().map_err(fault)?)
        .stdout(log.try_clone().map_err(fault)?)
        .stderr(log);
    child::run(command).map_err(|error| format!("{} cannot be started: {error}", words[0]))
}

/// Returns the words of the command line of `run`.
fn command(study: &Study, run: &Run, force: bool) -> std::result::Result<Vec<String>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut words = Vec::new();
    if run.ranks > 1 {
        let mpirun = std::env::var("MPIRUN").unwrap_or_else(|_| "mpirun".to_owned());
        words.extend([mpirun, "-n".to_owned(), run.ranks.to_string()]);
    }
    words.push(program.to_string_lossy().into_owned());
    words.extend(study.arguments(run, force));
    words.extend(["--threads".to_owned(), run.threads.to_string()]);
    Ok(words)
}
