//! Detection of result directories and files that are removed or replaced during the run.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};

/// Files that must not disappear once they exist. Writers may rename the other files.
const STAYING: [&str; 3] = ["run.json", "spikes.h5", "weights.h5"];

/// Directory of a result, watched during the run. Writing to an open file does not fail when its
/// directory is removed, so the loss would go unnoticed.
pub struct WatchedDirectory {
    directory: PathBuf,
    /// Device and inode numbers of the directory.
    identity: (u64, u64),
    /// Files of [`STAYING`] that have been seen.
    seen: [bool; STAYING.len()],
}

impl WatchedDirectory {
    /// Starts to watch `directory`.
    ///
    /// # Errors
    /// Fails if the directory does not exist.
    pub fn new(directory: &Path) -> Result<Self> {
        Ok(WatchedDirectory {
            directory: directory.to_owned(),
            identity: identity(directory).or_else(|_| gone(directory))?,
            seen: [false; STAYING.len()],
        })
    }

    /// Checks that the directory and its files still exist.
    ///
    /// # Errors
    /// Fails if the directory was removed or replaced, or a file of the result was removed from it.
    pub fn check(&mut self) -> Result<()> {
        match identity(&self.directory) {
            Ok(found) if found == self.identity => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // The directory may still exist: a network file system may be unavailable for a
                // while.
                return Ok(());
            }
            _ => return gone(&self.directory),
        }
        for (name, seen) in STAYING.iter().zip(&mut self.seen) {
            let path = self.directory.join(name);
            match path.try_exists() {
                Ok(true) => *seen = true,
                Ok(false) if *seen => return gone(&path),
                _ => {}
            }
        }
        Ok(())
    }
}

fn gone<T>(path: &Path) -> Result<T> {
    let path = path.display();
    Err(Error::run(format!(
        "{path}: was removed or replaced while the run went on, which ends it"
    )))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_must_stay() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("result");
        fs::create_dir(&directory).expect("created");
        let mut place = WatchedDirectory::new(&directory).expect("there");
        assert_eq!(place.check(), Ok(()));
        let run = directory.join("run.json");
        fs::write(&run, "").expect("written");
        assert_eq!(place.check(), Ok(()));
        for path in [&run, &directory] {
            let aside = parent.path().join("aside");
            fs::rename(path, &aside).expect("moved");
            let message = place.check().expect_err("it is gone").to_string();
            assert!(
                message.starts_with(&path.display().to_string()),
                "{message}"
            );
            fs::rename(&aside, path).expect("moved back");
            assert_eq!(place.check(), Ok(()));
        }
    }
}
