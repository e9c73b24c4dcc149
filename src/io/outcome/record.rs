//! A run.json, read again.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Outcome, Provenance};
use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::lock::Life;
use crate::io::config::recorded;

/// What the run.json of a run says.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// Where it was found.
    pub directory: PathBuf,
    /// The format of its run.json; what is below is of the present one.
    pub format: u64,
    /// "running", "failed", "interrupted" or "done"; where the run no longer lives, "killed" in place of
    /// "running", and "running, or killed" where the file system cannot tell. Of a record
    /// [read in part](Self::read_in_part) also "unreadable".
    pub status: String,
    /// Why it failed, was interrupted, or cannot be read.
    pub error: Option<String>,
    /// Where the result comes from.
    pub provenance: Provenance,
    /// All parameters, in the units of the config, as [`recorded`] has them.
    pub parameters: Value,
    /// How it went, of a run that is done.
    pub outcome: Option<Outcome>,
}

/// What stands in the file of every run.
#[derive(Deserialize)]
struct Head {
    status: String,
    id: Option<String>,
    error: Option<String>,
    provenance: Provenance,
    parameters: Value,
}

/// Whether `text` is a run.json that [`RunRecord::read`] takes.
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
    /// If it cannot be read or is not what [`write`](super::write) leaves: one line that names
    /// the file and, where something is wrong in it, the line and the key.
    pub fn read(directory: &Path) -> Result<Self> {
        let record = Self::read_in_part(directory)?;
        match (&record.status[..], &record.error) {
            ("unreadable", Some(error)) => Err(Error::input(error)),
            _ => Ok(record),
        }
    }

    /// Reads the same, but also takes a result whose numbers of how the run went cannot be
    /// read: it has the status "unreadable".
    ///
    /// # Errors
    /// If not even status, provenance and parameters can be read.
    pub fn read_in_part(directory: &Path) -> Result<Self> {
        let path = directory.join("run.json");
        let fault = |what: String| Error::input(format!("{}: {what}", path.display()));
        let (text, life) = Life::while_reading(directory, || files::read_text(&path))?;
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
                // An older build, without ids, has locked nothing.
                let life = head.id.map_or(Life::Unknown, |_| life);
                record.status = life.status().to_owned();
            }
            _ => {}
        }
        Ok(record)
    }

    /// What `parameters` hold at `path`, such as `["network", "N"]`; null if nothing.
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
