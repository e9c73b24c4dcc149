//! What the draw and the neurons make of the parameters, in the mean.

use serde::Serialize;

use crate::base::error::Result;
use crate::base::units::{Projection, Steps};
use crate::io::sonata::read;
use crate::model::neuron::Tics;
use crate::model::params::{Delays, NeuronModel, Params, Stimulus};

/// How much the files of the input bring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    /// Edges in the order of [`Projection::ALL`], where they are read.
    pub edges: Option<[u64; 4]>,
    /// External spikes, where they are read.
    pub spikes: Option<u64>,
    /// The delays of the edges, where they are read.
    pub delays: Option<Delays>,
}

impl Inputs {
    /// From the files that `params` names; looks at sizes, and one delay a projection.
    ///
    /// # Errors
    /// A file that cannot be read or has not the form.
    pub fn read(params: &Params) -> Result<Self> {
        let mut inputs = Inputs::default();
        if let Stimulus::Spikes(path) = &params.stimulus {
            inputs.spikes = Some(read::count_spikes(path)?);
        }
        if let Some(path) = &params.network.edges {
            let mut delays = params.synapse.delay;
            let mut counts = [0; 4];
            for (count, projection) in counts.iter_mut().zip(Projection::ALL) {
                let head = read::count_edges(path, projection, params.simulation.dt)?;
                *count = head.edges;
                delays.set(projection, head.delay);
            }
            (inputs.edges, inputs.delays) = (Some(counts), Some(delays));
        }
        Ok(inputs)
    }
}

/// Mean rates of E and of I (spikes/s).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// After the warm-up.
    pub recorded: [f64; 2],
    /// Over the whole run.
    pub overall: [f64; 2],
    /// Where they are from.
    pub source: RateSource,
}

/// See [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RateSource {
    /// They follow from the parameters.
    Parameters,
    /// The user said so.
    Given,
    /// Nobody knows before it is simulated.
    Assumed,
}

/// Rate assumed of neurons that heed their input (spikes/s): networks of this kind are run
/// at 1 to 10.
const ASSUMED: f64 = 5.0;

impl Rate {
    /// `rates` of E and I all the time.
    pub fn given(rates: [f64; 2]) -> Self {
        Rate {
            recorded: rates,
            overall: rates,
            source: RateSource::Given,
        }
    }

    /// What `params` says: of `ignore_and_fire` the mean over its ranges of rates and phases,
    /// of others an assumption.
    pub fn of(params: &Params) -> Self {
        let neuron = &params.neuron;
        let assumed = Rate {
            source: RateSource::Assumed,
            ..Rate::given([ASSUMED; 2])
        };
        if neuron.model != NeuronModel::IgnoreAndFire {
            return assumed;
        }
        let simulation = &params.simulation;
        let seconds = |time: Steps| time.to_ms(simulation.dt).0 / 1000.0;
        let (presim, recorded) = (seconds(simulation.presim), seconds(simulation.T));
        let period = |rate| seconds(Steps(Tics::of(simulation).period(rate)));
        let spikes = |time| mean_spikes(neuron.rate, neuron.phase, period, time);
        let all = spikes(presim + recorded);
        Rate {
            recorded: [(all - spikes(presim)) / recorded; 2],
            overall: [all / (presim + recorded); 2],
            // Rates from a file take the place of the ranges.
            source: match neuron.initial {
                None => RateSource::Parameters,
                Some(_) => RateSource::Assumed,
            },
        }
    }
}

/// Spikes of an `ignore_and_fire` neuron within `time` (s), in the mean over its rate and its
/// phase; `period` (s) is that of a rate. Spike n falls on (phase + n) periods.
///
/// By the midpoint rule over the rates, and the integral over the phases.
fn mean_spikes(
    [slow, fast]: [f64; 2],
    [low, high]: [f64; 2],
    period: impl Fn(f64) -> f64,
    time: f64,
) -> f64 {
    const POINTS: usize = 1000;
    // ∫ ⌊x − phase⌋ + 1 dphase up to `phase`, backwards from x: whole periods and the rest.
    let below = |x: f64| {
        let x = x.max(0.0);
        let whole = x.floor();
        0.5 * whole * (whole + 1.0) + (x - whole) * (whole + 1.0)
    };
    let spikes = |point: usize| {
        let rate = slow + (fast - slow) * (point as f64 + 0.5) / POINTS as f64;
        let periods = time / period(rate);
        if high > low {
            (below(periods - low) - below(periods - high)) / (high - low)
        } else {
            (periods - low + 1.0).max(0.0).floor()
        }
    };
    (0..POINTS).map(spikes).sum::<f64>() / POINTS as f64
}

/// How many of `pool` sources occur among the draws of `targets` neurons that draw `k` each.
///
/// With multapses a target misses a source with (1 − 1/pool)^k, without with 1 − k/pool
/// (its k are a subset).
pub(super) fn distinct(pool: f64, targets: f64, k: f64, multapses: bool) -> f64 {
    if pool < 1.0 || k <= 0.0 {
        return 0.0;
    }
    let miss = if multapses {
        k * libm::log1p(-1.0 / pool)
    } else {
        libm::log1p(-(k / pool).min(1.0))
    };
    -pool * libm::expm1(targets * miss)
}

/// The largest of `samples` Poisson numbers of mean `mean`: the smallest n that fewer than
/// one of them is expected to exceed.
///
/// By the tail P(X ≥ n) ≈ P(X = n) / (1 − mean/(n + 1)), n > mean, with Stirling's formula.
pub(super) fn largest_of(mean: f64, samples: f64) -> u64 {
    if mean <= 0.0 {
        return 0;
    }
    let exceeded = |n: u64| {
        let n = n as f64 + 1.0;
        let here = n - mean - n * libm::log(n / mean) - 0.5 * libm::log(std::f64::consts::TAU * n);
        let beyond = libm::log1p(-mean / (n + 1.0));
        here - beyond + libm::log(samples) > 0.0
    };
    let (mut low, mut high) = (mean as u64, (2.0 * mean) as u64);
    high = high.saturating_add(64);
    while high < u64::MAX && exceeded(high) {
        high = high.saturating_mul(2);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if exceeded(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use crate::base::units::Ms;

    use super::*;

    #[test]
    fn distinct_sources() {
        // one target: all different without multapses, 10(1 − 0.9³) with
        assert!((distinct(10.0, 1.0, 3.0, false) - 3.0).abs() < 1e-12);
        assert!((distinct(10.0, 1.0, 3.0, true) - 2.71).abs() < 1e-12);
        // two targets of 5 out of 10: each source missed with 1/4
        assert!((distinct(10.0, 2.0, 5.0, false) - 7.5).abs() < 1e-12);
        assert_eq!(distinct(10.0, 1.0, 10.0, false), 10.0);
        assert_eq!(
            [distinct(0.0, 5.0, 0.0, true), distinct(9.0, 0.0, 3.0, true)],
            [0.0; 2]
        );
    }

    /// Against the exact tail, summed.
    #[test]
    fn largest_of_many() {
        for (mean, samples) in [(0.3, 1e4), (4.0, 1e3), (20.0, 1e6), (300.0, 100.0)] {
            let mut tail = 1.0;
            let mut p = libm::exp(-mean);
            let mut n = 0u64;
            // tail = P(X > n)
            loop {
                tail -= p;
                if tail * samples < 1.0 {
                    break;
                }
                n += 1;
                p *= mean / n as f64;
            }
            let found = largest_of(mean, samples);
            assert!(
                found.abs_diff(n) <= 1,
                "{mean}, {samples}: {found}, exactly {n}"
            );
        }
        assert_eq!(largest_of(0.0, 1e9), 0);
    }

    #[test]
    fn spikes_of_neurons_with_a_period() {
        // 9.99 spikes/s is a period of 800.8, so 801 steps; phases over a whole period
        let steps = |per_step| {
            let tics = Tics::new(Ms(0.125), per_step);
            move |rate| 0.125e-3 * f64::from(tics.period(rate))
        };
        let mean_spikes = |rates, phases, time| super::mean_spikes(rates, phases, steps(128), time);
        let spikes = mean_spikes([9.99; 2], [0.0, 1.0], 100.0);
        assert!((spikes - 800_000.0 / 801.0).abs() < 1e-6, "{spikes}");
        // 1 spike/s: none before phase 0.2, all by 0.6, and once more a second later
        for (time, expected) in [(0.1, 0.0), (0.3, 0.25), (0.7, 1.0), (1.4, 1.5), (7.0, 7.0)] {
            let spikes = mean_spikes([1.0; 2], [0.2, 0.6], time);
            assert!((spikes - expected).abs() < 1e-9, "{time}: {spikes}");
        }
        assert_eq!(mean_spikes([1.0; 2], [0.5; 2], 2.75), 3.0);
        // a period of 8.4 steps is 9 of them, or 8 where a tic is a step
        for (per_step, period) in [(128, 9.0), (1, 8.0)] {
            let rate = 8000.0 / 8.4;
            let spikes = super::mean_spikes([rate; 2], [0.0, 1.0], steps(per_step), 9.0);
            assert!((spikes - 72_000.0 / period).abs() < 1e-6, "{spikes}");
        }
        let spikes = mean_spikes([0.5, 1.5], [0.01, 1.0], 10.0);
        assert!((spikes - 10.0).abs() < 0.05, "{spikes}");
    }
}
