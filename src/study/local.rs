//! Runs started here, one after the other, each a process of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::error::Result;

use super::{Queue, Run, State, Study, last_words, shell_line};

/// Runs all of `to_do`; one that fails does not keep the others from running. Returns the names
/// of those that did, and why. `lock` is the study's; they hold it too while they last.
pub(super) fn work(
    study: &Study,
    to_do: &[&Run],
    lock: &File,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<(String, String)>> {
    let mut failed = Vec::new();
    for (i, run) in to_do.iter().enumerate() {
        let begun = Instant::now();
        let ended = start(study, run, lock);
        let seconds = begun.elapsed().as_secs_f64();
        let what = match outcome(study, run, ended) {
            Ok(factor) => format!("{seconds:.1} s, real-time factor {factor:.3}"),
            Err(why) => {
                let what = format!("failed: {why}");
                failed.push((run.name.clone(), why));
                what
            }
        };
        say(&format!("{}/{} {}: {what}", i + 1, to_do.len(), run.name));
    }
    Ok(failed)
}

/// The real-time factor of a run that has ended, or why it failed.
fn outcome(
    study: &Study,
    run: &Run,
    ended: io::Result<ExitStatus>,
) -> std::result::Result<f64, String> {
    let status = ended.map_err(|error| format!("cannot be started: {error}"))?;
    if status.success()
        && let State::Done(record) = study.state(run, &Queue::default())
        && let Some(outcome) = record.outcome
    {
        return Ok(outcome.real_time_factor);
    }
    let words = last_words(&study.log(run));
    Err(match status.code() {
        Some(_) => words,
        None => format!("{status}; {words}"),
    })
}

/// Runs the program, under mpirun where there are several ranks, and waits for its end.
fn start(study: &Study, run: &Run, lock: &File) -> io::Result<ExitStatus> {
    let program = std::env::current_exe()?.into_os_string();
    let mut words: Vec<OsString> = Vec::new();
    if run.ranks > 1 {
        words.push(std::env::var_os("MPIRUN").unwrap_or_else(|| "mpirun".into()));
        words.extend(["-n".into(), run.ranks.to_string().into()]);
    }
    words.push(program);
    words.extend(study.arguments(run).into_iter().map(OsString::from));
    words.extend(["--threads".into(), run.threads.to_string().into()]);

    let path = study.log(run);
    fs::create_dir_all(path.parent().expect("it is in a folder"))?;
    let mut log = File::create(path)?;
    let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let line = shell_line(shown.iter().map(AsRef::as_ref));
    writeln!(log, "$ {line}")?;
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        // Empty, and a hold on the lock: whoever finds it free finds the run ended as well.
        .stdin(Stdio::from(lock.try_clone()?))
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log));
    end_with_this_process(&mut command);
    let mut child = command.spawn().map_err(|error| {
        let program = words[0].to_string_lossy();
        io::Error::new(error.kind(), format!("{program}: {error}"))
    })?;
    child.wait()
}

/// What `command` starts is told to end when this process has.
#[cfg(target_os = "linux")]
fn end_with_this_process(command: &mut Command) {
    let ask = || {
        // SAFETY: a system call with plain numbers, on a process that has this thread alone.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec `ask` makes that one system call and allocates nothing.
    unsafe { command.pre_exec(ask) };
}

/// Elsewhere the run goes on to its end, and holds the lock until then.
#[cfg(not(target_os = "linux"))]
fn end_with_this_process(_: &mut Command) {}
