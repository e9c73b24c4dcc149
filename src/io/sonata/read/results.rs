//! Reads the results of a run: `spikes.h5` by time interval, `weights.h5` by range of sources.
//!
//! Both files are sorted, so the readers find an interval by bisection and read nothing else.

use std::ops::Range;
use std::path::Path;

use hdf5::Group;

use super::{Column, Input, Population, text};
use crate::base::error::Result;
use crate::base::units::{Ms, Projection, Steps};

/// Prefix of the attribute `creator` in files that this program wrote.
const CREATOR: &str = "stdp-hpc ";

/// A recorded spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spike {
    /// Time stamp of the spike.
    pub time: Steps,
    /// The neuron, counted from 0 within its population.
    pub neuron: u32,
}

/// The recorded spikes of one population.
pub struct SpikeTable {
    ids: Column,
    times: Column,
    neurons: Population,
    dt: Ms,
}

impl SpikeTable {
    /// Opens `/spikes/<population>` of the `spikes.h5` of a run with `neurons` neurons in this
    /// population and steps of `dt`. O(1).
    ///
    /// # Errors
    /// Fails if the file cannot be read, was not written by stdp-hpc, or lacks a dataset.
    pub fn open(path: &Path, population: &'static str, neurons: u32, dt: Ms) -> Result<Self> {
        let input = Input::of_a_run(path)?;
        let group = input.group(&input.group(&input.file, "spikes")?, population)?;
        let ids = input.column(&group, "node_ids")?;
        let times = input.column_of_length(&group, "timestamps", &ids)?;
        times.check_units("ms")?;
        Ok(Self {
            ids,
            times,
            neurons: Population::new(population, neurons),
            dt,
        })
    }

    /// Returns the time of the last spike; `None` if there are no spikes. O(1).
    ///
    /// # Errors
    /// Fails in the same cases as [`read`](Self::read).
    pub fn last(&self) -> Result<Option<Steps>> {
        let last = self.times.len.saturating_sub(1)..self.times.len;
        Ok(self.times.steps(last, self.dt)?.first().copied())
    }

    /// Returns the rows of the spikes with `after` < time ≤ `until`.
    ///
    /// Cost: O(log spikes) reads of one chunk each.
    ///
    /// # Errors
    /// Fails in the same cases as [`read`](Self::read).
    pub fn rows(&self, after: Steps, until: Steps) -> Result<Range<usize>> {
        let first_after = |time: Steps| {
            bisect(self.times.len, |row| {
                Ok(self.times.steps(row..row + 1, self.dt)?[0] <= time)
            })
        };
        let start = first_after(after)?;
        Ok(start..first_after(until)?.max(start))
    }

    /// Reads the spikes of `rows`, in order of time.
    ///
    /// # Errors
    /// Fails if the file cannot be read, an id is not of the population, a time is not a whole
    /// number of steps, or the times are not in ascending order.
    pub fn read(&self, rows: Range<usize>) -> Result<Vec<Spike>> {
        let ids = self.ids.ids(rows.clone(), self.neurons)?;
        // Also read the time of the row before, to check the order.
        let from = rows.start.saturating_sub(1);
        let mut times = self.times.steps(from..rows.end, self.dt)?;
        if let Some(fall) = times.windows(2).position(|pair| pair[0] > pair[1]) {
            let ms = times[fall + 1].to_ms(self.dt).0;
            let must = "must not be less than the one before";
            return Err(self.times.fault(from + fall + 1, ms, must));
        }
        times.drain(..rows.start - from);
        let spikes = times.into_iter().zip(ids);
        Ok(spikes
            .map(|(time, neuron)| Spike { time, neuron })
            .collect())
    }
}

/// A recorded plastic synapse. Ids count from 0 within E.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Connection {
    /// The presynaptic neuron.
    pub source: u32,
    /// The postsynaptic neuron.
    pub target: u32,
    /// The weight (pA), ≥ 0.
    pub weight: f64,
    /// The delay.
    pub delay: Ms,
}

/// The recorded plastic synapses, with the weights of one snapshot.
pub struct WeightTable {
    sources: Column,
    targets: Column,
    weights: Column,
    delays: Column,
    neurons: Population,
    at: Steps,
}

impl WeightTable {
    /// Opens the snapshot at time `at` (`None`: the latest) in the `weights.h5` of a run with `n_e`
    /// excitatory neurons and steps of `dt`. O(1).
    ///
    /// # Errors
    /// Fails if the file cannot be read, was not written by stdp-hpc, lacks a dataset, or has no
    /// snapshot at this time.
    pub fn open(path: &Path, n_e: u32, dt: Ms, at: Option<Ms>) -> Result<Self> {
        let input = Input::of_a_run(path)?;
        let population = population_of(&input)?
            .ok_or_else(|| input.fault("holds no snapshot of the weights yet".to_owned()))?;
        let group = input.group(&population, "0")?;
        let snapshots = snapshots_in(&input, &group)?;
        let chosen = match at {
            None => snapshots.last(),
            Some(at) => snapshots.iter().find(|(time, _)| {
                let steps = time.to_steps(dt);
                steps.is_some() && steps == at.to_steps(dt)
            }),
        };
        let Some((time, name)) = chosen else {
            let decimal = |at: Ms| at.to_steps(dt).map_or(at, |steps| steps.to_ms(dt));
            let known = snapshots.iter().map(|(at, _)| decimal(*at).0.to_string());
            let known: Vec<_> = known.collect();
            let at = at.map_or(f64::NAN, |at| at.0);
            return Err(input.fault(format!(
                "no snapshot at {at} ms: must be one of {} ms",
                known.join(", ")
            )));
        };
        let at = time
            .to_steps(dt)
            .ok_or_else(|| input.fault(format!("{name}: must be a whole step of {} ms", dt.0)))?;
        let sources = input.column(&population, "source_node_id")?;
        Ok(Self {
            targets: input.column_of_length(&population, "target_node_id", &sources)?,
            weights: input.column_of_length(&group, name, &sources)?,
            delays: input.column_of_length(&group, "delay", &sources)?,
            neurons: Population::new(Projection::EE.source(), n_e),
            at,
            sources,
        })
    }

    /// Returns the time of the snapshot.
    pub fn at(&self) -> Steps {
        self.at
    }

    /// Returns the number of synapses.
    pub fn synapses(&self) -> usize {
        self.weights.len
    }

    /// Reads only the weights (pA) of `rows`.
    ///
    /// # Errors
    /// Fails if the file cannot be read or a weight is not finite.
    pub fn weights(&self, rows: Range<usize>) -> Result<Vec<f64>> {
        self.weights.finite(rows)
    }

    /// Returns the rows of the synapses from `sources`.
    ///
    /// Cost: O(log synapses) reads of one chunk each.
    ///
    /// # Errors
    /// Fails in the same cases as [`read`](Self::read).
    pub fn rows(&self, sources: Range<u32>) -> Result<Range<usize>> {
        let first_from = |source: u32| {
            bisect(self.sources.len, |row| {
                Ok(self.sources.ids(row..row + 1, self.neurons)?[0] < source)
            })
        };
        let start = first_from(sources.start)?;
        Ok(start..first_from(sources.end)?.max(start))
    }

    /// Reads the synapses of `rows`, ordered by source, then target.
    ///
    /// # Errors
    /// Fails if the file cannot be read, an id is not of E, a weight or a delay is not finite, or
    /// the sources are not in ascending order.
    pub fn read(&self, rows: Range<usize>) -> Result<Vec<Connection>> {
        let sources = self.sources.ids(rows.clone(), self.neurons)?;
        if let Some(fall) = sources.windows(2).position(|pair| pair[0] > pair[1]) {
            let (row, source) = (rows.start + fall + 1, sources[fall + 1]);
            let must = "must not be less than the one before";
            return Err(self.sources.fault(row, source, must));
        }
        let targets = self.targets.ids(rows.clone(), self.neurons)?;
        let weights = self.weights.finite(rows.clone())?;
        let delays = self.delays.finite(rows)?;
        let ids = sources.into_iter().zip(targets);
        let connection = |((source, target), (weight, delay))| Connection {
            source,
            target,
            weight,
            delay: Ms(delay),
        };
        Ok(ids
            .zip(weights.into_iter().zip(delays))
            .map(connection)
            .collect())
    }
}

/// Returns the times of the snapshots in a `weights.h5`, ascending; empty before the first
/// snapshot.
///
/// # Errors
/// Fails if the file cannot be read or was not written by stdp-hpc.
pub fn snapshots(path: &Path) -> Result<Vec<Ms>> {
    let input = Input::of_a_run(path)?;
    let Some(population) = population_of(&input)? else {
        return Ok(Vec::new());
    };
    let group = input.group(&population, "0")?;
    let snapshots = snapshots_in(&input, &group)?;
    Ok(snapshots.into_iter().map(|(at, _)| at).collect())
}

/// Opens the group of the plastic projection, which appears with the first snapshot.
fn population_of(input: &Input) -> Result<Option<Group>> {
    let edges = input.group(&input.file, "edges")?;
    let exists = edges.link_exists(Projection::EE.name());
    exists
        .then(|| input.group(&edges, Projection::EE.name()))
        .transpose()
}

/// Returns times and dataset names of the snapshots, ordered by time.
fn snapshots_in(input: &Input, group: &Group) -> Result<Vec<(Ms, String)>> {
    let names = group.member_names();
    let names = names.map_err(|error| input.fault(super::cause(&error)))?;
    let timed = |name: String| {
        let time = name.strip_prefix("syn_weight_at_")?.strip_suffix("ms")?;
        Some((Ms(time.parse().ok()?), name))
    };
    let mut snapshots: Vec<_> = names.into_iter().filter_map(timed).collect();
    snapshots.sort_by(|(one, _), (other, _)| one.0.total_cmp(&other.0));
    Ok(snapshots)
}

/// Returns the first of `len` rows for which `before` is false; the rows where it is true come
/// first.
fn bisect(len: usize, before: impl Fn(usize) -> Result<bool>) -> Result<usize> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Checks that the file at `path` belongs to the result `id`, taken from the run.json in the same
/// directory. Files and results of older builds have no id and always pass.
///
/// # Errors
/// Fails if the file cannot be read, was not written by stdp-hpc, or belongs to another result.
pub fn check_id(path: &Path, id: Option<&str>) -> Result<()> {
    let input = Input::of_a_run(path)?;
    let Ok(attribute) = input.file.attr("id") else {
        return Ok(());
    };
    let found = text(&attribute).map_err(|error| input.fault(super::cause(&error)))?;
    match id {
        Some(id) if found != id => Err(input.fault(format!(
            "is not of the run of {}: two runs have written there, or one file was copied",
            path.with_file_name("run.json").display()
        ))),
        _ => Ok(()),
    }
}

impl Input {
    /// Opens a file that a run of this program wrote or is writing.
    pub(super) fn of_a_run(path: &Path) -> Result<Self> {
        let input = Self::open(path)?;
        let creator = input.file.attr("creator").and_then(|found| text(&found));
        match creator {
            Ok(name) if name.starts_with(CREATOR) => Ok(input),
            Ok(name) => Err(input.fault(format!("was written by {name}, not by stdp-hpc"))),
            Err(_) => Err(input.fault("was not written by stdp-hpc".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;

    #[test]
    fn bisection_finds_the_first() {
        let values = [1, 1, 2, 5, 5, 9];
        for bound in 0..11 {
            let found = bisect(values.len(), |row| Ok(values[row] < bound));
            let expected = values.iter().filter(|value| **value < bound).count();
            assert_eq!(found, Ok(expected));
        }
        let fault = Error::input("unreadable");
        assert_eq!(bisect(3, |_| Err(fault.clone())), Err(fault));
    }
}
