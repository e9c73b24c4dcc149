//! Child processes that a subcommand starts: this program, alone or under a launcher.

use std::process::Command;

use crate::comm::launcher::forget_launcher;

/// Removes the variables of this process's launcher from the environment of `command` and makes the
/// child end when this process ends.
pub(super) fn prepare(command: &mut Command) {
    forget_launcher(command);
    end_with_this_process(command);
}

/// Makes the kernel send SIGTERM to the child when this process ends.
#[cfg(target_os = "linux")]
fn end_with_this_process(command: &mut Command) {
    use std::io;
    use std::os::unix::process::CommandExt;

    let ask = || {
        // SAFETY: a system call with plain numbers, in a process that has only this thread.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec, `ask` makes only that system call and allocates nothing.
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
