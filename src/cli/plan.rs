//! `stdp-hpc plan CONFIG`: estimates memory and file sizes without building the network.

use clap::Args;
use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::base::memory::{self, left_to_process, parse_size, resident, show_size};
use crate::comm::Comm;
use crate::tools::plan::{self, Inputs, Rate};

use super::{Config, print_text};

/// Estimate memory and file sizes without building the network.
///
/// Plans a run on R ranks of T threads, on a machine of any size. The exit code is 0 if the run
/// fits and 2 if not.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    config: Config,
    /// Number of ranks to plan for.
    #[arg(long, value_name = "R", default_value_t = 1)]
    ranks: usize,
    /// Threads per rank, instead of the config's.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Memory per rank, such as 64GB or 4GiB [default: available on this machine]
    #[arg(long, value_name = "SIZE")]
    memory_per_rank: Option<String>,
    /// Mean rate (spikes/s) of all neurons, or of E and I; replaces the estimate from CONFIG.
    #[arg(long, value_name = "RATE|E,I", value_parser = rates, allow_negative_numbers = true)]
    rate: Option<[f64; 2]>,
    /// Print JSON; sizes in bytes.
    #[arg(long)]
    json: bool,
}

/// Returns the size given with `--memory-per-rank` (bytes), if any.
pub(super) fn given_memory(text: Option<&str>) -> Result<Option<u64>> {
    let parse = |text: &str| {
        parse_size(text).map_err(|error| Error::input(format!("--memory-per-rank {text}: {error}")))
    };
    text.map(parse).transpose()
}

/// Parses `5` or `4.5,6` as the rates of E and I (spikes/s).
fn rates(text: &str) -> std::result::Result<[f64; 2], String> {
    let rate = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|rate| (0.0..1e6).contains(rate))
    };
    let (e, i) = text.split_once(',').unwrap_or((text, text));
    let rates = rate(e).zip(rate(i)).map(|(e, i)| [e, i]);
    rates.ok_or_else(|| "must be one or two rates, 0 … 1e6 (spikes/s)".to_owned())
}

/// Plan and verdict, as printed in JSON.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    plan: &'a plan::Plan,
    memory_per_rank: u64,
    fits: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<&'a str>,
}

/// Plans a run and prints the plan. Collective; returns the same result on all ranks.
///
/// # Errors
/// Fails if the input is invalid, or, after printing the plan, if the run does not fit.
pub(super) fn run(comm: &Comm, arguments: &Plan) -> Result<()> {
    let memory = given_memory(arguments.memory_per_rank.as_deref())?;
    let ranks = arguments.ranks;
    check_ranks(ranks, 1)?;
    let params = arguments.config.load(comm, ranks, arguments.threads)?;
    check_ranks(ranks, params.simulation.threads)?;
    super::check_inputs(comm, &params, false)?;
    let inputs = comm.agree(Inputs::read(&params))?;
    let rate = arguments
        .rate
        .map_or_else(|| Rate::of(&params), Rate::given);
    let program = program(comm, ranks);
    let plan = plan::Plan::new(&params, ranks, &inputs, rate, program);
    let room = memory
        .or_else(|| {
            memory::available()
                .into_iter()
                .chain(left_to_process())
                .min()
        })
        .ok_or_else(|| Error::input("--memory-per-rank is needed: this system does not say"))?;
    let whose = match memory {
        Some(_) => "--memory-per-rank",
        None => "what this machine has available, for one rank",
    };
    let fault = plan.why_not(&params, &inputs, room, whose);
    if comm.rank() == 0 {
        print(arguments, &plan, (room, whose), fault.as_deref())?;
    }
    fault.map_or(Ok(()), |why| Err(Error::input(why)))
}

/// Rejects a number of `ranks` that is 0 or too large for `threads` threads per rank.
pub(super) fn check_ranks(ranks: usize, threads: usize) -> Result<()> {
    let most = plan::most_ranks(threads);
    if (1..=most).contains(&(ranks as u64)) {
        return Ok(());
    }
    let with = match threads {
        1 => String::new(),
        _ => format!(" with {threads} threads"),
    };
    Err(Error::input(format!(
        "--ranks {ranks}: must be an integer 1 … {most}{with}"
    )))
}

/// Resident memory that MPI adds to the program before it is used (bytes): Open MPI 4.1.
const MPI: u64 = 10_600 << 10;

/// Returns the resident memory of the program on `ranks` ranks before construction (bytes).
fn program(comm: &Comm, ranks: usize) -> u64 {
    let mpi = if ranks > 1 && comm.library().is_none() {
        MPI
    } else {
        0
    };
    resident().now + mpi
}

fn print(
    arguments: &Plan,
    plan: &plan::Plan,
    (room, whose): (u64, &str),
    why_not: Option<&str>,
) -> Result<()> {
    let text = if arguments.json {
        let answer = Answer {
            plan,
            memory_per_rank: room,
            fits: why_not.is_none(),
            why_not,
        };
        serde_json::to_string_pretty(&answer).expect("plain data") + "\n"
    } else {
        let verdict = if why_not.is_none() { "yes" } else { "no" };
        let peak = show_size(plan.peak());
        format!(
            "{}{:<20} {verdict}: {peak} of {} ({whose})\n",
            plan.table(),
            "fits",
            show_size(room)
        )
    };
    print_text(&text)
}
