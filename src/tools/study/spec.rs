//! The study file as written: what varies, what does not, how often.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Value;

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::io::config::keys::{KEYS, Key, Keys, Kind};
use crate::io::config::messages::{hint, join, quoted};
use crate::io::config::reading::{Document, Section};

/// What a study file may hold; [set] and [axes] hold keys of a config.
const STUDY: Keys = &[
    Key::new("study", Kind::Table, ""),
    Key::new("study.config", Kind::File, ""),
    Key::new("study.repeats", Kind::Integer(1, MOST), "1"),
    Key::new("set", Kind::Free, ""),
    Key::new("axes", Kind::Free, ""),
    Key::new("quick", Kind::Table, ""),
    Key::new("quick.set", Kind::Free, ""),
    Key::new("quick.axes", Kind::Free, ""),
    Key::new("slurm", Kind::Table, ""),
    Key::new("slurm.ranks_per_node", Kind::Integer(1, MOST), ""),
    Key::new("slurm.options", Kind::Free, ""),
];

/// What may be set or varied beside the keys of a config.
const SPLIT: [&str; 2] = ["ranks", "threads"];

/// Under it stand the keys that vary together.
const TOGETHER: &str = "together";

const NO_GROUP: &str = "[[axes.together]] must be a table of keys and the values they take";

/// The most repeats, and ranks a node.
const MOST: i64 = 1 << 20;

/// A key of a config by its dotted path, or one of [`SPLIT`], and its value.
pub(super) type Setting = (String, Value);

/// What one key, or some that vary together, go through: settings, point by point.
pub(super) type Axis = Vec<Vec<Setting>>;

/// A study file.
pub(super) struct Spec {
    /// The base config.
    pub(super) config: PathBuf,
    /// How often each point is run, 1 or more.
    pub(super) repeats: usize,
    /// What all runs have.
    pub(super) set: Vec<Setting>,
    /// What varies; the first axis slowest. In an order that does not depend on that of the file.
    pub(super) axes: Vec<Axis>,
    /// How jobs are asked for.
    pub(super) jobs: JobOptions,
}

/// `[slurm]`
pub(super) struct JobOptions {
    /// The most ranks that share a node, where Slurm is not to choose.
    pub(super) ranks_per_node: Option<usize>,
    /// More options of sbatch.
    pub(super) options: Vec<String>,
}

impl Spec {
    /// Reads the study file at `path`; with `quick` what stands in [quick] wins.
    ///
    /// # Errors
    /// At the first fault, in one line: the file cannot be read, names what is not known, lacks
    /// the config, sets a key twice, or has an axis without values.
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
                return Err(fault("has no [quick], which --quick asks for".to_owned()));
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

/// What a table sets, tables within it laid flat: `a.b = 1`, `[set.a]` with `b = 1`. The value
/// of a name in quotes that holds dots, `"a.b" = { c = 1 }`, is left whole.
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

/// Puts `others` in the place of what says the same in `settings`.
fn merge(settings: &mut Vec<Setting>, others: Vec<Setting>) {
    settings.retain(|(key, _)| others.iter().all(|(other, _)| other != key));
    settings.extend(others);
}

/// The axes that the settings of [axes] stand for, in the order of [`place`].
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

/// The points of keys with as many values each.
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

/// Where a key stands in names: the model first, what the split and chance are last.
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

/// Refuses a key that stands twice, or that is neither of a table nor of [`SPLIT`].
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
