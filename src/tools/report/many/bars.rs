//! Bars of time and memory, one per run.

use crate::base::memory::{MIB, Structure};
use crate::comm::Spread;
use crate::tools::figure::{Axis, Colour, Figure, Panel, Shape, places, stacked};

use super::super::stack::{phases, with_rest};
use super::Run;
use super::naming::names;
use super::series::repeats;

/// Maximum number of bars; more cannot be told apart.
const MAX_BARS: usize = 40;
/// Height of the y axis relative to the tallest bar.
const ROOM: f64 = 1.05;
/// Panel height added per letter of the longest name, for names written vertically.
const NAME_HEIGHT: f64 = 0.024;

/// Runs of each bar, names, and a caption sentence on how the runs were chosen.
struct Bars<'a> {
    groups: Vec<Vec<Run<'a>>>,
    names: Vec<String>,
    said: String,
}

impl<'a> Bars<'a> {
    /// Makes one bar per run. For more than [`MAX_BARS`] runs, makes one bar per set of runs that
    /// differ only in their seeds, and keeps the first [`MAX_BARS`].
    fn of(runs: &[Run<'a>]) -> Self {
        let mut groups: Vec<_> = runs.iter().map(|run| vec![*run]).collect();
        let mut said = String::new();
        if groups.len() > MAX_BARS {
            groups = repeats(runs);
            said += " Each bar is the mean over runs that differ only in their seeds.";
        }
        let names = names(&groups, &[])
            .into_iter()
            .take(MAX_BARS)
            .map(|name| short(&name))
            .collect();
        if groups.len() > MAX_BARS {
            said += &format!(
                " Only the first {MAX_BARS} of {} bars are shown.",
                groups.len()
            );
            groups.truncate(MAX_BARS);
        }
        Bars {
            groups,
            names,
            said,
        }
    }

    /// Returns the mean of `of` over the runs of each bar.
    fn mean(&self, of: impl Fn(&Run) -> f64) -> Vec<f64> {
        let groups = self.groups.iter();
        let mean = |runs: &Vec<Run>| runs.iter().map(&of).sum::<f64>() / runs.len() as f64;
        groups.map(mean).collect()
    }

    /// Draws stacked bars of `parts`, the first at the bottom; `of` returns the parts of a run.
    fn stacked<const N: usize>(
        &self,
        label: &str,
        parts: [(&str, Colour); N],
        of: impl Fn(&Run) -> [f64; N],
    ) -> Panel {
        let mean = |runs: &Vec<Run>| {
            let all: Vec<[f64; N]> = runs.iter().map(&of).collect();
            std::array::from_fn(|nth| {
                let values = all.iter().map(|parts| parts[nth]);
                values.sum::<f64>() / runs.len() as f64
            })
        };
        let bars: Vec<[f64; N]> = self.groups.iter().map(mean).collect();
        let x = Axis::names("run", self.names.clone());
        let panel = Panel::new(x, Axis::linear(label, 0.0, 1.0));
        let (mut panel, tops) = stacked(panel, parts, &bars);
        panel.y = Axis::linear(label, 0.0, ROOM * greatest(&tops));
        let longest = self.names.iter().map(|name| name.chars().count()).max();
        panel.height += NAME_HEIGHT * longest.unwrap_or(0) as f64;
        panel
    }
}

/// Abbreviates model names to fit bar names next to each other.
fn short(name: &str) -> String {
    name.replace("iaf_psc_alpha", "iaf")
        .replace("ignore_and_fire", "ignore")
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Draws `real_time_factor` and `memory` of at least one run.
pub(super) fn figures(runs: &[Run]) -> [Figure; 2] {
    let bars = Bars::of(runs);
    [real_time_factor(&bars), memory(&bars)]
}

fn real_time_factor(bars: &Bars) -> Figure {
    let panel = bars.stacked("wall time / model time", phases(), |run| {
        let part = |seconds: Spread| seconds.mean * 1000.0 / run.outcome.model_time_ms;
        let phases = run.outcome.wall_time.phases.map(part);
        with_rest(phases, run.outcome.real_time_factor)
    });
    Figure {
        name: "real_time_factor",
        title: "Real-time factor by phase".into(),
        caption: format!(
            "Bar height: real-time factor of the slowest rank. Phases: means over ranks; rest: \
             remaining time.{}",
            bars.said
        ),
        rows: vec![vec![panel]],
    }
}

/// Parts of a memory bar, from the bottom.
const STRUCTURES: [(&str, Colour); 9] = [
    ("program", Colour::Reference),
    ("plastic synapses", Colour::Nth(0)),
    ("static synapses", Colour::Nth(1)),
    ("rows, sources, targets", Colour::Nth(2)),
    ("neurons, spike history", Colour::Nth(3)),
    ("ring buffers", Colour::Nth(4)),
    ("external input", Colour::Nth(5)),
    ("exchange, recording", Colour::Nth(6)),
    ("construction", Colour::Nth(7)),
];

/// Returns the index in [`STRUCTURES`] of the part that includes `structure`.
fn place(structure: Structure) -> usize {
    match structure {
        Structure::PlasticSynapses => 1,
        Structure::StaticSynapses => 2,
        Structure::RowIndex | Structure::Sources | Structure::TargetTable => 3,
        Structure::Neurons | Structure::SpikeHistory => 4,
        Structure::RingBuffers => 5,
        Structure::ExternalInput => 6,
        Structure::Exchange | Structure::Recording => 7,
        Structure::Construction => 8,
    }
}

fn memory(bars: &Bars) -> Figure {
    let mut panel = bars.stacked("memory per rank (MiB)", STRUCTURES, |run| {
        let memory = &run.outcome.memory;
        let mut held = [0.0; STRUCTURES.len()];
        held[0] = memory.before_per_rank.mean / MIB;
        for (structure, bytes) in memory.by_structure.iter() {
            held[place(structure)] += bytes.mean / MIB;
        }
        held
    });
    let peak = |run: &Run| run.outcome.memory.peak_per_rank;
    let high = bars.mean(|run| peak(run).max / MIB);
    panel.y.range.1 = panel.y.range.1.max(ROOM * greatest(&high));
    let peaks = Shape::Spreads {
        at: places(bars.groups.len()),
        low: bars.mean(|run| peak(run).min / MIB),
        middle: bars.mean(|run| peak(run).mean / MIB),
        high,
    };
    Figure {
        name: "memory",
        title: "Memory per rank".into(),
        caption: format!(
            "Bars: means over ranks of the memory of the program before construction (bottom) \
             and of its data structures; construction and recording at their maximum. Dots and \
             lines: mean, minimum and maximum over ranks of peak resident memory.{}",
            bars.said
        ),
        rows: vec![vec![panel.with("peak", Colour::Inhibitory, peaks)]],
    }
}
