//! Leaky integrate-and-fire neurons with alpha-shaped currents.

use crate::buffers::RingBuffer;
use crate::params::NeuronParams;
use crate::simd::{self, Kernel};
use crate::stimulus::{GROUP, Input};
use crate::units::{Lid, Ms, Steps};

use super::{Emission, Interval, Propagators};

/// A population of `iaf_psc_alpha` neurons; potentials relative to E_L.
///
/// 48 bytes a neuron. Padded to whole groups of [`GROUP`] neurons; the padding receives
/// nothing and its spikes are dropped.
pub struct IafPscAlpha {
    neurons: usize,
    groups: Vec<Group>,
    propagators: Propagators,
    /// I_e (pA)
    current: f64,
    /// V_th − E_L (mV)
    threshold: f64,
    /// V_reset − E_L (mV)
    reset: f64,
    /// t_ref in steps
    refractory: f64,
    rest: f64,
}

/// The state of a group, all of it in L1 while the group is advanced over the interval.
#[derive(Clone)]
struct Group {
    /// V − E_L (mV)
    potential: [f64; GROUP],
    /// Steps left of refractoriness, a whole number; a double so that all lanes are alike.
    refractory: [f64; GROUP],
    /// Excitatory current (pA) and its derivative (pA/ms).
    current_ex: [f64; GROUP],
    slope_ex: [f64; GROUP],
    /// Inhibitory current (pA) and its derivative (pA/ms).
    current_in: [f64; GROUP],
    slope_in: [f64; GROUP],
}

impl IafPscAlpha {
    /// Neurons with initial potentials `potentials` (mV), no currents, not refractory.
    pub fn new(neuron: &NeuronParams, dt: Ms, potentials: &[f64]) -> Self {
        let zero = [0.0; GROUP];
        let groups = potentials
            .chunks(GROUP)
            .map(|chunk| {
                let mut potential = zero;
                for (relative, v) in potential.iter_mut().zip(chunk) {
                    *relative = v - neuron.E_L;
                }
                Group {
                    potential,
                    refractory: zero,
                    current_ex: zero,
                    slope_ex: zero,
                    current_in: zero,
                    slope_in: zero,
                }
            })
            .collect();
        IafPscAlpha {
            neurons: potentials.len(),
            groups,
            propagators: Propagators::new(neuron, dt),
            current: neuron.I_e,
            threshold: neuron.V_th - neuron.E_L,
            reset: neuron.V_reset - neuron.E_L,
            refractory: f64::from(neuron.t_ref.0),
            rest: neuron.E_L,
        }
    }

    /// Membrane potential of neuron `lid` (mV).
    pub fn potential(&self, lid: Lid) -> f64 {
        let lid = lid.0 as usize;
        self.groups[lid / GROUP].potential[lid % GROUP] + self.rest
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

    /// One step of one group, in the order of the model: potential from the old currents,
    /// currents, threshold. Returns whether any neuron reached threshold.
    #[inline(always)]
    fn step(&mut self, group: usize, ex: &[f64; GROUP], inh: &[f64; GROUP]) -> bool {
        let p = &self.propagators;
        let state = &mut self.groups[group];
        let mut fired = false;
        for j in 0..GROUP {
            let (i_ex, d_ex) = (state.current_ex[j], state.slope_ex[j]);
            let (i_in, d_in) = (state.current_in[j], state.slope_in[j]);
            let v = state.potential[j];
            let free = p.p30 * self.current
                + (p.ex.p31 * d_ex + p.ex.p32 * i_ex)
                + (p.inh.p31 * d_in + p.inh.p32 * i_in)
                + p.p33 * v;
            let left = state.refractory[j];
            let v = if left == 0.0 { free } else { v };
            state.refractory[j] = if left == 0.0 { 0.0 } else { left - 1.0 };
            state.current_ex[j] = p.ex.p21 * d_ex + p.ex.p11 * i_ex;
            state.slope_ex[j] = p.ex.p11 * d_ex + p.ex.jump * ex[j];
            state.current_in[j] = p.inh.p21 * d_in + p.inh.p11 * i_in;
            state.slope_in[j] = p.inh.p11 * d_in + p.inh.jump * inh[j];
            state.potential[j] = v;
            fired |= v >= self.threshold;
        }
        fired
    }

    #[cold]
    #[inline(never)]
    fn fire(&mut self, group: usize, lag: u32, emissions: &mut Vec<Emission>) {
        let state = &mut self.groups[group];
        for j in 0..GROUP.min(self.neurons - group * GROUP) {
            if state.potential[j] >= self.threshold {
                state.potential[j] = self.reset;
                state.refractory[j] = self.refractory;
                emissions.push(Emission {
                    lag,
                    lid: Lid((group * GROUP + j) as u32),
                });
            }
        }
    }
}

struct Update<'a> {
    population: &'a mut IafPscAlpha,
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
                let mut total = [0.0; GROUP];
                for j in 0..GROUP {
                    total[j] = ex[j] + weight_x * f64::from(external[j]);
                }
                let fired = population.step(group, &total, inh);
                ex.fill(0.0);
                inh.fill(0.0);
                if fired {
                    population.fire(group, lag as u32, emissions);
                }
            }
        }
    }
}
