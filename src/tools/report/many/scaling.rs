//! Figures of time, rate and weights over size, and of time and efficiency over cores.

use crate::tools::figure::{Axis, Colour, Figure, Panel, Shape};

use super::Run;
use super::naming::names;
use super::series::{determines, grouped, variety};

/// Mean, minimum and maximum of a value over the runs at each x, with x ascending.
struct Curve {
    x: Vec<f64>,
    mean: Vec<f64>,
    least: Vec<f64>,
    greatest: Vec<f64>,
    /// True if several runs share an x.
    repeated: bool,
}

impl Curve {
    fn of<'a>(runs: &[Run<'a>], x: impl Fn(&Run<'a>) -> u64, y: impl Fn(&Run<'a>) -> f64) -> Self {
        let mut groups = grouped(runs, &x);
        groups.sort_by_key(|runs| x(&runs[0]));
        let mut curve = Curve {
            x: groups.iter().map(|runs| x(&runs[0]) as f64).collect(),
            mean: Vec::new(),
            least: Vec::new(),
            greatest: Vec::new(),
            repeated: groups.iter().any(|runs| runs.len() > 1),
        };
        for runs in groups {
            let values = runs.iter().map(&y);
            let sum: f64 = values.clone().sum();
            curve.mean.push(sum / runs.len() as f64);
            let least = values.clone().fold(f64::INFINITY, f64::min);
            curve.least.push(least);
            curve
                .greatest
                .push(values.fold(f64::NEG_INFINITY, f64::max));
        }
        curve
    }

    /// Applies `of` to each x and its mean.
    fn map(&self, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let pairs = self.x.iter().zip(&self.mean);
        pairs.map(|(&x, &y)| of(x, y)).collect()
    }

    /// Returns the efficiency, if this curve is the time over cores and the work scales as `kind`.
    ///
    /// The mean efficiency at the first x is 1. The longest time gives the least efficiency.
    fn efficiency(&self, kind: Kind) -> Curve {
        let of = |times: &[f64]| -> Vec<f64> {
            let ideal = self.x.iter().map(|&cores| kind.ideal(self, cores));
            ideal.zip(times).map(|(ideal, time)| ideal / time).collect()
        };
        Curve {
            x: self.x.clone(),
            mean: of(&self.mean),
            least: of(&self.greatest),
            greatest: of(&self.least),
            repeated: self.repeated,
        }
    }

    fn shape(&self) -> Shape {
        let band = if self.repeated {
            (self.least.clone(), self.greatest.clone())
        } else {
            (Vec::new(), Vec::new())
        };
        Shape::Line {
            x: self.x.clone(),
            y: self.mean.clone(),
            band,
        }
    }
}

/// Returns an axis that holds all of `values`; from 0 if linear, of the positive ones if
/// logarithmic.
fn axis(label: &str, values: impl Iterator<Item = f64>, log: bool) -> Axis {
    const ROOM: f64 = 1.08;
    let values: Vec<f64> = values.filter(|value| !log || *value > 0.0).collect();
    let high = values.iter().copied().fold(0.0, f64::max) * ROOM;
    if log {
        let low = values.iter().copied().fold(high, f64::min) / ROOM;
        Axis::log(label, low, high)
    } else {
        Axis::linear(label, 0.0, high)
    }
}

/// Returns the caption sentence on means and bands; empty if every point is a single run.
fn repeats(curves: &[Curve]) -> &'static str {
    if curves.iter().any(|curve| curve.repeated) {
        " Points are means over runs with different seeds or repeats; bands span minimum to \
         maximum."
    } else {
        ""
    }
}

/// Groups of runs, each drawn as a line.
struct Lines<'a> {
    runs: Vec<Vec<Run<'a>>>,
    names: Vec<String>,
    /// Caption sentence on lines that are not drawn; may be empty.
    left_out: String,
}

impl<'a> Lines<'a> {
    /// Keeps at most as many lines as there are distinct colours; names omit what is `on_axis`.
    fn of(mut runs: Vec<Vec<Run<'a>>>, on_axis: &[&str]) -> Self {
        let count = runs.len();
        runs.truncate(Colour::DISTINCT);
        let left_out = if count > runs.len() {
            format!(" Only the first {} of {count} lines are drawn.", runs.len())
        } else {
            String::new()
        };
        let names = names(&runs, on_axis);
        Lines {
            runs,
            names,
            left_out,
        }
    }

    /// Returns the lines with only those runs that `keep` accepts; `None` if no run is left.
    fn filtered(&self, keep: impl Fn(&Run) -> bool) -> Option<Self> {
        let lines = self.runs.iter().zip(&self.names).map(|(runs, name)| {
            let kept: Vec<Run> = runs.iter().copied().filter(&keep).collect();
            (kept, name.clone())
        });
        let (runs, names): (Vec<_>, Vec<_>) = lines.filter(|(runs, _)| !runs.is_empty()).unzip();
        (!runs.is_empty()).then(|| Lines {
            runs,
            names,
            left_out: self.left_out.clone(),
        })
    }

    fn curves(&self, x: impl Fn(&Run) -> u64, y: impl Fn(&Run) -> f64) -> Vec<Curve> {
        let lines = self.runs.iter();
        lines.map(|runs| Curve::of(runs, &x, &y)).collect()
    }

    /// Adds `curves` of these lines to `panel`, and appends `kind` to their names.
    fn draw(&self, mut panel: Panel, curves: &[Curve], kind: &str) -> Panel {
        for (curve, name) in curves.iter().zip(&self.names) {
            let colour = match (panel.series.len(), curves.len()) {
                (0, 1 | 2) => Colour::Excitatory,
                (1, 2) => Colour::Inhibitory,
                // The panel's earlier lines use the colours before this one.
                (before, _) => Colour::Nth(before),
            };
            panel = panel.with(format!("{name}{kind}"), colour, curve.shape());
        }
        panel
    }
}

// --- over size ------------------------------------------------------------------------------

/// Properties of a run that the x axis shows.
const SIZE: [&str; 2] = ["N", "N/core"];

/// Draws the figure of the published example: time, rate and weights over N, one line per series;
/// `None` if all runs have the same size and model.
pub(super) fn over_size(series: &[Vec<Run>]) -> Option<Figure> {
    let all = series.concat();
    if variety(&all, Run::neurons) == 1 && variety(&all, Run::model) == 1 {
        return None;
    }
    let lines = Lines::of(series.to_vec(), &SIZE);
    let of_one_split = lines.runs.iter().flat_map(|runs| of_one_split(runs));
    let timed = Lines::of(of_one_split.collect(), &SIZE);
    let one_size = if timed.runs.concat().len() < lines.runs.concat().len() {
        " Times: only of ranks × threads with runs of several sizes."
    } else {
        ""
    };
    let time = timed.curves(|run| run.neurons(), |run| run.simulate());
    let caption = format!(
        "Over network size: wall time of the slowest rank, mean rate of all neurons, and weights \
         of all plastic synapses at the end of the run.{one_size}{}{}{}{}",
        repeats(&time),
        followers(&lines.runs),
        lines.left_out,
        timed.left_out,
    );
    let time = timed.draw(over_neurons("wall time of the loop (s)", &time), &time, "");
    Some(Figure {
        name: "network_size",
        title: "Time, rate and weights over network size".into(),
        caption,
        rows: vec![
            [time.titled("Time"), rate_panel(&lines).titled("Rate")]
                .into_iter()
                .chain(weight_panel(&lines).map(|panel| panel.titled("Weights")))
                .collect(),
        ],
    })
}

fn rate_panel(lines: &Lines) -> Panel {
    let rate = lines.curves(|run| run.neurons(), |run| run.rate());
    lines.draw(over_neurons("mean rate (spikes/s)", &rate), &rate, "")
}

/// Draws mean and mean + SD of the weights of runs with plastic synapses; `None` if there are no
/// such runs.
fn weight_panel(lines: &Lines) -> Option<Panel> {
    let weights = |run: &Run| {
        let weights = &run.outcome.weights;
        [weights.mean, weights.sd].map(|value| value.unwrap_or(0.0))
    };
    let lines = lines.filtered(|run| run.outcome.weights.mean.is_some())?;
    let mean = lines.curves(|run| run.neurons(), |run| weights(run)[0]);
    let upper = lines.curves(|run| run.neurons(), |run| weights(run).iter().sum());
    let panel = over_neurons("plastic weight (pA)", &upper);
    let panel = lines.draw(panel, &mean, ", mean");
    Some(lines.draw(panel, &upper, ", mean + SD"))
}

/// Splits `runs` into one line per split if some size was run with several splits; else returns
/// them as one line. Drops lines of a single size, unless no line has several sizes.
fn of_one_split<'a>(runs: &[Run<'a>]) -> Vec<Vec<Run<'a>>> {
    if determines(runs, Run::neurons, Run::split) {
        return vec![runs.to_vec()];
    }
    let mut lines = grouped(runs, Run::split);
    let several = |line: &Vec<Run>| variety(line, Run::neurons) > 1;
    if lines.iter().any(several) {
        lines.retain(several);
    }
    lines
}

/// Returns the caption sentence on what varies along with N; may be empty.
fn followers(series: &[Vec<Run>]) -> &'static str {
    let in_degree = |run: &Run| run.record.parameter(["network", "K"]).to_string();
    let splits = series
        .iter()
        .any(|runs| variety(runs, Run::split) > 1 && determines(runs, Run::neurons, Run::split));
    let in_degrees = series.iter().any(|runs| variety(runs, in_degree) > 1);
    match (splits, in_degrees) {
        (true, true) => " Ranks and threads, and the in-degree K, vary along with N.",
        (true, false) => " Ranks and threads vary along with N.",
        (false, true) => " The in-degree K varies along with N.",
        (false, false) => "",
    }
}

/// Returns an empty panel whose axes hold `curves` over N.
fn over_neurons(label: &str, curves: &[Curve]) -> Panel {
    /// Minimum ratio of the largest size to the smallest for a logarithmic axis.
    const MIN_LOG_RATIO: f64 = 30.0;
    let x = curves.iter().flat_map(|curve| curve.x.iter().copied());
    let low = x.clone().fold(f64::INFINITY, f64::min);
    let log = x.clone().any(|x| x > MIN_LOG_RATIO * low);
    let y = curves
        .iter()
        .flat_map(|curve| curve.greatest.iter().copied());
    Panel::new(axis("number of neurons N", x, log), axis(label, y, false))
}

// --- over cores -----------------------------------------------------------------------------

/// Quantity that stays the same while cores are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Neurons per core.
    Weak,
    /// Neurons in total.
    Strong,
}

impl Kind {
    pub(super) const ALL: [Kind; 2] = [Kind::Weak, Kind::Strong];

    /// Returns the work of a run: the number of neurons per number of cores, as a reduced fraction
    /// for weak scaling. Runs with equal work scale in this way.
    pub(super) fn work(self, run: &Run) -> (u64, u64) {
        let (neurons, cores) = (run.neurons(), run.cores() as u64);
        match self {
            Kind::Strong => (neurons, 1),
            Kind::Weak => {
                let common = common_divisor(neurons, cores).max(1);
                (neurons / common, cores / common)
            }
        }
    }

    /// Returns the ideal time on `cores`, extrapolated from the fewest cores of `times` (s).
    fn ideal(self, times: &Curve, cores: f64) -> f64 {
        match self {
            Kind::Weak => times.mean[0],
            Kind::Strong => times.mean[0] * times.x[0] / cores,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Weak => "weak",
            Kind::Strong => "strong",
        }
    }

    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Kind::Weak => (
                "weak_scaling",
                "Weak scaling: the network grows with ranks × threads",
                "time on the fewest cores",
            ),
            Kind::Strong => (
                "strong_scaling",
                "Strong scaling: one network on more ranks × threads",
                "inversely proportional to the number of cores",
            ),
        }
    }
}

fn common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 {
        one
    } else {
        common_divisor(other, one % other)
    }
}

/// Draws time and efficiency over cores (ranks × threads); `None` if no series scales this way.
///
/// Efficiency is T₀/T for weak and T₀·c₀/(T·c) for strong scaling, with the mean time T on c cores
/// and T₀ on c₀, the fewest cores of the line.
pub(super) fn over_cores(series: &[Vec<Run>], kind: Kind) -> Option<Figure> {
    let alike = series
        .iter()
        .flat_map(|runs| grouped(runs, |run| kind.work(run)));
    let lines = Lines::of(alike.flat_map(|runs| lines(&runs)).collect(), &[]);
    if lines.runs.is_empty() {
        return None;
    }
    let times = lines.curves(|run| run.cores() as u64, |run| run.simulate());
    let (name, title, ideally) = kind.words();
    let caption = format!(
        "Wall time of the slowest rank; ideal: {ideally}. Efficiency: ideal time divided by \
         measured time.{}{}",
        repeats(&times),
        lines.left_out,
    );
    let panels = vec![
        time_panel(&lines, &times, kind).titled("Time"),
        efficiency_panel(&lines, &times, kind).titled("Efficiency"),
    ];
    Some(Figure {
        name,
        title: title.into(),
        caption,
        rows: vec![panels],
    })
}

/// Returns the efficiency of each of `runs` relative to the first. The runs must have distinct,
/// ascending numbers of cores and scale as `kind`.
pub(super) fn efficiency(runs: &[Run], kind: Kind) -> Vec<f64> {
    let times = Curve::of(runs, |run| run.cores() as u64, |run| run.simulate());
    times.efficiency(kind).mean
}

/// Splits `runs` of equal work into lines with one split per number of cores.
///
/// If a number of cores was reached with several splits, each line has one number of threads. Where
/// that leaves a run alone, the runs with its number of ranks form another line.
fn lines<'a>(runs: &[Run<'a>]) -> Vec<Vec<Run<'a>>> {
    let several = |line: &Vec<Run>| variety(line, Run::cores) > 1;
    let mut lines = vec![runs.to_vec()];
    if !determines(runs, Run::cores, Run::split) {
        lines = grouped(runs, Run::threads);
        let alone = |run: &Run| {
            let line = lines.iter().find(|line| line[0].threads() == run.threads());
            line.is_some_and(|line| !several(line))
        };
        let by_ranks = grouped(runs, Run::ranks).into_iter();
        let by_ranks: Vec<_> = by_ranks.filter(|line| line.iter().any(alone)).collect();
        lines.extend(by_ranks);
    }
    lines.retain(several);
    lines
}

fn cores_axis(curves: &[Curve]) -> Axis {
    let cores = curves.iter().flat_map(|curve| curve.x.iter().copied());
    let (low, high) = cores.fold((f64::MAX, 1.0), |(low, high), cores| {
        (cores.min(low), cores.max(high))
    });
    Axis::doubling("ranks × threads", low / 1.08, high * 1.08)
}

fn time_panel(lines: &Lines, times: &[Curve], kind: Kind) -> Panel {
    let ideals: Vec<Vec<f64>> = times
        .iter()
        .map(|curve| curve.map(|cores, _| kind.ideal(curve, cores)))
        .collect();
    let bounds = |curve: &'_ Curve| [curve.least.clone(), curve.greatest.clone()].concat();
    let values = times.iter().flat_map(bounds).chain(ideals.concat());
    let y = axis("wall time of the loop (s)", values, kind == Kind::Strong);
    let mut panel = Panel::new(cores_axis(times), y);
    for (curve, ideal) in times.iter().zip(ideals) {
        let shape = Shape::Line {
            x: curve.x.clone(),
            y: ideal,
            band: (Vec::new(), Vec::new()),
        };
        panel = panel.with("ideal", Colour::Reference, shape);
    }
    lines.draw(panel, times, "")
}

fn efficiency_panel(lines: &Lines, times: &[Curve], kind: Kind) -> Panel {
    let curves: Vec<_> = times.iter().map(|curve| curve.efficiency(kind)).collect();
    let greatest = curves.iter().flat_map(|curve| curve.greatest.iter());
    let high = greatest.copied().fold(1.1, f64::max);
    let cores = || curves.iter().flat_map(|curve| curve.x.iter().copied());
    let ideal = Shape::Line {
        x: vec![
            cores().fold(f64::INFINITY, f64::min),
            cores().fold(0.0, f64::max),
        ],
        y: vec![1.0; 2],
        band: (Vec::new(), Vec::new()),
    };
    let x = cores_axis(times);
    let y = Axis::linear("efficiency", 0.0, high);
    let panel = Panel::new(x, y).with("ideal", Colour::Reference, ideal);
    lines.draw(panel, &curves, "")
}
