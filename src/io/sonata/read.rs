//! Reads and checks SONATA files: networks, external spikes and initial state.
//!
//! Files are read in blocks, so memory grows only with the data that the caller keeps. Every error
//! is one line that names the file, the dataset, the row, the value found and the allowed values.

mod column;
mod over_time;
pub mod results;
mod walk;

use std::ops::Range;
use std::path::{Path, PathBuf};

use hdf5::plist::file_access::FileAccessBuilder;
use hdf5::{Dataset, File, Group};

use super::{blocks, cause, guard};
use crate::base::error::{Error, Result};
use crate::base::lock::Hold;
use crate::base::units::{Gid, Ms, Projection, Steps};

use column::{Column, Population, text};
pub use over_time::{WeightsOverTime, read_weights_over_time};
pub(super) use walk::every_dataset;

/// One connection. Ids count from 0 within their population.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The presynaptic neuron.
    pub source: u32,
    /// The postsynaptic neuron.
    pub target: u32,
    /// The weight (pA).
    pub weight: f64,
}

/// Selected connections of one projection.
#[derive(Clone, Debug, PartialEq)]
pub struct Edges {
    /// Connections in the order of the file.
    pub edges: Vec<Edge>,
    /// Common delay of all connections of the projection, at least one step; `None` if the
    /// projection has no connections.
    pub delay: Option<Steps>,
}

/// Reads the edges of `/edges/<projection>` whose target `keep` accepts.
///
/// `n_source` and `n_target` are the sizes of the two populations. The file holds weights in pA and
/// delays in ms. All delays must be the same whole number of steps of `dt`.
///
/// Cost: reads the whole projection; memory O(kept edges).
///
/// # Errors
/// Fails if the file cannot be read, a dataset is missing or differs in length from the others, an
/// id lies outside its population, a weight is not finite (or, for E to E, negative), a delay is
/// not a whole number of steps or differs from the others, or an edge group other than 0 occurs.
pub fn read_edges(
    path: &Path,
    projection: Projection,
    n_source: u32,
    n_target: u32,
    dt: Ms,
    keep: impl Fn(u32) -> bool,
) -> Result<Edges> {
    let input = Input::open(path)?;
    let table = EdgeTable::open(&input, projection)?;
    let sources = Population::new(projection.source(), n_source);
    let targets = Population::new(projection.target(), n_target);
    let mut edges = Vec::new();
    let mut delay = None;
    for rows in blocks(table.source.len) {
        let source = table.source.ids(rows.clone(), sources)?;
        let target = table.target.ids(rows.clone(), targets)?;
        let weight = table.weights(rows.clone(), projection)?;
        delay = Some(table.common_delay(rows.clone(), dt, delay)?);
        table.check_groups(rows)?;
        let all = source.into_iter().zip(target).zip(weight);
        edges.extend(all.filter(|((_, target), _)| keep(*target)).map(
            |((source, target), weight)| Edge {
                source,
                target,
                weight,
            },
        ));
    }
    Ok(Edges { edges, delay })
}

/// Number of edges of a projection and the delay of its first edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeCount {
    /// Number of edges.
    pub edges: u64,
    /// Delay of the first edge; `None` if there are no edges.
    pub delay: Option<Steps>,
}

/// Counts the edges of `/edges/<projection>`. O(1).
///
/// # Errors
/// Fails if the file cannot be read, a dataset is missing or differs in length from the others, or
/// the first delay is not a whole number of steps of `dt`.
pub fn count_edges(path: &Path, projection: Projection, dt: Ms) -> Result<EdgeCount> {
    let input = Input::open(path)?;
    let table = EdgeTable::open(&input, projection)?;
    let first = table.delay.steps(0..table.source.len.min(1), dt)?;
    Ok(EdgeCount {
        edges: table.source.len as u64,
        delay: first.first().copied(),
    })
}

/// Counts the external spikes of `/spikes/X`. O(1).
///
/// # Errors
/// Fails if the file cannot be read or the dataset of ids is missing.
pub fn count_spikes(path: &Path) -> Result<u64> {
    let input = Input::open(path)?;
    let group = input.group(&input.group(&input.file, "spikes")?, "X")?;
    Ok(input.column(&group, "node_ids")?.len as u64)
}

/// Reads `/initial/<name>`, one finite value per neuron, and returns the values of `gids`
/// (ascending).
///
/// `name` is `V_m` (mV), `rate` (spikes/s) or `phase`; `n` is the number of neurons in the network.
///
/// Cost: reads the whole dataset; memory O(kept values).
///
/// # Errors
/// Fails if the file cannot be read, the dataset is missing or does not have exactly `n` values, or
/// a value (kept or not) is not finite.
pub fn read_initial(
    path: &Path,
    name: &str,
    n: u32,
    gids: impl Iterator<Item = Gid>,
) -> Result<Vec<f64>> {
    let input = Input::open(path)?;
    let values = input.column(&input.group(&input.file, "initial")?, name)?;
    if values.len != n as usize {
        return Err(input.fault(format!(
            "{} has {} entries: must be {n}, one per neuron",
            values.name, values.len
        )));
    }
    let mut gids = gids.map(|gid| gid.0 as usize).peekable();
    let mut kept = Vec::new();
    for rows in blocks(values.len) {
        let block = values.finite(rows.clone())?;
        while let Some(gid) = gids.next_if(|gid| *gid < rows.end) {
            kept.push(block[gid - rows.start]);
        }
    }
    Ok(kept)
}

/// Reads the external spikes `/spikes/X` and returns, in the order of the file, those of the
/// neurons that `keep` accepts. Node i drives neuron i.
///
/// `n` is the number of neurons in the network. Times are ms in the file and must be whole steps of
/// `dt`, at least one. A time beyond the range of [`Steps`] is returned as the largest number of
/// steps.
///
/// Cost: reads all spikes; memory O(kept spikes).
///
/// # Errors
/// Fails if the file cannot be read, a dataset is missing, the two datasets differ in length, a
/// time is not in ms or not a whole number of steps, or an id is not that of a neuron.
pub fn read_spikes(
    path: &Path,
    n: u32,
    dt: Ms,
    keep: impl Fn(Gid) -> bool,
) -> Result<Vec<(Steps, Gid)>> {
    let input = Input::open(path)?;
    let group = input.group(&input.group(&input.file, "spikes")?, "X")?;
    let ids = input.column(&group, "node_ids")?;
    let times = input.column_of_length(&group, "timestamps", &ids)?;
    times.check_units("ms")?;
    let neurons = Population::new("X", n);
    let mut kept = Vec::new();
    for rows in blocks(ids.len) {
        let id = ids.ids(rows.clone(), neurons)?.into_iter().map(Gid);
        let time = times.stamps(rows, dt)?;
        kept.extend(time.into_iter().zip(id).filter(|&(_, gid)| keep(gid)));
    }
    Ok(kept)
}

/// Returns a message that names the members of `/group` that no reader uses; `known` lists those
/// that are used. Returns `None` if there are no others or the file cannot be read.
pub fn unread(path: &Path, group: &str, known: &[&str]) -> Option<String> {
    let input = Input::open(path).ok()?;
    let members = input.group(&input.file, group).ok()?.member_names().ok()?;
    let others = members.iter().filter(|name| !known.contains(&&name[..]));
    let others: Vec<String> = others.map(|name| format!("/{group}/{name}")).collect();
    (!others.is_empty()).then(|| {
        let (path, known) = (path.display(), known.join(", "));
        let others = others.join(", ").escape_debug().to_string();
        format!("{path}: {others} is not read: of /{group} a run takes {known}")
    })
}

/// An open input file, with its path and size (bytes).
struct Input {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// Replacement for the method of `FileAccessBuilder` that HDF5 before 1.10.7 and HDF5 1.12.0 lack.
/// With those versions, only HDF5_USE_FILE_LOCKING=FALSE in the environment disables locking.
#[allow(
    dead_code,
    reason = "the builder's own method, where there is one, is preferred"
)]
trait FileLocking {
    fn file_locking(&mut self, _lock: bool) -> &mut Self {
        self
    }
}

impl FileLocking for FileAccessBuilder {}

/// Returns whether HDF5 can lock `file`; `None` if another process holds a lock that excludes
/// readers.
///
/// HDF5 itself reports both cases in the same way, as a file that it cannot open.
fn can_lock(file: &std::fs::File) -> Option<bool> {
    let asked = std::env::var_os("HDF5_USE_FILE_LOCKING");
    if asked.is_some_and(|asked| asked == "FALSE" || asked == "0") {
        return Some(false);
    }
    match Hold::share(file) {
        Hold::Taken => Some(true),
        Hold::Busy => None,
        Hold::Unsupported(_) => Some(false),
    }
}

impl Input {
    fn open(path: &Path) -> Result<Self> {
        let fault = |what: String| Error::input(format!("{}: {what}", path.display()));
        let found = std::fs::metadata(path);
        // Opening a pipe without a writer would block for ever.
        if found.as_ref().is_ok_and(|found| !found.is_file()) {
            return Err(fault("is not a file".to_owned()));
        }
        let opened = found.and_then(|found| Ok((found, std::fs::File::open(path)?)));
        let (found, plain) = opened.map_err(|error| fault(format!("cannot be opened: {error}")))?;
        guard::stay_within_the_file();
        let lock = can_lock(&plain).ok_or_else(|| {
            fault(
                "another process has locked it to write; with HDF5_USE_FILE_LOCKING=FALSE it is \
                 read anyway"
                    .to_owned(),
            )
        })?;
        let open = || {
            let mut options = File::with_options();
            if !lock {
                options.with_fapl(|access| access.file_locking(false));
            }
            options.open(path)
        };
        let file = open().map_err(|error| {
            fault(format!(
                "cannot be opened as an HDF5 file: {}",
                cause(&error)
            ))
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes: found.len(),
        })
    }

    fn group(&self, parent: &Group, name: &str) -> Result<Group> {
        let full_name = self.existing(parent, name, "group")?;
        let group = parent.group(name);
        group.map_err(|error| self.unopened(parent, name, &full_name, "group", &error))
    }

    /// Opens the dataset `name` of `parent` and returns it with its full name. Fails unless the
    /// dataset holds its values itself and claims no more bytes than the file can hold.
    fn dataset(&self, parent: &Group, name: &str) -> Result<(String, Dataset)> {
        let full_name = self.existing(parent, name, "dataset")?;
        let dataset = parent.dataset(name);
        let dataset =
            dataset.map_err(|error| self.unopened(parent, name, &full_name, "dataset", &error))?;
        guard::storage(&dataset, self.bytes)
            .map_err(|what| self.fault(format!("{full_name} {what}")))?;
        Ok((full_name, dataset))
    }

    fn unopened(
        &self,
        parent: &Group,
        name: &str,
        full_name: &str,
        kind: &str,
        error: &hdf5::Error,
    ) -> Error {
        self.fault(match guard::broken_link(parent, name) {
            Some(why) => format!("{full_name} {why}"),
            None => format!("{full_name} is no {kind}: {}", cause(error)),
        })
    }

    fn column(&self, group: &Group, name: &str) -> Result<Column> {
        let (name_in_file, dataset) = self.dataset(group, name)?;
        let &[len] = &dataset.shape()[..] else {
            return Err(self.fault(format!(
                "{name_in_file} has {} dimensions: must be 1",
                dataset.ndim()
            )));
        };
        Ok(Column {
            path: self.path.clone(),
            name: name_in_file,
            dataset,
            len,
        })
    }

    /// Opens a column that must be as long as `other`.
    fn column_of_length(&self, group: &Group, name: &str, other: &Column) -> Result<Column> {
        let column = self.column(group, name)?;
        if column.len != other.len {
            return Err(self.fault(format!(
                "{} has {} entries: must be {}, as {} has",
                column.name, column.len, other.len, other.name
            )));
        }
        Ok(column)
    }

    /// Returns the full name of the member `name` of `parent`; fails if there is none.
    fn existing(&self, parent: &Group, name: &str, kind: &str) -> Result<String> {
        let full_name = format!("{}/{name}", parent.name().trim_end_matches('/'));
        if parent.link_exists(name) {
            Ok(full_name)
        } else {
            Err(self.fault(format!("{kind} {full_name} is missing")))
        }
    }

    fn fault(&self, what: String) -> Error {
        Error::input(format!("{}: {what}", self.path.display()))
    }
}

/// The datasets of one projection, all of equal length.
struct EdgeTable {
    source: Column,
    target: Column,
    weight: Column,
    delay: Column,
    group_id: Option<Column>,
    group_index: Option<Column>,
}

impl EdgeTable {
    fn open(input: &Input, projection: Projection) -> Result<Self> {
        let edges = input.group(&input.file, "edges")?;
        let population = input.group(&edges, projection.name())?;
        let source = input.column(&population, "source_node_id")?;
        let same = |group: &Group, name: &str| input.column_of_length(group, name, &source);
        let optional = |name: &str| {
            let exists = population.link_exists(name);
            exists.then(|| same(&population, name)).transpose()
        };
        let target = same(&population, "target_node_id")?;
        let group = input.group(&population, "0")?;
        Ok(Self {
            target,
            weight: same(&group, "syn_weight")?,
            delay: same(&group, "delay")?,
            group_id: optional("edge_group_id")?,
            group_index: optional("edge_group_index")?,
            source,
        })
    }

    /// Reads weights (pA); those of plastic synapses must not be negative.
    fn weights(&self, rows: Range<usize>, projection: Projection) -> Result<Vec<f64>> {
        let weights = self.weight.finite(rows.clone())?;
        if projection == Projection::EE {
            for (row, &weight) in rows.zip(&weights) {
                if weight < 0.0 {
                    let must = "must not be negative, being plastic";
                    return Err(self.weight.fault(row, weight, must));
                }
            }
        }
        Ok(weights)
    }

    /// Returns the common delay of `rows`, which must also equal the delay `before` of the earlier
    /// rows.
    fn common_delay(&self, rows: Range<usize>, dt: Ms, before: Option<Steps>) -> Result<Steps> {
        let delays = self.delay.steps(rows.clone(), dt)?;
        let common = before.unwrap_or(delays[0]);
        for (row, delay) in rows.zip(delays) {
            if delay != common {
                let must = format!(
                    "must be {} ms, the projection's first delay, for all its edges",
                    self.delay.decimals(0..1)?[0]
                );
                let value = self.delay.decimals(row..row + 1)?[0];
                return Err(self.delay.fault(row, value, must));
            }
        }
        Ok(common)
    }

    /// Checks that every edge has its attributes in group 0, at the index of the edge itself.
    fn check_groups(&self, rows: Range<usize>) -> Result<()> {
        if let Some(ids) = &self.group_id {
            for (row, id) in rows.clone().zip(ids.integers(rows.clone())?) {
                if id != 0 {
                    return Err(ids.fault(row, id, "must be 0, the only group read here"));
                }
            }
        }
        if let Some(places) = &self.group_index {
            for (row, place) in rows.clone().zip(places.integers(rows)?) {
                if place != row as i128 {
                    let must = format!("must be {row}, the edge's own place");
                    return Err(places.fault(row, place, must));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
