//! The program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    stdp_hpc::memory::return_what_is_freed();
    stdp_hpc::comm::abort_job_on_panic();
    ExitCode::from(stdp_hpc::cli::main())
}
