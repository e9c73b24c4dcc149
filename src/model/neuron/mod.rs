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

/// Spike as its neuron emits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission {
    /// Step within the interval, from 0; see [`Interval::stamp`].
    pub lag: u32,
    /// Index of the neuron on its virtual process.
    pub lid: Lid,
}

/// Neurons of one virtual process.
pub enum Neurons {
    /// `iaf_psc_alpha` with one synaptic current, for equal time constants.
    IafPscAlpha(IafPscAlpha<1>),
    /// `iaf_psc_alpha` with an excitatory and an inhibitory current.
    IafPscAlphaTwoCurrents(IafPscAlpha<2>),
    /// `ignore_and_fire`, see [`IgnoreAndFire`].
    IgnoreAndFire(IgnoreAndFire),
}

impl Neurons {
    /// Advances all neurons over `interval`. Takes what arrives from `ring` (and zeroes those
    /// slots) and from `input`, at `weight_x` pA per external spike. Appends spikes to `emissions`,
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

    /// Returns the first neuron whose state is not finite after the latest step, with the name and
    /// value of the offending quantity.
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
    /// Returns the bytes for `neurons` neurons.
    pub fn bytes(neuron: &NeuronParams, neurons: u64) -> u64 {
        match (neuron.model, channels(neuron)) {
            (NeuronModel::IgnoreAndFire, _) => IgnoreAndFire::bytes(neurons),
            (NeuronModel::IafPscAlpha, 1) => IafPscAlpha::<1>::bytes(neurons),
            (NeuronModel::IafPscAlpha, _) => IafPscAlpha::<2>::bytes(neurons),
        }
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        match self {
            Neurons::IafPscAlpha(neurons) => neurons.held(),
            Neurons::IafPscAlphaTwoCurrents(neurons) => neurons.held(),
            Neurons::IgnoreAndFire(neurons) => neurons.held(),
        }
    }
}

/// Returns the number of input channels per neuron: 1 if the synaptic time constants are equal,
/// else 2.
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
