//! Ends the whole job if one rank fails, which prevents other ranks from waiting for it forever.

use std::fmt::Arguments;
use std::io::{Cursor, Write, stderr};
use std::sync::atomic::{AtomicUsize, Ordering};

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

/// Rank of this process, for messages from any thread. Only the main thread may call MPI.
pub(super) static RANK: AtomicUsize = AtomicUsize::new(0);

/// Installs a panic hook: a panic on any thread prints one line and ends the whole job.
///
/// Without the hook an unwinding rank would wait in MPI_Finalize for ranks that wait for it.
pub fn abort_job_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        let running = mpi::is_initialized() && !mpi::is_finalized();
        let rank = RANK.load(Ordering::Relaxed);
        let what = info.to_string().replace('\n', " ");
        // eprintln would panic before the abort if standard error is closed.
        let _ = writeln!(stderr(), "stdp-hpc: rank {rank}: internal error: {what}");
        if running {
            SimpleCommunicator::world().abort(1);
        }
        std::process::exit(1);
    }));
}

/// Prints `what` with the rank on one line and ends the whole job with exit code 1. Does not
/// allocate.
pub fn end_job(what: Arguments) -> ! {
    let running = mpi::is_initialized() && !mpi::is_finalized();
    let mut line = Cursor::new([0; 1024]);
    // A longer line is truncated. A single write keeps lines of several ranks apart.
    let rank = RANK.load(Ordering::Relaxed);
    let _ = writeln!(line, "stdp-hpc: rank {rank}: {what}");
    let length = line.position() as usize;
    let _ = stderr().write_all(&line.get_ref()[..length]);
    if running {
        SimpleCommunicator::world().abort(1);
    }
    // SAFETY: ends the process immediately; no destructors or exit handlers run.
    unsafe { libc::_exit(1) }
}
