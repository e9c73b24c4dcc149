//! `stdp-hpc comm-bench`: measures the exchange between ranks for the config's `[interconnect]`.

use clap::Args;

use crate::base::error::Result;
use crate::comm::Comm;
use crate::comm::bench::Report;
use crate::comm::interconnect::Algorithm;

use super::print_result;

/// Measure MPI_Alltoall and fit latency and bandwidth; start it under mpirun.
///
/// Every rank sends 64 B … 64 KiB to every other rank. This takes a few seconds. The output ends
/// with the table [interconnect] of a config.
#[derive(Debug, Args)]
pub(super) struct CommBench {
    /// Assumed algorithm of MPI: bruck, pairwise, or best, the faster one.
    #[arg(long, value_name = "NAME", default_value = "best", value_parser = named)]
    algorithm: Algorithm,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn named(name: &str) -> std::result::Result<Algorithm, String> {
    let mut known = Algorithm::NAMED.into_iter();
    match known.find(|(known, _)| *known == name) {
        Some((_, algorithm)) => Ok(algorithm),
        None => Err(format!(
            "must be one of {}",
            Algorithm::NAMED.map(|(known, _)| known).join(", ")
        )),
    }
}

/// Measures, and prints the report on rank 0. Collective; returns the same result on all ranks.
pub(super) fn run(comm: &Comm, arguments: &CommBench) -> Result<()> {
    let report = Report::measure(comm, arguments.algorithm)?;
    comm.agree(match comm.rank() {
        0 => print_result(&report, arguments.json),
        _ => Ok(()),
    })
}
