//! Plastic weights of one run: distribution, matrices, and development over time.

use super::numbers::{decades, end_above, evenly, short};
use super::{begun, check_count, noted};
use crate::base::error::{Error, Result};
use crate::base::sizes::total;
use crate::base::units::{Ms, grouped};
use crate::io::analysis::{Histogram, Population, Results, Sample, Weights, WeightsOverTime};
use crate::io::outcome::RunRecord;
use crate::tools::figure::{Axis, Colour, Figure, Panel, Scale, Shape, nice};
use crate::tools::text_table::significant;

/// Name of the file that holds the weights.
pub(super) const FILE: &str = "weights.h5";

/// Maximum number of weights to read in full per snapshot; of more, a sample is read.
const MOST_WEIGHTS: usize = 100_000_000;

/// End of the weight axis in the published example (pA).
const PUBLISHED_END: f64 = 150.0;
/// Number of bins on that axis.
const PUBLISHED_BINS: usize = 75;

/// Approximate maximum number of bins over the whole range of weights.
const BINS: f64 = 100.0;

/// Maximum number of sources, and of targets, in a matrix.
const MATRIX: u32 = 100;

/// Maximum number of samples shown of the weights over time.
const SAMPLES: usize = 200;

/// Draws all figures for which there are data that can be read; adds errors to `faults`.
pub(super) fn figures(
    record: &RunRecord,
    results: &Results,
    faults: &mut Vec<Error>,
) -> Vec<Figure> {
    let mut figures = Vec::new();
    if !begun(record, FILE) {
        return figures;
    }
    let recorded = |key| !record.parameter(["record", key]).is_null();
    if recorded("weights") {
        let snapshots = snapshots(record, results, faults);
        figures.extend(readable(&snapshots, faults, |snapshots| {
            distributions(snapshots, MOST_WEIGHTS)
        }));
        figures.extend(readable(&snapshots, faults, |snapshots| {
            Ok([matrices(snapshots)?])
        }));
    }
    if recorded("weights_over_time")
        && let Some(Some(over_time)) = noted(results.weights_over_time(SAMPLES), faults)
        && over_time.samples.len() > 1
    {
        figures.extend(histograms_over_time(&over_time));
        figures.extend(trajectories(&over_time));
    }
    figures
}

/// Returns the figures that `draw` makes of all `snapshots`. If one of these cannot be read,
/// returns those of the latest one that can.
fn readable<const N: usize>(
    snapshots: &[Snapshot],
    faults: &mut Vec<Error>,
    draw: impl Fn(&[Snapshot]) -> Result<[Figure; N]>,
) -> Vec<Figure> {
    if snapshots.is_empty() {
        return Vec::new();
    }
    if let Some(figures) = noted(draw(snapshots), faults) {
        return figures.into();
    }
    // The last snapshot is the most interesting one.
    let others = snapshots.chunks(1).rev().filter(|_| snapshots.len() > 1);
    let mut others = others.filter_map(|one| draw(one).ok());
    others.next().map_or_else(Vec::new, Vec::from)
}

/// Weights at one time, and their colour.
struct Snapshot {
    weights: Weights,
    colour: Colour,
}

impl Snapshot {
    fn name(&self) -> String {
        format!("at {} ms", short(self.weights.at().0))
    }
}

/// Opens the first and the last snapshot, or the only one; omits those that are empty or cannot be
/// read.
fn snapshots(record: &RunRecord, results: &Results, faults: &mut Vec<Error>) -> Vec<Snapshot> {
    let times = noted(results.snapshots(), faults).unwrap_or_default();
    let mut chosen = Vec::new();
    if let [first, .., _] = times[..] {
        chosen.push((first, Colour::Reference));
    }
    chosen.extend(times.last().map(|last| (*last, Colour::Excitatory)));
    let opened = chosen.into_iter().filter_map(|(at, colour)| {
        let weights = noted(open(record, results, at), faults)?;
        (weights.synapses() > 0).then_some(Snapshot { weights, colour })
    });
    opened.collect()
}

/// Opens the weights at time `at`.
///
/// # Errors
/// Fails if they cannot be read, or if all synapses were recorded and their number differs from
/// that in run.json.
fn open(record: &RunRecord, results: &Results, at: Ms) -> Result<Weights> {
    let weights = results.weights(Some(at))?;
    let all = results.neurons(Population::E);
    if let Some(outcome) = &record.outcome
        && (weights.sources().end, weights.targets().end) == (all, all)
    {
        let (found, had) = (weights.synapses() as u64, outcome.counts.synapses_plastic);
        check_count(record, FILE, "plastic synapses", found, had)?;
    }
    Ok(weights)
}

/// Draws the distribution of the weights twice: on the axis of the published example, and over the
/// whole range. Reads about `most` weights per snapshot at most, twice.
fn distributions(snapshots: &[Snapshot], most: usize) -> Result<[Figure; 2]> {
    let (published, largest) = histograms(snapshots, most, PUBLISHED_BINS, PUBLISHED_END)?;
    let width = nice(if largest > 0.0 { largest / BINS } else { 1.0 });
    let bins = (largest / width) as usize + 1;
    let end = bins as f64 * width;
    let (whole, _) = histograms(snapshots, most, bins, end)?;
    let part = |count: fn(&Histogram) -> u64| {
        let fraction = |all: &Histogram| {
            let percent = 100.0 * all.fraction(count(all)).unwrap_or(0.0);
            format!("{} %", significant(percent))
        };
        at_each(snapshots, published.iter().map(fraction))
    };
    let counted = format!(
        "{} Weights at exactly 0, in no bin: {}.",
        counted(&snapshots[0].weights, most),
        part(|all| all.zeros)
    );
    let figure = |name, title: &str, caption, histograms, end| Figure {
        name,
        title: title.to_owned(),
        caption,
        rows: vec![vec![densities(snapshots, histograms, end)]],
    };
    Ok([
        figure(
            "weights",
            "Plastic weights",
            format!(
                "{counted} Weights above {PUBLISHED_END} pA: {}. Bin width: {} pA.",
                part(|all| all.above),
                short(PUBLISHED_END / PUBLISHED_BINS as f64)
            ),
            &published,
            PUBLISHED_END,
        ),
        figure(
            "weights_full",
            "Plastic weights, full range",
            format!(
                "{counted} Maximum: {} pA. Bin width: {} pA.",
                grouped(format!("{largest:.1}")),
                short(width)
            ),
            &whole,
            end_above(end),
        ),
    ])
}

/// Returns a histogram from 0 to `end` (pA) for each snapshot, and the largest weight of all (pA).
fn histograms(
    snapshots: &[Snapshot],
    most: usize,
    bins: usize,
    end: f64,
) -> Result<(Vec<Histogram>, f64)> {
    let mut largest = 0.0_f64;
    let mut histograms = Vec::new();
    for snapshot in snapshots {
        let mut histogram = Histogram::new(bins, 0.0..end)?;
        for weight in snapshot.weights.values(most) {
            let weight = weight?;
            histogram.add(weight);
            largest = largest.max(weight);
        }
        histograms.push(histogram);
    }
    Ok((histograms, largest))
}

/// Returns the caption sentence on the weights that were read.
fn counted(weights: &Weights, most: usize) -> String {
    let all = grouped(weights.synapses());
    match weights.values(most).one_in() {
        1 => format!("Density of the weights of all {all} recorded synapses."),
        one_in => format!(
            "Density of the weights of one in {one_in} of the {all} recorded synapses (evenly \
             spaced blocks of the file)."
        ),
    }
}

/// Joins one number per snapshot with its time: "0.5 at 0 ms and 0.7 at 100 ms".
fn at_each(snapshots: &[Snapshot], numbers: impl Iterator<Item = String>) -> String {
    let each = snapshots.iter().zip(numbers);
    let words = each.map(|(snapshot, number)| format!("{number} {}", snapshot.name()));
    words.collect::<Vec<_>>().join(" and ")
}

/// Draws the density in each bin (1/pA), one series per snapshot.
fn densities(snapshots: &[Snapshot], histograms: &[Histogram], end: f64) -> Panel {
    let density = |histogram: &Histogram| -> Vec<f64> {
        let bins = 0..histogram.counts.len();
        bins.filter_map(|bin| histogram.density(bin)).collect()
    };
    let all: Vec<Vec<f64>> = histograms.iter().map(density).collect();
    let (low, high) = decades(all.iter().flatten().copied());
    let mut panel = Panel::new(
        Axis::linear("weight (pA)", 0.0, end),
        Axis::log("density (1/pA)", low, high),
    );
    for ((snapshot, histogram), values) in snapshots.iter().zip(histograms).zip(all) {
        let mut edges: Vec<f64> = (0..values.len())
            .map(|bin| histogram.bin(bin).start)
            .collect();
        edges.extend(
            values
                .len()
                .checked_sub(1)
                .map(|last| histogram.bin(last).end),
        );
        panel = panel.with(
            snapshot.name(),
            snapshot.colour,
            Shape::Bins { edges, values },
        );
    }
    panel
}

/// Draws the summed weights among the first neurons, one panel per snapshot.
fn matrices(snapshots: &[Snapshot]) -> Result<Figure> {
    let mut panels = Vec::new();
    let mut words = String::new();
    for snapshot in snapshots {
        let (mut panel, joined) = matrix(snapshot)?;
        // Makes cells nearly square when two panels share a row.
        panel.height = 1.3;
        panels.push(panel);
        words = joined;
    }
    Ok(Figure {
        name: "matrices",
        title: "Weight matrices".to_owned(),
        caption: format!(
            "Summed weight per pair of neurons, from {words}. Blank: no synapse; dot: weight \
             exactly 0. Logarithmic colour scale, separate for each panel."
        ),
        rows: vec![panels],
    })
}

/// Draws one matrix; also returns the caption words on its sources, targets and connected pairs.
fn matrix(snapshot: &Snapshot) -> Result<(Panel, String)> {
    let weights = &snapshot.weights;
    let first = |recorded: u32| 0..recorded.min(MATRIX);
    let (sources, targets) = (first(weights.sources().end), first(weights.targets().end));
    let matrix = weights.matrix(sources.clone(), targets.clone())?;
    let mut values = Vec::new();
    let (mut joined, mut x, mut y) = (0, Vec::new(), Vec::new());
    for target in targets.clone() {
        for source in sources.clone() {
            let weight = match matrix.synapses(source, target) {
                0 => f64::NAN,
                _ => matrix.get(source, target),
            };
            joined += u32::from(!weight.is_nan());
            if weight == 0.0 {
                x.push(f64::from(source));
                y.push(f64::from(target));
            }
            values.push(weight as f32);
        }
    }
    let axis = |label: &str, end: u32| Axis::linear(label, -0.5, f64::from(end) - 0.5);
    let bounds = |end: u32| (0..=end).map(|bound| f64::from(bound) - 0.5).collect();
    let cells = Shape::Cells {
        x_edges: bounds(sources.end),
        y_edges: bounds(targets.end),
        values,
        label: "weight (pA)".to_owned(),
        scale: Scale::Log,
    };
    let panel = Panel::new(
        axis("source neuron", sources.end),
        axis("target neuron", targets.end),
    )
    .titled(snapshot.name())
    .with("summed weight", snapshot.colour, cells)
    .with("exactly 0", Colour::Reference, Shape::Dots { x, y });
    let words = format!(
        "the first {} to the first {} excitatory neurons ({} connected pairs)",
        sources.end,
        targets.end,
        grouped(joined)
    );
    Ok((panel, words))
}

/// Returns the times of the samples (s).
fn seconds(over_time: &WeightsOverTime) -> Vec<f64> {
    let samples = over_time.samples.iter();
    samples.map(|sample| sample.at.0 / 1000.0).collect()
}

fn time(seconds: &[f64]) -> Axis {
    Axis::linear("time (s)", seconds[0], seconds[seconds.len() - 1])
}

/// Returns the number of weights counted in a sample, including those in no bin.
fn weights_in(sample: &Sample) -> u64 {
    let inside = sample.counts.iter().copied();
    total(inside.chain([sample.zeros, sample.above]))
}

/// Draws the density over time and weight and, below, the fractions of weights in no bin; `None` if
/// the last sample counts no weights.
fn histograms_over_time(over_time: &WeightsOverTime) -> Option<Figure> {
    let seconds = seconds(over_time);
    let (samples, edges) = (&over_time.samples, &over_time.edges);
    let last = samples.last().filter(|last| weights_in(last) > 0)?;
    let end = *edges.last()?;
    let counted = match over_time.one_in {
        1 => "all synapses".to_owned(),
        one_in => format!("one in {one_in} synapses"),
    };
    let each = |count: fn(&Sample) -> u64| {
        let fraction = |sample| count(sample) as f64 / weights_in(sample) as f64;
        Shape::Line {
            x: seconds.clone(),
            y: samples.iter().map(fraction).collect(),
            band: Default::default(),
        }
    };
    let mut apart = Panel::new(
        time(&seconds),
        Axis::linear("fraction of weights", 0.0, 1.0),
    )
    .titled("Weights in no bin")
    .with("exactly 0", Colour::Excitatory, each(|sample| sample.zeros))
    .with(
        format!("above {} pA", short(end)),
        Colour::Inhibitory,
        each(|sample| sample.above),
    );
    apart.height = 0.6;
    Some(Figure {
        name: "weights_over_time",
        title: "Weights over time".to_owned(),
        caption: format!(
            "Top: density of {} weights ({counted}) in bins of {} pA at {} times from {} to {} \
             s; logarithmic colour scale, empty bins blank. Bottom: fractions of weights in no \
             bin.",
            grouped(weights_in(last)),
            short(edges[1] - edges[0]),
            samples.len(),
            short(seconds[0]),
            short(last.at.0 / 1000.0)
        ),
        rows: vec![vec![heat_map(over_time, &seconds)], vec![apart]],
    })
}

/// Draws one column per sample and one row per bin. A column reaches halfway to the samples before
/// and after it.
fn heat_map(over_time: &WeightsOverTime, seconds: &[f64]) -> Panel {
    let (samples, edges) = (&over_time.samples, &over_time.edges);
    let mut x_edges = vec![seconds[0]];
    x_edges.extend(seconds.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0));
    x_edges.push(seconds[seconds.len() - 1]);
    let mut values = Vec::new();
    for (bin, ends) in edges.windows(2).enumerate() {
        values.extend(samples.iter().map(|sample| {
            let density =
                sample.counts[bin] as f64 / weights_in(sample) as f64 / (ends[1] - ends[0]);
            if density > 0.0 {
                density as f32
            } else {
                f32::NAN
            }
        }));
    }
    let cells = Shape::Cells {
        x_edges,
        y_edges: edges.clone(),
        values,
        label: "density (1/pA)".to_owned(),
        scale: Scale::Log,
    };
    let weight = Axis::linear("weight (pA)", edges[0], edges[edges.len() - 1]);
    Panel::new(time(seconds), weight)
        .titled("Density")
        .with("density", Colour::Excitatory, cells)
}

/// Draws the weights of at most [`Colour::DISTINCT`] single synapses; `None` if none was followed.
fn trajectories(over_time: &WeightsOverTime) -> Option<Figure> {
    let (followed, samples) = (&over_time.followed, &over_time.samples);
    let chosen = evenly(followed.len(), Colour::DISTINCT);
    let seconds = seconds(over_time);
    let weight_of = |synapse: usize| samples.iter().map(move |sample| sample.weights[synapse]);
    let largest = chosen.iter().flat_map(|synapse| weight_of(*synapse));
    let largest = largest.reduce(f64::max)?;
    let weight = Axis::linear("weight (pA)", 0.0, end_above(largest));
    let mut panel = Panel::new(time(&seconds), weight);
    for (nth, &synapse) in chosen.iter().enumerate() {
        let (source, target) = followed[synapse];
        let shape = Shape::Line {
            x: seconds.clone(),
            y: weight_of(synapse).collect(),
            band: Default::default(),
        };
        panel = panel.with(format!("{source} to {target}"), Colour::Nth(nth), shape);
    }
    Some(Figure {
        name: "trajectories",
        title: "Weights of single synapses".to_owned(),
        caption: format!(
            "Weights of {} of the {} individually recorded synapses, evenly spaced among them, \
             at {} times. Labels: source to target.",
            chosen.len(),
            grouped(followed.len()),
            samples.len()
        ),
        rows: vec![vec![panel]],
    })
}
