//! Atomic file writes: a file is complete or absent.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::base::error::{Error, Result};

/// Maximum length of a text file (bytes), far more than users write by hand.
const LONGEST_TEXT: u64 = 64 << 20;

/// Reads a UTF-8 text file of at most 64 MiB.
///
/// # Errors
/// Fails if it cannot be read, is too long, or is not UTF-8. The message for the last names the
/// line.
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

/// Reads a text file that this program wrote, as [`read_text`] does.
///
/// # Errors
/// Fails as [`read_text`] does, or if it is not a regular file: opening a pipe could wait forever.
pub fn read_own_text(path: &Path) -> Result<String> {
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        let path = path.display();
        return Err(Error::input(format!("{path}: must be a regular file")));
    }
    read_text(path)
}

/// Writes `bytes` to a file at `path` and replaces an existing file atomically.
///
/// Writes to a [`draft`] first: no reader ever sees an incomplete file. Follows a symbolic link
/// and replaces its target. Writes directly to paths that are not regular files, such as
/// /dev/stdout.
///
/// # Errors
/// Fails if the file cannot be written. An existing file is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written = match place.exists() && !place.is_file() {
        true => fs::write(&place, bytes),
        false => draft(&place).and_then(|draft| put(draft, bytes, &place)),
    };
    written.map_err(|error| unwritten(path, &error))
}

/// Writes `bytes` to a file at `path`, atomically, in a directory that this process has locked.
///
/// # Errors
/// Fails if the file cannot be written. An existing file is then unchanged.
pub fn replace_own(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = own_draft(path).and_then(|draft| put(draft, bytes, path));
    written.map_err(|error| unwritten(path, &error))
}

/// Creates the directory of the file `path`, and those above it.
///
/// # Errors
/// Fails if a directory cannot be created.
pub fn create_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)
        .map_err(|error| Error::run(format!("{}: cannot create: {error}", folder.display())))
}

fn put(draft: NamedTempFile, bytes: &[u8], place: &Path) -> io::Result<()> {
    draft.as_file().write_all(bytes)?;
    draft.persist(place)?;
    Ok(())
}

fn unwritten(path: &Path, error: &io::Error) -> Error {
    Error::run(format!("{}: cannot write: {error}", path.display()))
}

/// File name suffix of a draft.
const DRAFT: &str = ".new";

/// Permissions of a new file before the umask is applied, as for any new file.
const PERMISSIONS: u32 = 0o666;

/// Creates an empty file in the directory of `place`, to be written and then renamed to `place`.
/// It is called `.<name>.<letters>.new`, with random letters, and overwrites no other file.
/// Dropping it before it is renamed removes it. This frees its space if the disk was full.
///
/// # Errors
/// Fails if the file cannot be created.
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

/// Removes the draft's path from an error. tempfile adds it, but users do not know that path.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    let text = text.split(" at path ").next().unwrap_or_default();
    io::Error::new(error.kind(), text)
}

/// Creates an empty file `<place>.new`, as [`draft`] does, in a directory that this process has
/// locked. Overwrites a draft that a killed process left there.
///
/// # Errors
/// Fails if the file cannot be created.
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

/// Returns `path` with `ending` appended to the file name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut longer = OsString::from(path);
    longer.push(ending);
    longer.into()
}

/// Disk space reserved for a file that is written at the end of a run, when the disk may be full.
///
/// The reserve is a file of blank lines in the same directory. Dropping it removes that file.
pub struct Reserve {
    file: File,
    path: PathBuf,
    place: PathBuf,
}

/// File name suffix of a reserve.
const RESERVE: &str = ".reserve";

impl Reserve {
    /// Reserves `bytes` bytes for the file at `place`.
    ///
    /// # Errors
    /// Fails if the disk is full or a quota or limit is exceeded.
    pub fn beside(place: &Path, bytes: usize) -> io::Result<Self> {
        let path = with_ending(place, RESERVE);
        let mut reserve = Reserve {
            file: File::create(&path)?,
            path,
            place: place.to_owned(),
        };
        // Write the bytes: not all file systems can preallocate, and some do not store zeros.
        reserve.file.write_all(&vec![b'\n'; bytes])?;
        reserve.file.sync_data()?;
        Ok(reserve)
    }

    /// Writes `bytes` into the reserved space and renames the file to its place. Needs no further
    /// disk space for up to the reserved number of bytes.
    ///
    /// # Errors
    /// Fails if the file cannot be written. An existing file is then unchanged, and the reserve
    /// remains for another attempt.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(bytes)?;
        self.file.set_len(bytes.len() as u64)?;
        fs::rename(&self.path, &self.place)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        // The file does not exist any more if `put` renamed it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Checks that a file can be written at `path`, which the user gave as `option`.
///
/// # Errors
/// Fails if the path is a directory, its parent is missing, it is a broken link, or it exists and
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

/// Files that a command writes together: all are checked before the first is written.
pub struct Outputs {
    /// Replace existing files.
    force: bool,
    files: Vec<Output>,
    /// Directories to create if needed, with the options that name them.
    directories: Vec<(&'static str, PathBuf)>,
}

struct Output {
    option: &'static str,
    path: PathBuf,
    /// Where `path` leads.
    place: PathBuf,
    bytes: Vec<u8>,
}

impl Outputs {
    /// Returns an empty set, whose files replace existing ones if `force` is set.
    pub fn new(force: bool) -> Self {
        Outputs {
            force,
            files: Vec::new(),
            directories: Vec::new(),
        }
    }

    /// Adds the file `path`, which the user gave as `option`, with its contents.
    ///
    /// # Errors
    /// Fails as [`Outputs::check`] does.
    pub fn add(&mut self, option: &'static str, path: &Path, bytes: Vec<u8>) -> Result<()> {
        self.check(option, path)?;
        self.files.push(Output {
            option,
            path: path.to_owned(),
            place: place(path),
            bytes,
        });
        Ok(())
    }

    /// Adds `directory`, which the user gave as `option`. [`Outputs::write`] creates it if needed.
    ///
    /// # Errors
    /// Fails if something else has this path.
    pub fn add_directory(&mut self, option: &'static str, directory: &Path) -> Result<()> {
        if directory.exists() && !directory.is_dir() {
            let directory = directory.display();
            return Err(Error::input(format!(
                "{option} {directory}: is not a directory"
            )));
        }
        self.directories.push((option, directory.to_owned()));
        Ok(())
    }

    /// Checks that a file can be written at `path`, which the user gave as `option`.
    ///
    /// # Errors
    /// Fails as [`refuse_existing`] does, except that the directory may be one that was added, or if
    /// a file of this path was added.
    pub fn check(&self, option: &str, path: &Path) -> Result<()> {
        let place = place(path);
        if let Some(other) = self.files.iter().find(|file| file.place == place) {
            return Err(Error::input(format!(
                "{option} {}: {} writes this file too: name another",
                path.display(),
                other.option
            )));
        }
        let folder = path.parent();
        let mut directories = self.directories.iter();
        match directories.any(|(_, new)| Some(&**new) == folder && !new.exists()) {
            true => Ok(()),
            false => refuse_existing(option, path, self.force),
        }
    }

    /// Writes all files.
    ///
    /// # Errors
    /// Fails if a directory or file cannot be written.
    pub fn write(self) -> Result<()> {
        for (option, directory) in &self.directories {
            fs::create_dir_all(directory).map_err(|error| {
                let directory = directory.display();
                Error::run(format!(
                    "{option} {directory}: cannot create the directory: {error}"
                ))
            })?;
        }
        let mut files = self.files.iter();
        files.try_for_each(|file| replace(&file.path, &file.bytes))
    }
}

/// Returns the absolute path of a file that may not exist yet; follows links as far as it exists.
fn place(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(place) = fs::canonicalize(&absolute) {
        return place;
    }
    match (absolute.parent(), absolute.file_name()) {
        (Some(folder), Some(name)) => place(folder).join(name),
        _ => absolute,
    }
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
        // The draft has the permissions of any other new file.
        let plain = directory.path().join("plain");
        fs::write(&plain, "").expect("written");
        let mode = |path| fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode(&place), mode(&plain));
    }

    #[test]
    fn outputs_are_checked_before_the_first_is_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("old"), "precious").expect("written");
        let outputs = |force: bool, paths: [PathBuf; 2]| {
            let mut outputs = Outputs::new(force);
            outputs
                .add_directory("--png", &at("new"))
                .expect("new or a directory");
            for (option, path) in ["-o", "--png"].into_iter().zip(paths) {
                outputs.add(option, &path, b"bytes".to_vec())?;
            }
            outputs.write()
        };
        for (paths, why) in [
            ([at("new/a"), at("old")], "old: exists"),
            ([at("new/a"), at("new/./a")], "-o writes this file too"),
            ([at("new/a"), at("none/a")], "there is no directory"),
            ([at("new/a"), at("old/a")], "there is no directory"),
        ] {
            let error = outputs(false, paths).expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
            assert_eq!(fs::read_dir(&directory).expect("read").count(), 1);
        }
        outputs(true, [at("new/a"), at("old")]).expect("written");
        for name in ["new/a", "old"] {
            assert_eq!(fs::read(at(name)).expect("read"), b"bytes");
        }
        assert!(
            Outputs::new(true)
                .add_directory("--png", &at("old"))
                .is_err()
        );
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
