//! `stdp-hpc study STUDY`: runs a parameter study and writes its table and report.

use std::io::{Write, stderr};
use std::path::PathBuf;

use clap::Args;

use crate::base::error::{Error, Result, printable};
use crate::comm::launcher;
use crate::tools::study::{Place, Study};

use super::print_text;

/// Run a parameter study, or resume one.
///
/// Each combination of the values in STUDY is one run, with the number of ranks (started by mpirun
/// or $MPIRUN) and threads given there. Completed runs are not repeated. Prints a table and writes
/// study.csv and report.html of all completed runs; docs/study.md describes these files and STUDY.
/// The exit code is 1 if a run failed.
#[derive(Debug, Args)]
pub(super) struct StudyArguments {
    /// Study file in TOML.
    study: PathBuf,
    /// Output directory [default: results/<name of STUDY>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Use the values of [quick] in STUDY; the default output directory then ends in -quick.
    #[arg(long)]
    quick: bool,
    /// Print the runs and their states; start nothing.
    #[arg(long)]
    list: bool,
    /// Submit the runs as Slurm jobs, configured in slurm/site.sh.
    #[arg(long)]
    slurm: bool,
    /// Repeat runs with other parameters or another build; run even if memory seems insufficient.
    #[arg(long)]
    force: bool,
    /// Print only errors and the table.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs or lists a study.
///
/// # Errors
/// Fails if the input is invalid or mpirun started this process. Fails after all runs if a run
/// failed or a result cannot be used.
pub(super) fn run(arguments: &StudyArguments) -> Result<()> {
    if launcher::size_told_by_mpirun().is_some() {
        return Err(Error::input(
            "study starts its runs itself: must be started without mpirun",
        ));
    }
    let StudyArguments { study, out, .. } = arguments;
    let study = Study::read(study, out.as_deref(), arguments.quick)?;
    if arguments.list {
        return print_text(&study.list()?);
    }
    let place = if arguments.slurm {
        Place::Slurm
    } else {
        Place::Here
    };
    let mut say = |line: &str| {
        if !arguments.quiet {
            // The study continues even if standard error is closed.
            let _ = writeln!(stderr(), "study: {}", printable(line));
        }
    };
    let conclusion = study.conduct(place, arguments.force, &mut say)?;
    if let Ok(Some(table)) = &conclusion.table {
        print_text(table)?;
        say(&format!(
            "written {}",
            study.out().join("{report.html,study.csv}").display()
        ));
    }
    for (name, why) in &conclusion.failed {
        let _ = writeln!(stderr(), "stdp-hpc: {name} failed: {}", printable(why));
    }
    for error in &conclusion.unusable {
        let _ = writeln!(stderr(), "stdp-hpc: {error}");
    }
    conclusion.table?;
    match (conclusion.failed.len(), conclusion.unusable.len()) {
        (0, 0) => Ok(()),
        (0, unusable) => Err(Error::input(format!(
            "{unusable} result(s) cannot be used and are left out"
        ))),
        (failed, _) => Err(Error::run(format!(
            "{failed} run(s) failed, see the logs; the same command repeats what is not done"
        ))),
    }
}
