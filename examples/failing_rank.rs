//! A job in which one rank panics: shows, and lets tests/exchange.rs check, that the whole
//! job ends promptly with that rank's message.
//!
//! `mpirun -n 3 failing_rank main` panics on rank 1's main thread after 20 intervals,
//! `failing_rank worker` on a thread of its own there.

use std::path::Path;

use stdp_hpc::comm::{Comm, abort_job_on_panic};
use stdp_hpc::engine::Simulation;
use stdp_hpc::error::Result;
use stdp_hpc::params::Params;
use stdp_hpc::recording::Recorder;

const CONFIG: &str = "
[network]
N = 100
K = 10
[simulation]
T = 1e6
[record]
spikes = false
weights = false
";

fn main() -> Result<()> {
    abort_job_on_panic();
    let comm = Comm::from_launcher()?;
    let fails = comm.rank() == 1;
    let on_worker = std::env::args().nth(1).as_deref() == Some("worker");
    let params = Params::load(Path::new("built in"), CONFIG, &[], None, comm.size())?;
    let mut simulation = Simulation::build(comm, params)?;
    let delay = simulation.delays().ee;
    let mut recorder = Recorder::new(simulation.comm(), simulation.params(), None, delay)?;
    let mut intervals = 0;
    simulation.run(&mut recorder, &mut |_| {
        intervals += 1;
        if fails && intervals == 20 {
            if on_worker {
                // Joined, and its panic dropped, as a thread pool may do.
                let _ = std::thread::spawn(|| panic!("a worker's fault")).join();
            } else {
                panic!("a fault");
            }
        }
    })?;
    Ok(())
}
