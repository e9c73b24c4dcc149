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

/// Returns one Markdown list item per comparison; empty for a single R.
pub(super) fn lines(series: &[Scaled]) -> String {
    if series.len() < 2 {
        return String::new();
    }
    let lines = QUESTIONS.iter().map(|(what, left, right)| {
        let since = Since::of(series, *left, *right);
        format!("- {what}: {}\n", since.told())
    });
    format!(
        "\nWhere one part grows beyond another, interpolated on the axis of log R:\n\n{}",
        lines.collect::<String>()
    )
}

/// Smallest R from which the left-hand quantity stays larger up to the largest R.
enum Since {
    /// There is none up to this R, the largest.
    Never(usize),
    /// This R, the smallest.
    Smallest(usize),
    /// About this R, by linear interpolation of the log ratio over log R.
    About(f64),
    /// It lies between these two, where one quantity is zero and has no log ratio.
    Between(usize, usize),
}

impl Since {
    fn of(series: &[Scaled], left: Of, right: Of) -> Self {
        let excess: Vec<f64> = series
            .iter()
            .map(|one| match (left(one), right(one)) {
                (left, right) if left == right => 0.0,
                (left, right) => (left / right).ln(),
            })
            .collect();
        let ranks = |nth: usize| series[nth].0.ranks;
        let above = excess.iter().rev().take_while(|excess| **excess > 0.0);
        let since = excess.len() - above.count();
        if since == excess.len() {
            return Since::Never(ranks(since - 1));
        }
        if since == 0 {
            return Since::Smallest(ranks(0));
        }
        let (below, above) = (excess[since - 1], excess[since]);
        if !(below.is_finite() && above.is_finite()) {
            return Since::Between(ranks(since - 1), ranks(since));
        }
        let [low, high] = [since - 1, since].map(|nth| series[nth].ranks().ln());
        Since::About((low + below / (below - above) * (high - low)).exp())
    }

    fn told(self) -> String {
        match self {
            Since::Never(last) => format!("not up to R = {}", grouped(last)),
            Since::Smallest(first) => format!("from R = {} on, the smallest", grouped(first)),
            Since::About(ranks) if ranks >= 10.0 => {
                format!("from R ≈ {} on", grouped(ranks.round()))
            }
            Since::About(ranks) => format!("from R ≈ {ranks:.1} on"),
            Since::Between(low, high) => {
                format!("from between R = {} and {} on", grouped(low), grouped(high))
            }
        }
    }
}
