//! The program: everything is in the library.

use std::process::ExitCode;

use stdp_hpc::allocator::{self, Allocator};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    // SAFETY: the first thing that the program does; no other thread has been started.
    unsafe { stdp_hpc::memory::return_what_is_freed() };
    stdp_hpc::memory::grow_stack();
    allocator::end_with(stdp_hpc::comm::end_job);
    stdp_hpc::comm::abort_job_on_panic();
    ExitCode::from(stdp_hpc::cli::main())
}
