//! Directory locks: only one process writes to a directory, and readers see whether it still runs.
//!
//! The locks are the system's (`flock`). The system releases a lock when its process ends, even
//! if it is killed. A child process inherits the lock only if it is passed on. Some network file
//! systems do not support locks. There nothing is locked, callers can print a warning, and readers
//! cannot tell a running process from a killed one.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Name of the lock file in a directory. A killed process leaves it behind.
pub const NAME: &str = "run.lock";

/// Maximum time to wait for a lock that another process holds. A reader that checks the lock
/// holds it for some microseconds; a process that is being killed releases it shortly after.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Maximum length of a holder's note that is read (bytes).
const LONGEST_NOTE: u64 = 1000;

/// Outcome of an attempt to lock a file.
#[derive(Debug)]
pub enum Hold {
    /// This process holds the lock until the file is closed.
    Taken,
    /// Another process holds it.
    Busy,
    /// The file system does not support locks; the system's error.
    Unsupported(io::Error),
}

impl Hold {
    /// Takes an exclusive lock on `file`. Retries for up to `patience` while another process
    /// holds the lock.
    pub fn take(file: &File, patience: Duration) -> Self {
        let begun = Instant::now();
        loop {
            match Self::of(|| file.try_lock()) {
                Self::Busy if begun.elapsed() < patience => sleep(PAUSE),
                hold => return hold,
            }
        }
    }

    /// Takes a shared lock on `file`, as other readers may do at the same time. Does not wait.
    pub fn share(file: &File) -> Self {
        Self::of(|| file.try_lock_shared())
    }

    /// Returns the outcome of `attempt`, which is repeated if a signal interrupts it.
    ///
    /// Only "would block" means that another process holds the lock. Any other error (ENOLCK of
    /// NFS, ENOSYS of Lustre, 524 of DVS, …) means that the system cannot lock this file.
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

/// Reason why a directory was not locked.
#[derive(Debug)]
pub enum Refusal {
    /// Another process holds the lock; its note from the lock file.
    Busy(String),
    /// The lock file cannot be written.
    Unwritable(io::Error),
}

/// Lock of a directory, held by this process until it is dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
    path: PathBuf,
    unsupported: Option<io::Error>,
}

impl DirectoryLock {
    /// Locks `directory` and writes a note into the lock file: `what` this process is (such as
    /// "a run"), its id, host and start time.
    ///
    /// # Errors
    /// Fails if another process still holds the lock after one second, or the lock file cannot
    /// be written.
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
                // The previous holder may have removed the file after it was opened here. A
                // third process could then create and lock a new file of the same name.
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

    /// Returns a warning if the file system does not support locks.
    pub fn warning(&self) -> Option<String> {
        let error = self.unsupported.as_ref()?;
        let directory = self.path.parent().unwrap_or(Path::new(""));
        Some(format!(
            "{}: no locks on this file system ({error}): make sure that nothing else writes there",
            directory.display()
        ))
    }

    /// Writes the note on the lock's holder. It only informs users: errors are ignored.
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
    /// Removes the lock file while the lock is held, when no other process can have locked it.
    /// Keeps the file if locks are not supported: another process may have written its note there.
    fn drop(&mut self) {
        if self.unsupported.is_none() && is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns whether `file` is the file at `path`, by device and inode.
fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::symlink_metadata(path);
    let here = file.metadata();
    let id = |of: fs::Metadata| (of.dev(), of.ino());
    here.map(id).ok() == there.map(id).ok()
}

/// Returns the host name of this machine, empty if unknown.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Lines of the note that a lock's holder wrote into the lock file.
struct Note(Vec<String>);

impl Note {
    fn read(file: File) -> Self {
        let mut bytes = Vec::new();
        let _ = file.take(LONGEST_NOTE).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let plain = |line: &str| line.chars().filter(|c| !c.is_control()).collect();
        Note(text.lines().map(plain).collect())
    }

    /// Returns the note as text, such as "a run (process 7, host a, since …)".
    fn shown(&self) -> String {
        match &self.0[..] {
            [] => "another process".to_owned(),
            [what] => what.clone(),
            [what, who @ ..] => format!("{what} ({})", who.join(", ")),
        }
    }

    /// Returns whether the note names a host other than this one.
    fn is_of_another_host(&self) -> bool {
        let host = host();
        let mut hosts = self.0.iter().filter_map(|line| line.strip_prefix("host "));
        hosts.any(|noted| noted != host)
    }
}

/// State of the process that writes to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// A process holds the lock of the directory.
    Alive,
    /// No process holds the lock.
    Dead,
    /// The file system does not support locks, or may not show those of another machine.
    Unknown,
}

impl Life {
    /// Checks the lock of `directory`.
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

    /// Calls `read` on files that a process writes to `directory`. Returns the result and the
    /// state of that process during the call.
    ///
    /// # Errors
    /// Fails if `read` fails.
    pub fn while_reading<T, E>(
        directory: &Path,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Self), E> {
        // Check before reading as well: a process alive then may have finished normally since.
        let before = Self::of(directory);
        let value = read()?;
        let life = match before {
            Self::Alive => before,
            _ => Self::of(directory),
        };
        Ok((value, life))
    }

    /// Returns the status of a process whose recorded status is "running".
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

    /// Replaces the lock file while its holder lives. The first holder must not remove the
    /// second holder's file.
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
