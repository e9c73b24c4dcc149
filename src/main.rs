//! Entry point of the program `stdp-hpc`. All code is in the library.

use std::process::ExitCode;

use stdp_hpc::base::allocator::{self, Allocator};
use stdp_hpc::base::memory;
use stdp_hpc::comm::job;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    // SAFETY: this is the first call of the program; no other thread has been started.
    unsafe { memory::return_what_is_freed() };
    memory::grow_stack();
    allocator::end_with(job::end_job);
    job::abort_job_on_panic();
    ExitCode::from(stdp_hpc::cli::main())
}
