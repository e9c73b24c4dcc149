//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Puts a file of these bytes at `path`, in place of one that is there.
///
/// It is written beside its place first, so that nobody ever sees a part of it. A link leads to
/// the file that is replaced; what is no file, such as /dev/stdout, is written to.
///
/// # Errors
/// If it cannot be written; then what was there is still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written = match place.exists() && !place.is_file() {
        true => fs::write(&place, bytes),
        false => replace_file(&place, bytes),
    };
    written.map_err(|error| Error::run(format!("{}: cannot write: {error}", path.display())))
}

fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = Draft::beside(path, "new")?;
    draft.file().write_all(bytes)?;
    draft.put()
}

/// A file on its way: written beside its place, and gone if it is dropped before it is put
/// there. (It may be what the disk had no room for.)
pub struct Draft {
    file: File,
    path: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// An empty one beside `place`, of the same name and `.ending`.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn beside(place: &Path, ending: &str) -> io::Result<Self> {
        let mut path = OsString::from(place);
        path.push(".");
        path.push(ending);
        let path = PathBuf::from(path);
        Ok(Draft {
            file: File::create(&path)?,
            path,
            place: place.to_owned(),
        })
    }

    /// Where to write.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// If it cannot be; then what was there is still there.
    pub fn put(self) -> io::Result<()> {
        fs::rename(&self.path, &self.place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // No longer there if it was put.
        let _ = fs::remove_file(&self.path);
    }
}

/// An error that names `option` where no file can be put at `path`: it is a directory or in none,
/// or there is something already and not `force`.
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
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let folder = folder.display();
        return Err(Error::input(format!(
            "{option} {path_shown}: there is no directory {folder}"
        )));
    }
    if !force && path.exists() {
        return Err(Error::input(format!(
            "{option} {path_shown}: exists: name another file, or --force to overwrite it"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_stays_and_leads_to_the_new_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").expect("written");
        symlink(&file, &link).expect("linked");
        assert!(refuse_existing("-o", &link, false).is_err());
        refuse_existing("-o", &link, true).expect("force");
        replace(&link, b"new").expect("replaced");
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).expect("read"), b"new");
        replace(Path::new("/dev/null"), b"gone").expect("written to");
        assert!(!Path::new("/dev/null").is_file());
        assert_eq!(fs::read_dir(&directory).expect("read").count(), 2);
    }
}
