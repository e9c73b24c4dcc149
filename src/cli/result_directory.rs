//! The result directory of a run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::base::files::{self, Reserve};
use crate::base::lock::{self, DirectoryLock, Refusal};
use crate::comm::Comm;
use crate::io::outcome::{self, FILES, Provenance, Status};
use crate::model::params::Params;

/// The result directory, taken before any work is done and given back if nothing came of it.
///
/// Rank 0 holds its lock as long as this lasts.
pub(super) struct ResultDirectory {
    /// Where the files go.
    pub(super) directory: PathBuf,
    /// Tells the files of this result from those of another; empty but on rank 0.
    pub(super) id: String,
    /// The directories made for it, the innermost first.
    created: Vec<PathBuf>,
    /// On rank 0, from before anything in the directory is touched.
    lock: Option<DirectoryLock>,
    /// Room for the run.json of a run that fails, on rank 0 while the run goes on.
    reserve: Option<Reserve>,
}

/// Bytes that the run.json of a run that failed is longer than that of one that goes on: a
/// message, with paths in it.
const LAST_WORDS: usize = 1 << 13;

impl ResultDirectory {
    /// On rank 0 makes sure that the directory exists, is writable, no other process is at work
    /// there, and it holds no result but one that may be overwritten.
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
                    "{who} is at work there: name another directory, or wait for its end"
                )));
            }
            Err(Refusal::Unwritable(_)) if !empty && !force => return Err(full()),
            Err(Refusal::Unwritable(error)) => {
                return Err(fault(format!("cannot write there: {error}")));
            }
        };
        // Again: a run may have ended there while the lock was waited for.
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

    /// A warning where the directory cannot be locked; on rank 0 only.
    pub(super) fn warning(&self) -> Option<String> {
        self.lock.as_ref().and_then(DirectoryLock::warning)
    }

    /// On rank 0 removes the result that is overwritten: not before all input is known to be
    /// good, and read, since it may be that result.
    pub(super) fn clear(&mut self, comm: &Comm) -> Result<()> {
        if comm.rank() == 0 {
            outcome::clear(&self.directory)?;
            // From here on something comes of it: an empty directory in its place is not ours.
            self.created.clear();
        }
        Ok(())
    }

    /// On rank 0 writes run.json. While the run goes on it keeps room on the disk for the last
    /// one, which so can tell of a disk that is full.
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
    /// Leaves no empty directory behind where the run ended before it wrote anything.
    fn drop(&mut self) {
        self.lock = None; // which removes the lock file
        for directory in &self.created {
            // Refused where there is something in it, which is what is wanted.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Returns whether `directory` holds nothing, or only the lock file that a killed run left.
fn is_empty(directory: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        if entry?.file_name() != lock::NAME {
            return Ok(false);
        }
    }
    Ok(true)
}
