//! The command line: arguments, order of a run, exit codes.

use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::{ContextKind, ContextValue};

use crate::comm::Comm;
use crate::console::{self, Verbosity, Watcher};
use crate::engine::Simulation;
use crate::error::{Error, Result};
use crate::outcome::{self, Outcome, Provenance, Status};
use crate::params::Params;
use crate::recording::Recorder;
use crate::simd;

/// Simulates the scalable two-population STDP network model.
///
/// Runs on one rank, or under `mpirun -n R` on R ranks; the result is the same, bit for bit,
/// for every number of ranks and threads.
///
/// The environment variable STDP_HPC_ISA=portable|avx2|avx512 forces an instruction set
/// other than the widest that the machine has; it does not change the result.
#[derive(Debug, Parser)]
#[command(name = "stdp-hpc", version, after_long_help = KEYS)]
struct Arguments {
    /// What to simulate, in TOML; --help lists the keys.
    config: PathBuf,
    /// Directory for spikes.h5, weights.h5 and run.json [default: results/<name of CONFIG>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads of each rank, instead of the config's.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Another value for a key of the config, any number of times.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
    /// Overwrite a result that is already in the directory.
    #[arg(long)]
    force: bool,
    /// Say nothing but errors.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more.
    #[arg(short, long)]
    verbose: bool,
}

const KEYS: &str = include_str!("keys.txt");

/// Runs the program; returns its exit code: 0 done, 1 the run failed, 2 bad input.
pub fn main() -> u8 {
    let comm = match Comm::from_launcher() {
        Ok(comm) => comm,
        Err(error) => return complain(&error),
    };
    let leads = comm.rank() == 0;
    // Until the message of a failure is out.
    let _running = comm.hold();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) if message.use_stderr() => return end(leads, &misuse(&message)),
        Err(help) => {
            if leads {
                // Nothing is left to do where standard output does not take it.
                let _ = help.print();
            }
            return 0;
        }
    };
    match run(comm, &arguments) {
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
    let _ = writeln!(stderr(), "stdp-hpc: {error}");
    error.exit_code()
}

/// What is wrong with the arguments, on one line.
fn misuse(message: &clap::Error) -> Error {
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

fn run(comm: Comm, arguments: &Arguments) -> Result<()> {
    let instruction_set = comm.agree(simd::choose())?;
    let text = read_config(&comm, &arguments.config)?;
    let params = comm.agree(Params::load(
        &arguments.config,
        &text,
        &arguments.overrides,
        arguments.threads,
        comm.size(),
    ))?;
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let provenance = Provenance::new(&comm, &params, instruction_set);
    let output = comm.agree(Output::claim(&comm, arguments))?;
    if comm.rank() == 0 && verbosity == Verbosity::Verbose {
        console::announce(&provenance, &params);
    }
    let before = outcome::resident().1;

    let mut simulation = Simulation::build(comm, params)?;
    let comm = simulation.comm();
    comm.agree(output.clear(comm))?;
    let write = |simulation: &Simulation, status| {
        let comm = simulation.comm();
        comm.agree(output.write(comm, &provenance, simulation.params(), status))
    };
    write(&simulation, Status::Running)?;
    match simulate(&mut simulation, &output.directory, verbosity, before) {
        Ok(outcome) => {
            write(&simulation, Status::Done(&outcome))?;
            if simulation.comm().rank() == 0 && verbosity > Verbosity::Quiet {
                console::print(&provenance, &outcome, &output.directory, verbosity);
            }
            Ok(())
        }
        Err(error) => {
            // The failure is what matters; that it could not be noted as well would hide it.
            let _ = write(&simulation, Status::Failed(&error));
            Err(error)
        }
    }
}

/// Runs what was built and closes its files. Collective.
fn simulate(
    simulation: &mut Simulation,
    directory: &Path,
    verbosity: Verbosity,
    before: u64,
) -> Result<Outcome> {
    let (comm, params) = (simulation.comm(), simulation.params());
    let recorder = Recorder::new(comm, params, Some(directory), simulation.delays().ee);
    let mut recorder = comm.agree(recorder)?;
    let mut watcher = Watcher::new(comm, params, verbosity);
    let timers = simulation.run(&mut recorder, &mut |progress| watcher.show(progress))?;
    watcher.close();
    let outcome = Outcome::new(simulation, &recorder, &timers, before);
    recorder.close(simulation.comm())?;
    Ok(outcome)
}

/// The text of the config, read by rank 0 so that all ranks see the same.
fn read_config(comm: &Comm, path: &Path) -> Result<String> {
    let read = if comm.rank() == 0 {
        fs::read_to_string(path)
            .map_err(|error| Error::input(format!("{}: cannot read: {error}", path.display())))
    } else {
        Ok(String::new())
    };
    let mut bytes = comm.agree(read)?.into_bytes();
    comm.broadcast(0, &mut bytes);
    Ok(String::from_utf8(bytes).expect("sent as text"))
}

/// The files of a result, also those that a killed run may leave.
const FILES: [&str; 5] = [
    "run.json",
    "run.json.new",
    "spikes.h5",
    "spikes.h5.part",
    "weights.h5",
];

/// The result directory, taken before any work is done and given back if nothing came of it.
struct Output {
    directory: PathBuf,
    /// The directories made for it, the innermost first.
    created: Vec<PathBuf>,
}

impl Output {
    /// On rank 0 makes sure that the directory exists, is writable, and holds no result but
    /// one that may be overwritten.
    fn claim(comm: &Comm, arguments: &Arguments) -> Result<Self> {
        let directory = arguments.out.clone().unwrap_or_else(|| {
            Path::new("results").join(arguments.config.file_stem().unwrap_or_default())
        });
        let mut output = Output {
            directory,
            created: Vec::new(),
        };
        if comm.rank() == 0 {
            output.prepare(arguments.force)?;
        }
        Ok(output)
    }

    fn prepare(&mut self, force: bool) -> Result<()> {
        let directory = &self.directory;
        let fault = |what: String| Error::input(format!("--out {}: {what}", directory.display()));
        let exists = directory
            .try_exists()
            .map_err(|error| fault(error.to_string()))?;
        if exists && !directory.is_dir() {
            return Err(fault("is not a directory".to_owned()));
        }
        if !exists {
            let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
            let missing = directory.ancestors().take_while(missing);
            self.created = missing.map(Path::to_owned).collect();
            fs::create_dir_all(directory)
                .map_err(|error| fault(format!("cannot create the directory: {error}")))?;
        }
        let empty = fs::read_dir(directory)
            .map_err(|error| fault(format!("cannot read the directory: {error}")))?
            .next()
            .is_none();
        if !empty && !force {
            return Err(fault(
                "exists and is not empty: name another directory, or --force to overwrite a \
                 result there"
                    .to_owned(),
            ));
        }
        if let Some(name) = FILES.iter().find(|name| directory.join(name).is_dir()) {
            return Err(fault(format!("cannot overwrite {name}: is a directory")));
        }
        let probe = directory.join("run.json.new");
        fs::write(&probe, "")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| fault(format!("cannot write there: {error}")))
    }

    /// On rank 0 removes the result that is overwritten: not before all input is known to be
    /// good, and read, since it may be that result.
    fn clear(&self, comm: &Comm) -> Result<()> {
        if comm.rank() != 0 {
            return Ok(());
        }
        for name in FILES {
            let path = self.directory.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let path = path.display();
                    return Err(Error::run(format!("{path}: cannot be removed: {error}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write(
        &self,
        comm: &Comm,
        provenance: &Provenance,
        params: &Params,
        status: Status,
    ) -> Result<()> {
        if comm.rank() == 0 {
            outcome::write(&self.directory, provenance, params, status)?;
        }
        Ok(())
    }
}

impl Drop for Output {
    /// Leaves no empty directory behind where the run ended before it wrote anything.
    fn drop(&mut self) {
        for directory in &self.created {
            // Refused where there is something in it, which is what is wanted.
            let _ = fs::remove_dir(directory);
        }
    }
}
