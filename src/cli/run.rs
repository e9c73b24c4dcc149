//! `stdp-hpc CONFIG`: builds the network, runs it and writes the result.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::error::{Error, Result};
use crate::base::memory::{self, resident, show_size};
use crate::base::simd;
use crate::base::units::Projection;
use crate::cli::console::{self, Verbosity, Watcher};
use crate::comm::Comm;
use crate::comm::cores;
use crate::comm::signals;
use crate::engine::{Observer, Simulation};
use crate::io::file_network::{self, FileNetwork};
use crate::io::outcome::{Interruption, Outcome, Provenance, Status};
use crate::io::recording::{Recorder, WatchedDirectory};
use crate::io::sonata::read;
use crate::model::params::{Params, Stimulus};
use crate::tools::plan::{Inputs, Plan, Rate};

use super::result_directory::ResultDirectory;
use super::{Config, plan::given_memory};

/// Arguments of a run.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    config: Config,
    /// Threads per rank, instead of the config's.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Result directory [default: results/<name of CONFIG>]
    ///
    /// The files are spikes.h5, weights.h5 and run.json.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite existing results; run even if memory seems insufficient.
    #[arg(long)]
    force: bool,
    /// Memory per rank, such as 64GB [default: its share]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    memory_per_rank: Option<String>,
    /// Print errors only.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more details.
    #[arg(short, long, hide_short_help = true)]
    verbose: bool,
}

/// Runs the config on the ranks of `comm`. Collective; returns the same result on all ranks.
pub(super) fn run(comm: Comm, arguments: &Run) -> Result<()> {
    comm.agree(signals::watch())?;
    let instruction_set = comm.agree(simd::choose())?;
    let params = arguments
        .config
        .load(&comm, comm.size(), arguments.threads)?;
    super::check_inputs(&comm, &params, true)?;
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let provenance = Provenance::new(&comm, &params, instruction_set);
    let mut output = comm.agree(ResultDirectory::claim(
        &comm,
        arguments.out.as_deref(),
        arguments.config.path(),
        arguments.force,
    ))?;
    if comm.rank() == 0 && verbosity == Verbosity::Verbose {
        console::announce(&provenance, &params);
    }
    let before = resident().now;
    if !arguments.force {
        let given = given_memory(arguments.memory_per_rank.as_deref())?;
        comm.agree(refuse_what_does_not_fit(&comm, &params, given, before))?;
    }

    let mut simulation = Simulation::build(comm, FileNetwork::new(params))?;
    let comm = simulation.comm();
    comm.agree(output.clear(comm))?;
    if verbosity > Verbosity::Quiet
        && let Some(warning) = output.warning()
    {
        console::warn(&warning);
    }
    if verbosity > Verbosity::Quiet
        && let Some(shortage) = cores::shortage(comm, simulation.params().simulation.threads)
    {
        console::warn(&shortage);
    }
    if verbosity > Verbosity::Quiet && comm.rank() == 0 {
        for doubt in unused_input(&simulation) {
            console::warn(&doubt);
        }
    }
    let (directory, id) = (output.directory.clone(), output.id.clone());
    let mut write = |simulation: &Simulation, status: Status| {
        let comm = simulation.comm();
        comm.agree(output.write(comm, &provenance, simulation.params(), status))
    };
    let done = write(&simulation, Status::Running)
        .and_then(|()| simulate(&mut simulation, (&directory, &id), verbosity, before))
        .and_then(|outcome| write(&simulation, Status::Done(&outcome)).map(|()| outcome));
    match done {
        Ok(outcome) => {
            if simulation.comm().rank() == 0 && verbosity > Verbosity::Quiet {
                let params = simulation.params();
                console::print(&provenance, params, &outcome, &directory, verbosity);
            }
            Ok(())
        }
        Err(error) => {
            // An error of writing run.json would hide the error of the run.
            let _ = write(&simulation, ended(&simulation, &error));
            Err(error)
        }
    }
}

/// Returns the status of a run that ended with `error`.
fn ended<'a>(simulation: &Simulation, error: &'a Error) -> Status<'a> {
    match (error, signals::received()) {
        (Error::Interrupted(_), Some(signal)) => {
            let model_time_ms = simulation.now().0;
            let how = Interruption {
                signal,
                model_time_ms,
            };
            Status::Interrupted(error, how)
        }
        _ => Status::Failed(error),
    }
}

/// Returns a warning for each part of the input that the run does not use, one line each.
fn unused_input(simulation: &Simulation) -> Vec<String> {
    let params = simulation.params();
    let mut doubts = Vec::new();
    if let (Stimulus::Spikes(path), Some(given)) = (&params.stimulus, simulation.given_spikes()) {
        doubts.extend(file_network::doubt(given, path, &params.simulation));
        doubts.extend(read::unread(path, "spikes", &["X"]));
    }
    if let Some(path) = &params.network.edges {
        let known = Projection::ALL.map(Projection::name);
        doubts.extend(read::unread(path, "edges", &known));
    }
    doubts
}

/// Checks that the run fits the memory. Each rank holds `before` bytes so far and checks its own
/// machine. Collective.
///
/// # Errors
/// Fails if a rank would need more memory than `given`, or without it, if the ranks on this machine
/// would need more than is available there. Fails also if a limit on this process is too low.
fn refuse_what_does_not_fit(
    comm: &Comm,
    params: &Params,
    given: Option<u64>,
    before: u64,
) -> Result<()> {
    let inputs = comm.agree(Inputs::read(params))?;
    let plan = Plan::new(params, comm.size(), &inputs, Rate::of(params), before);
    let mine = match comm.rank() {
        0 => &plan.rank_0,
        _ => &plan.other_ranks,
    };
    let node = comm.node();
    let ranks = node.size();
    // Capped per rank to keep the sum from overflowing.
    let needed = node.sum(mine.grown().min(u64::MAX / ranks as u64));
    let available = memory::available().unwrap_or(u64::MAX);
    let (room, whose) = match given {
        Some(given) => (given, "--memory-per-rank".to_owned()),
        None if needed <= available => (u64::MAX, String::new()),
        None => {
            let room = before.saturating_add(available / ranks as u64);
            (
                room,
                format!(
                    "{} left for {ranks} rank(s) of a machine",
                    show_size(available)
                ),
            )
        }
    };
    let (room, whose) = match memory::left_to_process() {
        Some(left) if given.is_none() && before + left < room => (
            before + left,
            "left by the limit on this process, ulimit -v".to_owned(),
        ),
        _ => (room, whose),
    };
    if room == u64::MAX {
        return Ok(());
    }
    let why_not = plan.why_not(params, &inputs, room, &whose);
    why_not.map_or(Ok(()), |why| {
        Err(Error::input(format!("{why}; --force runs anyway")))
    })
}

/// Runs the simulation and closes its files. Collective.
///
/// # Errors
/// Fails if [`record`] fails. If the result directory is gone, the error reports this instead of
/// the first file that could not be written there.
fn simulate(
    simulation: &mut Simulation,
    (directory, id): (&Path, &str),
    verbosity: Verbosity,
    before: u64,
) -> Result<Outcome> {
    let leads = simulation.comm().rank() == 0;
    let watched = leads.then(|| WatchedDirectory::new(directory)).transpose();
    let mut watched = simulation.comm().agree(watched)?;
    let done = record(simulation, (directory, id), verbosity, before);
    if let Err(Error::Run(_)) = &done {
        let there = watched.as_mut().map_or(Ok(()), WatchedDirectory::check);
        simulation.comm().agree(there)?;
    }
    done
}

/// Runs the simulation and records it in `directory`. Collective.
fn record(
    simulation: &mut Simulation,
    (directory, id): (&Path, &str),
    verbosity: Verbosity,
    before: u64,
) -> Result<Outcome> {
    let comm = simulation.comm();
    let mut recorder = comm.agree(Recorder::new(simulation, directory, id))?;
    let mut watcher = Watcher::new(comm, simulation.params(), verbosity);
    let timers = match simulation.run(&mut [&mut recorder, &mut watcher]) {
        Ok(timers) => timers,
        Err(Error::Interrupted(why)) => {
            let comm = simulation.comm();
            comm.agree(recorder.flush(comm))?;
            let directory = directory.display();
            let left = format!("{why}; {directory} holds what was recorded until then");
            return Err(Error::Interrupted(left));
        }
        Err(error) => return Err(error),
    };
    watcher.close();
    let comm = simulation.comm();
    // Flush first: the memory that the last spikes need counts too.
    comm.agree(recorder.flush(comm))?;
    let outcome = Outcome::new(simulation, &timers, before, recorder.held());
    recorder.close(comm)?;
    Ok(outcome)
}
