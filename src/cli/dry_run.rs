//! `stdp-hpc dry-run CONFIG --ranks R --rank r`: one rank of many, rehearsed alone.

use clap::Args;

use crate::base::error::{Error, Result};
use crate::base::simd;
use crate::cli::console::{Verbosity, Watcher};
use crate::comm::{Comm, launcher};
use crate::tools::dry_run::rehearse;

use super::{Config, print_result};

/// Rehearses one rank of a run on R ranks, alone in one process.
///
/// It builds the synapses of that rank and delivers the spikes it would receive. Its digests are
/// those of that rank in a real run, its times and memory measured; the network is modelled from
/// [interconnect], apart. Neurons must be ignore_and_fire.
#[derive(Debug, Args)]
pub(super) struct DryRun {
    #[command(flatten)]
    config: Config,
    /// Ranks of the run.
    #[arg(long, value_name = "R")]
    ranks: usize,
    /// The rank to rehearse, 0 … R - 1.
    #[arg(long, value_name = "r", default_value_t = 0)]
    rank: usize,
    /// Threads of each rank, instead of the config's.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Print JSON: bytes, seconds.
    #[arg(long)]
    json: bool,
    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,
}

/// Rehearses and prints.
///
/// # Errors
/// Bad input; more than one process.
pub(super) fn run(comm: &Comm, arguments: &DryRun) -> Result<()> {
    comm.agree(simd::choose())?;
    let (ranks, rank) = (arguments.ranks, arguments.rank);
    if let Some(size @ 2..) = launcher::size_told_by_mpirun() {
        return Err(Error::input(format!(
            "dry-run rehearses one rank in one process: must be started without mpirun, not on \
             {size} ranks"
        )));
    }
    super::plan::check_ranks(ranks, 1)?;
    if rank >= ranks {
        return Err(Error::input(format!(
            "--rank {rank}: must be an integer 0 … {} (--ranks {ranks})",
            ranks - 1
        )));
    }
    let params = arguments.config.load(comm, ranks, arguments.threads)?;
    super::plan::check_ranks(ranks, params.simulation.threads)?;
    super::check_inputs(comm, &params, true)?;
    let verbosity = if arguments.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let mut watcher = Watcher::new(comm, &params, verbosity);
    let rehearsal = rehearse(params, rank, ranks, &mut [&mut watcher])?;
    watcher.close();
    print_result(&rehearsal, arguments.json);
    Ok(())
}
