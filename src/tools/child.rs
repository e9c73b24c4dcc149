//! Child processes that a subcommand starts: this program, alone or under a launcher.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::Duration;

use crate::comm::launcher::forget_launcher;
use crate::comm::signals;

/// Interval between two checks of a child: short compared with a run, long compared with a check.
const LOOK: Duration = Duration::from_millis(10);

/// Runs `command` without the variables of this process's launcher and waits for its end. The child
/// ends when this process ends.
///
/// Passes a signal to end on as SIGUSR1. A launcher forwards SIGUSR1 and lets its ranks end
/// regularly, and a run that has already received SIGINT from the terminal does not count it as a
/// second SIGINT.
pub(super) fn run(mut command: Command) -> io::Result<ExitStatus> {
    prepare(&mut command);
    let mut child = command.spawn()?;
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if !told && signals::received().is_some() {
            tell(&child);
            told = true;
        }
        sleep(LOOK);
    }
}

/// Sends SIGUSR1 to `child`.
fn tell(child: &Child) {
    // SAFETY: plain numbers; the child has not been waited for, so the id is still the child's.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGUSR1) };
}

/// Removes the variables of this process's launcher from the environment of `command` and makes the
/// child end when this process ends.
fn prepare(command: &mut Command) {
    forget_launcher(command);
    end_with_this_process(command);
}

/// Makes the kernel send SIGTERM to the child when the thread that starts it ends. Programs start
/// children from their main thread, which ends with the process.
#[cfg(target_os = "linux")]
fn end_with_this_process(command: &mut Command) {
    use std::os::unix::process::{CommandExt, parent_id};

    let this = std::process::id();
    let ask = move || {
        // SAFETY: a system call with plain numbers.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // A process that ended before that call sends no signal any more.
        match parent_id() == this {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    };
    // SAFETY: between fork and exec, `ask` makes only system calls and allocates nothing.
    unsafe { command.pre_exec(ask) };
}

/// Does nothing: on other systems the child continues when this process ends.
#[cfg(not(target_os = "linux"))]
fn end_with_this_process(_: &mut Command) {}

/// Returns the reason why a child failed from its output: the last message of the program, else the
/// last one of mpirun, else the last line with text.
pub(super) fn last_words(printed: &str) -> String {
    let mut lines = printed.lines().rev();
    let message = lines
        .clone()
        .find_map(|line| line.strip_prefix("stdp-hpc: "));
    let mut launcher = lines.clone().filter(|line| line.starts_with("mpirun "));
    let message = message.or_else(|| launcher.next());
    let last = message.or_else(|| lines.find(|line| line.contains(char::is_alphanumeric)));
    last.unwrap_or("it said nothing").to_owned()
}

/// Returns `word` quoted for a shell.
pub(super) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./=,:+-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Returns the command line of `words`, quoted for a shell.
pub(super) fn shell_line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
    words.join(" ")
}
