//! Theory and NEST's statistics: what is drawn follows its distribution, and the default
//! network behaves as NEST's over many seeds (reference/statistics_*.json).

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{Desk, RunResult};

/// How many standard errors a mean may lie off.
const SIGMAS: f64 = 4.0;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the population, not of a sample: with n, not n − 1.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares = values.iter().map(|x| (x - mean).powi(2));
    squares.sum::<f64>() / values.len() as f64
}

/// Of the correlation between two lists, in standard errors.
fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let (a, b) = (mean(one), mean(other));
    let products = one.iter().zip(other).map(|(x, y)| (x - a) * (y - b));
    let scale = (variance(one) * variance(other)).sqrt() * (one.len() as f64).sqrt();
    products.sum::<f64>() / scale
}

/// Kolmogorov's statistic of values that should be uniform in (0, 1): below 1.95 with
/// probability 0.999.
fn kolmogorov(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let distances = (0..)
        .zip(&sorted)
        .map(|(i, u)| (u - f64::from(i) / n).max(f64::from(i + 1) / n - u));
    distances.fold(0.0, f64::max) * n.sqrt()
}

/// χ² of counts against what is expected, as (χ² − n)/√(2n): about standard normal.
fn chi_squared(counts: &[f64], expected: f64, variance: f64, freedom: f64) -> f64 {
    let squares = counts.iter().map(|n| (n - expected).powi(2) / variance);
    (squares.sum::<f64>() - freedom) / (2.0 * freedom).sqrt()
}

/// What the reference says about one run.
type Statistics = BTreeMap<String, f64>;

fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + part * (sorted[high] - sorted[low])
}

/// Mean coefficient of variation of the intervals of all neurons with at least four spikes,
/// and how many those are.
fn irregularity(trains: &BTreeMap<u64, Vec<f64>>) -> (f64, usize) {
    let cvs: Vec<f64> = trains
        .values()
        .filter(|times| times.len() >= 4)
        .map(|times| {
            let intervals: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            variance(&intervals).sqrt() / mean(&intervals)
        })
        .collect();
    (mean(&cvs), cvs.len())
}

/// The statistics of a finished run, as NEST's were taken: spikes of all neurons, weights of
/// E→E onto the first 500.
fn statistics(result: &RunResult, duration: f64) -> Statistics {
    let [excitatory, inhibitory] = ["E", "I"].map(|population| result.spikes(population));
    let (n_e, n_i) = (10_000.0, 2_500.0);
    let seconds = duration / 1000.0;
    let mut trains: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for ((ids, times), first) in [(&excitatory, 0), (&inhibitory, 10_000)] {
        for (id, &time) in ids.iter().zip(times) {
            trains.entry(first + id).or_default().push(time);
        }
    }
    let times: Vec<f64> = trains.values().flatten().copied().collect();
    let early = times.iter().filter(|&&time| time <= duration / 2.0).count() as f64;
    let half = (n_e + n_i) * seconds / 2.0;
    let mut bins = vec![0.0; (duration / 5.0) as usize];
    for time in &times {
        bins[((time / 5.0) as usize).min((duration / 5.0) as usize - 1)] += 1.0;
    }

    let mut weights: Vec<f64> = result.weights().into_iter().map(|(_, _, w)| w).collect();
    assert_eq!(weights.len(), 500 * 1000);
    weights.sort_by(f64::total_cmp);
    let zeros = weights.partition_point(|&w| w == 0.0) as f64;
    let (cv, cv_n) = irregularity(&trains);
    let mut all: Statistics = [
        ("rate_E", excitatory.0.len() as f64 / n_e / seconds),
        ("rate_I", inhibitory.0.len() as f64 / n_i / seconds),
        ("rate_first_half", early / half),
        ("rate_second_half", (times.len() as f64 - early) / half),
        ("fano_5ms", variance(&bins) / mean(&bins)),
        ("n_spikes", times.len() as f64),
        ("cv_n", cv_n as f64),
        ("cv_isi_mean", cv),
        ("weight_mean", mean(&weights)),
        ("weight_sd", variance(&weights).sqrt()),
        ("weight_zero_fraction", zeros / weights.len() as f64),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for q in [
        "0.01", "0.05", "0.1", "0.25", "0.5", "0.75", "0.9", "0.95", "0.99",
    ] {
        let value = quantile(&weights, q.parse().unwrap());
        all.insert(format!("weight_quantile_{q}"), value);
    }
    all
}

/// The statistics of one of NEST's seeds, without those that have no value.
fn of_nest(seed: &Value) -> Statistics {
    let mut all = Statistics::new();
    for (name, value) in seed.as_object().expect("an object") {
        match value {
            Value::Number(number) if name != "seed" => {
                all.insert(name.clone(), number.as_f64().expect("a number"));
            }
            Value::Object(quantiles) => {
                for (q, value) in quantiles {
                    let value = value.as_f64().expect("a number");
                    all.insert(format!("weight_quantile_{q}"), value);
                }
            }
            _ => {}
        }
    }
    all
}

/// Both were asked for the same.
fn assert_same_network(reference: &Value, run: &Value) {
    let ours = &run["parameters"];
    for (name, ours) in [
        ("N", &ours["network"]["N"]),
        ("K", &ours["network"]["K"]),
        ("resolution_ms", &ours["simulation"]["dt"]),
        ("eta", &ours["stimulus"]["poisson"]["eta"]),
        ("nu_X_per_s", &ours["stimulus"]["poisson"]["rate"]),
        ("g", &ours["synapse"]["g"]),
        ("weight_E_pA", &ours["synapse"]["I_E"]),
        ("stdp_lambda", &ours["stdp"]["lambda"]),
        ("tau_minus_ms", &ours["stdp"]["tau_minus"]),
    ] {
        let [nest, ours] = [&reference[name], ours].map(|v| v.as_f64().expect("a number"));
        assert!(
            (ours / nest - 1.0).abs() < 1e-9,
            "{name}: {ours} for {nest}"
        );
    }
    assert_eq!(reference["model"], ours["neuron"]["model"]);
}

/// Compares the means over seeds, ours and NEST's, in their common standard errors.
fn assert_as_nest(reference: &str, seeds: std::ops::RangeInclusive<u32>) {
    let text = std::fs::read_to_string(root("tests/reference").join(reference)).expect("read");
    let reference: Value = serde_json::from_str(&text).expect("JSON");
    let nest = reference["per_seed"].as_array().expect("seeds");
    let nest: Vec<Statistics> = nest.iter().map(of_nest).collect();
    let desk = Desk::new();
    let duration = reference["T_ms"].as_f64().expect("a time");
    let model = reference["model"].as_str().expect("a name");
    let ours: Vec<Statistics> = seeds
        .map(|seed| {
            let sets = [
                format!("neuron.model={model}"),
                format!("simulation.T={duration:?}"),
                format!("simulation.seed={seed}"),
            ];
            let sets = sets.each_ref().map(|set| &set[..]);
            let result = desk.result(&root("configs/brunel.toml"), 1, 1, &sets);
            assert_same_network(&reference, &result.run);
            statistics(&result, duration)
        })
        .collect();
    let mut compared = 0;
    for name in nest[0].keys() {
        let of = |all: &[Statistics]| -> Vec<f64> { all.iter().map(|one| one[name]).collect() };
        let (nest, ours) = (of(&nest), of(&ours));
        if nest.iter().all(|&n| n == 0.0) {
            assert!(ours.iter().all(|&n| n == 0.0), "{name}: {ours:?}");
            continue;
        }
        let error = |values: &[f64]| variance(values) / (values.len() - 1) as f64;
        let error = (error(&nest) + error(&ours)).sqrt();
        let limit = SIGMAS * error + 1e-9 * mean(&nest).abs();
        let off = mean(&ours) - mean(&nest);
        println!(
            "{name}: {:.6} for {:.6}, {:.2} of what is allowed",
            mean(&ours),
            mean(&nest),
            off / limit
        );
        assert!(off.abs() <= limit, "{name}: {ours:?}, NEST {nest:?}");
        // A spread out of all proportion would make any mean pass.
        if error > 1e-6 * mean(&nest).abs() {
            let ratio = (variance(&ours) / variance(&nest)).sqrt();
            assert!(ratio < 4.0, "{name}: SD {ratio} times NEST's");
        }
        compared += 1;
    }
    assert!(compared >= 16, "{compared} statistics");
}

#[test]
fn integrate_and_fire_network_is_as_nests() {
    assert_as_nest("statistics_iaf.json", 1..=6);
}

#[test]
fn ignore_and_fire_network_is_as_nests() {
    assert_as_nest("statistics_ignore.json", 1..=5);
}

/// The network of a config, as its weights before the first step tell: E→E only.
struct Drawn {
    /// Sources of every target, sorted.
    sources: Vec<Vec<u64>>,
    neurons: usize,
}

const SMALL: &str = "
[network]
N = 2500
K = 250
[simulation]
T = 0.125
";

fn drawn(desk: &Desk, sets: &[&str]) -> Drawn {
    let config = desk.config("drawn", SMALL);
    let result = desk.result(&config, 1, 2, sets);
    let (e, i) = (2000, 500);
    assert_eq!(result.count(&["counts", "synapses_plastic"]), e * 200);
    assert_eq!(
        result.count(&["counts", "synapses_static"]),
        e * 50 + i * 250
    );
    let mut sources = vec![Vec::new(); e as usize];
    for (source, target, weight) in result.weights() {
        assert!(source < e && weight > 31.0);
        sources[target as usize].push(source);
    }
    assert!(sources.iter().all(|list| list.len() == 200), "in-degree");
    Drawn {
        sources,
        neurons: e as usize,
    }
}

impl Drawn {
    fn out_degrees(&self) -> Vec<f64> {
        let mut degrees = vec![0.0; self.neurons];
        for &source in self.sources.iter().flatten() {
            degrees[source as usize] += 1.0;
        }
        degrees
    }

    fn autapses(&self) -> usize {
        let of = |(target, list): (u64, &Vec<u64>)| list.iter().filter(|&&s| s == target).count();
        (0..).zip(&self.sources).map(of).sum()
    }

    /// Pairs of synapses that share source and target.
    fn equal_pairs(&self) -> usize {
        let of = |list: &Vec<u64>| {
            let mut times: BTreeMap<u64, usize> = BTreeMap::new();
            for &source in list {
                *times.entry(source).or_default() += 1;
            }
            times.values().map(|n| n * (n - 1) / 2).sum::<usize>()
        };
        self.sources.iter().map(of).sum()
    }

    /// How many synapses lead from each tenth of the sources to each tenth of the targets.
    fn blocks(&self) -> Vec<f64> {
        let tenth = self.neurons / 10;
        let mut counts = vec![0.0; 100];
        for (target, list) in self.sources.iter().enumerate() {
            for &source in list {
                counts[target / tenth * 10 + source as usize / tenth] += 1.0;
            }
        }
        counts
    }
}

/// Whether a count of rare, independent events is as expected.
#[track_caller]
fn assert_poisson(count: usize, expected: f64) {
    let off = (count as f64 - expected) / expected.sqrt();
    assert!(off.abs() < SIGMAS, "{count} for {expected}");
}

#[test]
fn sources_are_drawn_uniformly() {
    let desk = Desk::new();
    let (n, k, pool) = (2000.0, 200.0, 1999.0);
    let pairs = n * k * (k - 1.0) / 2.0;
    for (autapses, multapses) in [(false, true), (true, true), (false, false), (true, false)] {
        let drawn = drawn(
            &desk,
            &[
                &format!("network.allow_autapses={autapses}"),
                &format!("network.allow_multapses={multapses}"),
            ],
        );
        let pool = if autapses { n } else { pool };
        match autapses {
            true => assert_poisson(drawn.autapses(), k),
            false => assert_eq!(drawn.autapses(), 0),
        }
        match multapses {
            true => assert_poisson(drawn.equal_pairs(), pairs / pool),
            false => assert_eq!(drawn.equal_pairs(), 0),
        }
        // Of a source: binomial over all draws, or over all targets where none may repeat.
        let variance = match multapses {
            true => k * (1.0 - 1.0 / pool),
            false => k * (1.0 - k / pool),
        };
        let off = chi_squared(&drawn.out_degrees(), k, variance, n - 1.0);
        assert!(
            off.abs() < SIGMAS,
            "out-degrees: {off} ({autapses}, {multapses})"
        );
        // 200 targets each draw 200 of which a tenth falls in a block; rows sum up.
        let share = 200.0 * k / 10.0;
        let fraction = if multapses { 1.0 } else { 1.0 - k / pool };
        let off = chi_squared(&drawn.blocks(), share, share * fraction, 90.0);
        assert!(
            off.abs() < SIGMAS,
            "blocks: {off} ({autapses}, {multapses})"
        );
    }
}

#[test]
fn seeds_draw_different_networks() {
    let desk = Desk::new();
    let [one, other] = ["1", "2"].map(|seed| drawn(&desk, &[&format!("simulation.seed={seed}")]));
    let shared: usize = one
        .sources
        .iter()
        .zip(&other.sources)
        .map(|(a, b)| {
            let a: HashSet<_> = a.iter().collect();
            let b: HashSet<_> = b.iter().collect();
            a.intersection(&b).count()
        })
        .sum();
    // Of each target's 2000 possible sources a fraction of 1 − e^(−0.1) is in either list.
    let distinct = 1999.0 * (1.0 - (1.0 - 1.0 / 1999.0_f64).powi(200));
    assert_poisson(shared, 2000.0 * distinct * distinct / 1999.0);
}

/// Neurons that fire if and only if `least` external events or more arrive in a step: a
/// membrane so fast that hardly anything of a step is left in the next.
fn counters(least: u32) -> String {
    let (tau_m, tau_s, c, dt, weight) = (0.05, 0.005, 250.0, 0.125, 1e6);
    // V one step after the arrival of one event, from the alpha function.
    let b = 1.0 / tau_s - 1.0 / tau_m;
    let area = (1.0 - f64::exp(-b * dt) * (1.0 + b * dt)) / (b * b);
    let one = weight * std::f64::consts::E / tau_s / c * f64::exp(-dt / tau_m) * area;
    let threshold = one * (f64::from(least) - 0.5);
    format!(
        "
[network]
N = 600
K = 0
[neuron]
model = \"iaf_psc_alpha\"
tau_m = {tau_m}
tau_syn_ex = {tau_s}
C_m = {c:?}
t_ref = 0.0
V_th = {threshold}
V_init = {{ uniform = [0.0, 0.0] }}
[synapse]
weight = {weight:?}
[stimulus]
rate = 1736.5
[simulation]
T = 250.0
"
    )
}

/// Which of 600 neurons fired in which of 2000 steps.
fn raster(desk: &Desk, least: u32, seed: u32) -> Vec<Vec<f64>> {
    let config = desk.config(&format!("counters{least}"), &counters(least));
    let result = desk.result(&config, 1, 1, &[&format!("simulation.seed={seed}")]);
    let mut raster = vec![vec![0.0; 2000]; 600];
    for (population, first) in [("E", 0), ("I", 480)] {
        let (ids, times) = result.spikes(population);
        for (id, time) in ids.into_iter().zip(times) {
            raster[first + id as usize][(time / 0.125) as usize - 1] = 1.0;
        }
    }
    // The first spikes have stamp 2, arrive twelve steps later and tell one step later.
    for row in &mut raster {
        assert!(row.drain(..14).all(|fired| fired == 0.0));
    }
    raster
}

#[test]
fn external_events_are_poisson_and_independent() {
    let desk = Desk::new();
    let mean_count = 1736.5 * 0.125 / 1000.0;
    let rasters = [1, 2, 3, 4].map(|least| raster(&desk, least, 1));
    let all = (600 * rasters[0][0].len()) as f64;
    let (mut p, mut at_least) = (f64::exp(-mean_count), 1.0);
    for (k, raster) in (1..).zip(&rasters) {
        at_least -= p;
        p *= mean_count / f64::from(k);
        let fired: f64 = raster.iter().flatten().sum();
        let off = (fired - all * at_least) / (all * at_least * (1.0 - at_least)).sqrt();
        assert!(off.abs() < SIGMAS, "{fired} times {k} or more: {off}");
    }
    // The same events, whatever becomes of them.
    for pair in rasters.windows(2) {
        let both = pair[0].iter().flatten().zip(pair[1].iter().flatten());
        assert!(both.into_iter().all(|(some, more)| some >= more));
    }

    let [raster, ..] = rasters;
    let p = 1.0 - f64::exp(-mean_count);
    let steps = raster[0].len();
    let by_neuron: Vec<f64> = raster.iter().map(|row| row.iter().sum()).collect();
    let by_step: Vec<f64> = (0..steps)
        .map(|s| raster.iter().map(|row| row[s]).sum())
        .collect();
    for (sums, n) in [(by_neuron, steps as f64), (by_step, 600.0)] {
        let off = chi_squared(&sums, n * p, n * p * (1.0 - p), sums.len() as f64);
        assert!(off.abs() < SIGMAS, "χ²: {off}");
    }
    for lag in [1, 2, 3, 8, 12, 64, 128, 256] {
        let [early, late] = [0, lag].map(|from| -> Vec<f64> {
            let rows = raster.iter();
            rows.flat_map(|row| &row[from..from + steps - lag])
                .copied()
                .collect()
        });
        let off = correlation(&early, &late);
        assert!(off.abs() < SIGMAS, "steps {lag} apart: {off}");
    }
    for apart in [1, 2, 8, 16, 480] {
        let [one, other] = [0, apart].map(|from| -> Vec<f64> {
            raster[from..from + 600 - apart]
                .iter()
                .flatten()
                .copied()
                .collect()
        });
        let off = correlation(&one, &other);
        assert!(off.abs() < SIGMAS, "neurons {apart} apart: {off}");
    }
    let again = self::raster(&desk, 1, 2);
    let [one, other] = [raster, again].map(|raster| raster.concat());
    let off = correlation(&one, &other);
    assert!(off.abs() < SIGMAS, "two seeds: {off}");
}

/// First spikes tell the initial potential: V rises by 0.02 mV a step, at 20 mV it fires.
fn initial_potentials(desk: &Desk, v_init: &str, seed: u32) -> Vec<f64> {
    let config = desk.config(
        "rising",
        "
[network]
N = 5000
K = 0
[neuron]
model = \"iaf_psc_alpha\"
tau_m = 1e9
I_e = 40.0
[stimulus]
rate = 0.0
[synapse]
weight = 1.0
[simulation]
T = 400.0
",
    );
    let sets = [
        format!("neuron.V_init={v_init}"),
        format!("simulation.seed={seed}"),
    ];
    let result = desk.result(&config, 1, 1, &sets.each_ref().map(|set| &set[..]));
    let mut potentials = vec![f64::NAN; 5000];
    for (population, first) in [("E", 0), ("I", 4000)] {
        let (ids, times) = result.spikes(population);
        for (id, time) in ids.into_iter().zip(times).rev() {
            potentials[first + id as usize] = 20.0 - (time / 0.125 - 0.5) * 0.02;
        }
    }
    potentials
}

/// Probability of a standard normal variate below `x`.
fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

#[test]
fn initial_potentials_follow_their_distribution() {
    let desk = Desk::new();
    let uniform = |seed| -> Vec<f64> {
        let potentials = initial_potentials(&desk, "{ uniform = [-5.0, 15.0] }", seed);
        potentials.iter().map(|v| (v + 5.0) / 20.0).collect()
    };
    let gaussian: Vec<f64> = initial_potentials(&desk, "{ normal = [5.7, 3.0] }", 1)
        .iter()
        .map(|v| normal((v - 5.7) / 3.0))
        .collect();
    let (one, other) = (uniform(1), uniform(2));
    for sample in [&one, &other, &gaussian] {
        assert!(kolmogorov(sample) < 1.95, "{}", kolmogorov(sample));
        for apart in [1, 8, 4000] {
            let off = correlation(&sample[apart..], &sample[..5000 - apart]);
            assert!(off.abs() < SIGMAS, "neurons {apart} apart: {off}");
        }
    }
    let off = correlation(&one, &other);
    assert!(off.abs() < SIGMAS, "two seeds: {off}");
}

/// Rates and phases of `ignore_and_fire` neurons, both scaled to (0, 1], from their spikes.
fn rates_and_phases(desk: &Desk, seed: u32) -> (Vec<f64>, Vec<f64>) {
    let config = desk.config(
        "firing",
        "
[network]
N = 5000
K = 0
[neuron.ignore_and_fire]
rate = [0.5, 1.5]
phase = [0.01, 1.0]
[simulation]
T = 4000.0
",
    );
    let result = desk.result(&config, 1, 1, &[&format!("simulation.seed={seed}")]);
    let mut trains = vec![Vec::new(); 5000];
    for (population, first) in [("E", 0), ("I", 4000)] {
        let (ids, times) = result.spikes(population);
        for (id, time) in ids.into_iter().zip(times) {
            trains[first + id as usize].push(time / 0.125);
        }
    }
    let of = |train: &Vec<f64>| {
        let period = train[1] - train[0];
        assert!(train.windows(2).all(|pair| pair[1] - pair[0] == period));
        // Half a step, for both have been rounded up; a first stamp is one later.
        let rate = 8000.0 / (period - 0.5);
        let phase = (train[0] - 1.5) / (period - 0.5);
        (rate - 0.5, (phase - 0.01) / 0.99)
    };
    trains.iter().map(of).unzip()
}

#[test]
fn rates_and_phases_follow_their_distribution() {
    let desk = Desk::new();
    let (rates, phases) = rates_and_phases(&desk, 1);
    for sample in [&rates, &phases] {
        assert!(kolmogorov(sample) < 1.95, "{}", kolmogorov(sample));
        for apart in [1, 8, 4000] {
            let off = correlation(&sample[apart..], &sample[..5000 - apart]);
            assert!(off.abs() < SIGMAS, "neurons {apart} apart: {off}");
        }
    }
    let (other_rates, other_phases) = rates_and_phases(&desk, 2);
    for (one, other) in [
        (&rates, &phases),
        (&rates, &other_rates),
        (&phases, &other_phases),
    ] {
        let off = correlation(one, other);
        assert!(off.abs() < SIGMAS, "{off}");
    }
}
