//! Reads input files in a separate process first: a file that makes the HDF5 library crash, run for
//! ever or take all memory then causes a one-line error, not the end of the run.
//!
//! The HDF5 library is written in C and trusts what it reads. `guard` refuses what is known to
//! mislead it; this module catches the rest. The program starts itself with a hidden verb, under
//! limits on memory and processor time. That process opens every dataset that a reader would open
//! and reads its values: all of them up to [`READ`] bytes per file, evenly spaced blocks beyond. In
//! a file of more than [`READ`] bytes, the values between those blocks remain unchecked.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Write, stdout};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::read::every_dataset;
use crate::base::error::{Error, Result};

/// Hidden verb that starts the checking process.
pub const VERB: &str = "check-file-in-a-process-of-its-own";

/// Maximum bytes of values read per file, as counted in memory; reading them takes about a second.
pub const READ: u64 = 1 << 30;

/// Address space (bytes) that reading may take beyond the size of the program at its start.
const MEMORY: u64 = 1 << 30;

/// Processor time (s) allowed per step of a check: opening an object or reading a block of values.
const TIME: u64 = 5;

/// Exit code for a refused file; the last line of output gives the reason.
const REFUSED: u8 = 2;

/// Signals that a process causes itself.
const CRASHES: [i32; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGABRT,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// Prefixes of the variables by which launchers mark a process as a rank. The checking process is
/// not a rank.
const LAUNCHERS: [&str; 7] = ["OMPI_", "PMI", "PMIX_", "MV2_", "PALS_", "PRTE_", "SLURM_"];

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Part of a file that a reader will read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contents {
    /// `/edges`: a network.
    Edges,
    /// `/initial`: initial state.
    Initial,
    /// `/spikes/X`: external spikes.
    Input,
    /// `/spikes` of a result: recorded spikes.
    Spikes,
    /// `/edges`, histograms and trajectories of a result: weights.
    Weights,
}

impl Contents {
    const NAMED: [(&str, Contents); 5] = [
        ("edges", Contents::Edges),
        ("initial", Contents::Initial),
        ("input", Contents::Input),
        ("spikes", Contents::Spikes),
        ("weights", Contents::Weights),
    ];

    fn name(self) -> &'static str {
        let named = Self::NAMED.iter().find(|(_, contents)| *contents == self);
        named.map_or("", |(name, _)| name)
    }
}

/// Makes [`file`](fn@file) start `program`, which must pass the arguments after [`VERB`] to
/// [`child`].
///
/// Without this call, as in other programs that use this library, [`file`](fn@file) checks nothing.
pub fn by_program(program: PathBuf) {
    // A second call would set the same path.
    let _ = PROGRAM.set(program);
}

/// Checks the file at `path` by reading it in another process: values up to [`READ`] bytes if
/// `whole`, else the first row of each dataset.
///
/// # Errors
/// Fails if that process crashed, took too much memory or time, or refused the file. A missing file
/// passes: its reader reports it.
pub fn file(path: &Path, contents: Contents, whole: bool) -> Result<()> {
    // A result is opened many times: its verdict holds until the file changes.
    static CHECKED: Mutex<BTreeMap<Check, Result<()>>> = Mutex::new(BTreeMap::new());
    let Some(program) = PROGRAM.get() else {
        return Ok(());
    };
    let Some(state) = FileState::of(path) else {
        return Ok(());
    };
    let check = Check {
        path: path.to_owned(),
        state,
        contents,
        whole,
    };
    let mut checked = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
    let verdict = checked.entry(check);
    let verdict = verdict.or_insert_with(|| by_child(program, path, contents, whole));
    verdict.clone()
}

/// Arguments of a check and the state of the file at that time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Check {
    path: PathBuf,
    state: FileState,
    contents: Contents,
    whole: bool,
}

/// Numbers that change when a file is modified or replaced.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Modification time: seconds and nanoseconds.
    modified: (i64, i64),
}

impl FileState {
    /// Returns the state of a regular file; `None` if there is none at `path`.
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok().filter(|found| found.is_file())?;
        Some(FileState {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

fn by_child(program: &Path, path: &Path, contents: Contents, whole: bool) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(VERB).arg(contents.name());
    command.arg(if whole { "whole" } else { "heads" }).arg(path);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if LAUNCHERS.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    // A crash is expected and must leave no core file.
    // SAFETY: between fork and exec, only getrlimit and setrlimit are called. Both are plain system
    // calls in glibc: no lock, no allocation.
    unsafe {
        command.pre_exec(|| limit(libc::RLIMIT_CORE, 0));
    }
    let Ok(ended) = command.output() else {
        // If no process can be started, the file is read unchecked; it is most likely sound.
        return Ok(());
    };
    let said = String::from_utf8_lossy(&ended.stdout);
    let last = said.lines().last().unwrap_or_default();
    match verdict(ended.status, last) {
        None => Ok(()),
        Some(what) => Err(Error::input(format!("{}: {what}", path.display()))),
    }
}

/// Returns the fault of a file whose check ended with status `ended` after printing `last`; `None`
/// if there is no fault.
fn verdict(ended: ExitStatus, last: &str) -> Option<String> {
    match (ended.code(), ended.signal()) {
        (Some(0), _) => None,
        (Some(code), _) if code == i32::from(REFUSED) => Some(last.to_owned()),
        (_, Some(libc::SIGXCPU)) => Some(format!(
            "reading {last} does not come to an end: the file is damaged"
        )),
        (_, Some(signal)) if CRASHES.contains(&signal) => Some(format!(
            "the HDF5 library crashed reading {last}: the file is damaged"
        )),
        // A signal from outside says nothing about the file.
        (_, Some(_)) => None,
        (code, None) => Some(format!(
            "its check failed reading {last} (exit code {})",
            code.unwrap_or_default()
        )),
    }
}

/// Runs the check in the process that [`file`](fn@file) starts. Takes the arguments after [`VERB`];
/// returns the exit code.
pub fn child(arguments: &[OsString]) -> u8 {
    let [contents, extent, path] = arguments else {
        return 1;
    };
    let named = Contents::NAMED.iter().find(|(name, _)| contents == name);
    let Some((_, contents)) = named else {
        return 1;
    };
    let most = if extent == "whole" { READ } else { 0 };
    let memory = size_of_program().saturating_add(MEMORY);
    // If the limit cannot be set, a lower one is already in force.
    let _ = limit(libc::RLIMIT_AS, memory);
    let mut last = String::new();
    let read = every_dataset(Path::new(path), *contents, most, &mut |name| {
        more_time();
        if last != name {
            // A failed write means that no one waits for the verdict.
            let _ = writeln!(stdout(), "{name}");
            name.clone_into(&mut last);
        }
    });
    match read {
        Ok(()) => 0,
        Err(what) => {
            let _ = writeln!(stdout(), "reading {last} {what}");
            REFUSED
        }
    }
}

/// Allows [`TIME`] seconds of processor time from now on.
fn more_time() {
    let used = used();
    let seconds = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) as u64;
    // Rounded up, because the system counts whole seconds.
    let _ = limit(libc::RLIMIT_CPU, seconds + 1 + TIME);
}

/// Returns the peak resident memory so far (bytes).
pub(super) fn peak() -> u64 {
    used().ru_maxrss as u64 * 1024
}

fn used() -> libc::rusage {
    // SAFETY: `rusage` consists of plain numbers, for which 0 is valid; the call writes them.
    unsafe {
        let mut used = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut used);
        used
    }
}

/// Sets the soft limit of a resource to `most`, or to the hard limit if that is lower.
fn limit(resource: libc::__rlimit_resource_t, most: u64) -> std::io::Result<()> {
    let mut limits = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limits` is alive and is a plain pair of numbers.
    let set = unsafe {
        libc::getrlimit(resource, &mut limits);
        limits.rlim_cur = most.min(limits.rlim_max);
        libc::setrlimit(resource, &limits)
    };
    match set {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Returns the address space of this process (bytes).
fn size_of_program() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').next().and_then(|pages| pages.parse().ok());
    // SAFETY: takes no pointer.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(1 << 18) * page.max(0) as u64
}
