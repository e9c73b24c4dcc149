//! Crossovers: numbers of ranks from which one part of time, memory or exchange exceeds another.

use crate::base::units::grouped;

use super::scaled::{MemoryPart, Scaled};

type Of = fn(&Scaled) -> f64;

/// Comparisons: label, left-hand and right-hand quantity. Each asks from which R the left exceeds
/// the right.
const QUESTIONS: [(&str, Of, Of); 12] = [
    ("deliver > update", |one| one.time("deliver"), update),
    ("receive > update", |one| one.time("receive"), update),
    ("collocate > update", |one| one.time("collocate"), update),
    ("network > update", |one| one.network(), update),
    (
        "network > receive",
        |one| one.network(),
        |one| one.time("receive"),
    ),
    (
        "network > deliver",
        |one| one.network(),
        |one| one.time("deliver"),
    ),
    (
        "network > all that was measured",
        |one| one.network(),
        |one| one.simulate(),
    ),
    (
        "row index > neurons and buffers",
        |one| one.memory(MemoryPart::RowIndex),
        |one| one.memory(MemoryPart::NeuronsAndBuffers),
    ),
    (
        "exchange > neurons and buffers",
        |one| one.memory(MemoryPart::Exchange),
        |one| one.memory(MemoryPart::NeuronsAndBuffers),
    ),
    (
        "target table + sources > weights and targets",
        |one| one.memory(MemoryPart::TargetTable) + one.memory(MemoryPart::Sources),
        |one| one.memory(MemoryPart::WeightsAndTargets),
    ),
    (
        "all but weights and targets > weights and targets",
        |one| one.0.memory.staying as f64,
        |one| 2.0 * one.memory(MemoryPart::WeightsAndTargets),
    ),
    (
        "chunks sent > ten times the spikes in them",
        |one| one.sent(),
        |one| 10.0 * one.payload(),
    ),
];

fn update(one: &Scaled) -> f64 {
    one.time("update")
}

/// Returns one Markdown list item per comparison.
pub(super) fn lines(series: &[Scaled]) -> String {
    let lines = QUESTIONS.iter().map(|(what, left, right)| {
        let since = crossover(series, *left, *right);
        format!("- {what}: {}\n", told(series, since))
    });
    lines.collect()
}

/// Returns the smallest R from which `left` stays larger than `right` up to the largest R.
/// Interpolates linearly in log R. Returns `None` if `left` is not larger at the largest R.
fn crossover(series: &[Scaled], left: Of, right: Of) -> Option<f64> {
    let excess: Vec<f64> = series
        .iter()
        .map(|one| match (left(one), right(one)) {
            (left, right) if left > 0.0 && right > 0.0 => (left / right).ln(),
            (left, right) if left == right => 0.0,
            (left, right) => (left - right).signum(),
        })
        .collect();
    let above = excess.iter().rev().take_while(|excess| **excess > 0.0);
    let since = excess.len() - above.count();
    if since == excess.len() {
        return None;
    }
    if since == 0 {
        return Some(series[0].ranks());
    }
    let [low, high] = [since - 1, since].map(|nth| series[nth].ranks().ln());
    let part = excess[since - 1] / (excess[since - 1] - excess[since]);
    Some((low + part * (high - low)).exp())
}

fn told(series: &[Scaled], since: Option<f64>) -> String {
    let [first, last] = [0, series.len() - 1].map(|nth| series[nth].0.ranks);
    match since {
        None => format!("not up to R = {}", grouped(last)),
        Some(ranks) if ranks == first as f64 => {
            format!("from R = {} on, the smallest", grouped(first))
        }
        Some(ranks) if ranks >= 10.0 => format!("from R ≈ {} on", grouped(ranks.round())),
        Some(ranks) => format!("from R ≈ {ranks:.1} on"),
    }
}
