//! Weights and potentials that left the range of floating-point numbers end the run.
//!
//! The kernels do not check: an infinite weight stays infinite or becomes NaN, so a look now
//! and then finds it. The samples of weights look at the synapses that they count; every
//! [`PRUNE_EVERY`](super::PRUNE_EVERY) intervals all neurons are looked at, and before a
//! snapshot and at the end all weights and neurons.

use crate::base::error::{Error, Result};
use crate::base::units::Steps;
use crate::model::params::{NeuronModel, WeightPrecision};

use super::Simulation;

/// A value that is not finite, and where it stands among all of its kind.
type Found = Option<(u64, String)>;

impl Simulation {
    /// Whether all neurons of this rank hold finite numbers. O(neurons).
    pub(super) fn neurons_are_finite(&self) -> bool {
        let mut vps = self.vps.iter();
        vps.all(|vp| vp.neurons.first_not_finite().is_none())
    }

    /// Fails if a plastic weight, or something that a neuron holds, is not finite at time `at`.
    /// Collective. Reads all plastic weights once.
    ///
    /// # Errors
    /// The same for every split: names the first synapse by source and target, else the first
    /// neuron.
    pub fn check_range(&self, at: Steps) -> Result<()> {
        let ms = at.to_ms(self.params.simulation.dt).0;
        self.agree_on_first(self.first_weight(), |what| self.weight_fault(what, ms))?;
        self.agree_on_first(self.first_neuron(), |what| self.neuron_fault(what, ms))
    }

    /// The error about the value with the lowest key of all ranks. Collective.
    fn agree_on_first(&self, mine: Found, fault: impl Fn(&str) -> Error) -> Result<()> {
        let nearness = |found: &(u64, String)| u64::MAX - found.0;
        let first = self.comm.max(mine.as_ref().map_or(0, nearness));
        if first == 0 {
            return Ok(());
        }
        let error = mine.filter(|found| nearness(found) == first);
        self.comm
            .agree(error.map_or(Ok(()), |(_, what)| Err(fault(&what))))
    }

    /// The first plastic weight of this rank that is not finite.
    fn first_weight(&self) -> Found {
        let n_e = self.place.n_e;
        let found = self.map_threads(|part| {
            if part.vp.ee.weights.are_finite() {
                return None;
            }
            let mut first: Found = None;
            part.for_each_weight(0..n_e, |source, target, weight| {
                let key = u64::from(source.0) << 32 | u64::from(target.0);
                if !weight.is_finite() && first.as_ref().is_none_or(|(known, _)| key < *known) {
                    let synapse = format!("synapse {} -> {}", source.0, target.0);
                    first = Some((key, format!("{synapse} is {weight} pA")));
                }
            });
            first
        });
        found.into_iter().flatten().min()
    }

    /// The first neuron of this rank that holds something that is not finite.
    fn first_neuron(&self) -> Found {
        let found = self.vps.iter().zip(0..).filter_map(|(vp, thread)| {
            let (lid, what) = vp.neurons.first_not_finite()?;
            let gid = self.place.gid(thread, lid).0;
            Some((u64::from(gid), format!("{what} of neuron {gid}")))
        });
        found.min()
    }

    fn weight_fault(&self, what: &str, ms: f64) -> Error {
        let stdp = &self.params.stdp;
        let (most, or) = match stdp.weight_precision {
            WeightPrecision::F64 => (f64::MAX, ""),
            WeightPrecision::F32 => (f32::MAX.into(), ", or set stdp.weight_precision = \"f64\""),
        };
        Error::run(format!(
            "the weight of E->E {what} at {ms} ms, must be at most {most:e}: it grows without \
             bound; lower stdp.lambda ({:?}) or stdp.mu_plus ({:?}), or raise stdp.alpha \
             ({:?}){or}",
            stdp.lambda, stdp.mu_plus, stdp.alpha
        ))
    }

    fn neuron_fault(&self, what: &str, ms: f64) -> Error {
        let remedy = match self.params.neuron.model {
            NeuronModel::IafPscAlpha => {
                "lower the weights (synapse.J_E or synapse.weight, synapse.g) or neuron.I_e"
            }
            NeuronModel::IgnoreAndFire => {
                "lower the weights (synapse.J_E or synapse.weight, synapse.g)"
            }
        };
        Error::run(format!("the {what} is not finite at {ms} ms: {remedy}"))
    }
}
