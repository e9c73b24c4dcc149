//! Locks: one process at a time writes to a directory, and readers tell if it still lives.
//!
//! A lock is the system's (`flock`): it ends with the process that holds it, however that ends,
//! and a child gets it only if it is handed over. Some network file systems have no locks. There
//! nothing is locked, the caller can warn of it, and readers cannot tell the living from the dead.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// The file that is locked in a directory. A process that was killed leaves it behind.
pub const NAME: &str = "run.lock";

/// How long a lock that another process holds is tried for: a reader that looks who holds it
/// has it for some microseconds, and a process that is being killed for some moments.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest note of a holder that is believed (bytes).
const LONGEST_NOTE: u64 = 1000;

/// Outcome of an attempt to lock a file.
#[derive(Debug)]
pub enum Hold {
    /// The lock is held from now on, until the file is closed.
    Taken,
    /// Another process holds it.
    Busy,
    /// The file system has no locks, for this reason.
    Unsupported(io::Error),
}

impl Hold {
    /// Takes the lock of `file` for itself alone, trying for `patience` while another process
    /// holds it.
    pub fn take(file: &File, patience: Duration) -> Self {
        let begun = Instant::now();
        loop {
            match Self::of(|| file.try_lock()) {
                Self::Busy if begun.elapsed() < patience => sleep(PAUSE),
                hold => return hold,
            }
        }
    }

    /// Takes the lock of `file` together with other readers; does not wait.
    pub fn share(file: &File) -> Self {
        Self::of(|| file.try_lock_shared())
    }

    /// Only "would block" means that another process holds a lock. Whatever else a system
    /// answers (ENOLCK of NFS, ENOSYS of Lustre, 524 of DVS, …), it cannot lock this file.
    fn of(attempt: impl Fn() -> Result<(), TryLockError>) -> Self {
        loop {
            return match attempt() {
                Ok(()) => Self::Taken,
                Err(TryLockError::WouldBlock) => Self::Busy,
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {
                    continue;
                }
                Err(TryLockError::Error(error)) => Self::Unsupported(error),
            };
        }
    }
}

/// Why a directory was not locked.
#[derive(Debug)]
pub enum Refusal {
    /// Another process is at work there: what it is, as it noted in the lock file.
    Busy(String),
    /// The lock file cannot be written.
    Unwritable(io::Error),
}

/// The lock of a directory, held by this process until it is dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
    path: PathBuf,
    unsupported: Option<io::Error>,
}

impl DirectoryLock {
    /// Locks `directory` for this process, which is `what` ("a run"), and notes in the lock
    /// file who that is.
    ///
    /// # Errors
    /// If another process holds the lock for a second, or the lock file cannot be written.
    pub fn take(directory: &Path, what: &str) -> Result<Self, Refusal> {
        let path = directory.join(NAME);
        let begun = Instant::now();
        loop {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)
                .map_err(Refusal::Unwritable)?;
            let unsupported = match Hold::take(&file, PATIENCE) {
                Hold::Busy => return Err(Refusal::Busy(Note::read(file).shown())),
                // The holder before may have removed the file after it was opened here: then a
                // third process would lock another one of the same name.
                Hold::Taken if !is_at(&file, &path) => {
                    if begun.elapsed() < PATIENCE {
                        sleep(PAUSE);
                        continue;
                    }
                    Some(io::Error::other("a file there has no lasting identity"))
                }
                Hold::Taken => None,
                Hold::Unsupported(error) => Some(error),
            };
            let lock = Self {
                file,
                path,
                unsupported,
            };
            lock.note(what);
            return Ok(lock);
        }
    }

    /// A warning where the file system has no locks.
    pub fn warning(&self) -> Option<String> {
        let error = self.unsupported.as_ref()?;
        let directory = self.path.parent().unwrap_or(Path::new(""));
        Some(format!(
            "{}: no locks on this file system ({error}): see to it that nothing else writes there",
            directory.display()
        ))
    }

    /// Writes who holds the lock. For people only: where it fails, the lock holds all the same.
    fn note(&self, what: &str) {
        let note = format!(
            "{what}\nprocess {}\nhost {}\nsince {}\n",
            std::process::id(),
            host(),
            humantime::format_rfc3339_seconds(SystemTime::now())
        );
        let _ = self
            .file
            .set_len(0)
            .and_then(|()| (&self.file).write_all(note.as_bytes()));
    }
}

impl Drop for DirectoryLock {
    /// Removes the lock file while the lock is held, so that nobody else can have locked it.
    /// Without locks it stays: another process may have written its note there.
    fn drop(&mut self) {
        if self.unsupported.is_none() && is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns whether `file` is the one that stands at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::symlink_metadata(path);
    let here = file.metadata();
    let id = |of: fs::Metadata| (of.dev(), of.ino());
    here.map(id).ok() == there.map(id).ok()
}

/// Name of this machine.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// What the holder of a lock wrote into its file, line by line.
struct Note(Vec<String>);

impl Note {
    fn read(file: File) -> Self {
        let mut bytes = Vec::new();
        let _ = file.take(LONGEST_NOTE).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let plain = |line: &str| line.chars().filter(|c| !c.is_control()).collect();
        Note(text.lines().map(plain).collect())
    }

    /// "a run (process 7, host a, since …)", as far as it is known.
    fn shown(&self) -> String {
        match &self.0[..] {
            [] => "another process".to_owned(),
            [what] => what.clone(),
            [what, who @ ..] => format!("{what} ({})", who.join(", ")),
        }
    }

    /// Returns whether the holder was on another machine than this one.
    fn is_of_another_host(&self) -> bool {
        let host = host();
        let mut hosts = self.0.iter().filter_map(|line| line.strip_prefix("host "));
        hosts.any(|noted| noted != host)
    }
}

/// State of the process that writes to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It holds the lock of the directory.
    Alive,
    /// Nobody holds the lock.
    Dead,
    /// The file system has no locks, or may not have those of another machine.
    Unknown,
}

impl Life {
    /// Looks at the lock of `directory`.
    pub fn of(directory: &Path) -> Self {
        let file = match File::open(directory.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::Dead,
            Err(_) => return Self::Unknown,
        };
        match Hold::share(&file) {
            Hold::Busy => Self::Alive,
            Hold::Taken if !Note::read(file).is_of_another_host() => Self::Dead,
            Hold::Taken | Hold::Unsupported(_) => Self::Unknown,
        }
    }

    /// Reads with `read` what a process writes to `directory`, and tells whether it lived then.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn while_reading<T, E>(
        directory: &Path,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Self), E> {
        // Before as well: what lived then may have ended well since, and not been killed.
        let before = Self::of(directory);
        let value = read()?;
        let life = match before {
            Self::Alive => before,
            _ => Self::of(directory),
        };
        Ok((value, life))
    }

    /// The status of a process that left no other than "running".
    pub fn status(self) -> &'static str {
        match self {
            Self::Alive => "running",
            Self::Dead => "killed",
            Self::Unknown => "running, or killed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once_and_free_again_after() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        assert_eq!(Life::of(directory), Life::Dead);
        let lock = DirectoryLock::take(directory, "a run").expect("free");
        assert!(lock.warning().is_none());
        assert_eq!(Life::of(directory), Life::Alive);
        let Err(Refusal::Busy(who)) = DirectoryLock::take(directory, "a run") else {
            panic!("locked twice")
        };
        let pid = std::process::id();
        assert!(
            who.starts_with(&format!("a run (process {pid}, host ")),
            "{who}"
        );
        drop(lock);
        assert_eq!(fs::read_dir(directory).expect("read").count(), 0);
        drop(DirectoryLock::take(directory, "a run").expect("free again"));
    }

    #[test]
    fn what_a_dead_process_left_is_no_lock() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        let path = directory.join(NAME);
        fs::write(&path, format!("a run\nprocess 1\nhost {}\n", host())).expect("written");
        assert_eq!(Life::of(directory), Life::Dead);
        let lock = DirectoryLock::take(directory, "a study").expect("free");
        assert!(
            fs::read_to_string(&path)
                .expect("read")
                .starts_with("a study\n")
        );
        drop(lock);
        fs::write(&path, "a run\nprocess 1\nhost elsewhere.example\n").expect("written");
        assert_eq!(Life::of(directory), Life::Unknown);
    }

    /// A lock that was opened before its holder removed it is not taken for that of the
    /// directory, and the file of another is not removed.
    #[test]
    fn a_lock_file_that_was_replaced_does_not_count() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        let first = DirectoryLock::take(directory, "a run").expect("free");
        fs::remove_file(directory.join(NAME)).expect("removed");
        let second = DirectoryLock::take(directory, "a run").expect("free");
        drop(first);
        assert_eq!(Life::of(directory), Life::Alive);
        drop(second);
    }

    #[test]
    fn a_file_that_nobody_could_lock_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        let mut lock = DirectoryLock::take(directory, "a run").expect("free");
        lock.unsupported = Some(io::Error::from_raw_os_error(libc::ENOLCK));
        assert!(lock.warning().is_some());
        drop(lock);
        assert!(directory.join(NAME).exists());
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let precious = directory.path().join("precious");
        fs::write(&precious, "mine").expect("written");
        std::os::unix::fs::symlink(&precious, directory.path().join(NAME)).expect("linked");
        let refused = DirectoryLock::take(directory.path(), "a run");
        assert!(matches!(refused, Err(Refusal::Unwritable(_))));
        assert_eq!(fs::read(&precious).expect("read"), b"mine");
    }

    #[test]
    fn only_a_lock_that_blocks_is_held_by_another() {
        for errno in [libc::ENOLCK, libc::ENOSYS, libc::EOPNOTSUPP, 524, libc::EIO] {
            let hold = Hold::of(|| Err(TryLockError::Error(io::Error::from_raw_os_error(errno))));
            assert!(matches!(hold, Hold::Unsupported(_)), "{errno}: {hold:?}");
        }
        assert!(matches!(
            Hold::of(|| Err(TryLockError::WouldBlock)),
            Hold::Busy
        ));
    }
}
