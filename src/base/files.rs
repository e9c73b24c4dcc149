//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::base::error::{Error, Result};

/// The most bytes of a file of text, far beyond what anybody writes by hand.
const LONGEST_TEXT: u64 = 64 << 20;

/// Reads a file of text.
///
/// # Errors
/// If it cannot be read, is too long, or is not UTF-8: then the line is named.
pub fn read_text(path: &Path) -> Result<String> {
    let fault = |what: String| Error::input(format!("{}: {what}", path.display()));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_TEXT + 1).read_to_end(&mut bytes))
        .map_err(|error| fault(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LONGEST_TEXT {
        return Err(fault(format!(
            "is too long: must be at most {LONGEST_TEXT} bytes"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = 1 + bytes[..good].iter().filter(|byte| **byte == b'\n').count();
        fault(format!(
            "line {line}: byte 0x{:02x} is not UTF-8: save the file as UTF-8 (it may be Latin-1)",
            bytes[good]
        ))
    })
}

/// Puts a file of these bytes at `path`, in place of one that is there.
///
/// The bytes go to a [`draft`] first, so that nobody ever sees a part of them. A link leads to
/// the file that is replaced; what is no file, such as /dev/stdout, is written to.
///
/// # Errors
/// If it cannot be written; then what was there is still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written = match place.exists() && !place.is_file() {
        true => fs::write(&place, bytes),
        false => draft(&place).and_then(|draft| put(draft, bytes, &place)),
    };
    written.map_err(|error| unwritten(path, &error))
}

/// Puts a file of these bytes at `path`, which is in a directory that this process has locked.
///
/// # Errors
/// If it cannot be written; then what was there is still there.
pub fn replace_own(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = own_draft(path).and_then(|draft| put(draft, bytes, path));
    written.map_err(|error| unwritten(path, &error))
}

fn put(draft: NamedTempFile, bytes: &[u8], place: &Path) -> io::Result<()> {
    draft.as_file().write_all(bytes)?;
    draft.persist(place)?;
    Ok(())
}

fn unwritten(path: &Path, error: &io::Error) -> Error {
    Error::run(format!("{}: cannot write: {error}", path.display()))
}

/// Ending of the name of a draft.
const DRAFT: &str = ".new";

/// Permissions that the umask is taken from, as of any new file.
const PERMISSIONS: u32 = 0o666;

/// Creates an empty file beside `place`, to be written and then put there. No other file is
/// touched: its name is `.<name>.<letters>.new`, of letters drawn anew. It is removed if it is
/// dropped before it is put. (It may be what the disk had no room for.)
///
/// # Errors
/// If it cannot be created.
pub fn draft(place: &Path) -> io::Result<NamedTempFile> {
    let mut prefix = OsString::from(".");
    prefix.push(place.file_name().unwrap_or_default());
    prefix.push(".");
    let folder = place.parent().filter(|path| !path.as_os_str().is_empty());
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(DRAFT)
        .permissions(Permissions::from_mode(PERMISSIONS))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(without_path)
}

/// Returns the failure without the path of a draft, which tempfile adds and nobody knows.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    let text = text.split(" at path ").next().unwrap_or_default();
    io::Error::new(error.kind(), text)
}

/// Creates an empty file `<place>.new` as [`draft`] does, in a directory that this process has
/// locked: one that a killed process left there is overwritten.
///
/// # Errors
/// If it cannot be created.
pub fn own_draft(place: &Path) -> io::Result<NamedTempFile> {
    let path = with_ending(place, DRAFT);
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(true);
    let file = options.open(&path)?;
    Ok(NamedTempFile::from_parts(
        file,
        TempPath::try_from_path(path)?,
    ))
}

/// Returns `path` with `ending` after its name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut longer = OsString::from(path);
    longer.push(ending);
    longer.into()
}

/// Room on a disk for a file that is written at the end, when the disk may be full.
///
/// Until then it is a file beside the place of that one, of blank lines; it is gone if it is
/// dropped.
pub struct Reserve {
    file: File,
    path: PathBuf,
    place: PathBuf,
}

/// Ending of its name.
const RESERVE: &str = ".reserve";

impl Reserve {
    /// Takes `bytes` for the file at `place`.
    ///
    /// # Errors
    /// Fails if the disk, a quota or a limit does not allow for them.
    pub fn beside(place: &Path, bytes: usize) -> io::Result<Self> {
        let path = with_ending(place, RESERVE);
        let mut reserve = Reserve {
            file: File::create(&path)?,
            path,
            place: place.to_owned(),
        };
        // Written, for not all file systems can allocate; not zeros, which some do not store.
        reserve.file.write_all(&vec![b'\n'; bytes])?;
        reserve.file.sync_data()?;
        Ok(reserve)
    }

    /// Puts a file of these bytes in its place. Up to as many as were reserved need no room on
    /// the disk.
    ///
    /// # Errors
    /// Fails if it cannot be written. Then what was in its place is still there, and so is the
    /// room for another try.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(bytes)?;
        self.file.set_len(bytes.len() as u64)?;
        fs::rename(&self.path, &self.place)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        // No longer there if it was put.
        let _ = fs::remove_file(&self.path);
    }
}

/// Checks that a file can be put at `path`, which the user gave as `option`.
///
/// # Errors
/// If the path is a directory, its parent is missing, it is a link to nothing, or it exists and
/// `force` is not set.
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
    if path.is_symlink() && !path.exists() {
        return Err(Error::input(format!(
            "{option} {path_shown}: is a link to nothing: remove it or name another file"
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
    fn a_reserve_takes_its_place_or_goes() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("run.json");
        let names = || fs::read_dir(&directory).expect("read").count();
        drop(Reserve::beside(&place, 100).expect("room"));
        assert_eq!(names(), 0);
        for text in ["short", &"long".repeat(100)] {
            let mut reserve = Reserve::beside(&place, 100).expect("room");
            assert_eq!(fs::metadata(&reserve.path).expect("a file").len(), 100);
            reserve.put(text.as_bytes()).expect("put");
            drop(reserve);
            assert_eq!(fs::read(&place).expect("read"), text.as_bytes());
            assert_eq!(names(), 1);
        }
    }

    #[test]
    fn a_draft_touches_no_other_file_and_goes_where_it_is_put_or_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("table.csv");
        let (mine, other) = (with_ending(&place, ".new"), with_ending(&place, ".part"));
        fs::write(&mine, "precious").expect("written");
        fs::write(&other, "precious").expect("written");
        let names = || fs::read_dir(&directory).expect("read").count();
        let drafts = [(); 2].map(|()| draft(&place).expect("created"));
        assert_eq!(names(), 4);
        let [kept, dropped] = drafts;
        drop(dropped);
        put(kept, b"whole", &place).expect("put");
        assert_eq!(names(), 3);
        assert_eq!(fs::read(&place).expect("read"), b"whole");
        for kept in [mine, other] {
            assert_eq!(fs::read(kept).expect("read"), b"precious");
        }
        let nowhere = draft(&directory.path().join("nowhere/table.csv"));
        let error = nowhere.expect_err("no such directory");
        assert_eq!(error.to_string(), "No such file or directory (os error 2)");
        // As any other file of this process would be.
        let plain = directory.path().join("plain");
        fs::write(&plain, "").expect("written");
        let mode = |path| fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode(&place), mode(&plain));
    }

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
