//! `stdp-hpc CONFIG`: builds the network, runs it, leaves a result.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::comm::Comm;
use crate::console::{self, Verbosity, Watcher};
use crate::engine::Simulation;
use crate::error::Result;
use crate::outcome::{self, Outcome, Provenance, Status};
use crate::recording::Recorder;
use crate::simd;

use super::Config;
use super::output::Output;

/// What to do with the config: run it.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    config: Config,
    /// Threads of each rank, instead of the config's.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Directory for spikes.h5, weights.h5 and run.json [default: results/<name of CONFIG>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite a result that is already in the directory.
    #[arg(long)]
    force: bool,
    /// Say nothing but errors.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more.
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the config on the ranks of `comm`. Collective; the same result on all ranks.
pub(super) fn run(comm: Comm, arguments: &Run) -> Result<()> {
    let instruction_set = comm.agree(simd::choose())?;
    let params = arguments
        .config
        .load(&comm, comm.size(), arguments.threads)?;
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let provenance = Provenance::new(&comm, &params, instruction_set);
    let output = comm.agree(Output::claim(
        &comm,
        arguments.out.as_deref(),
        arguments.config.path(),
        arguments.force,
    ))?;
    if comm.rank() == 0 && verbosity == Verbosity::Verbose {
        console::announce(&provenance, &params);
    }
    let before = outcome::resident().1;

    let mut simulation = Simulation::build(comm, params)?;
    let comm = simulation.comm();
    comm.agree(output.clear(comm))?;
    let write = |simulation: &Simulation, status| {
        let comm = simulation.comm();
        comm.agree(output.write(comm, &provenance, simulation.params(), status))
    };
    write(&simulation, Status::Running)?;
    match simulate(&mut simulation, &output.directory, verbosity, before) {
        Ok(outcome) => {
            write(&simulation, Status::Done(&outcome))?;
            if simulation.comm().rank() == 0 && verbosity > Verbosity::Quiet {
                console::print(&provenance, &outcome, &output.directory, verbosity);
            }
            Ok(())
        }
        Err(error) => {
            // The failure is what matters; that it could not be noted as well would hide it.
            let _ = write(&simulation, Status::Failed(&error));
            Err(error)
        }
    }
}

/// Runs what was built and closes its files. Collective.
fn simulate(
    simulation: &mut Simulation,
    directory: &Path,
    verbosity: Verbosity,
    before: u64,
) -> Result<Outcome> {
    let (comm, params) = (simulation.comm(), simulation.params());
    let recorder = Recorder::new(comm, params, Some(directory), simulation.delays().ee);
    let mut recorder = comm.agree(recorder)?;
    let mut watcher = Watcher::new(comm, params, verbosity);
    let timers = simulation.run(&mut recorder, &mut |progress| watcher.show(progress))?;
    watcher.close();
    let outcome = Outcome::new(simulation, &recorder, &timers, before);
    recorder.close(simulation.comm())?;
    Ok(outcome)
}
