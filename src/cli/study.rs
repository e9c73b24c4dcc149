//! `stdp-hpc study STUDY`: many runs of one config, their table and their report.

use std::io::{Write, stderr};
use std::path::PathBuf;

use clap::Args;

use crate::base::error::{Error, Result, printable};
use crate::comm::launcher;
use crate::tools::study::{Place, Study};

use super::print_text;

/// Runs a config with many values of its keys, or goes on where that stopped.
///
/// Every combination of what STUDY.toml lists is a run of its own, on as many ranks (by mpirun,
/// or $MPIRUN) and threads as it says. What is done is left alone. Ends with a table, study.csv
/// and report.html of all that is done; docs/study.md explains them and the file. The exit code
/// is 1 if a run failed.
#[derive(Debug, Args)]
pub(super) struct StudyArguments {
    /// What to vary, in TOML.
    study: PathBuf,
    /// Directory of the results [default: results/<name of STUDY>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The quick form, as [quick] in STUDY has it; without --out it goes to a directory of its own.
    #[arg(long)]
    quick: bool,
    /// Print the runs and how far they are; start nothing.
    #[arg(long)]
    list: bool,
    /// Submit the runs as jobs of Slurm, as slurm/site.sh has them.
    #[arg(long)]
    slurm: bool,
    /// Repeat runs whose result is of other parameters or another build; try what does not fit the memory.
    #[arg(long)]
    force: bool,
    /// Say nothing but errors and the table.
    #[arg(short, long)]
    quiet: bool,
}

/// Conducts or lists a study.
///
/// # Errors
/// Bad input; a launcher; runs that failed, after all is done.
pub(super) fn run(arguments: &StudyArguments) -> Result<()> {
    if launcher::size_told_by_mpirun().is_some() {
        return Err(Error::input(
            "study starts its runs itself: must be started without mpirun",
        ));
    }
    let StudyArguments { study, out, .. } = arguments;
    let study = Study::read(study, out.as_deref(), arguments.quick)?;
    if arguments.list {
        print_text(&study.list()?);
        return Ok(());
    }
    let place = if arguments.slurm {
        Place::Slurm
    } else {
        Place::Here
    };
    let mut say = |line: &str| {
        if !arguments.quiet {
            // A reader that is gone is no reason to end the study.
            let _ = writeln!(stderr(), "study: {}", printable(line));
        }
    };
    let conclusion = study.conduct(place, arguments.force, &mut say)?;
    if let Ok(Some(table)) = &conclusion.table {
        print_text(table);
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
