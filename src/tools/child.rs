//! Processes that a verb starts: this program again, alone or under a launcher.

use std::process::Command;

use crate::comm::launcher::forget_launcher;

/// Removes from the environment of `command` what this process was started by, and has the child
/// end when this process does.
pub(super) fn prepare(command: &mut Command) {
    forget_launcher(command);
    end_with_this_process(command);
}

/// Asks the kernel to send SIGTERM to the child when this process has ended.
#[cfg(target_os = "linux")]
fn end_with_this_process(command: &mut Command) {
    use std::io;
    use std::os::unix::process::CommandExt;

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

/// Elsewhere the child goes on to its end.
#[cfg(not(target_os = "linux"))]
fn end_with_this_process(_: &mut Command) {}

/// Returns why a child failed, by what it printed: the program's own message, mpirun's, else the
/// last line.
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

/// Returns the command of these `words` as a line for a shell.
pub(super) fn shell_line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
    words.join(" ")
}
