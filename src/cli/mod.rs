//! Command line: the run and the other verbs, their arguments and exit codes.

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
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
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

/// Simulate the scalable two-population STDP network model.
///
/// Runs on one rank, or on R ranks with `mpirun -n R`. The result is the same, bit for bit, for
/// every number of ranks and threads.
///
/// The environment variable STDP_HPC_ISA=portable|avx2|avx512 selects the instruction set; the
/// default is the widest that the machine supports. STDP_HPC_HOLDER=source|target selects whether a
/// thread holds the synapses of some sources or onto its neurons; the default depends on the sizes.
/// Neither changes the result.
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

/// Verbs other than the run of a config.
#[derive(Debug, Subcommand)]
enum Verb {
    Plan(Plan),
    DryRun(DryRun),
    CommBench(CommBench),
    Export(Export),
    Report(Report),
    Study(StudyArguments),
}

/// Config file and overrides of its keys.
#[derive(Debug, Args)]
struct Config {
    /// Config file in TOML; stdp-hpc --help lists the keys.
    // `None` if a verb is given, which has its own config.
    #[arg(required = true)]
    config: Option<PathBuf>,
    /// Override a key of the config; can be repeated.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
}

/// Runs the program and returns its exit code: 0 done; 1 the run failed; 2 invalid input, nothing
/// was run; 75 a signal ended the run, and what was recorded is written.
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
    // Verbs that need a single rank do not initialize MPI: it may fail if this process is not one
    // of several (a shell inside a Slurm step). The launcher's environment variables give the rank.
    // Other ranks return 0, because a launcher kills all processes if one fails. A process with a
    // terminal always does the work.
    let leads = launcher::rank_told() == 0 || stderr().is_terminal();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(_) if !leads => return 0,
        Err(message) if message.use_stderr() => return complain(&misuse(&message)),
        Err(help) => {
            // A closed standard output is not an error.
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

/// Runs `work` on all ranks that the launcher started; returns the exit code.
fn among_ranks(work: impl FnOnce(Comm) -> Result<()>) -> u8 {
    let comm = match Comm::from_launcher() {
        Ok(comm) => comm,
        Err(error) => return complain(&error),
    };
    let leads = comm.rank() == 0;
    // Keeps MPI running until an error message is printed.
    let _running = comm.hold();
    match work(comm) {
        Ok(()) => 0,
        Err(error) => end(leads, &error),
    }
}

/// Returns the exit code of a run that failed on all ranks; the leading rank prints the error.
fn end(leads: bool, error: &Error) -> u8 {
    if leads {
        complain(error);
    }
    error.exit_code()
}

fn complain(error: &Error) -> u8 {
    // If standard error is closed, only the exit code reports the error.
    let _ = writeln!(stderr(), "stdp-hpc: {}", printable(&error.to_string()));
    error.exit_code()
}

/// Messages of the standard library for text that is no unsigned integer, and those for users.
const PARSE_ERRORS: [(&str, &str); 3] = [
    ("invalid digit found in string", "must be an integer ≥ 0"),
    (
        "cannot parse integer from empty string",
        "must be an integer ≥ 0",
    ),
    ("number too large to fit in target type", "is too large"),
];

/// Converts an error of clap into one with a one-line message.
fn misuse(message: &clap::Error) -> Error {
    // clap takes a misspelt verb for a config, and its arguments for unknown ones.
    if let Some(verb) = std::env::args().nth(1).and_then(|word| similar_verb(&word)) {
        return Error::input(format!(
            "did you mean stdp-hpc {verb}? (--help explains all)"
        ));
    }
    // clap takes any word after other arguments for a verb.
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
    for (std, plain) in PARSE_ERRORS {
        what = what.replace(std, plain);
    }
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    Error::input(format!("{what} (--help explains all)"))
}

/// Returns the verb that `word`, which is neither a verb nor a file, resembles.
fn similar_verb(word: &str) -> Option<String> {
    let command = Arguments::command();
    if command.find_subcommand(word).is_some() || Path::new(word).exists() {
        return None;
    }
    let verbs = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned());
    let distance = |verb: &String| strsim::osa_distance(word, verb);
    verbs
        .min_by_key(distance)
        .filter(|verb| distance(verb) <= 2)
}

impl Config {
    /// Returns the path of the config file.
    fn path(&self) -> &Path {
        self.config.as_deref().expect("clap asks for it")
    }

    /// Reads the config file and returns its parameters on `ranks` ranks. `threads` overrides the
    /// config's threads per rank. Collective.
    fn load(&self, comm: &Comm, ranks: usize, threads: Option<usize>) -> Result<Params> {
        let path = self.path();
        let text = read_config(comm, path)?;
        comm.agree(config::load(path, &text, &self.overrides, threads, ranks))
    }
}

/// Checks the input files of `params` on rank 0 before any rank opens one: their values if `whole`,
/// else only the first row of each dataset. Collective.
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

/// Prints the result of a verb as JSON or as text.
///
/// # Errors
/// Fails as [`print_text`] does.
fn print_result<T: Serialize + Display>(result: &T, as_json: bool) -> Result<()> {
    match as_json {
        true => print_text(&json(result)),
        false => print_text(&result.to_string()),
    }
}

/// Returns `result` as indented JSON with a final line break.
fn json<T: Serialize>(result: &T) -> String {
    serde_json::to_string_pretty(result).expect("plain data") + "\n"
}

/// Prints the result of a verb to standard output. A closed standard output (`| head -1`) is not an
/// error.
///
/// # Errors
/// Fails if the text cannot be written, as on a full disk.
fn print_text(text: &str) -> Result<()> {
    let mut stdout = stdout();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::run(format!(
            "standard output: cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Returns the text of the config, which rank 0 reads and sends to all ranks. Collective.
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
