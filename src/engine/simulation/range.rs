//! Checks that weights and the state of neurons are finite.
//!
//! The kernels do not check. An infinite weight stays infinite or becomes NaN, so an occasional
//! check finds it. Weight samples check the synapses that they count. All neurons are checked every
//! [`PRUNE_EVERY`](super::PRUNE_EVERY) intervals; all weights and neurons are checked before a
//! snapshot and at the end of the run.

use crate::base::error::{Error, Result};
use crate::base::units::{Steps, pack};
use crate::model::params::{NeuronModel, WeightPrecision};

use super::Simulation;

/// Sort key and description of a value that is not finite.
type Found = Option<(u64, String)>;

impl Simulation {
    /// Returns whether the state of all neurons of this rank is finite. Cost: O(neurons).
    pub(super) fn neurons_are_finite(&self) -> bool {
        let mut vps = self.vps.iter();
        vps.all(|vp| vp.neurons.first_not_finite().is_none())
    }

    /// Checks that all plastic weights and the state of all neurons are finite at time `at`.
    /// Collective. Cost: reads all plastic weights once.
    ///
    /// # Errors
    /// Fails if a value is not finite. The error names the first synapse by source and target, or
    /// else the first neuron. It is the same for every split.
    pub fn check_range(&self, at: Steps) -> Result<()> {
        let ms = at.to_ms(self.params.simulation.dt).0;
        self.agree_on_first(self.first_weight(), |what| self.weight_fault(what, ms))?;
        self.agree_on_first(self.first_neuron(), |what| self.neuron_fault(what, ms))
    }

    /// Fails, on all ranks, if any rank has found a value that is not finite. The error is that of
    /// the value with the lowest key. Collective.
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

    /// Returns this rank's first plastic weight, by source and target, that is not finite.
    fn first_weight(&self) -> Found {
        let n_e = self.place.n_e;
        let found = self.map_threads(|part| {
            if part.synapses.ee.weights.are_finite() {
                return None;
            }
            let mut first: Found = None;
            part.for_each_weight(0..n_e, |source, target, weight| {
                let key = pack(source.0, target.0);
                if !weight.is_finite() && first.as_ref().is_none_or(|(known, _)| key < *known) {
                    let synapse = format!("synapse {} -> {}", source.0, target.0);
                    first = Some((key, format!("{synapse} is {weight} pA")));
                }
            });
            first
        });
        found.into_iter().flatten().min()
    }

    /// Returns this rank's first neuron, by gid, whose state is not finite.
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
