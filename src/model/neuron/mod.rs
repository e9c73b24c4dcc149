//! Neuron models as struct-of-arrays populations: one branch per population, none per neuron.

mod iaf_psc_alpha;
mod ignore_and_fire;

pub use crate::model::params::Propagators;
pub use iaf_psc_alpha::IafPscAlpha;
pub use ignore_and_fire::{IgnoreAndFire, Tics};

use crate::base::units::{GROUP, Interval, Lid};
use crate::model::buffers::RingBuffer;
use crate::model::params::{NeuronModel, NeuronParams};
use crate::model::stimulus::Input;

/// A spike as its neuron emits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission {
    /// Steps of the interval before this one, see [`Interval::stamp`].
    pub lag: u32,
    /// Which neuron.
    pub lid: Lid,
}

/// The neurons of one virtual process.
pub enum Neurons {
    /// With one current, where both time constants are equal.
    IafPscAlpha(IafPscAlpha<1>),
    /// With an excitatory and an inhibitory current.
    IafPscAlphaTwoCurrents(IafPscAlpha<2>),
    /// See [`IgnoreAndFire`].
    IgnoreAndFire(IgnoreAndFire),
}

impl Neurons {
    /// Advances all neurons over `interval`: takes what arrives from `ring` (and empties
    /// those slots) and from `input`, `weight_x` pA a spike, and appends to `emissions`,
    /// ascending in time for each neuron.
    pub fn update(
        &mut self,
        interval: Interval,
        ring: &mut RingBuffer,
        input: &mut Input,
        weight_x: f64,
        emissions: &mut Vec<Emission>,
    ) {
        match self {
            Neurons::IafPscAlpha(neurons) => {
                neurons.update(interval, ring, input, weight_x, emissions);
            }
            Neurons::IafPscAlphaTwoCurrents(neurons) => {
                neurons.update(interval, ring, input, weight_x, emissions);
            }
            Neurons::IgnoreAndFire(neurons) => {
                neurons.update(interval, ring, input, weight_x, emissions);
            }
        }
    }

    /// The first neuron that holds a number that is not finite, and what that is; in what it
    /// was left with by the latest step.
    pub fn first_not_finite(&self) -> Option<(Lid, String)> {
        match self {
            Neurons::IafPscAlpha(neurons) => neurons.first_not_finite(),
            Neurons::IafPscAlphaTwoCurrents(neurons) => neurons.first_not_finite(),
            Neurons::IgnoreAndFire(neurons) => neurons.first_not_finite(),
        }
    }
}

/// Memory, in bytes.
impl Neurons {
    /// Of `neurons` neurons.
    pub fn bytes(neuron: &NeuronParams, neurons: u64) -> u64 {
        match (neuron.model, channels(neuron)) {
            (NeuronModel::IgnoreAndFire, _) => IgnoreAndFire::bytes(neurons),
            (NeuronModel::IafPscAlpha, 1) => IafPscAlpha::<1>::bytes(neurons),
            (NeuronModel::IafPscAlpha, _) => IafPscAlpha::<2>::bytes(neurons),
        }
    }

    /// As they are.
    pub fn held(&self) -> u64 {
        match self {
            Neurons::IafPscAlpha(neurons) => neurons.held(),
            Neurons::IafPscAlphaTwoCurrents(neurons) => neurons.held(),
            Neurons::IgnoreAndFire(neurons) => neurons.held(),
        }
    }
}

/// Through how many channels the neurons receive: one where the time constants are equal.
pub fn channels(neuron: &NeuronParams) -> usize {
    if neuron.tau_syn_ex == neuron.tau_syn_in {
        1
    } else {
        2
    }
}

/// Adds 256 · `weight` pA for each of `counts`, the upper bytes of external spike counts.
#[inline(always)]
fn add_upper(sums: &mut [f64; GROUP], counts: &[u8; GROUP], weight: f64) {
    for (sum, &count) in sums.iter_mut().zip(counts) {
        *sum += weight * (256.0 * f64::from(count));
    }
}
