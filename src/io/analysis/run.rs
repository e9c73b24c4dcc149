//! The directory of a result, and what its `run.json` says of it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::lock::Life;
use crate::base::units::{Ms, Steps};
use crate::io::config::recorded;
use crate::io::sonata::check::{self, Contents};
use crate::io::sonata::read::results::{SpikeTable, check_id};

/// One of the two populations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// The excitatory neurons.
    E,
    /// The inhibitory neurons.
    I,
}

impl Population {
    /// Both, in the order of their gids.
    pub const ALL: [Population; 2] = [Self::E, Self::I];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::E => "E",
            Self::I => "I",
        }
    }
}

/// A stretch of model time: later than `after`, up to and including `until`, as stamps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Exclusive.
    pub after: Steps,
    /// Inclusive.
    pub until: Steps,
}

impl Window {
    /// How long it is, in steps of `dt`.
    pub fn length(self, dt: Ms) -> Ms {
        (self.until - self.after).to_ms(dt)
    }
}

/// What a run left in its directory.
#[derive(Clone, Debug)]
pub struct Results {
    directory: PathBuf,
    run: Run,
}

/// The part of run.json that is needed to read the other files.
#[derive(Clone, Debug, Deserialize)]
struct Run {
    status: String,
    id: Option<String>,
    interrupted: Option<Interrupted>,
    parameters: Parameters,
    parameters_in_steps: InSteps,
}

/// Progress of a run that a signal ended.
#[derive(Clone, Debug, Deserialize)]
struct Interrupted {
    model_time_ms: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct Parameters {
    network: Network,
    simulation: Simulation,
    record: Record,
}

#[derive(Clone, Debug, Deserialize)]
#[allow(non_snake_case)]
struct Network {
    N_E: u32,
    N_I: u32,
}

#[derive(Clone, Debug, Deserialize)]
struct Simulation {
    dt: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct InSteps {
    simulation: Times,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[allow(non_snake_case)]
struct Times {
    T: i32,
    presim: i32,
}

#[derive(Clone, Debug, Deserialize)]
struct Record {
    #[serde(default = "recorded")]
    spikes: bool,
    n_rec: u32,
    weights: Option<WeightRecord>,
}

#[derive(Clone, Debug, Deserialize)]
struct WeightRecord {
    targets: u32,
    sources: u32,
}

fn recorded() -> bool {
    true
}

impl Results {
    /// Takes the directory of a result, of which it reads `run.json`.
    ///
    /// # Errors
    /// If `run.json` cannot be read or is not that of a run.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("run.json");
        let fault = |what: String| Error::input(format!("{}: {what}", path.display()));
        let (text, life) = Life::while_reading(directory, || files::read_text(&path))?;
        let mut run: Run = recorded::read(&text).map_err(fault)?;
        if run.id.as_ref().is_some_and(|id| !recorded::is_id(id)) {
            let what = "id: must be 32 hexadecimal digits, as the run wrote it";
            return Err(fault(what.to_owned()));
        }
        if run.status == "running" {
            // An older build, without ids, has locked nothing.
            let life = run.id.as_ref().map_or(Life::Unknown, |_| life);
            run.status = life.status().to_owned();
        }
        let dt = run.parameters.simulation.dt;
        let times = run.parameters_in_steps.simulation;
        let end = times.presim.checked_add(times.T);
        if !(dt.is_finite() && dt > 0.0) || end.is_none() {
            return Err(fault("is not of a run of stdp-hpc: simulation".to_owned()));
        }
        Ok(Self {
            directory: directory.to_owned(),
            run,
        })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What its files are known by; none of an older build.
    pub fn id(&self) -> Option<&str> {
        self.run.id.as_deref()
    }

    /// The length of a step.
    pub fn dt(&self) -> Ms {
        Ms(self.run.parameters.simulation.dt)
    }

    /// Whether the run has come to its end.
    pub fn done(&self) -> bool {
        self.run.status == "done"
    }

    /// How many neurons `population` has.
    pub fn neurons(&self, population: Population) -> u32 {
        match population {
            Population::E => self.run.parameters.network.N_E,
            Population::I => self.run.parameters.network.N_I,
        }
    }

    /// How many neurons of `population` were recorded (`record.n_rec`): its first ones.
    pub fn recorded(&self, population: Population) -> u32 {
        let (n_rec, n_e) = (
            self.run.parameters.record.n_rec,
            self.neurons(Population::E),
        );
        match population {
            Population::E => n_rec.min(n_e),
            Population::I => n_rec.saturating_sub(n_e).min(self.neurons(Population::I)),
        }
    }

    /// The recorded time from `from` (exclusive) to `to` (inclusive); all of it where they are
    /// `None`.
    ///
    /// It begins with the end of the warm-up. Of a run that has not come to its end (`done`),
    /// it ends with the time at which a signal ended the run, else with the last spike in the file.
    ///
    /// ```
    /// # use stdp_hpc::{analysis::Results, Ms, Steps};
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, _) = small::small_result()?;
    /// # let directory = directory.path();
    /// let results = Results::open(directory)?; // 100 ms in steps of 0.125 ms
    /// assert_eq!(results.window(None, None)?.until, Steps(800));
    /// assert_eq!(results.window(Some(Ms(10.0)), None)?.after, Steps(80));
    /// assert!(results.window(None, Some(Ms(100.1))).is_err());
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a time is no whole number of steps or not recorded, or `to` is not after `from`; of
    /// a run without end, if `spikes.h5` cannot be read or holds no spike.
    pub fn window(&self, from: Option<Ms>, to: Option<Ms>) -> Result<Window> {
        let all = self.recorded_time()?.ok_or_else(|| {
            let (path, status) = (self.file("spikes.h5"), &self.run.status);
            Error::input(format!(
                "{}: holds no spike{} (status of the run: {status})",
                path.display(),
                if status == "running" { " yet" } else { "" }
            ))
        })?;
        let (first, last) = (all.after.to_ms(self.dt()).0, all.until.to_ms(self.dt()).0);
        let steps = |name: &str, time: Option<Ms>, default: Steps| {
            let Some(time) = time else {
                return Ok(default);
            };
            match time.to_steps(self.dt()) {
                Some(steps) if (all.after..=all.until).contains(&steps) => Ok(steps),
                _ => Err(Error::input(format!(
                    "{name} {}: must be a whole number of steps of {} ms within the time \
                     recorded in {}, {first} … {last} ms",
                    time.0,
                    self.dt().0,
                    self.directory.display()
                ))),
            }
        };
        let window = Window {
            after: steps("from", from, all.after)?,
            until: steps("to", to, all.until)?,
        };
        if window.after < window.until {
            return Ok(window);
        }
        let [after, until] = [window.after, window.until].map(|time| time.to_ms(self.dt()).0);
        Err(Error::input(format!(
            "to {until}: must be later than from {after} (ms)"
        )))
    }

    /// All of the recorded time, as [`window`](Self::window) has it; `None` of a run without end
    /// and without a spike.
    ///
    /// # Errors
    /// Of a run without end, if `spikes.h5` cannot be read.
    pub fn recorded_time(&self) -> Result<Option<Window>> {
        let simulation = self.run.parameters_in_steps.simulation;
        let after = Steps(simulation.presim);
        let reached = self.run.interrupted.as_ref();
        let until = match (self.done(), reached) {
            (true, _) => Some(Steps(simulation.presim + simulation.T)),
            (false, Some(reached)) => Ms(reached.model_time_ms)
                .to_steps(self.dt())
                .filter(|until| *until > after),
            (false, None) => self.last_spike()?,
        };
        Ok(until.map(|until| Window { after, until }))
    }

    /// The time of the last spike in the file, of those populations that can be read.
    fn last_spike(&self) -> Result<Option<Steps>> {
        let last = |population| self.spike_table(population)?.last();
        match Population::ALL.map(last) {
            [Ok(one), Ok(other)] => Ok(one.max(other)),
            [Ok(one), Err(_)] | [Err(_), Ok(one)] => Ok(one),
            [Err(error), Err(_)] => Err(error),
        }
    }

    /// Checks that the HDF5 files that are there and can be read belong to this result.
    ///
    /// # Errors
    /// If one is of another run.
    pub fn check_files(&self) -> Result<()> {
        let files = [
            ("spikes.h5", Contents::Spikes),
            ("weights.h5", Contents::Weights),
        ];
        for (name, contents) in files {
            let path = self.file(name);
            // One that cannot be read is missed by whoever reads it.
            if check::file(&path, contents, false).is_ok() && check_id(&path, None).is_ok() {
                check_id(&path, self.run.id.as_deref())?;
            }
        }
        Ok(())
    }

    /// The path of the file `name` of the result.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The same, after a check that reading the file does no harm and that it is of this result.
    pub(super) fn own_file(&self, name: &str) -> Result<PathBuf> {
        let path = self.file(name);
        let (recorded, what, contents) = match name {
            "weights.h5" => (self.records_weights(), "weights", Contents::Weights),
            _ => (
                self.run.parameters.record.spikes,
                "spikes",
                Contents::Spikes,
            ),
        };
        if !recorded && !path.exists() {
            return Err(self.not_recorded(what));
        }
        check::file(&path, contents, true)?;
        check_id(&path, self.run.id.as_deref())?;
        Ok(path)
    }

    /// Checks that the spikes of `population` are there to be read, of this run. O(1).
    ///
    /// # Errors
    /// If `spikes.h5` cannot be read, is of another run, or lacks a dataset of the population.
    pub fn check_spikes(&self, population: Population) -> Result<()> {
        self.spike_table(population).map(drop)
    }

    pub(super) fn spike_table(&self, population: Population) -> Result<SpikeTable> {
        let (path, neurons) = (self.own_file("spikes.h5")?, self.neurons(population));
        SpikeTable::open(&path, population.name(), neurons, self.dt())
    }

    /// The error of who asks for `what` where the config switched it off.
    pub(super) fn not_recorded(&self, what: &str) -> Error {
        Error::input(format!(
            "{}: the run recorded no {what}: set record.{what} = true and run again",
            self.directory.display()
        ))
    }

    /// Returns whether the run was to record weights.
    pub(super) fn records_weights(&self) -> bool {
        self.run.parameters.record.weights.is_some()
    }

    /// Sources and targets whose weights were recorded: the first so many of E.
    pub(super) fn recorded_weights(&self) -> (u32, u32) {
        let record = self.run.parameters.record.weights.as_ref();
        record.map_or((0, 0), |record| (record.sources, record.targets))
    }
}
