//! `stdp-hpc export DIR WHAT`: a part of a result for other tools: a table, or a file of edges.

mod csv;
mod edges;
mod tables;

use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::base::error::{Error, Result};
use crate::base::units::Ms;
use crate::comm::Comm;
use crate::io::analysis::{Population, Results};

use csv::{Csv, Destination, Stop};

/// Writes a part of a result: spikes, rates, connections or weights as CSV; edges as HDF5.
///
/// The first line of a table names the columns, with units. Ids count from 0 within the
/// population. Of a run that was killed, or still goes on, it is what the last flush left. A
/// population that cannot be read is left out and named on standard error.
#[derive(Debug, Args)]
#[command(subcommand_value_name = "WHAT", subcommand_help_heading = "What")]
pub(super) struct Export {
    /// The directory of the result.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Where to write: .csv, .csv.gz (compressed) or, of edges, .h5 [default: standard output]
    #[arg(short, long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite a file that is there.
    #[arg(long, global = true)]
    force: bool,
    #[command(subcommand)]
    what: Option<What>,
}

/// What is exported.
#[derive(Debug, Subcommand)]
enum What {
    /// A row a spike: population, neuron, time_ms; those of E, then those of I, by time.
    Spikes(Period),
    /// A row a population, neuron or bin of time: spikes, rate_per_s and CV of the intervals.
    ///
    /// The CV needs 3 spikes; where there is none its place is empty.
    Rates {
        #[command(flatten)]
        period: Period,
        /// A row a neuron.
        #[arg(long, conflicts_with = "bin")]
        per_neuron: bool,
        /// A row a bin of so many ms: the rate of the population over time.
        #[arg(long, value_name = "MS")]
        bin: Option<f64>,
    },
    /// A row a plastic synapse: source, target, weight_pA, delay_ms.
    Connectivity(Synapses),
    /// A row a source, a column a target: the weights (pA) of all their synapses together.
    ///
    /// Without --sources and --targets the first 100 of each.
    Matrix(Synapses),
    /// A row a bin of weights: from_pA, to_pA, synapses, fraction, density_per_pA.
    ///
    /// The first row counts the weights of exactly 0, which are in no bin; the last those at
    /// the maximum and above.
    Histogram {
        #[command(flatten)]
        synapses: Synapses,
        /// How many bins.
        #[arg(long, value_name = "N", default_value_t = 75)]
        bins: usize,
        /// Where the bins end (pA).
        #[arg(long, value_name = "PA", default_value_t = 150.0)]
        max: f64,
    },
    /// A file of SONATA edges (needs -o FILE.h5), with the weights at one time and an index of the
    /// synapses onto each neuron.
    ///
    /// `afferent_edges` of libsonata and `get_target` of bmtk need that index; a run writes it only
    /// where record.weights.target_to_source asks for it.
    Edges(Synapses),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Whose spikes, and when.
#[derive(Debug, Args)]
struct Period {
    /// E or I only.
    #[arg(long, value_name = "E|I", value_parser = population)]
    population: Option<Population>,
    /// Later than this time (ms) [default: the end of the warm-up]
    #[arg(long, value_name = "MS")]
    from: Option<f64>,
    /// Up to and including this time (ms) [default: the end of the run]
    #[arg(long, value_name = "MS")]
    to: Option<f64>,
}

/// Which synapses, and when.
#[derive(Debug, Args)]
struct Synapses {
    /// From these neurons of E only: a up to but not including b [default: all recorded]
    #[arg(long, value_name = "a..b", value_parser = range)]
    sources: Option<Range<u32>>,
    /// Onto these neurons of E only [default: all recorded]
    #[arg(long, value_name = "a..b", value_parser = range)]
    targets: Option<Range<u32>>,
    /// At the time of this snapshot (ms) [default: the last]
    #[arg(long, value_name = "MS")]
    at: Option<f64>,
}

fn population(name: &str) -> std::result::Result<Population, String> {
    let mut all = Population::ALL.into_iter();
    let found = all.find(|population| population.name() == name);
    found.ok_or_else(|| "must be E or I".to_owned())
}

fn range(text: &str) -> std::result::Result<Range<u32>, String> {
    let ends = text
        .split_once("..")
        .and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    ends.ok_or_else(|| "must be a..b, such as 0..100".to_owned())
}

/// Exports on rank 0. Collective; the same result on all ranks.
///
/// # Errors
/// If the result cannot be read, has not what is asked for, or the table cannot be written.
pub(super) fn run(comm: &Comm, arguments: &Export) -> Result<()> {
    let done = match comm.rank() {
        0 => export(arguments),
        _ => Ok(()),
    };
    comm.agree(done)
}

fn export(arguments: &Export) -> Result<()> {
    let what = match &arguments.what {
        None => return Err(unknown("WHAT")),
        Some(What::Other(words)) => return Err(unknown(&words[0].to_string_lossy())),
        Some(what) => what,
    };
    let output = arguments.output.as_deref();
    if let What::Edges(synapses) = what {
        let path = edges::destination(output, arguments.force)?;
        return edges::write(&path, &Results::open(&arguments.directory)?, synapses);
    }
    let destination = Destination::new(output, arguments.force)?;
    let results = Results::open(&arguments.directory)?;
    destination.write(|csv| what.fill(csv, &results))
}

fn unknown(what: &str) -> Error {
    let known = "spikes, rates, connectivity, matrix, histogram or edges";
    Error::input(format!(
        "export DIR {what}: must be {known} (--help explains all)"
    ))
}

impl What {
    /// Writes the table.
    fn fill(&self, csv: &mut Csv, results: &Results) -> std::result::Result<(), Stop> {
        match self {
            What::Spikes(period) => tables::spikes(csv, results, period),
            What::Rates {
                period,
                per_neuron,
                bin,
            } => match (per_neuron, bin) {
                (true, _) => tables::rates_of_neurons(csv, results, period),
                (_, Some(bin)) => tables::rates_over_time(csv, results, period, Ms(*bin)),
                _ => tables::rates(csv, results, period),
            },
            What::Connectivity(synapses) => tables::connectivity(csv, results, synapses),
            What::Matrix(synapses) => tables::matrix(csv, results, synapses),
            What::Histogram {
                synapses,
                bins,
                max,
            } => tables::histogram(csv, results, synapses, *bins, *max),
            What::Edges(_) | What::Other(_) => unreachable!("not a table"),
        }
    }
}
