//! Where the wall time went.

use super::super::stack::{phases as phase_parts, with_rest};
use super::numbers::{decades, end_above, evenly};
use crate::comm::Spread;
use crate::io::outcome::{Outcome, Phases, RunRecord, WallTime};
use crate::tools::figure::{Axis, Colour, Figure, Panel, Shape, stacked};

/// Ranks shown one by one, at most.
const RANKS: usize = 32;

/// Wall time by phase: of single ranks, and how it is spread over all of them.
pub(super) fn phases(record: &RunRecord) -> Option<Figure> {
    let outcome = record.outcome.as_ref()?;
    let ranks = record.provenance.ranks;
    let (stacks, shown) = stacks(outcome);
    let which = match shown == ranks {
        true => "A bar is a rank".to_owned(),
        false => format!("A bar is a rank; {shown} of {ranks} are shown, evenly spaced"),
    };
    Some(Figure {
        name: "phases",
        title: "Wall time by phase".to_owned(),
        caption: format!(
            "{which}. Together the phases are the loop after the warm-up; the rest is what no phase \
             accounts for, such as snapshots of the weights. Below: minimum, mean and maximum \
             over all ranks, of construction (create, connect, prepare), of the loop (simulate) \
             and of its phases; what took no time has no place on a logarithmic axis."
        ),
        rows: vec![vec![stacks], vec![spreads(&outcome.wall_time)]],
    })
}

/// A bar a rank, a piece a phase, and how many ranks that are.
fn stacks(outcome: &Outcome) -> (Panel, usize) {
    let ranks = evenly(outcome.ranks.len(), RANKS);
    let ranks: Vec<_> = ranks.into_iter().map(|rank| &outcome.ranks[rank]).collect();
    let names = ranks.iter().map(|rank| rank.rank.to_string()).collect();
    let time = Axis::linear("wall time (s)", 0.0, 1.0);
    let panel = Panel::new(Axis::names("rank", names), time).titled("Ranks");
    let bars: Vec<_> = ranks
        .iter()
        .map(|rank| with_rest(rank.phases.map(|phase| phase.total), rank.simulate))
        .collect();
    let (mut panel, tops) = stacked(panel, phase_parts(), &bars);
    panel.y.range.1 = end_above(tops.into_iter().fold(0.0, f64::max));
    (panel, ranks.len())
}

/// Minimum, mean and maximum of construction and of the phases.
fn spreads(wall_time: &WallTime) -> Panel {
    let mut all: Vec<(&str, Spread)> = vec![
        ("create", wall_time.construction_create),
        ("connect", wall_time.construction_connect),
        ("prepare", wall_time.communicate_prepare),
        ("simulate", wall_time.simulate),
    ];
    all.extend(
        Phases::<f64>::NAMES
            .into_iter()
            .zip(wall_time.phases.named()),
    );
    let of = |part: fn(&Spread) -> f64| all.iter().map(|(_, spread)| part(spread)).collect();
    let shape = Shape::Spreads {
        at: (0..all.len()).map(|place| place as f64).collect(),
        low: of(|spread| spread.min),
        middle: of(|spread| spread.mean),
        high: of(|spread| spread.max),
    };
    let ends = all.iter().flat_map(|(_, spread)| [spread.min, spread.max]);
    let (low, high) = decades(ends);
    let names = all.iter().map(|(name, _)| (*name).to_owned()).collect();
    let time = Axis::log("wall time (s)", low, high);
    Panel::new(Axis::names("phase", names), time)
        .titled("Phases")
        .with("mean, minimum to maximum", Colour::Excitatory, shape)
}
