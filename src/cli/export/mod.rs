//! `stdp-hpc export DIR WHAT`: exports a part of a result as a table or as a file of edges.

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

/// Export part of a result: spikes, rates, connections or weights as CSV; edges as HDF5.
///
/// The first line of a table names the columns, with units. Ids count from 0 within the
/// population. For a killed or unfinished run, exports the data up to the last flush. A
/// population that cannot be read is left out and named on standard error.
#[derive(Debug, Args)]
#[command(subcommand_value_name = "WHAT", subcommand_help_heading = "What")]
pub(super) struct Export {
    /// Result directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Output file: .csv, .csv.gz (compressed) or, for edges, .h5 [default: standard output]
    #[arg(short, long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite an existing file.
    #[arg(long, global = true)]
    force: bool,
    #[command(subcommand)]
    what: Option<What>,
}

/// Data to export.
#[derive(Debug, Subcommand)]
enum What {
    /// One row per spike: population, neuron, time_ms; first E, then I, each by time.
    Spikes(Period),
    /// One row per population, neuron or time bin: spikes, rate_per_s, CV of intervals.
    ///
    /// The CV needs 3 spikes of a neuron; otherwise its field is empty.
    Rates {
        #[command(flatten)]
        period: Period,
        /// One row per neuron.
        #[arg(long, conflicts_with = "bin")]
        per_neuron: bool,
        /// One row per time bin of this width: population rate over time.
        #[arg(long, value_name = "MS")]
        bin: Option<f64>,
    },
    /// One row per plastic synapse: source, target, weight_pA, delay_ms.
    Connectivity(Synapses),
    /// One row per source, one column per target: sum of their synapses' weights (pA).
    ///
    /// The default is the first 100 sources and targets.
    Matrix(Synapses),
    /// One row per weight bin: from_pA, to_pA, synapses, fraction, density_per_pA.
    ///
    /// The first row counts weights of exactly 0, which are in no bin. The last row counts weights
    /// at or above the maximum.
    Histogram {
        #[command(flatten)]
        synapses: Synapses,
        /// Number of bins.
        #[arg(long, value_name = "N", default_value_t = 75)]
        bins: usize,
        /// Upper end of the last bin (pA).
        #[arg(long, value_name = "PA", default_value_t = 150.0)]
        max: f64,
    },
    /// SONATA edges with weights at one time and an index by target; needs -o FILE.h5.
    ///
    /// `afferent_edges` of libsonata and `get_target` of bmtk need the index by target. A run
    /// writes it only if record.weights.target_to_source is true.
    Edges(Synapses),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Selection of spikes by population and time.
#[derive(Debug, Args)]
struct Period {
    /// Only E or I.
    #[arg(long, value_name = "E|I", value_parser = population)]
    population: Option<Population>,
    /// After this time (ms) [default: the end of the warm-up]
    #[arg(long, value_name = "MS")]
    from: Option<f64>,
    /// Up to this time (ms), inclusive [default: the end of the run]
    #[arg(long, value_name = "MS")]
    to: Option<f64>,
}

/// Selection of plastic synapses and of a snapshot.
#[derive(Debug, Args)]
struct Synapses {
    /// Only synapses from neurons a ≤ id < b of E [default: all recorded]
    #[arg(long, value_name = "a..b", value_parser = range)]
    sources: Option<Range<u32>>,
    /// Only onto neurons a ≤ id < b of E [default: all recorded]
    #[arg(long, value_name = "a..b", value_parser = range)]
    targets: Option<Range<u32>>,
    /// Time of the snapshot (ms) [default: the last]
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

/// Exports on rank 0. Collective; returns the same result on all ranks.
///
/// # Errors
/// Fails if the result cannot be read or lacks the requested data, or the output cannot be written.
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
    /// Writes the table to `csv`. Panics for `Edges` and `Other`, which are not tables.
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
