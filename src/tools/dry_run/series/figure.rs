//! Figure of the time, memory and exchange of one rank over the number of ranks.

use crate::base::memory::{KIB, MIB};
use crate::base::units::grouped;
use crate::tools::figure::{Axis, Colour, Figure, Panel, Shape, places, stacked};

use super::scaled::{MemoryPart, Scaled, measured};

/// Maximum ratio of the ends of a logarithmic axis; smaller values are drawn at its lower end.
const MAX_RATIO: f64 = 1e5;

/// Returns the figure, with one panel each for time, memory and exchange.
pub(super) fn figure(series: &[Scaled]) -> Figure {
    Figure {
        name: "scaling",
        title: "One rank of R, rehearsed".into(),
        caption: "Times of phases and peak memory are measured, the network is modelled from \
                  [interconnect], the target table drawn from its exact distribution; all else is exact."
            .into(),
        rows: vec![vec![time(series)], vec![memory(series)], vec![volume(series)]],
    }
}

/// Returns an empty panel over the number of ranks. Both axes are logarithmic; the y axis covers
/// the positive ones of `values`.
fn over_ranks(series: &[Scaled], label: &str, values: &[f64]) -> Panel {
    let ranks = |nth: usize| series[nth].ranks();
    let x = Axis::doubling("ranks", ranks(0) / 1.08, ranks(series.len() - 1) * 1.08);
    let positive = values.iter().copied().filter(|value| *value > 0.0);
    let high = positive.clone().fold(f64::MIN_POSITIVE, f64::max) * 1.5;
    let low = positive.fold(high, f64::min).max(high / MAX_RATIO);
    Panel::new(x, Axis::log(label, low / 1.5, high))
}

fn line(series: &[Scaled], of: impl Fn(&Scaled) -> f64) -> Shape {
    Shape::Line {
        x: series.iter().map(Scaled::ranks).collect(),
        y: series.iter().map(of).collect(),
        band: (Vec::new(), Vec::new()),
    }
}

fn time(series: &[Scaled]) -> Panel {
    let phases = measured().filter(|(nth, _)| series.iter().any(|one| one.phase(*nth) > 0.0));
    let phases: Vec<_> = phases.collect();
    let of_one = |one: &Scaled| {
        let times = phases.iter().map(|(nth, _)| one.phase(*nth));
        times.chain([one.network()]).collect::<Vec<_>>()
    };
    let values: Vec<f64> = series.iter().flat_map(of_one).collect();
    let mut panel = over_ranks(series, "s per s of model time", &values).titled("Time of one rank");
    for (nth, name) in phases {
        let shape = line(series, |one| one.phase(nth));
        panel = panel.with(name, Colour::Nth(nth), shape);
    }
    let network = line(series, |one| one.network());
    panel.with("network, modelled", Colour::Reference, network)
}

fn memory(series: &[Scaled]) -> Panel {
    let bars: Vec<[f64; MemoryPart::ALL.len()]> = series
        .iter()
        .map(|one| MemoryPart::ALL.map(|part| one.memory(part) / MIB))
        .collect();
    let names = series.iter().map(|one| grouped(one.0.ranks)).collect();
    let panel = Panel::new(Axis::names("ranks", names), Axis::linear("MiB", 0.0, 1.0));
    let parts = MemoryPart::ALL.map(|part| match part {
        MemoryPart::TargetTable => ("target table, drawn", part.colour()),
        _ => (part.name(), part.colour()),
    });
    let (mut panel, tops) = stacked(panel.titled("Memory of one rank"), parts, &bars);
    let peak: Vec<f64> = series
        .iter()
        .map(|one| one.0.memory.grown as f64 / MIB)
        .collect();
    let high = tops.iter().chain(&peak).copied().fold(0.0, f64::max);
    panel.y = Axis::linear("MiB", 0.0, 1.05 * high);
    let peaks = Shape::Spreads {
        at: places(bars.len()),
        low: peak.clone(),
        middle: peak.clone(),
        high: peak,
    };
    panel.with("peak, measured", Colour::Inhibitory, peaks)
}

fn volume(series: &[Scaled]) -> Panel {
    let sent = |one: &Scaled| one.sent() / KIB;
    let payload = |one: &Scaled| one.payload() / KIB;
    let values: Vec<f64> = series
        .iter()
        .flat_map(|one| [sent(one), payload(one)])
        .collect();
    over_ranks(series, "KiB per interval and rank", &values)
        .titled("Exchange of one rank")
        .with("chunks sent", Colour::Inhibitory, line(series, sent))
        .with(
            "spikes received, exact",
            Colour::Excitatory,
            line(series, payload),
        )
}
