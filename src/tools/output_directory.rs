//! Output directory of a study or of a series of rehearsals: only one process writes to it.

use std::fs;
use std::path::Path;

use crate::base::error::{Error, Result};
use crate::base::lock::{DirectoryLock, Refusal};

/// Locks the directory `out`, creating it if needed, for `what` this process is (such as "a study").
/// Passes a warning to `say` if the file system does not support locks.
///
/// # Errors
/// Fails if `out` holds the result of a run, is in use, or cannot be written.
pub(super) fn lock(out: &Path, what: &str, say: &mut dyn FnMut(&str)) -> Result<DirectoryLock> {
    let fault = |what: String| Error::input(format!("--out {}: {what}", out.display()));
    if out.join("run.json").exists() {
        return Err(fault(
            "holds the result of a run: name another directory".to_owned(),
        ));
    }
    let unwritable = |error| fault(format!("cannot write there: {error}"));
    fs::create_dir_all(out).map_err(unwritable)?;
    let lock = match DirectoryLock::take(out, what) {
        Ok(lock) => lock,
        Err(Refusal::Busy(who)) => {
            return Err(fault(format!(
                "{who} is using it: name another directory, or wait until it ends"
            )));
        }
        Err(Refusal::Unwritable(error)) => return Err(unwritable(error)),
    };
    if let Some(warning) = lock.warning() {
        say(&warning);
    }
    Ok(lock)
}
