//! Key numbers of a run.

use super::page::Fact;
use crate::base::memory::show_size;
use crate::base::units::grouped;
use crate::io::outcome::Outcome;

/// Returns sizes, rates, weights, times, memory and digests; omits values that the run does not
/// have.
pub(super) fn headline(outcome: &Outcome) -> Vec<Fact> {
    let Outcome {
        counts,
        weights,
        digest,
        memory,
        ..
    } = outcome;
    let count = |key, name, count: u64| fact(key, name, count, grouped(count));
    let rate = |key, name, rate: Option<f64>| {
        rate.map(|rate| fact(key, name, rate, format!("{rate:.3} spikes/s")))
    };
    let weight = |key, name, weight: Option<f64>| {
        weight.map(|weight| fact(key, name, weight, format!("{weight:.3} pA")))
    };
    let mut facts = vec![
        count("counts.neurons", "neurons", counts.neurons),
        count(
            "counts.synapses_plastic",
            "plastic synapses",
            counts.synapses_plastic,
        ),
        count(
            "counts.synapses_static",
            "static synapses",
            counts.synapses_static,
        ),
        count("counts.spikes_E", "excitatory spikes", counts.spikes_E),
        count("counts.spikes_I", "inhibitory spikes", counts.spikes_I),
    ];
    facts.extend(rate("rates.E", "mean excitatory rate", outcome.rates.E));
    facts.extend(rate("rates.I", "mean inhibitory rate", outcome.rates.I));
    facts.extend(weight("weights.mean", "mean weight", weights.mean));
    facts.extend(weight("weights.sd", "SD of weights", weights.sd));
    facts.extend(weights.zero_fraction.map(|zeros| {
        let shown = format!("{:.2} %", 100.0 * zeros);
        fact(
            "weights.zero_fraction",
            "fraction of weights at exactly 0",
            zeros,
            shown,
        )
    }));
    let simulate = outcome.wall_time.simulate.max;
    let shown = format!("{simulate:.3} s");
    facts.push(fact(
        "wall_time.simulate.max",
        "wall time of the loop (slowest rank)",
        simulate,
        shown,
    ));
    let factor = outcome.real_time_factor;
    facts.push(fact(
        "real_time_factor",
        "real-time factor",
        factor,
        format!("{factor:.4}"),
    ));
    let peak = memory.peak_per_rank.max;
    let shown = show_size(peak as u64);
    facts.push(fact(
        "memory.peak_per_rank.max",
        "peak memory per rank (maximum)",
        peak,
        shown,
    ));
    facts.extend(memory.per_synapse.map(|bytes| {
        let shown = format!("{bytes:.1} bytes");
        fact("memory.per_synapse", "memory per synapse", bytes, shown)
    }));
    for (key, name, digest) in [
        ("digest.spikes", "spike digest", digest.spikes),
        ("digest.weights", "weight digest", digest.weights),
    ] {
        facts.push(fact(key, name, digest, digest.to_string()));
    }
    facts
}

fn fact(key: &'static str, name: &'static str, value: impl ToString, shown: String) -> Fact {
    Fact {
        key,
        name,
        value: value.to_string(),
        shown,
    }
}
