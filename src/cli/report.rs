//! `stdp-hpc report DIR…`: what runs did, as a page.

use std::path::PathBuf;

use clap::Args;

use crate::base::error::Result;
use crate::cli::console;
use crate::comm::Comm;
use crate::tools::report as pages;

/// Shows results as one page of figures and numbers, for a browser.
///
/// The page is one HTML file that needs nothing else, neither a network. Of one result it
/// shows the activity, the weights and the times, of several what they show side by side. What
/// cannot be read is left out, and named on the page and on standard error.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Directories of results, or directories that hold such.
    #[arg(value_name = "DIR", required = true)]
    directories: Vec<PathBuf>,
    /// Where to write the page.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Write the figures as PNG files to this directory too.
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
    /// Overwrite files that are there.
    #[arg(long)]
    force: bool,
}

/// Writes the page on rank 0. Collective; the same result on all ranks.
///
/// # Errors
/// If no result can be read or a file cannot be written.
pub(super) fn run(comm: &Comm, arguments: &Report) -> Result<()> {
    let done = match comm.rank() {
        0 => write(arguments),
        _ => Ok(()),
    };
    comm.agree(done)
}

/// Writes the page, and names what it does not show.
fn write(arguments: &Report) -> Result<()> {
    let faults = pages::write(
        &arguments.directories,
        &arguments.output,
        arguments.png.as_deref(),
        arguments.force,
    )?;
    for fault in &faults {
        console::warn(&format!("not shown: {fault}"));
    }
    Ok(())
}
