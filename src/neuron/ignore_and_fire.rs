//! Neurons that fire with a period of their own, whatever they receive.

use crate::buffers::RingBuffer;
use crate::simd::{self, Kernel};
use crate::stimulus::{GROUP, Input};
use crate::units::{Lid, Ms, Steps};

use super::{Emission, Interval};

/// A population of `ignore_and_fire` neurons.
///
/// They exist to measure the machine: every input is received and buffered exactly as by
/// other models, only the spikes do not depend on it. 16 bytes a neuron.
pub struct IgnoreAndFire {
    neurons: usize,
    groups: Vec<Group>,
}

#[derive(Clone)]
struct Group {
    /// Steps until the next spike.
    countdown: [i32; GROUP],
    /// Steps between spikes.
    period: [i32; GROUP],
    /// The input received in the latest step (pA), as NEST's model buffers it.
    received: [f64; GROUP],
}

/// Whole steps that cover `steps`, which is first rounded to 1/128 so that a period meant to
/// be whole stays so.
fn ceil(steps: f64) -> i32 {
    (steps * 128.0).round().div_euclid(128.0) as i32
        + i32::from((steps * 128.0).round().rem_euclid(128.0) > 0.0)
}

impl IgnoreAndFire {
    /// Neurons with these rates (spikes/s, > 0, at most one spike a step) and phases
    /// (0 … 1], the first spike after phase · period.
    pub fn new(dt: Ms, rates: &[f64], phases: &[f64]) -> Self {
        let idle = Group {
            countdown: [-1; GROUP],
            period: [0; GROUP],
            received: [0.0; GROUP],
        };
        let mut groups = vec![idle; rates.len().div_ceil(GROUP)];
        for (i, (rate, phase)) in rates.iter().zip(phases).enumerate() {
            let group = &mut groups[i / GROUP];
            group.period[i % GROUP] = ceil(1000.0 / rate / dt.0);
            group.countdown[i % GROUP] = ceil(phase * 1000.0 / rate / dt.0);
        }
        IgnoreAndFire {
            neurons: rates.len(),
            groups,
        }
    }

    /// The input that neuron `lid` received in the latest step (pA).
    pub fn received(&self, lid: Lid) -> f64 {
        let lid = lid.0 as usize;
        self.groups[lid / GROUP].received[lid % GROUP]
    }

    /// Bytes of state.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.groups[..])
    }

    /// See [`super::Neurons::update`].
    pub fn update(
        &mut self,
        interval: Interval,
        ring: &mut RingBuffer,
        input: &mut Input,
        weight_x: f64,
        emissions: &mut Vec<Emission>,
    ) {
        simd::run(Update {
            population: self,
            interval,
            ring,
            input,
            weight_x,
            emissions,
        });
    }

    #[cold]
    #[inline(never)]
    fn fire(&mut self, group: usize, lag: u32, emissions: &mut Vec<Emission>) {
        let state = &mut self.groups[group];
        for j in 0..GROUP.min(self.neurons - group * GROUP) {
            // The step has already counted down: what stood at 0 is now at −1.
            if state.countdown[j] == -1 {
                state.countdown[j] = state.period[j] - 1;
                emissions.push(Emission {
                    lag,
                    lid: Lid((group * GROUP + j) as u32),
                });
            }
        }
    }
}

struct Update<'a> {
    population: &'a mut IgnoreAndFire,
    interval: Interval,
    ring: &'a mut RingBuffer,
    input: &'a mut Input,
    weight_x: f64,
    emissions: &'a mut Vec<Emission>,
}

impl Kernel for Update<'_> {
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
        } = self;
        for group in 0..population.groups.len() {
            for lag in 0..interval.steps {
                let arrival = Steps(interval.start.0 + 1 + lag);
                let external = input.arriving(group, arrival.0);
                let (ex, inh) = ring.group(group, arrival);
                let state = &mut population.groups[group];
                let mut fired = false;
                for j in 0..GROUP {
                    ex[j] += weight_x * f64::from(external[j]);
                    state.received[j] = ex[j] + inh[j];
                    state.countdown[j] -= 1;
                    fired |= state.countdown[j] == -1;
                }
                ex.fill(0.0);
                inh.fill(0.0);
                if fired {
                    population.fire(group, lag as u32, emissions);
                }
            }
        }
    }
}
