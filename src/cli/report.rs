//! `stdp-hpc report DIR…`: shows results of runs as an HTML page.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::error::{Error, Result};
use crate::base::files::Outputs;
use crate::comm::Comm;
use crate::tools::report::{self, Found, Scaling};

use super::{console, print_text};

/// Default file name of the page.
const PAGE: &str = "report.html";

/// Write an HTML page that shows one result or compares several.
///
/// The page is a single file and needs no network. For one result it shows activity, weights and
/// times. Data that cannot be read are left out, and named on the page and on standard error.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Result directories, or directories that contain some.
    #[arg(value_name = "DIR", required = true)]
    directories: Vec<PathBuf>,
    /// Write the page to FILE [default: report.html, with --scaling in its DIR]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the table of a scaling series; write table and figure to DIR.
    ///
    /// The results must have the same configuration and commit, on different numbers of ranks.
    /// Writes scaling.md, scaling.csv and scaling.png. The exit code is 1 if a run is not done or
    /// digests differ that must be equal.
    #[arg(long, value_name = "DIR")]
    scaling: Option<PathBuf>,
    /// Also write the figures to DIR as PNG files.
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
    /// Overwrite existing files.
    #[arg(long)]
    force: bool,
}

/// Writes the page on rank 0. Collective; returns the same result on all ranks.
///
/// # Errors
/// Fails if no result can be read or a file cannot be written. With `--scaling`, also fails if the
/// table omits a result or digests differ that must be equal.
pub(super) fn run(comm: &Comm, arguments: &Report) -> Result<()> {
    let done = match comm.rank() {
        0 => write(arguments),
        _ => Ok(()),
    };
    comm.agree(done)
}

/// Writes the page and the scaling series; warns about omitted data and differing digests.
fn write(arguments: &Report) -> Result<()> {
    let found = Found::in_directories(&arguments.directories);
    let mut outputs = Outputs::new(arguments.force);
    let scaling = match &arguments.scaling {
        None => None,
        Some(directory) => {
            let scaling = Scaling::of(&found)?;
            scaling.add_to(&mut outputs, directory)?;
            Some(scaling)
        }
    };
    let folder = arguments.scaling.as_deref().unwrap_or(Path::new(""));
    let output = arguments.output.clone();
    let output = output.unwrap_or_else(|| folder.join(PAGE));
    let not_shown = report::add_page(&mut outputs, found, &output, arguments.png.as_deref())?;
    outputs.write()?;
    let left_out = scaling.iter().flat_map(|scaling| &scaling.left_out);
    let left_out: Vec<&String> = left_out.collect();
    for line in not_shown.iter().filter(|line| !left_out.contains(line)) {
        console::warn(&format!("not shown: {line}"));
    }
    for line in &left_out {
        console::warn(&format!("left out: {line}"));
    }
    scaling.map_or(Ok(()), |scaling| print(&scaling))
}

/// Prints the table; warns about differing digests.
///
/// # Errors
/// Fails if the table omits a result or digests differ.
fn print(scaling: &Scaling) -> Result<()> {
    print_text(&scaling.table)?;
    for line in &scaling.disagreements {
        console::warn(line);
    }
    match (scaling.left_out.len(), scaling.disagreements.len()) {
        (0, 0) => Ok(()),
        (0, _) => Err(Error::run("digests differ that must be equal")),
        (left_out, _) => Err(Error::run(format!(
            "the table leaves out {left_out} result(s)"
        ))),
    }
}
