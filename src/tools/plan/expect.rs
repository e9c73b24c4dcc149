//! Expected values of random quantities: firing rates, numbers of distinct sources, largest chunks.

use serde::Serialize;

use crate::base::error::Result;
use crate::base::units::{Projection, Steps};
use crate::io::sonata::read;
use crate::model::neuron::Tics;
use crate::model::params::{Delays, NeuronModel, Params, Stimulus};

/// Sizes of the input files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    /// Numbers of edges in the order of [`Projection::ALL`], if the network is read.
    pub edges: Option<[u64; 4]>,
    /// Number of external spikes, if they are read.
    pub spikes: Option<u64>,
    /// Delays of the edges, if the network is read.
    pub delays: Option<Delays>,
}

impl Inputs {
    /// Reads the sizes of the files that `params` names, and one delay per projection.
    ///
    /// # Errors
    /// Fails if a file cannot be read or has an invalid format.
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
    /// Rates after the warm-up.
    pub recorded: [f64; 2],
    /// Rates over the whole run.
    pub overall: [f64; 2],
    /// Source of the rates.
    pub source: RateSource,
}

/// Source of the rates of [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RateSource {
    /// Computed from the parameters.
    Parameters,
    /// Given by the user.
    Given,
    /// Assumed, because the parameters do not determine the rates.
    Assumed,
}

/// Assumed rate (spikes/s) of neurons whose firing depends on input: these networks typically fire
/// at 1 to 10 spikes/s.
const ASSUMED: f64 = 5.0;

impl Rate {
    /// Creates constant rates of E and I, given by the user.
    pub fn given(rates: [f64; 2]) -> Self {
        Rate {
            recorded: rates,
            overall: rates,
            source: RateSource::Given,
        }
    }

    /// Estimates the rates from `params`. For `ignore_and_fire`, returns the mean over its ranges
    /// of rates and phases; for other models, an assumed rate.
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
            // Rates from a file replace the ranges.
            source: match neuron.initial {
                None => RateSource::Parameters,
                Some(_) => RateSource::Assumed,
            },
        }
    }
}

/// Returns the number of spikes of an `ignore_and_fire` neuron within `time` (s), averaged over its
/// rate and its phase. `period` maps a rate to a period (s). Spike n occurs at (phase + n) periods.
///
/// Uses the midpoint rule over the rates and the exact integral over the phases.
fn mean_spikes(
    [slow, fast]: [f64; 2],
    [low, high]: [f64; 2],
    period: impl Fn(f64) -> f64,
    time: f64,
) -> f64 {
    const POINTS: usize = 1000;
    // ∫ ⌊y⌋ + 1 dy from 0 to x: whole periods and the rest. Here y = time/period − phase.
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

/// Returns the expected number of distinct sources among `pool` candidates if `targets` neurons
/// draw `k` sources each.
///
/// A target misses a given source with probability (1 − 1/pool)^k with multapses, and 1 − k/pool
/// without, because its k sources are then distinct.
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

/// Estimates the largest of `samples` Poisson numbers of mean `mean`: the smallest n that on
/// average fewer than one of them exceeds.
///
/// Uses the tail P(X ≥ n) ≈ P(X = n) / (1 − mean/(n + 1)), n > mean, with Stirling's formula.
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
        // One target: all distinct without multapses, 10(1 − 0.9³) with multapses.
        assert!((distinct(10.0, 1.0, 3.0, false) - 3.0).abs() < 1e-12);
        assert!((distinct(10.0, 1.0, 3.0, true) - 2.71).abs() < 1e-12);
        // Two targets that draw 5 of 10: each source is missed with probability 1/4.
        assert!((distinct(10.0, 2.0, 5.0, false) - 7.5).abs() < 1e-12);
        assert_eq!(distinct(10.0, 1.0, 10.0, false), 10.0);
        assert_eq!(
            [distinct(0.0, 5.0, 0.0, true), distinct(9.0, 0.0, 3.0, true)],
            [0.0; 2]
        );
    }

    /// Compares the estimate with the exact tail, computed by summation.
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
        // 9.99 spikes/s has a period of 800.8 steps, rounded up to 801; phases cover a period.
        let steps = |per_step| {
            let tics = Tics::new(Ms(0.125), per_step);
            move |rate| 0.125e-3 * f64::from(tics.period(rate))
        };
        let mean_spikes = |rates, phases, time| super::mean_spikes(rates, phases, steps(128), time);
        let spikes = mean_spikes([9.99; 2], [0.0, 1.0], 100.0);
        assert!((spikes - 800_000.0 / 801.0).abs() < 1e-6, "{spikes}");
        // 1 spike/s: no neuron fires before phase 0.2, all by 0.6, and again one second later.
        for (time, expected) in [(0.1, 0.0), (0.3, 0.25), (0.7, 1.0), (1.4, 1.5), (7.0, 7.0)] {
            let spikes = mean_spikes([1.0; 2], [0.2, 0.6], time);
            assert!((spikes - expected).abs() < 1e-9, "{time}: {spikes}");
        }
        assert_eq!(mean_spikes([1.0; 2], [0.5; 2], 2.75), 3.0);
        // A period of 8.4 steps becomes 9 steps, or 8 if a tic is one step.
        for (per_step, period) in [(128, 9.0), (1, 8.0)] {
            let rate = 8000.0 / 8.4;
            let spikes = super::mean_spikes([rate; 2], [0.0, 1.0], steps(per_step), 9.0);
            assert!((spikes - 72_000.0 / period).abs() < 1e-6, "{spikes}");
        }
        let spikes = mean_spikes([0.5, 1.5], [0.01, 1.0], 10.0);
        assert!((spikes - 10.0).abs() < 0.05, "{spikes}");
    }
}
