//! Neurons that fire at a fixed period and ignore their input.

use crate::base::memory::allocated_bytes;
use crate::base::simd::{self, Kernel};
use crate::base::sizes::product;
use crate::base::units::{GROUP, Interval, Lid, Ms, Steps};
use crate::model::buffers::RingBuffer;
use crate::model::params::SimulationParams;
use crate::model::stimulus::Input;

use super::{Emission, add_upper};

/// Population of `ignore_and_fire` neurons, for performance measurements.
///
/// They receive and buffer every input exactly as the other model does; only their spikes do not
/// depend on it. 16 bytes per neuron.
pub struct IgnoreAndFire {
    neurons: usize,
    groups: Vec<Group>,
}

#[derive(Clone)]
#[repr(align(64))]
struct Group {
    /// Steps until the next spike.
    countdown: [i32; GROUP],
    /// Steps between spikes.
    period: [i32; GROUP],
    /// Input received in the latest step (pA), as NEST's model buffers it.
    received: [f64; GROUP],
}

/// NEST's fine time grid. Periods and phases are rounded to a tic before they are rounded up to
/// steps; a period meant to be whole thus stays whole.
#[derive(Clone, Copy, Debug)]
pub struct Tics {
    per_step: f64,
    per_ms: f64,
}

impl Tics {
    /// Creates a grid of `per_step` tics (1 … 2²⁰) per step of `dt`.
    pub fn new(dt: Ms, per_step: u32) -> Self {
        let per_step = f64::from(per_step);
        Tics {
            per_step,
            per_ms: per_step / dt.0,
        }
    }

    /// Creates the grid of a run.
    pub fn of(simulation: &SimulationParams) -> Self {
        Self::new(simulation.dt, simulation.tics_per_step)
    }

    /// Returns the whole steps that cover `ms` (≥ 0, at most 2³⁰ steps) once it is rounded to a
    /// tic. Follows NEST operation by operation, because a tie decides a step.
    fn steps(self, ms: f64) -> i32 {
        let tics = (ms * self.per_ms + 0.5).floor();
        (tics / self.per_step).ceil() as i32
    }

    /// Returns the steps between the spikes of a neuron of `rate` spikes/s.
    pub fn period(self, rate: f64) -> i32 {
        self.steps(1.0 / rate * 1000.0)
    }

    /// Returns the stamp of the first spike of a neuron of `rate` spikes/s, `phase` of a period
    /// after the start.
    pub fn first_stamp(self, rate: f64, phase: f64) -> Steps {
        Steps(self.steps(phase / rate * 1000.0) + 1)
    }
}

impl IgnoreAndFire {
    /// Creates neurons with these rates (spikes/s, > 0, at most one spike per step) and phases (>
    /// 0, ≤ 1, of a period). The first spike comes after phase · period.
    pub fn new(tics: Tics, rates: &[f64], phases: &[f64]) -> Self {
        let idle = Group {
            countdown: [-1; GROUP],
            period: [0; GROUP],
            received: [0.0; GROUP],
        };
        let mut groups = vec![idle; rates.len().div_ceil(GROUP)];
        for (i, (rate, phase)) in rates.iter().zip(phases).enumerate() {
            let group = &mut groups[i / GROUP];
            group.period[i % GROUP] = tics.period(*rate);
            group.countdown[i % GROUP] = tics.first_stamp(*rate, *phase).0 - 1;
        }
        IgnoreAndFire {
            neurons: rates.len(),
            groups,
        }
    }

    /// Returns the input that neuron `lid` received in the latest step (pA).
    pub fn received(&self, lid: Lid) -> f64 {
        let lid = lid.0 as usize;
        self.groups[lid / GROUP].received[lid % GROUP]
    }

    /// Implements [`super::Neurons::first_not_finite`].
    pub fn first_not_finite(&self) -> Option<(Lid, String)> {
        let mut lids = (0..self.neurons as u32).map(Lid);
        let lid = lids.find(|lid| !self.received(*lid).is_finite())?;
        Some((lid, format!("input ({})", self.received(lid))))
    }

    /// Implements [`super::Neurons::update`].
    pub fn update(
        &mut self,
        interval: Interval,
        ring: &mut RingBuffer,
        input: &mut Input,
        weight_x: f64,
        emissions: &mut Vec<Emission>,
    ) {
        let channels = ring.channels();
        let update = Update {
            population: self,
            interval,
            ring,
            input,
            weight_x,
            emissions,
        };
        if channels == 1 {
            simd::run(ByChannels::<1>(update));
        } else {
            simd::run(ByChannels::<2>(update));
        }
    }
}

/// Memory, in bytes.
impl IgnoreAndFire {
    /// Returns the bytes for `neurons` neurons.
    pub fn bytes(neurons: u64) -> u64 {
        product([size_of::<Group>() as u64, neurons.div_ceil(GROUP as u64)])
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        allocated_bytes(&self.groups)
    }
}

impl Group {
    /// Advances the group by one step. Takes what arrives and `external` spikes of `weight_x` pA.
    /// Returns the number of neurons that fire.
    #[inline(always)]
    fn step<const CHANNELS: usize>(
        &mut self,
        mut arriving: [&mut [f64; GROUP]; CHANNELS],
        external: &[u8; GROUP],
        weight_x: f64,
    ) -> u32 {
        for j in 0..GROUP {
            let mut sum = weight_x * f64::from(external[j]);
            for channel in &mut arriving {
                sum += std::mem::take(&mut channel[j]);
            }
            self.received[j] = sum;
        }
        let mut fired = 0;
        for countdown in &mut self.countdown {
            *countdown = countdown.wrapping_sub(1);
            fired = u32::wrapping_add(fired, u32::from(*countdown == FIRES));
        }
        fired
    }

    #[cold]
    #[inline(never)]
    fn fire(&mut self, first: usize, neurons: usize, lag: u32, emissions: &mut Vec<Emission>) {
        for j in 0..neurons {
            if self.countdown[j] == FIRES {
                self.countdown[j] = self.period[j] - 1;
                emissions.push(Emission {
                    lag,
                    lid: Lid((first + j) as u32),
                });
            }
        }
    }
}

/// Countdown of a neuron that fires, after the step is counted: it was 0 before.
const FIRES: i32 = -1;

struct Update<'a> {
    population: &'a mut IgnoreAndFire,
    interval: Interval,
    ring: &'a mut RingBuffer,
    input: &'a mut Input,
    weight_x: f64,
    emissions: &'a mut Vec<Emission>,
}

struct ByChannels<'a, const CHANNELS: usize>(Update<'a>);

impl<const CHANNELS: usize> Kernel for ByChannels<'_, CHANNELS> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Update {
            population,
            interval,
            ring,
            input,
            weight_x,
            emissions,
        } = self.0;
        for (index, group) in population.groups.iter_mut().enumerate() {
            let first = index * GROUP;
            let mut state = group.clone();
            for lag in interval.lags() {
                let arrival = interval.stamp(lag);
                let arriving = ring.group::<CHANNELS>(index, arrival);
                let (lower, upper) = input.arriving(index, arrival);
                if let Some(upper) = upper {
                    add_upper(arriving[0], upper, weight_x);
                }
                if state.step(arriving, lower, weight_x) > 0 {
                    let here = GROUP.min(population.neurons - first);
                    state.fire(first, here, lag, emissions);
                }
            }
            *group = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares periods with the steps that NEST 3.10 derives from them.
    #[test]
    fn times_are_rounded_to_a_tic_and_then_up() {
        let nest = Tics::new(Ms(0.1), 100);
        for (ms, steps) in [
            (10.0, 100),
            (10.000_49, 100),
            (10.000_51, 101),
            (10.05, 101),
            (10.1, 101),
            (0.0004, 0),
            (0.0006, 1),
        ] {
            assert_eq!(nest.steps(ms), steps, "{ms} ms");
        }
        // Half a tic rounds up: 99.995… spikes/s are 10.000 45 ms, 12.801 tics of 1/128.
        let example = Tics::new(Ms(0.1), 128);
        assert_eq!(example.steps(10.000_45), 101);
        assert_eq!(nest.steps(10.000_45), 100);
        // If a tic is a step, periods round to the nearest step.
        let coarse = Tics::new(Ms(1.0), 1);
        assert_eq!([2.4, 2.5, 3.4].map(|ms| coarse.steps(ms)), [2, 3, 3]);
        assert_eq!(coarse.period(1000.0), 1);
        let finest = Tics::new(Ms(1.0), 1 << 20);
        assert_eq!(finest.steps(f64::from(1 << 30)), 1 << 30);
    }
}
