//! The command line: arguments, order of a run, exit codes.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::comm::Comm;
use crate::console::{self, Verbosity, Watcher};
use crate::engine::Simulation;
use crate::error::{Error, Result};
use crate::outcome::{self, Outcome, Provenance};
use crate::params::Params;
use crate::recording::Recorder;

/// Simulates the scalable two-population STDP network model.
///
/// Runs on one rank, or under `mpirun -n R` on R ranks; the result is the same, bit for bit,
/// for every number of ranks and threads.
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
        Err(message) => {
            if leads {
                // Nothing is left to do where not even standard error takes the message.
                let _ = message.print();
            }
            return message.exit_code() as u8;
        }
    };
    match run(comm, &arguments) {
        Ok(()) => 0,
        Err(error) if leads => complain(&error),
        Err(error) => error.exit_code(),
    }
}

fn complain(error: &Error) -> u8 {
    eprintln!("stdp-hpc: {error}");
    error.exit_code()
}

fn run(comm: Comm, arguments: &Arguments) -> Result<()> {
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
    let provenance = Provenance::new(&comm, &params);
    let output = comm.agree(Output::claim(&comm, arguments))?;
    let before = outcome::resident().1;

    let mut simulation = Simulation::build(comm, params)?;
    let (comm, params) = (simulation.comm(), simulation.params());
    let recorder = Recorder::new(
        comm,
        params,
        Some(&output.directory),
        simulation.delays().ee,
    );
    let mut recorder = comm.agree(recorder)?;
    comm.agree(output.write(comm, &provenance, params, None))?;
    let mut watcher = Watcher::new(comm, params, verbosity);
    let timers = simulation.run(&mut recorder, &mut |progress| watcher.show(progress))?;
    watcher.close();

    let outcome = Outcome::new(&mut simulation, &recorder, &timers, before);
    let (comm, params) = (simulation.comm(), simulation.params());
    recorder.close(comm)?;
    comm.agree(output.write(comm, &provenance, params, Some(&outcome)))?;
    if comm.rank() == 0 && verbosity > Verbosity::Quiet {
        console::print(&provenance, &outcome, &output.directory, verbosity);
    }
    Ok(())
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

/// The files of a result.
const FILES: [&str; 3] = ["run.json", "spikes.h5", "weights.h5"];

/// The result directory, taken before any work is done and given back if nothing came of it.
struct Output {
    directory: PathBuf,
    created: bool,
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
            created: false,
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
            fs::create_dir_all(directory)
                .map_err(|error| fault(format!("cannot create the directory: {error}")))?;
            self.created = true;
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
        for name in FILES {
            match fs::remove_file(directory.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(fault(format!("cannot remove the old {name}: {error}")));
                }
                _ => {}
            }
        }
        let probe = directory.join("run.json.new");
        fs::write(&probe, "")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| fault(format!("cannot write there: {error}")))
    }

    fn write(
        &self,
        comm: &Comm,
        provenance: &Provenance,
        params: &Params,
        outcome: Option<&Outcome>,
    ) -> Result<()> {
        if comm.rank() == 0 {
            outcome::write(&self.directory, provenance, params, outcome)?;
        }
        Ok(())
    }
}

impl Drop for Output {
    /// Leaves no empty directory behind where the run ended before it wrote anything.
    fn drop(&mut self) {
        if self.created {
            // Refused where there are files in it, which is what is wanted.
            let _ = fs::remove_dir(&self.directory);
        }
    }
}
