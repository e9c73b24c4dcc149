//! What time and memory went to, a bar a run.

use crate::base::memory::Structure;
use crate::comm::Spread;
use crate::tools::figure::{Axis, Colour, Figure, Panel, Shape, places, stacked};

use super::super::stack::{phases, with_rest};
use super::Run;
use super::naming::names;
use super::series::repeats;

/// Bars that can still be told apart.
const MOST: usize = 40;
/// Room above the tallest bar, as a factor.
const ROOM: f64 = 1.05;
/// What a letter of a name that stands upright takes of a panel's height.
const NAME_HEIGHT: f64 = 0.024;
const MIB: f64 = (1u64 << 20) as f64;

/// Runs for each bar, and a sentence on how they were chosen.
struct Bars<'a> {
    groups: Vec<Vec<Run<'a>>>,
    names: Vec<String>,
    said: String,
}

impl<'a> Bars<'a> {
    /// A bar for each run; of very many runs a bar for those that differ in nothing but their
    /// seeds, and of very many of those only the first.
    fn of(runs: &[Run<'a>]) -> Self {
        let mut groups: Vec<_> = runs.iter().map(|run| vec![*run]).collect();
        let mut said = String::new();
        if groups.len() > MOST {
            groups = repeats(runs);
            said += " A bar is the mean of runs that differ in nothing but their seeds.";
        }
        let names = names(&groups, &[])
            .into_iter()
            .take(MOST)
            .map(|name| short(&name))
            .collect();
        if groups.len() > MOST {
            said += &format!(" The first {MOST} of {} are shown.", groups.len());
            groups.truncate(MOST);
        }
        Bars {
            groups,
            names,
            said,
        }
    }

    /// The mean of `of` in each bar.
    fn mean(&self, of: impl Fn(&Run) -> f64) -> Vec<f64> {
        let groups = self.groups.iter();
        let mean = |runs: &Vec<Run>| runs.iter().map(&of).sum::<f64>() / runs.len() as f64;
        groups.map(mean).collect()
    }

    /// `parts` on top of each other, the last ones on top; `of` gives those of a run.
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

/// Names that have to fit beside each other.
fn short(name: &str) -> String {
    name.replace("iaf_psc_alpha", "iaf")
        .replace("ignore_and_fire", "ignore")
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// `real_time_factor` and `memory` of at least one run.
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
            "The height of a bar is the real-time factor, set by the slowest rank. Phases are means \
             over the ranks; the rest is what remains.{}",
            bars.said
        ),
        rows: vec![vec![panel]],
    }
}

/// Stacked, from the bottom.
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

/// Where in [`STRUCTURES`] a structure is counted.
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
    let mut panel = bars.stacked("memory of a rank (MiB)", STRUCTURES, |run| {
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
        title: "Memory of a rank".into(),
        caption: format!(
            "Bars are means over the ranks: from the bottom the program before it builds anything, \
             then its structures, construction and recording at their largest. Dots and lines: \
             mean, minimum and maximum over the ranks of the peak of resident memory.{}",
            bars.said
        ),
        rows: vec![vec![panel.with("peak", Colour::Inhibitory, peaks)]],
    }
}
