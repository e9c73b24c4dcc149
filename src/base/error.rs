//! The one error type: a line for people and the exit code that goes with it.

use std::fmt;
use std::path::Path;

/// Why a run did not happen or did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The user's input is at fault: names file, key, value and what is allowed. Exit code 2.
    Input(String),
    /// The run failed although its input was good (disk full, out of memory). Exit code 1.
    Run(String),
    /// A signal asked the program to end, which it did in good order. Exit code 75, "temporary
    /// failure" of sysexits.h: the same command, given again, may succeed.
    Interrupted(String),
}

/// Result of everything that can fail for a reason a user can mend.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A fault of the input.
    pub fn input(message: impl Into<String>) -> Self {
        Error::Input(self::message(&message.into()))
    }

    /// A failure of the run.
    pub fn run(message: impl Into<String>) -> Self {
        Error::Run(self::message(&message.into()))
    }

    /// What the process returns to its parent.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Input(_) => 2,
            Error::Run(_) => 1,
            Error::Interrupted(_) => 75,
        }
    }

    /// Returns the error of this exit code and message, as another rank had it.
    pub fn of_exit_code(code: u8, message: String) -> Self {
        match code {
            2 => Error::Input(message),
            75 => Error::Interrupted(message),
            _ => Error::Run(message),
        }
    }
}

/// Makes one line of `text` that a terminal and a page show as it is: control characters, line
/// ends and marks that turn the direction of writing or cannot be seen become escapes.
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

/// Whether Unicode counts `c` among the format characters, or the separators of lines.
fn unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A path as messages and pages show it.
pub fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// A message for people: printable, and without the numbers of failed system calls, whose words
/// stand before them.
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
