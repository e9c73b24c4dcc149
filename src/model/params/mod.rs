//! Parameters: checked values, in steps.
//!
//! `derive` holds the formulas by which weights and rates follow from others, `propagators` the
//! exact integration of a step. They are made by [`config`](crate::io::config), from text or in
//! code.

pub(crate) mod derive;
mod propagators;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::units::{Ms, Projection, Steps};
use crate::comm::interconnect::InterconnectParams;

pub use propagators::{Channel, Propagators};

/// Everything a run needs to know, checked and derived; the same on every rank.
///
/// Serialized, times on the grid are in steps.
#[derive(Clone, Debug, Serialize)]
pub struct Params {
    /// Populations and how they are wired.
    pub network: NetworkParams,
    /// The neuron model and its constants.
    pub neuron: NeuronParams,
    /// Weights and delays.
    pub synapse: SynapseParams,
    /// The plasticity of E→E synapses.
    pub stdp: StdpParams,
    /// External input.
    pub stimulus: Stimulus,
    /// Time, grid, seed, threads.
    pub simulation: SimulationParams,
    /// What is written.
    pub record: RecordParams,
    /// The network between ranks; for estimates only, a run ignores it.
    pub interconnect: InterconnectParams,
}

impl Params {
    /// The same with `n` neurons, `per_rank` on each rank where it is counted so; what is
    /// recorded of all stays with all.
    pub fn with_neurons(&self, n: u32, per_rank: Option<u32>) -> Params {
        let mut params = self.clone();
        let network = &mut params.network;
        (network.N, network.N_per_rank) = (n, per_rank);
        network.N_E = derive::part(network.beta, n);
        network.N_I = n - network.N_E;
        let n_e = network.N_E;
        params.record.n_rec = params.record.n_rec.min(n);
        if let Some(weights) = &mut params.record.weights {
            weights.targets = weights.targets.min(n_e);
            weights.sources = weights.sources.min(n_e);
        }
        if let Some(sampling) = &mut params.record.weights_over_time {
            sampling.trajectories = sampling.trajectories.min(n_e);
        }
        params
    }
}

/// Files that a run reads besides its config.
impl Params {
    /// Returns key and path of each.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let spikes = match &self.stimulus {
            Stimulus::Spikes(path) => Some(path),
            Stimulus::Poisson { .. } => None,
        };
        let named = [
            ("network.edges", self.network.edges.as_ref()),
            ("neuron.initial", self.neuron.initial.as_ref()),
            ("stimulus.spikes", spikes),
        ];
        let files = named.into_iter();
        files
            .filter_map(|(key, path)| Some((key, &**path?)))
            .collect()
    }
}

/// Longest period of `ignore_and_fire` (steps).
pub const MAX_PERIOD: u32 = 1 << 30;

/// Largest mean number of Poisson events per neuron and step: a count fits 16 bits.
pub const MAX_EVENTS_PER_STEP: f64 = 30_000.0;

/// `[network]`
#[derive(Clone, Debug, Serialize)]
#[allow(non_snake_case)]
pub struct NetworkParams {
    /// Neurons in all, 1 … 2³² − 1 (with `N_per_rank`: that times the ranks).
    pub N: u32,
    /// Neurons a rank, where given so.
    pub N_per_rank: Option<u32>,
    /// Excitatory neurons, ⌊βN⌋ (the product in double precision); gids 0 … N_E − 1.
    pub N_E: u32,
    /// Inhibitory neurons, N − N_E.
    pub N_I: u32,
    /// In-degree of every neuron; 0, as K_E and K_I, where `edges` replaces the draw.
    pub K: u32,
    /// Sources drawn from E by every neuron, ⌊βK⌋.
    pub K_E: u32,
    /// Sources drawn from I by every neuron, K − K_E.
    pub K_I: u32,
    /// Fraction of excitatory neurons.
    pub beta: f64,
    /// Whether a neuron may draw itself.
    pub allow_autapses: bool,
    /// Whether a neuron may draw a source twice.
    pub allow_multapses: bool,
    /// SONATA edges that replace the draw; relative paths are resolved.
    pub edges: Option<PathBuf>,
}

impl NetworkParams {
    /// Whether a draw gives the projection synapses.
    pub(crate) fn draws(&self, projection: Projection) -> bool {
        let (k, targets) = match projection {
            Projection::EE => (self.K_E, self.N_E),
            Projection::EI => (self.K_E, self.N_I),
            Projection::IE => (self.K_I, self.N_E),
            Projection::II => (self.K_I, self.N_I),
        };
        k > 0 && targets > 0
    }
}

/// Which neuron model every neuron follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeuronModel {
    /// Leaky integrate-and-fire with alpha-shaped currents, exactly integrated.
    IafPscAlpha,
    /// Fires with a period of its own and ignores what it receives.
    IgnoreAndFire,
}

impl NeuronModel {
    /// As the config names it.
    pub fn name(self) -> &'static str {
        match self {
            NeuronModel::IafPscAlpha => "iaf_psc_alpha",
            NeuronModel::IgnoreAndFire => "ignore_and_fire",
        }
    }
}

/// Distribution of the initial membrane potential (mV).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VInit {
    /// Uniform in [low, high).
    Uniform(f64, f64),
    /// Normal with this mean and standard deviation.
    Normal(f64, f64),
}

/// `[neuron]`
#[derive(Clone, Debug, Serialize)]
#[allow(non_snake_case)]
pub struct NeuronParams {
    /// Which model.
    pub model: NeuronModel,
    /// Resting potential (mV).
    pub E_L: f64,
    /// Membrane capacitance (pF), > 0.
    pub C_m: f64,
    /// Membrane time constant (ms), > 0.
    pub tau_m: f64,
    /// Refractory time, 0 (none) … 2²⁰; `None` where neither the config says it nor the model
    /// has one and the default does not lie on the grid.
    pub t_ref: Option<Steps>,
    /// Threshold (mV).
    pub V_th: f64,
    /// Reset potential (mV), < `V_th`.
    pub V_reset: f64,
    /// Time constant of the excitatory alpha current (ms), > 0.
    pub tau_syn_ex: f64,
    /// Time constant of the inhibitory alpha current (ms), > 0.
    pub tau_syn_in: f64,
    /// Constant current (pA).
    pub I_e: f64,
    /// How the initial potential is drawn.
    pub V_init: VInit,
    /// `ignore_and_fire`: range of rates (spikes/s), 0 < low ≤ high; periods of 1 … 2³⁰ steps.
    pub rate: [f64; 2],
    /// `ignore_and_fire`: range of phases, 0 < low ≤ high ≤ 1.
    pub phase: [f64; 2],
    /// File with `/initial/{V_m,rate,phase}`, one value a gid, instead of drawn ones.
    pub initial: Option<PathBuf>,
}

/// How the PSP of a unit alpha current is reckoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitPsp {
    /// The true maximum of the potential.
    Maximum,
    /// As the published example does, with its slip in the Lambert argument.
    NestExample,
}

/// One delay per projection, 1 … 2²⁰ steps; of another `T`, the same in another unit. `None` for a
/// recurrent projection that has no synapses, or, in the parameters, has those of `edges`, which
/// bring their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delays<T = Steps> {
    /// E→E
    #[serde(rename = "E_to_E")]
    pub ee: Option<T>,
    /// E→I
    #[serde(rename = "E_to_I")]
    pub ei: Option<T>,
    /// I→E
    #[serde(rename = "I_to_E")]
    pub ie: Option<T>,
    /// I→I
    #[serde(rename = "I_to_I")]
    pub ii: Option<T>,
    /// X→all
    #[serde(rename = "X_to_all")]
    pub x: T,
}

impl<T> Delays<T> {
    /// `of` each of them.
    pub fn map<U>(self, of: impl Fn(T) -> U) -> Delays<U> {
        Delays {
            ee: self.ee.map(&of),
            ei: self.ei.map(&of),
            ie: self.ie.map(&of),
            ii: self.ii.map(&of),
            x: of(self.x),
        }
    }
}

impl Delays {
    /// Sets that of a recurrent projection.
    pub fn set(&mut self, projection: Projection, delay: Option<Steps>) {
        *match projection {
            Projection::EE => &mut self.ee,
            Projection::EI => &mut self.ei,
            Projection::IE => &mut self.ie,
            Projection::II => &mut self.ii,
        } = delay;
    }

    /// That of a recurrent projection. Where it has no synapses, which leaves the delay without
    /// effect, the smallest.
    pub fn of(&self, projection: Projection) -> Steps {
        let delay = match projection {
            Projection::EE => self.ee,
            Projection::EI => self.ei,
            Projection::IE => self.ie,
            Projection::II => self.ii,
        };
        delay.unwrap_or_else(|| self.min())
    }

    /// That of the plastic synapses, E→E.
    pub fn plastic(&self) -> Steps {
        self.of(Projection::EE)
    }

    /// The smallest of the recurrent ones; that of the input where there are none.
    pub fn min(&self) -> Steps {
        self.recurrent().min().unwrap_or(self.x)
    }

    /// The largest of the recurrent ones; that of the input where there are none.
    pub fn max(&self) -> Steps {
        self.recurrent().max().unwrap_or(self.x)
    }

    fn recurrent(&self) -> impl Iterator<Item = Steps> {
        [self.ee, self.ei, self.ie, self.ii].into_iter().flatten()
    }
}

/// `[synapse]`
#[derive(Clone, Debug, Serialize)]
#[allow(non_snake_case)]
pub struct SynapseParams {
    /// PSP amplitude (mV), where the weight was given so.
    pub J_E: Option<f64>,
    /// PSP maximum of a 1 pA alpha current (mV/pA), where it was needed.
    pub J_unit: Option<f64>,
    /// Which formula gave `J_unit`.
    pub unit_psp: UnitPsp,
    /// Relative strength of inhibition.
    pub g: f64,
    /// PSC amplitude of excitatory synapses (pA); initial weight of the plastic ones, ≥ 0.
    pub I_E: f64,
    /// PSC amplitude of inhibitory synapses (pA), −g·I_E.
    pub I_I: f64,
    /// PSC amplitude of the external input (pA), = I_E.
    pub I_X: f64,
    /// Delays of a drawn network; with `edges` only that of X→all.
    pub delay: Delays,
}

/// How plastic weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightPrecision {
    /// 8 bytes a plastic weight.
    F64,
    /// 4 bytes a plastic weight.
    F32,
}

/// `[stdp]`: the power law of Morrison, Aertsen & Diesmann (2007), weights in pA.
#[derive(Clone, Debug, Serialize)]
pub struct StdpParams {
    /// Asymmetry between depression and potentiation, ≥ 0.
    pub alpha: f64,
    /// Learning rate, ≥ 0.
    pub lambda: f64,
    /// Exponent of the weight in potentiation, 0 … 1.
    pub mu_plus: f64,
    /// Time constant of K₊ (ms), > 0.
    pub tau_plus: f64,
    /// Time constant of K₋ (ms), > 0.
    pub tau_minus: f64,
    /// Bits of a stored weight.
    pub weight_precision: WeightPrecision,
}

/// Largest exponent, of either sign, whose exponential and products of a few of them are finite and
/// not 0.
pub const MAX_EXPONENT: f64 = 150.0;

impl WeightPrecision {
    /// The weights (pA) that 4 bytes hold, in words.
    pub const F32_RANGE: &'static str = "0 or 1.4e-45 … 3.4e38";

    /// Whether a plastic weight is stored as a finite number, and as 0 only if it is 0.
    pub fn holds(self, weight: f64) -> bool {
        match self {
            WeightPrecision::F64 => weight.is_finite(),
            WeightPrecision::F32 => {
                let stored = weight as f32;
                stored.is_finite() && (stored != 0.0 || weight == 0.0)
            }
        }
    }
}

impl StdpParams {
    /// What τ₋ must be where it is too short for a `delay` of the plastic synapses.
    ///
    /// K₋ is kept relative to a reference time up to 300 τ₋ back, and read as of a delay back;
    /// the reference moves once in an interval, which is no longer than the delay.
    pub fn too_short(&self, delay: Ms) -> Option<String> {
        let Ms(delay) = delay;
        let least = delay / MAX_EXPONENT;
        (self.tau_minus < least).then(|| {
            format!(
                "must be at least 1/{MAX_EXPONENT} of the delay E_to_E = {delay} ms, that is \
                 {least:e} (ms)"
            )
        })
    }
}

/// `[stimulus]`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stimulus {
    /// An independent Poisson source per neuron.
    Poisson {
        /// Relative rate, where the rate was given so.
        eta: Option<f64>,
        /// Threshold rate (spikes/s), where it was needed.
        nu_theta: Option<f64>,
        /// Rate of every source (spikes/s), ≥ 0.
        rate: f64,
        /// Mean count per step, `rate`·dt/1000, ≤ 30,000.
        mean_per_step: f64,
    },
    /// External spikes from a file: SONATA population X, node i drives gid i.
    Spikes(PathBuf),
}

/// `[simulation]`
#[derive(Clone, Debug, Serialize)]
#[allow(non_snake_case)]
pub struct SimulationParams {
    /// Recorded model time, ≥ 1; presim + T < 2³¹ − 2²⁰, so that stamp + delay fits.
    pub T: Steps,
    /// Unrecorded, untimed warm-up before it; the clock of all outputs starts with the warm-up.
    pub presim: Steps,
    /// The grid, > 0.
    pub dt: Ms,
    /// Parts of a step to which periods and phases of `ignore_and_fire` are rounded, 1 … 2²⁰.
    pub tics_per_step: u32,
    /// Seed of every random number, 0 … 2⁶³ − 1 (a TOML integer).
    pub seed: u64,
    /// Threads of a rank, 1 … 1024.
    pub threads: usize,
}

impl SimulationParams {
    /// The time at which the run ends, presim + T.
    pub fn end(&self) -> Steps {
        self.presim + self.T
    }
}

/// `[record]`
#[derive(Clone, Debug, Serialize)]
pub struct RecordParams {
    /// Whether spikes are written.
    pub spikes: bool,
    /// Spikes of the first so many gids are written (at most N).
    pub n_rec: u32,
    /// Deflate level of spikes.h5 and weights.h5, 0 (none) … 9.
    pub compression: u8,
    /// Which weights are written, if any.
    pub weights: Option<WeightRecord>,
    /// What is written of the weights as the run goes, if anything.
    pub weights_over_time: Option<WeightSampling>,
}

/// `[record] weights`
#[derive(Clone, Debug, Serialize)]
pub struct WeightRecord {
    /// Snapshots at these times, ascending, each 0 … presim + T; one at the end besides.
    pub at: Vec<Steps>,
    /// Only synapses onto the first so many excitatory neurons (at most N_E).
    pub targets: u32,
    /// Only synapses from the first so many excitatory neurons (at most N_E).
    pub sources: u32,
    /// Whether SONATA's index of the edges onto each target is written, too.
    pub target_to_source: bool,
}

/// `[record] weights_over_time`
#[derive(Clone, Debug, Serialize)]
pub struct WeightSampling {
    /// Samples are taken at the multiples of this time, from 0 on; at least one step.
    pub every: Steps,
    /// Bins of a histogram, 1 … 10,000, of equal width from 0 on.
    pub bins: u32,
    /// Where the last bin ends (pA), > 0.
    pub max: f64,
    /// Histograms count one in so many synapses, 1 … N_E.
    pub one_in: u32,
    /// Synapses whose weights are written one by one, at most 10,000 and N_E.
    pub trajectories: u32,
}
