//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Puts a file of these bytes at `path`, in place of one that is there.
///
/// It is written beside its place first, so that nobody ever sees a part of it.
///
/// # Errors
/// If it cannot be written; then what was there is still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = OsString::from(path);
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let written = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    written.map_err(|error| {
        // It may be what the disk had no room for.
        let _ = fs::remove_file(&draft);
        Error::run(format!("{}: cannot write: {error}", path.display()))
    })
}

/// An error that names `option` where there is something at `path` already and not `force`.
///
/// # Errors
/// That.
pub fn refuse_existing(option: &str, path: &Path, force: bool) -> Result<()> {
    let path_shown = path.display();
    if path.is_dir() {
        return Err(Error::input(format!(
            "{option} {path_shown}: is a directory"
        )));
    }
    if !force && path.exists() {
        return Err(Error::input(format!(
            "{option} {path_shown}: exists: name another file, or --force to overwrite it"
        )));
    }
    Ok(())
}
