//! Reader of run.json.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Outcome, Provenance};
use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::lock::Life;
use crate::io::config::recorded;

/// Contents of a run.json.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// Directory of the result.
    pub directory: PathBuf,
    /// Format number of the run.json. The fields below are converted to the present format.
    pub format: u64,
    /// Status: "running", "failed", "interrupted" or "done". In place of "running" it is "killed"
    /// if the process has ended, and "running, or killed" if the file system cannot tell. It may be
    /// "unreadable" for a record that was [read in part](Self::read_in_part).
    pub status: String,
    /// Reason of a failure, of an interruption, or of unreadable contents.
    pub error: Option<String>,
    /// Provenance of the result.
    pub provenance: Provenance,
    /// All parameters in the units of the config; see [`recorded`].
    pub parameters: Value,
    /// Outcome of the run, if it is done.
    pub outcome: Option<Outcome>,
}

/// Fields that every run.json has.
#[derive(Deserialize)]
struct Head {
    status: String,
    id: Option<String>,
    error: Option<String>,
    provenance: Provenance,
    parameters: Value,
}

/// Fails if [`RunRecord::read`] would reject `text`.
pub(super) fn check(text: &str) -> serde_json::Result<()> {
    let head: Head = serde_json::from_str(text)?;
    if head.status == "done" {
        serde_json::from_str::<Outcome>(text)?;
    }
    Ok(())
}

impl RunRecord {
    /// Reads the `run.json` of the result in `directory`.
    ///
    /// ```
    /// # use stdp_hpc::io::outcome::RunRecord;
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, [excitatory, _]) = small::small_result()?;
    /// # let directory = directory.path();
    /// let run = RunRecord::read(directory)?;
    /// assert_eq!(run.parameter(["network", "N"]), 200);
    /// let outcome = run.outcome.expect("it is done");
    /// assert_eq!(outcome.counts.spikes_E, excitatory);
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails if the file cannot be read or was not written by [`write`](super::write). The error
    /// names the file and, for invalid contents, the line and key.
    pub fn read(directory: &Path) -> Result<Self> {
        let record = Self::read_in_part(directory)?;
        match (&record.status[..], &record.error) {
            ("unreadable", Some(error)) => Err(Error::input(error)),
            _ => Ok(record),
        }
    }

    /// Reads `run.json`, even if its outcome is unreadable. The status is then "unreadable".
    ///
    /// # Errors
    /// Fails if status, provenance or parameters cannot be read.
    pub fn read_in_part(directory: &Path) -> Result<Self> {
        let path = directory.join("run.json");
        let fault = |what: String| Error::input(format!("{}: {what}", path.display()));
        let (text, life) = Life::while_reading(directory, || files::read_own_text(&path))?;
        let head: Head = recorded::read(&text).map_err(fault)?;
        let mut record = Self {
            directory: directory.to_owned(),
            format: recorded::format_of(&text).map_err(fault)?,
            status: head.status,
            error: head.error,
            provenance: head.provenance,
            parameters: head.parameters,
            outcome: None,
        };
        match &record.status[..] {
            "done" => match recorded::read(&text).map_err(fault) {
                Ok(outcome) => record.outcome = Some(outcome),
                Err(error) => {
                    record.status = "unreadable".to_owned();
                    record.error = Some(error.to_string());
                }
            },
            "running" => {
                // Older builds write no id and hold no lock.
                let life = head.id.map_or(Life::Unknown, |_| life);
                record.status = life.status().to_owned();
            }
            _ => {}
        }
        Ok(record)
    }

    /// Returns the parameter at `path`, such as `["network", "N"]`; null if it does not exist.
    pub fn parameter(&self, path: [&str; 2]) -> &Value {
        &self.parameters[path[0]][path[1]]
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Result<RunRecord> {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("run.json"), text).expect("written");
        RunRecord::read(directory.path())
    }

    #[test]
    fn what_is_no_run_is_refused_in_one_line() {
        for (text, what) in [
            ("", "EOF"),
            ("{\"status\": \"done\"", "EOF"),
            ("[]", "invalid"),
            ("{\"status\": \"done\"}", "missing field `provenance`"),
        ] {
            let Err(error) = read(text) else {
                panic!("{text} was taken")
            };
            let message = error.to_string();
            assert!(message.contains("run.json: is not of a run"), "{message}");
            assert!(
                message.contains(what) && !message.contains('\n'),
                "{message}"
            );
        }
    }
}
