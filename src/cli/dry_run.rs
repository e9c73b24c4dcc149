//! `stdp-hpc dry-run CONFIG --ranks R --rank r`: rehearses one rank of many in a single process;
//! several R give a table and a figure.

use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::error::{Error, Result, printable};
use crate::base::simd;
use crate::cli::console::{self, Verbosity, Watcher};
use crate::comm::{Comm, cores, launcher};
use crate::model::params::Params;
use crate::tools::dry_run::{self, Series, rehearse};

use super::{Config, json, print_result, print_text};

/// Rehearse one rank of a run on R ranks in a single process.
///
/// Builds the synapses of that rank and delivers the spikes it would receive. The digests equal
/// those of that rank in a real run. Times and memory are measured; the time of exchanges is
/// modelled separately from [interconnect]. The neuron model must be ignore_and_fire.
#[derive(Debug, Args)]
pub(super) struct DryRun {
    #[command(flatten)]
    config: Config,
    /// Ranks of the run; several R are rehearsed in turn, for a table and a figure.
    #[arg(long, value_name = "R,…", value_delimiter = ',', required = true)]
    ranks: Vec<usize>,
    /// Rank to rehearse, 0 … R - 1; with several R, the last rank if R is too small.
    #[arg(long, value_name = "r", default_value_t = 0)]
    rank: usize,
    /// Threads per rank, instead of the config's.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Print JSON; sizes in bytes, times in s.
    #[arg(long)]
    json: bool,
    /// Write table, figure and a file per R to DIR; keep existing rehearsals
    /// [default for several R: results/rehearsal/<name of CONFIG>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Repeat existing rehearsals and overwrite other files.
    #[arg(long)]
    force: bool,
    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,
}

/// Rehearses one rank of each number of ranks and prints the results.
///
/// # Errors
/// Fails if the input is invalid or mpirun started more than one process.
pub(super) fn run(comm: &Comm, arguments: &DryRun) -> Result<()> {
    comm.agree(simd::choose())?;
    if let Some(size @ 2..) = launcher::size_told_by_mpirun() {
        return Err(Error::input(format!(
            "dry-run rehearses one rank in one process: must be started without mpirun, not on \
             {size} ranks"
        )));
    }
    for &ranks in &arguments.ranks {
        super::plan::check_ranks(ranks, 1)?;
    }
    let most = *arguments.ranks.iter().max().expect("clap asks for it");
    if arguments.rank >= most {
        return Err(Error::input(format!(
            "--rank {}: must be an integer 0 … {} (--ranks {most})",
            arguments.rank,
            most - 1
        )));
    }
    match &arguments.ranks[..] {
        [ranks] if arguments.out.is_none() => one(comm, arguments, *ranks),
        _ => several(comm, arguments),
    }
}

/// Returns the checked parameters of a run on `ranks` ranks. `whole` also checks all values in
/// their files.
fn checked(comm: &Comm, arguments: &DryRun, ranks: usize, whole: bool) -> Result<Params> {
    let params = arguments.config.load(comm, ranks, arguments.threads)?;
    super::plan::check_ranks(ranks, params.simulation.threads)?;
    dry_run::check(&params)?;
    super::check_inputs(comm, &params, whole)?;
    Ok(params)
}

/// Rehearses one of `ranks` ranks and prints the result.
fn one(comm: &Comm, arguments: &DryRun, ranks: usize) -> Result<()> {
    if arguments.force {
        return Err(Error::input(
            "--force: needs --out or several R, which write files",
        ));
    }
    let params = checked(comm, arguments, ranks, true)?;
    let verbosity = if arguments.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    if verbosity > Verbosity::Quiet
        && let Some(shortage) = cores::shortage(comm, params.simulation.threads)
    {
        console::warn(&shortage);
    }
    let mut watcher = Watcher::new(comm, &params, verbosity);
    let rehearsal = rehearse(params, arguments.rank, ranks, &mut [&mut watcher])?;
    watcher.close();
    print_result(&rehearsal, arguments.json)
}

/// Rehearses one rank of each number of ranks, writes the files and prints the table.
fn several(comm: &Comm, arguments: &DryRun) -> Result<()> {
    let config = arguments.config.path();
    if fs::metadata(config).is_ok_and(|meta| !meta.is_file()) {
        return Err(Error::input(format!(
            "{}: must be a file, because each rehearsal reads it",
            config.display()
        )));
    }
    let name = config.file_stem().unwrap_or_default();
    let out = arguments.out.clone();
    let mut series = Series {
        config: config.to_owned(),
        ranks: arguments.ranks.clone(),
        rank: arguments.rank,
        threads: arguments.threads,
        overrides: arguments.config.overrides.clone(),
        files: Vec::new(),
        out: out.unwrap_or_else(|| Path::new("results/rehearsal").join(name)),
        force: arguments.force,
    };
    // Every R is checked before the first is rehearsed. Each rehearsal checks all values.
    for &ranks in &arguments.ranks {
        let params = checked(comm, arguments, ranks, false)?;
        let files = params.files().into_iter();
        series.files = files.map(|(_, path)| path.to_owned()).collect();
    }
    let (found, table) = series.conduct(&mut |line| {
        if !arguments.quiet {
            // The series continues even if standard error is closed.
            let _ = writeln!(stderr(), "dry-run: {}", printable(line));
        }
    })?;
    match arguments.json {
        true => print_text(&json(&found)),
        false => print_text(&table),
    }
}
