//! Leaky integrate-and-fire neurons with alpha-shaped currents.

use crate::base::memory::allocated_bytes;
use crate::base::simd::{self, Kernel};
use crate::base::sizes::product;
use crate::base::units::{GROUP, Interval, Lid, Ms};
use crate::model::buffers::RingBuffer;
use crate::model::params::{Channel, NeuronParams};
use crate::model::stimulus::Input;

use super::{Emission, Propagators, add_upper};

/// Population of `iaf_psc_alpha` neurons; potentials are relative to E_L.
///
/// CHANNELS is 2 (excitatory and inhibitory), or 1 if both have the same time constant: the
/// equations are linear, and the sum of both currents then obeys the same equations.
///
/// 16 bytes per neuron plus 16 per neuron and channel. Padded to whole groups of [`GROUP`] neurons;
/// the padding receives nothing and its spikes are dropped.
pub struct IafPscAlpha<const CHANNELS: usize> {
    neurons: usize,
    groups: Vec<Group<CHANNELS>>,
    constants: Constants<CHANNELS>,
    /// Resting potential E_L (mV).
    rest: f64,
}

/// State of a group of neurons. It stays in L1 while the group advances over the interval.
#[derive(Clone)]
#[repr(align(64))]
struct Group<const CHANNELS: usize> {
    /// Membrane potential V − E_L (mV).
    potential: [f64; GROUP],
    /// Remaining refractory steps: a whole number, stored as `f64` to give all lanes one type.
    refractory: [f64; GROUP],
    /// Synaptic currents (pA).
    current: [[f64; GROUP]; CHANNELS],
    /// Derivatives of the synaptic currents (pA/ms).
    slope: [[f64; GROUP]; CHANNELS],
}

impl<const CHANNELS: usize> IafPscAlpha<CHANNELS> {
    /// Creates neurons with initial `potentials` (mV), zero currents, not refractory.
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
                    current: [zero; CHANNELS],
                    slope: [zero; CHANNELS],
                }
            })
            .collect();
        let p = Propagators::new(neuron, dt);
        IafPscAlpha {
            neurons: potentials.len(),
            groups,
            constants: Constants {
                drive: p.p30 * neuron.I_e,
                threshold: neuron.V_th - neuron.E_L,
                reset: neuron.V_reset - neuron.E_L,
                refractory: neuron.t_ref.map_or(0.0, |time| time.0.into()),
                p33: p.p33,
                channels: std::array::from_fn(|channel| [p.ex, p.inh][channel]),
            },
            rest: neuron.E_L,
        }
    }

    /// Returns the bytes for `neurons` neurons.
    pub fn bytes(neurons: u64) -> u64 {
        product([
            size_of::<Group<CHANNELS>>() as u64,
            neurons.div_ceil(GROUP as u64),
        ])
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        allocated_bytes(&self.groups)
    }

    /// Returns the membrane potential of neuron `lid` (mV).
    pub fn potential(&self, lid: Lid) -> f64 {
        let lid = lid.0 as usize;
        self.groups[lid / GROUP].potential[lid % GROUP] + self.rest
    }

    /// Implements [`super::Neurons::first_not_finite`].
    pub fn first_not_finite(&self) -> Option<(Lid, String)> {
        let at = |lid: usize| {
            let group = &self.groups[lid / GROUP];
            let j = lid % GROUP;
            let synaptic = group.current.iter().chain(&group.slope);
            let synaptic = synaptic.map(move |values| ("synaptic current", values[j]));
            let all = [("membrane potential", group.potential[j])].into_iter();
            let (name, value) = all.chain(synaptic).find(|(_, value)| !value.is_finite())?;
            Some((Lid(lid as u32), format!("{name} ({value})")))
        };
        (0..self.neurons).find_map(at)
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
        simd::run(Update {
            population: self,
            interval,
            ring,
            input,
            weight_x,
            emissions,
        });
    }
}

/// Constants of a step, identical for all neurons.
#[derive(Clone, Copy)]
struct Constants<const CHANNELS: usize> {
    p33: f64,
    channels: [Channel; CHANNELS],
    /// P30 · I_e: potential that the constant current adds per step (mV)
    drive: f64,
    threshold: f64,
    reset: f64,
    refractory: f64,
}

impl<const CHANNELS: usize> Group<CHANNELS> {
    /// Advances the group by one step, in the order of the model: potential from the old currents,
    /// currents, threshold. Takes what arrives and `external` spikes of `weight_x` pA. Returns the
    /// number of neurons that reached threshold.
    #[inline(always)]
    fn step(
        &mut self,
        c: &Constants<CHANNELS>,
        arriving: [&mut [f64; GROUP]; CHANNELS],
        external: &[u8; GROUP],
        weight_x: f64,
    ) -> u64 {
        let mut fired = 0;
        for j in 0..GROUP {
            let held = self.potential[j];
            let mut free = c.drive + c.p33 * held;
            for (k, p) in c.channels.iter().enumerate() {
                let (current, slope) = (self.current[k][j], self.slope[k][j]);
                let mut sum = arriving[k][j];
                arriving[k][j] = 0.0;
                if k == 0 {
                    sum += weight_x * f64::from(external[j]);
                }
                free += p.p31 * slope + p.p32 * current;
                self.current[k][j] = p.p21 * slope + p.p11 * current;
                self.slope[k][j] = p.p11 * slope + p.jump * sum;
            }
            let left = self.refractory[j];
            let v = if left == 0.0 { free } else { held };
            self.potential[j] = v;
            self.refractory[j] = (left - 1.0).max(0.0);
            fired = u64::wrapping_add(fired, u64::from(v >= c.threshold));
        }
        fired
    }

    /// Resets the neurons at or above threshold among the first `neurons` and appends their
    /// emissions.
    #[cold]
    #[inline(never)]
    fn fire(
        &mut self,
        c: &Constants<CHANNELS>,
        first: usize,
        neurons: usize,
        lag: u32,
        emissions: &mut Vec<Emission>,
    ) {
        for j in 0..neurons {
            if self.potential[j] < c.threshold {
                continue;
            }
            self.potential[j] = c.reset;
            self.refractory[j] = c.refractory;
            emissions.push(Emission {
                lag,
                lid: Lid((first + j) as u32),
            });
        }
    }
}

struct Update<'a, const CHANNELS: usize> {
    population: &'a mut IafPscAlpha<CHANNELS>,
    interval: Interval,
    ring: &'a mut RingBuffer,
    input: &'a mut Input,
    weight_x: f64,
    emissions: &'a mut Vec<Emission>,
}

impl<const CHANNELS: usize> Kernel for Update<'_, CHANNELS> {
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
        let IafPscAlpha {
            neurons,
            groups,
            constants,
            ..
        } = population;
        let constants = *constants;
        for (index, group) in groups.iter_mut().enumerate() {
            let first = index * GROUP;
            // A copy on the stack tells the compiler that nothing else points to the state.
            let mut state = group.clone();
            for lag in interval.lags() {
                let arrival = interval.stamp(lag);
                let arriving = ring.group(index, arrival);
                let (lower, upper) = input.arriving(index, arrival);
                if let Some(upper) = upper {
                    add_upper(arriving[0], upper, weight_x);
                }
                if state.step(&constants, arriving, lower, weight_x) > 0 {
                    let here = GROUP.min(*neurons - first);
                    state.fire(&constants, first, here, lag, emissions);
                }
            }
            *group = state;
        }
    }
}
