//! The error type of the library: a one-line message and an exit code.

use std::fmt;
use std::path::Path;

/// Reason why a run did not start or did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Invalid input. The message names file, key, value and allowed range. Exit code 2.
    Input(String),
    /// Failure of a run with valid input (disk full, out of memory). Exit code 1.
    Run(String),
    /// Regular end after a signal asked the program to stop. Exit code 75, "temporary failure" of
    /// sysexits.h: the same command may succeed if it is repeated.
    Interrupted(String),
}

/// Result of operations that can fail for a reason that the user can fix.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Creates an error for invalid input.
    pub fn input(message: impl Into<String>) -> Self {
        Error::Input(self::message(&message.into()))
    }

    /// Creates an error for a failed run.
    pub fn run(message: impl Into<String>) -> Self {
        Error::Run(self::message(&message.into()))
    }

    /// Returns the exit code of the process: 1, 2 or 75.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Input(_) => 2,
            Error::Run(_) => 1,
            Error::Interrupted(_) => 75,
        }
    }

    /// Recreates the error of another rank from its exit code and message.
    pub fn of_exit_code(code: u8, message: String) -> Self {
        match code {
            2 => Error::Input(message),
            75 => Error::Interrupted(message),
            _ => Error::Run(message),
        }
    }
}

/// Returns `text` as a single line that is safe to show in a terminal and on a page. Replaces
/// control characters, line ends, bidirectional marks and invisible characters by escapes.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || unseen(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Returns whether `c` is a Unicode format character or a line or paragraph separator.
fn unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns `path` as text for messages and pages; see [`printable`].
pub fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Returns a printable message without the numbers of system errors, such as "(os error 2)". The
/// description of the error precedes the number and is kept.
fn message(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some((words, after)) = rest.split_once(" (os error ") {
        kept += words;
        rest = match after.split_once(')') {
            Some((number, after)) if number.bytes().all(|b| b.is_ascii_digit()) => after,
            _ => {
                kept += " (os error ";
                after
            }
        };
    }
    printable(&(kept + rest))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Input(message) | Error::Run(message) | Error::Interrupted(message) => {
                f.write_str(message)
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_controls_a_terminal() {
        let path = "a\nb\u{1b}[31m\u{202e}é µ … −";
        let error = Error::input(format!("{path}: No such file or directory (os error 2)"));
        let expected = "a\\nb\\u{1b}[31m\\u{202e}é µ … −: No such file or directory";
        assert_eq!(error.to_string(), expected);
        assert_eq!(
            shown(Path::new(path)),
            expected.split_once(": ").expect("two").0
        );
        let odd = "a (os error x) b (os error 5";
        assert_eq!(Error::run(odd).to_string(), odd);
    }
}
