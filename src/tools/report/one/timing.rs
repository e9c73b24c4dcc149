//! Wall time of one run by phase.

use super::super::stack::{phases as phase_parts, with_rest};
use super::numbers::{decades, end_above, evenly};
use crate::comm::Spread;
use crate::io::outcome::{Outcome, Phases, RunRecord, WallTime};
use crate::tools::figure::{Axis, Colour, Figure, Panel, Shape, stacked};

/// Maximum number of ranks with a bar.
const RANKS: usize = 32;

/// Draws the wall time by phase: one bar per rank, and the spread over all ranks; `None` if the run
/// is not done.
pub(super) fn phases(record: &RunRecord) -> Option<Figure> {
    let outcome = record.outcome.as_ref()?;
    let ranks = record.provenance.ranks;
    let (stacks, shown) = stacks(outcome);
    let which = match shown == ranks {
        true => "One bar per rank".to_owned(),
        false => format!("One bar per rank ({shown} of {ranks}, evenly spaced)"),
    };
    Some(Figure {
        name: "phases",
        title: "Wall time by phase".to_owned(),
        caption: format!(
            "Top: phases of the loop after the warm-up; rest: time outside all phases, such as \
             weight snapshots. {which}. Bottom: minimum, mean and maximum over all ranks of \
             construction (create, connect, prepare), the loop (simulate) and its phases; zero \
             times are omitted (logarithmic axis)."
        ),
        rows: vec![vec![stacks], vec![spreads(&outcome.wall_time)]],
    })
}

/// Draws one bar per rank, stacked by phase; also returns the number of ranks shown.
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

/// Draws minimum, mean and maximum over the ranks of construction, the loop and its phases.
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
        .with("mean (minimum to maximum)", Colour::Excitatory, shape)
}
