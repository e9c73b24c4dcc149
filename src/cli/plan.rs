//! `stdp-hpc plan CONFIG`: what a run would take, before anything is built.

use clap::Args;

use crate::comm::Comm;
use crate::error::Result;

use super::Config;

/// Tells what a run on R ranks of T threads would take, and whether it fits; builds nothing.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    config: Config,
    /// Ranks of the machine that is planned for.
    #[arg(long, value_name = "R", default_value_t = 1)]
    ranks: usize,
    /// Threads of each rank, instead of the config's.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
}

/// Plans and prints. Collective; the same result on all ranks.
pub(super) fn run(comm: &Comm, arguments: &Plan) -> Result<()> {
    arguments
        .config
        .load(comm, arguments.ranks, arguments.threads)
        .map(drop)
}
