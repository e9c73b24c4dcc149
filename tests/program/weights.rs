//! Theory: the weights a run leaves follow by the law from the spikes it leaves, synapse by
//! synapse, for runs long enough that old spikes are forgotten on the way.

use std::collections::HashMap;

use crate::common::{Desk, RunResult};

const DT: f64 = 0.125;
const INITIAL: f64 = 40.0;
const LAMBDA: f64 = 0.4;
const ALPHA: f64 = 0.12;
const MU: f64 = 0.4;
const TAU_PLUS: f64 = 15.0;
const TAU_MINUS: f64 = 30.0;

/// Min_delay is one step: 3,208 intervals, three times the distance between two prunings.
fn config(model: &str, delay: f64) -> String {
    format!(
        r#"
[network]
N = 201
K = 40
[neuron]
model = "{model}"
[neuron.ignore_and_fire]
rate = [0.5, 90.0]
[synapse]
weight = {INITIAL}
delay = {{ E_to_E = {delay}, I_to_I = {DT} }}
[stdp]
lambda = {LAMBDA}
alpha = {ALPHA}
mu_plus = {MU}
tau_plus = {TAU_PLUS}
tau_minus = {TAU_MINUS}
[stimulus]
eta = 2.5
[simulation]
T = 401.0
[record]
weights = {{ at = [0.0] }}
"#
    )
}

/// Stamps of the spikes of each excitatory neuron.
fn trains(result: &RunResult) -> HashMap<u64, Vec<i32>> {
    let (ids, times) = result.spikes("E");
    let mut trains: HashMap<u64, Vec<i32>> = HashMap::new();
    for (id, time) in ids.into_iter().zip(times) {
        trains
            .entry(id)
            .or_default()
            .push((time / DT).round() as i32);
    }
    trains
}

/// The weight after the presynaptic spikes `pre`, every trace from its definition.
fn weight_after(pre: &[i32], post: &[i32], delay: i32) -> f64 {
    let decay = |steps: i32, tau: f64| (-f64::from(steps) * DT / tau).exp();
    let (mut weight, mut last) = (INITIAL, 0);
    let arrivals: Vec<i32> = post.iter().map(|post| post + delay).collect();
    for (earlier, &t) in pre.iter().enumerate() {
        for &arrival in arrivals.iter().filter(|&&a| last < a && a <= t) {
            let ages = pre[..earlier].iter().map(|p| arrival - p);
            let k_plus: f64 = ages.map(|age| decay(age, TAU_PLUS)).sum();
            weight += LAMBDA * weight.powf(MU) * k_plus;
        }
        let before = arrivals.iter().filter(|&&arrival| arrival < t);
        let k_minus: f64 = before.map(|arrival| decay(t - arrival, TAU_MINUS)).sum();
        weight = (weight - LAMBDA * ALPHA * weight * k_minus).max(0.0);
        last = t;
    }
    weight
}

fn weights_follow_from_spikes(model: &str, delay: f64, ranks: usize, threads: usize) {
    let desk = Desk::new();
    let config = desk.config("net", &config(model, delay));
    let result = desk.result(&config, ranks, threads, &[]);
    assert_eq!(result.count(&["exchange", "intervals"]), 3208);
    let trains = trains(&result);
    let spikes: usize = trains.values().map(Vec::len).sum();
    assert!(spikes > 500, "{spikes} spikes");
    let train = |id: u64| trains.get(&id).map_or(&[][..], |train| &train[..]);
    // Spikes of the last interval, a single step, are not delivered any more.
    let delivered = |id: u64| {
        let train = train(id);
        &train[..train.partition_point(|&stamp| stamp < 3208)]
    };
    let weights = result.weights();
    assert_eq!(weights.len(), 160 * 32);
    let mut moved = 0;
    for (source, target, weight) in weights {
        let expected = weight_after(delivered(source), train(target), (delay / DT) as i32);
        moved += usize::from(expected != INITIAL);
        assert!(
            (weight - expected).abs() <= 1e-9 * expected,
            "{source} to {target}: {weight} pA for {expected} pA"
        );
    }
    assert!(moved > 3000, "{moved} weights moved");
}

#[test]
fn of_ignore_and_fire() {
    weights_follow_from_spikes("ignore_and_fire", 1.5, 1, 1);
    weights_follow_from_spikes("ignore_and_fire", 0.125, 3, 2);
}

/// A delay of 50 ms holds many postsynaptic spikes at once.
#[test]
fn of_ignore_and_fire_with_a_long_delay() {
    weights_follow_from_spikes("ignore_and_fire", 50.0, 2, 2);
}

#[test]
fn of_integrate_and_fire() {
    weights_follow_from_spikes("iaf_psc_alpha", 1.5, 2, 1);
    weights_follow_from_spikes("iaf_psc_alpha", 50.0, 1, 2);
}
