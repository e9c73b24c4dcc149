//! The command line: the run and the verbs beside it, their arguments, exit codes.

mod comm_bench;
mod console;
mod dry_run;
mod export;
mod plan;
mod report;
mod result_directory;
mod run;
mod study;

use std::fmt::Display;
use std::fs;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, Parser, Subcommand};
use serde::Serialize;

use crate::base::error::{Error, Result, printable};
use crate::base::files;
use crate::comm::signals;
use crate::comm::{Comm, launcher};
use crate::io::config;
use crate::io::sonata::check::{self, Contents};
use crate::model::params::Params;

use comm_bench::CommBench;
use dry_run::DryRun;
use export::Export;
use plan::Plan;
use report::Report;
use run::Run;
use study::StudyArguments;

/// Simulates the scalable two-population STDP network model.
///
/// Runs on one rank, or under `mpirun -n R` on R ranks; the result is the same, bit for bit,
/// for every number of ranks and threads.
///
/// The environment variable STDP_HPC_ISA=portable|avx2|avx512 forces an instruction set
/// other than the widest that the machine has; it does not change the result.
#[derive(Debug, Parser)]
#[command(name = "stdp-hpc", version, after_long_help = config::help())]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What else can be done than to run a config.
#[derive(Debug, Subcommand)]
enum Verb {
    Plan(Plan),
    DryRun(DryRun),
    CommBench(CommBench),
    Export(Export),
    Report(Report),
    Study(StudyArguments),
}

/// The config, and what is said otherwise.
#[derive(Debug, Args)]
struct Config {
    /// What to simulate, in TOML; stdp-hpc --help lists the keys.
    // A verb has a config of its own.
    #[arg(required = true)]
    config: Option<PathBuf>,
    /// Another value for a key of the config, any number of times.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
}

/// Runs the program; returns its exit code: 0 done, 1 the run failed, 2 bad input, 75 a signal
/// ended it in good order.
pub fn main() -> u8 {
    if let Err(error) = signals::survive_file_limits() {
        return complain(&error);
    }
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == check::VERB) {
        return check::child(&words.collect::<Vec<_>>());
    }
    if let Ok(program) = std::env::current_exe() {
        check::by_program(program);
    }
    // What needs no other rank asks no MPI, which may refuse to start where this process is not
    // one of several (a shell inside a step of Slurm): the launcher's word has to do. The others
    // end well, for a launcher kills all where one does not; who sits at a terminal is served.
    let leads = launcher::rank_told() == 0 || stderr().is_terminal();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(_) if !leads => return 0,
        Err(message) if message.use_stderr() => return complain(&misuse(&message)),
        Err(help) => {
            // Nothing is left to do where standard output does not take it.
            let _ = help.print();
            return 0;
        }
    };
    let alone = Comm::Alone;
    let done = match &arguments.verb {
        None => return among_ranks(|comm| run::run(comm, &arguments.run)),
        Some(Verb::CommBench(bench)) => {
            return among_ranks(|comm| comm_bench::run(&comm, bench));
        }
        Some(_) if !leads => Ok(()),
        Some(Verb::Plan(plan)) => plan::run(&alone, plan),
        Some(Verb::DryRun(dry_run)) => dry_run::run(&alone, dry_run),
        Some(Verb::Export(export)) => export::run(&alone, export),
        Some(Verb::Report(report)) => report::run(&alone, report),
        Some(Verb::Study(study)) => study::run(study),
    };
    done.map_or_else(|error| complain(&error), |()| 0)
}

/// Does `work`, which needs all ranks that the launcher started.
fn among_ranks(work: impl FnOnce(Comm) -> Result<()>) -> u8 {
    let comm = match Comm::from_launcher() {
        Ok(comm) => comm,
        Err(error) => return complain(&error),
    };
    let leads = comm.rank() == 0;
    // Until the message of a failure is out.
    let _running = comm.hold();
    match work(comm) {
        Ok(()) => 0,
        Err(error) => end(leads, &error),
    }
}

/// Ends a run that all ranks agree has failed: the leading one says why.
fn end(leads: bool, error: &Error) -> u8 {
    if leads {
        complain(error);
    }
    error.exit_code()
}

fn complain(error: &Error) -> u8 {
    // Where standard error is closed the exit code has to do.
    let _ = writeln!(stderr(), "stdp-hpc: {}", printable(&error.to_string()));
    error.exit_code()
}

/// What is wrong with the arguments, on one line.
fn misuse(message: &clap::Error) -> Error {
    // Any word after other arguments: clap takes it for a verb.
    if let Some(ContextValue::String(word)) = message.get(ContextKind::InvalidSubcommand) {
        let what = match Arguments::command().find_subcommand(word) {
            Some(_) => format!("{word} must be the first argument"),
            None => format!("unexpected argument '{word}' found"),
        };
        return Error::input(format!("{what} (--help explains all)"));
    }
    let text = message.render().to_string();
    let words: Vec<&str> = text
        .lines()
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect();
    let mut what = words.join(" ");
    if let Some(ContextValue::String(known)) = message.get(ContextKind::SuggestedArg) {
        what += &format!(", did you mean {known}?");
    }
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    Error::input(format!("{what} (--help explains all)"))
}

impl Config {
    /// The file.
    fn path(&self) -> &Path {
        self.config.as_deref().expect("clap asks for it")
    }

    /// Its parameters on `ranks` ranks, of `threads` threads where not of the config's.
    /// Collective.
    fn load(&self, comm: &Comm, ranks: usize, threads: Option<usize>) -> Result<Params> {
        let path = self.path();
        let text = read_config(comm, path)?;
        comm.agree(config::load(path, &text, &self.overrides, threads, ranks))
    }
}

/// Has rank 0 look at the files that `params` name, `whole` or only their heads, before any rank
/// opens one. Collective.
fn check_inputs(comm: &Comm, params: &Params, whole: bool) -> Result<()> {
    let check = |(key, path): (&str, &Path)| {
        if let Err(error) = fs::File::open(path) {
            let path = path.display();
            return Err(Error::input(format!(
                "{key} = {path}: cannot be opened: {error}"
            )));
        }
        let contents = match key {
            "network.edges" => Contents::Edges,
            "neuron.initial" => Contents::Initial,
            _ => Contents::Input,
        };
        check::file(path, contents, whole)
    };
    let mut files = params.files().into_iter();
    comm.agree(match comm.rank() {
        0 => files.try_for_each(check),
        _ => Ok(()),
    })
}

/// Prints what a verb found, as JSON or as people read it.
fn print_result<T: Serialize + Display>(result: &T, as_json: bool) {
    match as_json {
        true => print_text(&json(result)),
        false => print_text(&result.to_string()),
    }
}

/// Returns `result` as JSON.
fn json<T: Serialize>(result: &T) -> String {
    serde_json::to_string_pretty(result).expect("plain data") + "\n"
}

/// Prints to standard output. Nothing is lost where nobody reads it (`| head -1`).
fn print_text(text: &str) {
    let _ = stdout().write_all(text.as_bytes());
}

/// The text of the config, read by rank 0 so that all ranks see the same.
fn read_config(comm: &Comm, path: &Path) -> Result<String> {
    let read = if comm.rank() == 0 {
        files::read_text(path)
    } else {
        Ok(String::new())
    };
    let mut bytes = comm.agree(read)?.into_bytes();
    comm.broadcast(0, &mut bytes);
    Ok(String::from_utf8(bytes).expect("sent as text"))
}
