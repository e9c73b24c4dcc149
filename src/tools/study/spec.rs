//! Reader of the study file: axes, fixed settings, repeats and Slurm options.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Value;

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::io::config::keys::{KEYS, Key, Keys, Kind};
use crate::io::config::messages::{hint, join, quoted};
use crate::io::config::reading::{Document, Section};

/// Keys of a study file; `[set]` and `[axes]` hold keys of a config.
const STUDY: Keys = &[
    Key::new("study", Kind::Table, ""),
    Key::new("study.config", Kind::File, ""),
    Key::new("study.repeats", Kind::Integer(1, MAX_COUNT), "1"),
    Key::new("set", Kind::AnyTable, ""),
    Key::new("axes", Kind::AnyTable, ""),
    Key::new("quick", Kind::Table, ""),
    Key::new("quick.set", Kind::AnyTable, ""),
    Key::new("quick.axes", Kind::AnyTable, ""),
    Key::new("slurm", Kind::Table, ""),
    Key::new("slurm.ranks_per_node", Kind::Integer(1, MAX_COUNT), ""),
    Key::new("slurm.options", Kind::AnyTable, ""),
];

/// Keys that a study may set or vary in addition to the keys of a config.
const SPLIT: [&str; 2] = ["ranks", "threads"];

/// Name of the array of tables whose keys vary together.
const TOGETHER: &str = "together";

const NO_GROUP: &str = "[[axes.together]] must be a table of keys and the values they take";

/// Maximum number of repeats and of ranks per node.
const MAX_COUNT: i64 = 1 << 20;

/// Dotted path of a config key, or one of [`SPLIT`], with its value.
pub(super) type Setting = (String, Value);

/// Settings of one key, or of several keys that vary together, point by point.
pub(super) type Axis = Vec<Vec<Setting>>;

/// Content of a study file.
pub(super) struct Spec {
    /// Path of the base config.
    pub(super) config: PathBuf,
    /// Number of runs per point, at least 1.
    pub(super) repeats: usize,
    /// Settings that all runs share.
    pub(super) set: Vec<Setting>,
    /// Axes; the first varies slowest. Their order does not depend on their order in the file.
    pub(super) axes: Vec<Axis>,
    /// Options of Slurm jobs.
    pub(super) jobs: JobOptions,
}

/// Options of Slurm jobs, table `[slurm]`.
pub(super) struct JobOptions {
    /// Maximum number of ranks per node; Slurm chooses if `None`.
    pub(super) ranks_per_node: Option<usize>,
    /// Additional options of sbatch.
    pub(super) options: Vec<String>,
}

impl Spec {
    /// Reads the study file at `path`. With `quick`, the settings in `[quick]` replace the others.
    ///
    /// # Errors
    /// Fails with a message of one line at the first error: the file cannot be read, has an unknown
    /// key, lacks the config, sets a key twice, has an axis without values, or lacks `[quick]`
    /// although `quick` is set.
    pub(super) fn read(path: &Path, quick: bool) -> Result<Self> {
        let fault = |what: String| Error::input(format!("{}: {what}", path.display()));
        let text = files::read_text(path)?;
        let document = Document::parse(path, &text, &[], STUDY)?;
        let mut set = settings(&document.section("set")?);
        let mut axes = settings(&document.section("axes")?);
        if quick {
            let quick = [
                document.section("quick.set")?,
                document.section("quick.axes")?,
            ];
            let [quick_set, quick_axes] = quick.map(|table| settings(&table));
            if quick_set.is_empty() && quick_axes.is_empty() {
                return Err(fault("has no [quick], which --quick needs".to_owned()));
            }
            merge(&mut set, quick_set);
            merge(&mut axes, quick_axes);
        }
        let axes = arrange(axes).map_err(fault)?;
        let points = axes.iter().map(|axis| &axis[0]);
        check_keys(set.iter().chain(points.flatten())).map_err(fault)?;
        let study = document.section("study")?;
        let config = study.file("config")?;
        Ok(Spec {
            config: config
                .ok_or_else(|| study.table_fault("config", "is missing: the path of a config"))?,
            repeats: study.integer("repeats")? as usize,
            set,
            axes,
            jobs: JobOptions::read(&document.section("slurm")?)?,
        })
    }
}

impl JobOptions {
    fn read(table: &Section) -> Result<Self> {
        let ranks_per_node = match table.get("ranks_per_node") {
            None => None,
            Some(_) => Some(table.integer("ranks_per_node")? as usize),
        };
        let options = match table.get("options") {
            None => Some(Vec::new()),
            Some(value) => value.as_array().and_then(|options| {
                let option = |value: &Value| value.as_str().map(str::to_owned);
                let options = options.iter().map(option);
                options.collect()
            }),
        };
        let long = |options: &Vec<String>| options.iter().all(|option| option.starts_with("--"));
        let options = options.filter(long).ok_or_else(|| {
            let what = "must be an array of options of sbatch such as \"--partition=NAME\"";
            table.fault("options", what)
        })?;
        Ok(JobOptions {
            ranks_per_node,
            options,
        })
    }
}

/// Returns the settings of a table with its inner tables flattened: `[set.a]` with `b = 1` gives
/// `a.b = 1`. Keeps the value of a quoted name that contains dots, `"a.b" = { c = 1 }`, unchanged.
fn settings(table: &Section) -> Vec<Setting> {
    let mut flat = Vec::new();
    for (key, value) in table.entries() {
        lay_flat(key, value, key, &mut flat);
    }
    flat
}

fn lay_flat(path: &str, value: &Value, name: &str, flat: &mut Vec<Setting>) {
    match value {
        Value::Table(table) if !name.contains('.') => {
            for (key, value) in table {
                lay_flat(&join(path, key), value, key, flat);
            }
        }
        _ => flat.push((path.to_owned(), value.clone())),
    }
}

/// Replaces the settings that have the same keys as `others`, and appends the rest of `others`.
fn merge(settings: &mut Vec<Setting>, others: Vec<Setting>) {
    settings.retain(|(key, _)| others.iter().all(|(other, _)| other != key));
    settings.extend(others);
}

/// Returns the axes of the settings in `[axes]`, in the order of [`place`].
fn arrange(settings: Vec<Setting>) -> std::result::Result<Vec<Axis>, String> {
    let mut axes: Vec<Axis> = Vec::new();
    for (key, value) in settings {
        if key != TOGETHER {
            axes.push(axis(vec![(key, value)])?);
            continue;
        }
        let groups = value.as_array().ok_or(NO_GROUP)?;
        for group in groups {
            let mut lists = Vec::new();
            for (key, value) in group.as_table().ok_or(NO_GROUP)? {
                lay_flat(key, value, key, &mut lists);
            }
            lists.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)));
            axes.push(axis(lists)?);
        }
    }
    axes.sort_by(|a, b| place(&a[0][0].0).cmp(&place(&b[0][0].0)));
    Ok(axes)
}

/// Returns the points of an axis: the k-th point holds the k-th value of every key. The lists must
/// have equal lengths.
fn axis(lists: Vec<Setting>) -> std::result::Result<Axis, String> {
    let mut points: Axis = Vec::new();
    for (key, list) in &lists {
        let values = list.as_array().filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| {
            let given = quoted(list);
            format!("[axes] {key} = {given}: must be an array of the values it takes, one or more")
        })?;
        points.resize_with(points.len().max(values.len()), Vec::new);
        for (point, value) in points.iter_mut().zip(values) {
            point.push((key.clone(), value.clone()));
        }
    }
    if points.is_empty() {
        return Err(NO_GROUP.to_owned());
    }
    if points.iter().any(|point| point.len() < lists.len()) {
        let count = |list: &Value| list.as_array().map_or(0, Vec::len);
        let counts = lists
            .iter()
            .map(|(key, list)| format!("{key} has {}", count(list)));
        let counts = counts.collect::<Vec<_>>().join(", ");
        return Err(format!(
            "[[axes.together]] {counts} values: must be as many of each"
        ));
    }
    Ok(points)
}

/// Returns the sort key of `key` in names: the model first; ranks, threads and seed last.
fn place(key: &str) -> (u8, &str) {
    let rank = match key {
        "neuron.model" => 0,
        "ranks" => 2,
        "threads" => 3,
        "simulation.seed" => 4,
        _ => 1,
    };
    (rank, key)
}

/// Rejects a key that occurs twice, has invalid characters, or is neither in a table nor one of
/// [`SPLIT`].
fn check_keys<'a>(settings: impl Iterator<Item = &'a Setting>) -> std::result::Result<(), String> {
    let mut seen = BTreeSet::new();
    for (key, _) in settings {
        if !seen.insert(key) {
            return Err(format!(
                "{key} is given twice: [set] or [axes] has it, once"
            ));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
        if !key.chars().all(plain) {
            return Err(format!(
                "key {key:?}: must be of letters, digits, _ and the dots between tables"
            ));
        }
        if !key.contains('.') && !SPLIT.contains(&key.as_str()) {
            let hint = hint(KEYS, "axes", key, &SPLIT);
            return Err(format!("unknown key {key:?}, {hint}"));
        }
    }
    Ok(())
}
