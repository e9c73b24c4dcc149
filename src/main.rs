//! The program: everything is in the library.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Huge pages wherever they fit. Pages of 4 KiB lie anywhere in memory, and those of two threads
/// that build at the same time alternate there: then the state of a thread, which would just
/// fit, collides with itself in the level-2 cache.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 11] = b"thp:always\0";

fn main() -> ExitCode {
    stdp_hpc::comm::abort_job_on_panic();
    ExitCode::from(stdp_hpc::cli::main())
}
