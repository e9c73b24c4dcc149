//! The end of the whole job where one rank cannot go on: no rank is left waiting.

use std::fmt::Arguments;
use std::io::{Cursor, Write, stderr};
use std::sync::atomic::{AtomicUsize, Ordering};

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

/// Rank of this process, for messages from any thread: only the main thread may ask MPI.
pub(super) static RANK: AtomicUsize = AtomicUsize::new(0);

/// From now on a panic on any thread prints one line and ends the whole job.
///
/// Without it an unwinding rank would wait in MPI_Finalize for ranks that wait for it.
pub fn abort_job_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        let running = mpi::is_initialized() && !mpi::is_finalized();
        let rank = RANK.load(Ordering::Relaxed);
        let what = info.to_string().replace('\n', " ");
        // Not eprintln: where standard error is closed it would panic before the abort.
        let _ = writeln!(stderr(), "stdp-hpc: rank {rank}: internal error: {what}");
        if running {
            SimpleCommunicator::world().abort(1);
        }
        std::process::exit(1);
    }));
}

/// Says one line, with the rank, and ends the whole job with exit code 1. Allocates nothing.
pub fn end_job(what: Arguments) -> ! {
    let running = mpi::is_initialized() && !mpi::is_finalized();
    let mut line = Cursor::new([0; 1024]);
    // Cut short where it is longer. Written at once, so that lines of several ranks stay whole.
    let rank = RANK.load(Ordering::Relaxed);
    let _ = writeln!(line, "stdp-hpc: rank {rank}: {what}");
    let length = line.position() as usize;
    let _ = stderr().write_all(&line.get_ref()[..length]);
    if running {
        SimpleCommunicator::world().abort(1);
    }
    // SAFETY: ends the process, and nothing that it still had to do is asked to.
    unsafe { libc::_exit(1) }
}
