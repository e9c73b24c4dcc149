//! Run names that contain only what the runs differ in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use serde_json::Value;

use super::Run;
use super::series::is_free;
use crate::io::config::recorded::shown;

/// Words that describe a run, by priority and key; names use the first that tell runs apart.
type Attributes = BTreeMap<(u8, String), String>;

/// Priority of parameters; derived and free parameters have the next one.
const PARAMETERS: u8 = 100;

/// Parameters that are computed from others.
const DERIVED: [&str; 7] = [
    "/synapse/J_unit",
    "/synapse/I_E",
    "/synapse/I_I",
    "/synapse/I_X",
    "/stimulus/poisson/nu_theta",
    "/stimulus/poisson/rate",
    "/stimulus/poisson/mean_per_step",
];

/// Parameter that names omit, because N and the number of ranks determine it.
const IMPLIED: &str = "/network/N_per_rank";

/// Returns one name per group of runs, made of words that the runs of a group share and that differ
/// between groups, without those `on_axis`. All names are different.
pub(super) fn names(groups: &[Vec<Run>], on_axis: &[&str]) -> Vec<String> {
    let common: Vec<Attributes> = groups.iter().map(|runs| common(runs)).collect();
    let keys: BTreeSet<_> = common.iter().flat_map(|group| group.keys()).collect();
    let mut names = vec![String::new(); groups.len()];
    // Marks groups that lack the word which told others apart; they get the next word they have.
    let mut wordless = vec![false; groups.len()];
    for key in keys {
        let words: Vec<_> = common.iter().map(|group| group.get(key)).collect();
        if on_axis.contains(&&key.1[..]) || different(&words) == 1 {
            continue;
        }
        let longer = names.iter().zip(&words).map(|(name, word)| match word {
            Some(word) => format!("{name} {word}").trim().to_owned(),
            None => name.clone(),
        });
        let longer: Vec<String> = longer.collect();
        let tells = different(&longer) > different(&names);
        let mut both = wordless.iter().zip(&words);
        if tells || both.any(|(wordless, word)| *wordless && word.is_some()) {
            for (wordless, word) in wordless.iter_mut().zip(words) {
                *wordless = word.is_none() && (tells || *wordless);
            }
            names = longer;
        }
    }
    for (name, runs) in names.iter_mut().zip(groups) {
        if name.is_empty() {
            *name = runs[0].model().to_owned();
        }
    }
    numbered(names)
}

fn different<T: Eq + Hash>(items: &[T]) -> usize {
    items.iter().collect::<HashSet<_>>().len()
}

/// Appends #1, #2, … to names that occur more than once.
fn numbered(names: Vec<String>) -> Vec<String> {
    let mut counts = HashMap::new();
    for name in &names {
        *counts.entry(name.clone()).or_insert(0) += 1;
    }
    let mut seen = HashMap::new();
    let number = |name: String| {
        if counts[&name] == 1 {
            return name;
        }
        let so_many = seen.entry(name.clone()).or_insert(0);
        *so_many += 1;
        format!("{name} #{so_many}")
    };
    names.into_iter().map(number).collect()
}

/// Returns the words that all `runs` share.
fn common(runs: &[Run]) -> Attributes {
    let mut all = attributes(&runs[0]);
    for run in &runs[1..] {
        let others = attributes(run);
        all.retain(|key, word| others.get(key) == Some(word));
    }
    all
}

fn attributes(run: &Run) -> Attributes {
    let (ranks, threads) = run.split();
    let of = |table, key| run.record.parameter([table, key]);
    let per_core = run.neurons() as f64 / run.cores() as f64;
    let first = [
        ("model", run.model().to_owned()),
        ("N", format!("N {}", run.neurons())),
        ("split", format!("{ranks}×{threads}")),
        ("N/core", format!("N/core {per_core}")),
        ("threads", format!("R×{threads}")),
        ("ranks", format!("{ranks}×T")),
        ("K", format!("K {}", of("network", "K"))),
        ("T", word("/simulation/T", of("simulation", "T"))),
        ("seed", format!("seed {}", of("simulation", "seed"))),
    ];
    let numbered = (0..).zip(first);
    let mut all: Attributes = numbered
        .map(|(place, (key, word))| ((place, key.to_owned()), word))
        .collect();
    add(&mut all, "", &run.record.parameters);
    let commit = format!("commit {}", run.record.provenance.commit);
    all.insert((u8::MAX, "commit".into()), commit);
    all
}

/// Adds the parameters in `value`, which is at `path`.
fn add(all: &mut Attributes, path: &str, value: &Value) {
    if path == IMPLIED {
        return;
    }
    if let Value::Object(table) = value {
        for (key, inner) in table {
            add(all, &format!("{path}/{key}"), inner);
        }
        return;
    }
    let follows = DERIVED.contains(&path) || is_free(path);
    let place = PARAMETERS + u8::from(follows);
    all.insert((place, path.to_owned()), word(path, value));
}

/// Returns key and value of the parameter at `path`; of a text with slashes only the last part.
fn word(path: &str, value: &Value) -> String {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let value = match value {
        Value::String(text) => last(text),
        other => shown(path, other),
    };
    format!("{} {value}", last(path))
}
