//! The one error type: a line for people and the exit code that goes with it.

use std::fmt;

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
        Error::Input(message.into())
    }

    /// A failure of the run.
    pub fn run(message: impl Into<String>) -> Self {
        Error::Run(message.into())
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
