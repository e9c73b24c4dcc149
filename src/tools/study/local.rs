//! Runs started here, one after the other, each a process of its own.

use std::fs::File;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::comm::signals;
use crate::tools::child::{self, shell_line};

use super::{Queue, Run, State, Study, clear, last_words, write};

/// Runs all of `to_do`; one that fails does not keep the others from running. Returns the names
/// of those that did, and why. A signal to end goes to the run at work, and no other is started.
/// `lock` is the study's; they hold it too while they last.
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

/// The real-time factor of a run that has ended with `status`, or why it failed.
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

/// Runs the program, under mpirun where there are several ranks, and waits for its end.
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
        // Empty, and a hold on the lock: whoever finds it free finds the run ended as well.
        .stdin(lock.try_clone().map_err(fault)?)
        .stdout(log.try_clone().map_err(fault)?)
        .stderr(log);
    child::prepare(&mut command);
    let ended = command.spawn().and_then(wait);
    ended.map_err(|error| format!("{} cannot be started: {error}", words[0]))
}

/// Interval between two looks at a run: short beside any run, long beside a look.
const LOOK: Duration = Duration::from_millis(10);

/// Waits for the end of `child`. A signal to end reaches it as SIGUSR1: a launcher passes that
/// one on and leaves its ranks the time to end in good order, and a run that has also had the
/// SIGINT of the terminal does not take it for a second one.
fn wait(mut child: Child) -> io::Result<ExitStatus> {
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if !told && signals::received().is_some() {
            // SAFETY: plain numbers; the child has not been waited for, so the id is its own.
            unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGUSR1) };
            told = true;
        }
        sleep(LOOK);
    }
}

/// The command line of `run`.
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
