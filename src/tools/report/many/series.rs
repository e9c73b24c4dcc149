//! Grouping of runs into series.

use std::collections::HashMap;
use std::hash::Hash;

use serde_json::Value;

use super::Run;

/// Parameters that scaling changes, as JSON pointers: size, split, and what follows from them.
const SCALED: [&str; 10] = [
    "/network/N",
    "/network/N_E",
    "/network/N_I",
    "/network/N_per_rank",
    "/simulation/threads",
    "/record/n_rec",
    "/record/weights/targets",
    "/record/weights/sources",
    "/record/weights_over_time/one_in",
    "/record/weights_over_time/trajectories",
];

/// Parameters that a run ignores.
const IGNORED: &str = "/interconnect";

/// Parameters in addition to [`SCALED`] in which the runs of a series may differ.
const VARIED: [&str; 5] = [
    "/network/K",
    "/network/K_E",
    "/network/K_I",
    "/simulation/seed",
    IGNORED,
];

/// Returns the parameters in which the runs of a series may differ.
fn free() -> impl Iterator<Item = &'static str> {
    SCALED.into_iter().chain(VARIED)
}

/// Returns whether runs of a series may differ in the parameter at `path`.
pub(super) fn is_free(path: &str) -> bool {
    free().any(|free| free == path)
}

/// Returns whether the runs of a scaling series, which share seed and in-degree, may differ in the
/// parameter at `path`.
pub(super) fn may_scale(path: &str) -> bool {
    path == IGNORED || SCALED.contains(&path)
}

/// Free parameters that may follow the size, each with the parameter that it equals if it covers
/// all neurons (empty if there is none).
const FOLLOWERS: [(&str, &str); 5] = [
    ("/network/K", ""),
    ("/record/n_rec", "/network/N"),
    ("/record/weights/targets", "/network/N_E"),
    ("/record/weights/sources", "/network/N_E"),
    ("/record/weights_over_time/trajectories", "/network/N_E"),
];

/// Parameters that do not change what is computed.
const WITHOUT_EFFECT: [&str; 4] = [
    "/network/N_per_rank",
    "/simulation/threads",
    "/record",
    IGNORED,
];

/// Groups `runs` into series, in the order of their first runs.
///
/// All runs of a series have the same commit and the same configuration except for free parameters.
/// In-degree and what is recorded may vary with N if they are the same in all runs of one N.
pub(super) fn series<'a>(runs: &[Run<'a>]) -> Vec<Vec<Run<'a>>> {
    let alike = grouped(runs, |run| without(run, free()));
    let alike = alike.into_iter();
    alike
        .flat_map(|runs| told_apart(runs, &FOLLOWERS))
        .collect()
}

/// Splits `runs` by as few of `followers`, in their order, as make the others functions of N.
fn told_apart<'a>(runs: Vec<Run<'a>>, followers: &[(&str, &str)]) -> Vec<Vec<Run<'a>>> {
    let all = |run: &Run| -> Vec<String> {
        let values = followers.iter().map(|pair| follower(run, *pair));
        values.collect()
    };
    match followers.split_first() {
        Some((first, others)) if !determines(&runs, Run::neurons, all) => {
            let groups = grouped(&runs, |run| follower(run, *first)).into_iter();
            groups.flat_map(|runs| told_apart(runs, others)).collect()
        }
        _ => vec![runs],
    }
}

/// Returns the value of a parameter, or "all" if it equals the parameter `whole`.
fn follower(run: &Run, (path, whole): (&str, &str)) -> String {
    let parameters = &run.record.parameters;
    let value = parameters.pointer(path);
    if value.is_some() && !whole.is_empty() && value == parameters.pointer(whole) {
        "all".into()
    } else {
        value.map(Value::to_string).unwrap_or_default()
    }
}

/// Returns commit and parameters of `run` as text, without the parameters at `paths`.
fn without(run: &Run, paths: impl IntoIterator<Item = &'static str>) -> String {
    let mut parameters = run.record.parameters.clone();
    for path in paths {
        let (table, key) = path.rsplit_once('/').expect("paths begin with a slash");
        let table = parameters.pointer_mut(table);
        if let Some(table) = table.and_then(Value::as_object_mut) {
            table.remove(key);
        }
    }
    format!("{} {parameters}", run.record.provenance.commit)
}

/// Groups `runs` that differ only in their seeds and in parameters without effect.
pub(super) fn repeats<'a>(runs: &[Run<'a>]) -> Vec<Vec<Run<'a>>> {
    grouped(runs, |run| {
        let seeds = ["/simulation/seed", "/network/N_per_rank", IGNORED];
        (run.split(), without(run, seeds))
    })
}

/// Returns one line per set of runs that computed the same but have different digests.
pub(super) fn disagreements(runs: &[Run]) -> Vec<String> {
    let same = grouped(runs, |run| without(run, WITHOUT_EFFECT));
    let lines = same.iter().filter_map(|runs| {
        let first = &runs[0];
        runs.iter().find_map(|run| {
            let [here, there] = [first, run].map(|run| &run.outcome.digest);
            let pairs = [
                ("spikes", here.spikes, there.spikes),
                ("weights", here.weights, there.weights),
            ];
            let (of, here, there) = pairs.into_iter().find(|(_, here, there)| here != there)?;
            Some(format!(
                "digests of {of} differ but must be equal: {here} in {}, {there} in {}",
                first.record.directory.display(),
                run.record.directory.display(),
            ))
        })
    });
    lines.collect()
}

/// Groups `runs` by `key`, in the order in which the keys first occur.
pub(super) fn grouped<'a, K: Eq + Hash>(
    runs: &[Run<'a>],
    key: impl Fn(&Run<'a>) -> K,
) -> Vec<Vec<Run<'a>>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<Run>> = Vec::new();
    for run in runs {
        let place = *places.entry(key(run)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(*run);
    }
    groups
}

/// Returns the number of different values that `of` takes among `runs`.
pub(super) fn variety<'a, K: Eq + Hash>(runs: &[Run<'a>], of: impl Fn(&Run<'a>) -> K) -> usize {
    grouped(runs, of).len()
}

/// Returns whether runs with equal `one` also have equal `other`.
pub(super) fn determines<'a, K: Eq + Hash, L: Eq + Hash>(
    runs: &[Run<'a>],
    one: impl Fn(&Run<'a>) -> K,
    other: impl Fn(&Run<'a>) -> L,
) -> bool {
    variety(runs, |run| (one(run), other(run))) == variety(runs, one)
}
