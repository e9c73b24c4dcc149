//! Result directory of a run: lock, creation, clean-up and run.json.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::base::files::{self, Reserve};
use crate::base::lock::{self, DirectoryLock, Refusal};
use crate::comm::Comm;
use crate::io::outcome::{self, FILES, Provenance, Status};
use crate::model::params::Params;

/// Result directory, claimed before any work is done. If the run writes nothing, dropping this
/// removes the directories that it created.
///
/// Rank 0 holds the directory's lock until this is dropped.
pub(super) struct ResultDirectory {
    /// Path of the directory.
    pub(super) directory: PathBuf,
    /// Id that distinguishes the files of this result from others; empty except on rank 0.
    pub(super) id: String,
    /// Directories created for the result, innermost first.
    created: Vec<PathBuf>,
    /// Lock on rank 0, taken before any file in the directory is changed.
    lock: Option<DirectoryLock>,
    /// Disk space for the run.json of a failed run, reserved on rank 0 during the run.
    reserve: Option<Reserve>,
}

/// Additional size of the run.json of a failed run (bytes): an error message with paths.
const LAST_WORDS: usize = 1 << 13;

impl ResultDirectory {
    /// Creates the directory on rank 0 if it does not exist, and locks it. Without `out`, it is
    /// results/ and the config's name.
    ///
    /// # Errors
    /// Fails if the directory cannot be created or written, another process is at work there, or it
    /// is not empty and `force` is not set.
    pub(super) fn claim(
        comm: &Comm,
        out: Option<&Path>,
        config: &Path,
        force: bool,
    ) -> Result<Self> {
        let directory = out.map_or_else(
            || Path::new("results").join(config.file_stem().unwrap_or_default()),
            Path::to_owned,
        );
        let mut output = ResultDirectory {
            directory,
            id: String::new(),
            created: Vec::new(),
            lock: None,
            reserve: None,
        };
        if comm.rank() == 0 {
            output.id = outcome::new_id()?;
            output.prepare(force)?;
        }
        Ok(output)
    }

    fn prepare(&mut self, force: bool) -> Result<()> {
        let directory = &self.directory;
        let fault = |what: String| Error::input(format!("--out {}: {what}", directory.display()));
        let exists = directory
            .try_exists()
            .map_err(|error| fault(error.to_string()))?;
        if !exists && directory.is_symlink() {
            return Err(fault(
                "is a link to nothing: remove it or name another directory".to_owned(),
            ));
        }
        if exists && !directory.is_dir() {
            return Err(fault("is not a directory".to_owned()));
        }
        if !exists {
            let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
            let missing = directory.ancestors().take_while(missing);
            self.created = missing.map(Path::to_owned).collect();
            fs::create_dir_all(directory)
                .map_err(|error| fault(format!("cannot create the directory: {error}")))?;
        }
        let empty = is_empty(directory)
            .map_err(|error| fault(format!("cannot read the directory: {error}")))?;
        let full = || {
            fault(
                "exists and is not empty: name another directory, or --force to overwrite a \
                 result there"
                    .to_owned(),
            )
        };
        self.lock = match DirectoryLock::take(directory, "a run") {
            Ok(lock) => Some(lock),
            Err(Refusal::Busy(who)) => {
                return Err(fault(format!(
                    "{who} is using it: name another directory, or wait until it ends"
                )));
            }
            Err(Refusal::Unwritable(_)) if !empty && !force => return Err(full()),
            Err(Refusal::Unwritable(error)) => {
                return Err(fault(format!("cannot write there: {error}")));
            }
        };
        // Check again: another run may have ended there while this one waited for the lock.
        if !is_empty(directory).unwrap_or(false) && !force {
            return Err(full());
        }
        if let Some(name) = FILES.iter().find(|name| directory.join(name).is_dir()) {
            return Err(fault(format!("cannot overwrite {name}: is a directory")));
        }
        let probe = directory.join("run.json.new");
        fs::write(&probe, "")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| fault(format!("cannot write there: {error}")))
    }

    /// Returns a warning if the directory cannot be locked; on rank 0 only.
    pub(super) fn warning(&self) -> Option<String> {
        self.lock.as_ref().and_then(DirectoryLock::warning)
    }

    /// Removes the result to be overwritten, on rank 0. Call this only after all input is read and
    /// checked, because the input may be part of that result.
    pub(super) fn clear(&mut self, comm: &Comm) -> Result<()> {
        if comm.rank() == 0 {
            outcome::clear(&self.directory)?;
            // The run writes files from here on. It did not create a directory found empty later.
            self.created.clear();
        }
        Ok(())
    }

    /// Writes run.json on rank 0. During the run, reserves disk space for the final run.json, which
    /// can then report a full disk.
    pub(super) fn write(
        &mut self,
        comm: &Comm,
        provenance: &Provenance,
        params: &Params,
        status: Status,
    ) -> Result<()> {
        if comm.rank() != 0 {
            return Ok(());
        }
        let path = self.directory.join("run.json");
        let fault =
            |error: io::Error| Error::run(format!("{}: cannot write: {error}", path.display()));
        let text = outcome::text(&self.id, provenance, params, status)?;
        if let Status::Running = status {
            let reserve = Reserve::beside(&path, text.len() + LAST_WORDS);
            self.reserve = Some(reserve.map_err(fault)?);
        } else if let Some(reserve) = &mut self.reserve {
            return reserve.put(text.as_bytes()).map_err(fault);
        }
        files::replace_own(&path, text.as_bytes())
    }
}

impl Drop for ResultDirectory {
    /// Removes the created directories if the run ended before it wrote anything.
    fn drop(&mut self) {
        self.lock = None; // dropping the lock removes its file
        for directory in &self.created {
            // Fails, as intended, if the directory is not empty.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Returns whether `directory` is empty, except for the lock file that a killed run left.
fn is_empty(directory: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        if entry?.file_name() != lock::NAME {
            return Ok(false);
        }
    }
    Ok(true)
}
