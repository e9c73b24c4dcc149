//! Signals that ask the program to end, and the one that a limit on file sizes sends.
//!
//! A signal only sets a flag. Runs and studies check the flag at points where they can end
//! regularly.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;

use crate::base::error::{Error, Result};
use crate::comm::Comm;

/// Signals that end a run, with their names.
const ENDING: [(i32, &str); 4] = [
    (SIGINT, "SIGINT"),
    (SIGTERM, "SIGTERM"),
    (SIGHUP, "SIGHUP"),
    (SIGUSR1, "SIGUSR1"),
];

/// Number of the most recent ending signal; 0 if none was received.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Makes a write beyond the file size limit (`ulimit -f`) return an error instead of killing the
/// process with SIGXFSZ.
///
/// # Errors
/// Fails if the signal handler cannot be installed.
pub fn survive_file_limits() -> Result<()> {
    let noted = flag::register(SIGXFSZ, Arc::default());
    noted.map(drop).map_err(refused)
}

/// Installs handlers that record SIGINT, SIGTERM, SIGHUP and SIGUSR1 instead of killing the
/// process. A second SIGINT kills it. SIGHUP stays ignored if it was ignored, as under nohup.
///
/// # Errors
/// Fails if a signal handler cannot be installed.
pub fn watch() -> Result<()> {
    let again = Arc::new(AtomicBool::new(false));
    let register = || -> io::Result<()> {
        // Registered before the handler that sets `again`: the first SIGINT finds it unset.
        flag::register_conditional_default(SIGINT, Arc::clone(&again))?;
        flag::register(SIGINT, again)?;
        for (signal, _) in ENDING {
            if signal != SIGHUP || !is_ignored(signal) {
                flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize)?;
            }
        }
        Ok(())
    };
    register().map_err(refused)
}

fn refused(error: io::Error) -> Error {
    Error::run(format!("signals cannot be handled: {error}"))
}

/// Returns whether this process was started with `signal` ignored.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Returns the name of the signal that asked this process to end, if one did.
pub fn received() -> Option<&'static str> {
    name(RECEIVED.load(Ordering::Relaxed))
}

fn name(number: usize) -> Option<&'static str> {
    let mut known = ENDING.iter();
    let found = known.find(|(signal, _)| *signal as usize == number);
    found.map(|(_, name)| *name)
}

/// Returns the name of a signal that asked any rank to end, the same on all ranks. Collective.
pub fn received_by_any(comm: &Comm) -> Option<&'static str> {
    let any = comm.max(RECEIVED.load(Ordering::Relaxed) as u64) as usize;
    if any > 0 {
        RECEIVED.store(any, Ordering::Relaxed);
    }
    // A signal that arrived here since is not returned: the other ranks do not know of it.
    name(any)
}

/// Checks whether a signal has asked any rank to end. `when` gives the time for the message, such
/// as "at 12 ms of model time". Collective; the result is the same on all ranks.
///
/// # Errors
/// Fails with [`Error::Interrupted`] if a signal was received.
pub fn end_if_asked(comm: &Comm, when: impl FnOnce() -> String) -> Result<()> {
    match received_by_any(comm) {
        None => Ok(()),
        Some(signal) => Err(Error::Interrupted(format!(
            "interrupted by {signal} {}",
            when()
        ))),
    }
}
