//! Directory of a result, and the contents of its `run.json`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::lock::Life;
use crate::base::units::{Ms, Steps};
use crate::io::config::recorded;
use crate::io::sonata::check::{self, Contents};
use crate::io::sonata::read::results::{SpikeTable, check_id};

/// Population of neurons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// Excitatory neurons.
    E,
    /// Inhibitory neurons.
    I,
}

impl Population {
    /// Both populations, in the order of their gids.
    pub const ALL: [Population; 2] = [Self::E, Self::I];

    /// Returns the name of the population in the files, "E" or "I".
    pub fn name(self) -> &'static str {
        match self {
            Self::E => "E",
            Self::I => "I",
        }
    }
}

/// Window of model time: times t with `after` < t ≤ `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Start, exclusive.
    pub after: Steps,
    /// End, inclusive.
    pub until: Steps,
}

impl Window {
    /// Returns the length (ms), for steps of `dt`.
    pub fn length(self, dt: Ms) -> Ms {
        (self.until - self.after).to_ms(dt)
    }
}

/// Result of a run: its directory, and what its `run.json` says about the other files.
#[derive(Clone, Debug)]
pub struct Results {
    directory: PathBuf,
    run: Run,
}

/// Part of run.json that reading the other files requires.
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
    /// Opens the result in `directory` and reads its `run.json`.
    ///
    /// # Errors
    /// Fails if `run.json` cannot be read or was not written by stdp-hpc.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("run.json");
        let fault = |what: String| Error::input(format!("{}: {what}", path.display()));
        let (text, life) = Life::while_reading(directory, || files::read_own_text(&path))?;
        let mut run: Run = recorded::read(&text).map_err(fault)?;
        if run.id.as_ref().is_some_and(|id| !recorded::is_id(id)) {
            let what = "id: must be 32 hexadecimal digits, as the run wrote it";
            return Err(fault(what.to_owned()));
        }
        if run.status == "running" {
            // Older builds write no id and hold no lock.
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

    /// Returns the directory of the result.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the id of the result; `None` if an older build wrote it.
    pub fn id(&self) -> Option<&str> {
        self.run.id.as_deref()
    }

    /// Returns the length of a step (ms).
    pub fn dt(&self) -> Ms {
        Ms(self.run.parameters.simulation.dt)
    }

    /// Returns whether the run ended normally (status "done").
    pub fn done(&self) -> bool {
        self.run.status == "done"
    }

    /// Returns the number of neurons of `population`.
    pub fn neurons(&self, population: Population) -> u32 {
        match population {
            Population::E => self.run.parameters.network.N_E,
            Population::I => self.run.parameters.network.N_I,
        }
    }

    /// Returns the number of recorded neurons of `population`, from `record.n_rec`. These are the
    /// first neurons of the population.
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

    /// Returns the window from `from` (exclusive) to `to` (inclusive). `None` means the beginning
    /// or the end of the recorded time.
    ///
    /// The recorded time begins at the end of the warm-up. If the run is not done, the recorded
    /// time ends at the model time at which a signal ended the run, or with the last spike in the
    /// file if there was no signal.
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
    /// Fails if a time is not a whole number of steps or not within the recorded time, or `to` is
    /// not after `from`. Also fails if [`recorded_time`](Self::recorded_time) fails or is `None`.
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

    /// Returns the whole recorded time, see [`window`](Self::window); `None` if the run is not done
    /// and nothing was recorded.
    ///
    /// # Errors
    /// Fails if the run is neither done nor ended by a signal, and `spikes.h5` cannot be read.
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

    /// Returns the time of the last spike in the file, over the populations that can be read.
    fn last_spike(&self) -> Result<Option<Steps>> {
        let last = |population| self.spike_table(population)?.last();
        match Population::ALL.map(last) {
            [Ok(one), Ok(other)] => Ok(one.max(other)),
            [Ok(one), Err(_)] | [Err(_), Ok(one)] => Ok(one),
            [Err(error), Err(_)] => Err(error),
        }
    }

    /// Checks that those HDF5 files of the directory that can be read belong to this result.
    ///
    /// # Errors
    /// Fails if a file was written by another run.
    pub fn check_files(&self) -> Result<()> {
        let files = [
            ("spikes.h5", Contents::Spikes),
            ("weights.h5", Contents::Weights),
        ];
        for (name, contents) in files {
            let path = self.file(name);
            // A file that cannot be read is reported by the functions that read it.
            if check::file(&path, contents, false).is_ok() && check_id(&path, None).is_ok() {
                check_id(&path, self.run.id.as_deref())?;
            }
        }
        Ok(())
    }

    /// Returns the path of `name` in the result directory.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the path of the file `name` after checking that the file is safe to read and belongs
    /// to this result.
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

    /// Checks that the spikes of `population` can be read and belong to this result. Cost: O(1).
    ///
    /// # Errors
    /// Fails if `spikes.h5` cannot be read, was written by another run, or lacks a dataset of the
    /// population.
    pub fn check_spikes(&self, population: Population) -> Result<()> {
        self.spike_table(population).map(drop)
    }

    pub(super) fn spike_table(&self, population: Population) -> Result<SpikeTable> {
        let (path, neurons) = (self.own_file("spikes.h5")?, self.neurons(population));
        SpikeTable::open(&path, population.name(), neurons, self.dt())
    }

    /// Returns the error for reading `what` if the config disabled its recording.
    pub(super) fn not_recorded(&self, what: &str) -> Error {
        Error::input(format!(
            "{}: the run recorded no {what}: set record.{what} = true and run again",
            self.directory.display()
        ))
    }

    /// Returns whether the config of the run enabled the recording of weights.
    pub(super) fn records_weights(&self) -> bool {
        self.run.parameters.record.weights.is_some()
    }

    /// Returns the numbers of sources and targets whose weights were recorded, the first ones of E.
    pub(super) fn recorded_weights(&self) -> (u32, u32) {
        let record = self.run.parameters.record.weights.as_ref();
        record.map_or((0, 0), |record| (record.sources, record.targets))
    }
}
