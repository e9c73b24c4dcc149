//! Parameters: checked values, in steps.
//!
//! `derive` holds the formulas for derived weights and rates, `propagators` the exact integration
//! of a step. [`config`](crate::io::config) creates the parameters, from text or in code.

pub(crate) mod derive;
mod propagators;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::units::{Ms, Projection, Steps};
use crate::comm::interconnect::InterconnectParams;

pub use propagators::{Channel, Propagators};

/// Complete parameters of a run, checked and derived; identical on every rank.
///
/// The serialized form gives times on the grid in steps.
#[derive(Clone, Debug, Serialize)]
pub struct Params {
    /// Populations and their connectivity.
    pub network: NetworkParams,
    /// Neuron model and its constants.
    pub neuron: NeuronParams,
    /// Weights and delays.
    pub synapse: SynapseParams,
    /// Plasticity of the E→E synapses.
    pub stdp: StdpParams,
    /// External input.
    pub stimulus: Stimulus,
    /// Model time, grid, seed and threads.
    pub simulation: SimulationParams,
    /// Recording: spikes and weights that the run writes.
    pub record: RecordParams,
    /// Interconnect between ranks. Only estimates use it; a run ignores it.
    pub interconnect: InterconnectParams,
}

impl Params {
    /// Returns a copy with `n` neurons in all and the given `N_per_rank`. Recording limits are
    /// reduced to the new N and N_E.
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

/// Input files of a run besides its config.
impl Params {
    /// Returns the key and the path of each file.
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

/// Largest mean number of Poisson events per neuron and step; counts then fit 16 bits.
pub const MAX_EVENTS_PER_STEP: f64 = 30_000.0;

/// Parameters of the config table `[network]`.
#[derive(Clone, Debug, Serialize)]
#[allow(non_snake_case)]
pub struct NetworkParams {
    /// Number of neurons, 1 … 2³² − 1; with `N_per_rank`, that number times the ranks.
    pub N: u32,
    /// Neurons per rank, if the config gives it.
    pub N_per_rank: Option<u32>,
    /// Excitatory neurons, ⌊βN⌋ (the product in double precision); gids 0 … N_E − 1.
    pub N_E: u32,
    /// Inhibitory neurons, N − N_E.
    pub N_I: u32,
    /// In-degree of every neuron; 0, like K_E and K_I, if `edges` replaces the draw.
    pub K: u32,
    /// Sources drawn from E by every neuron, ⌊βK⌋.
    pub K_E: u32,
    /// Sources drawn from I by every neuron, K − K_E.
    pub K_I: u32,
    /// Fraction of excitatory neurons.
    pub beta: f64,
    /// True if a neuron may draw itself.
    pub allow_autapses: bool,
    /// True if a neuron may draw the same source more than once.
    pub allow_multapses: bool,
    /// SONATA edges file that replaces the draw; relative paths are resolved.
    pub edges: Option<PathBuf>,
}

impl NetworkParams {
    /// Returns whether the draw creates synapses of `projection`.
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

/// Neuron model of all neurons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeuronModel {
    /// Leaky integrate-and-fire with alpha-shaped currents, exactly integrated.
    IafPscAlpha,
    /// Neuron that fires at a fixed period and ignores its input.
    IgnoreAndFire,
}

impl NeuronModel {
    /// Returns the model's name in the config.
    pub fn name(self) -> &'static str {
        match self {
            NeuronModel::IafPscAlpha => "iaf_psc_alpha",
            NeuronModel::IgnoreAndFire => "ignore_and_fire",
        }
    }
}

/// Distribution of the initial membrane potential (mV).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VInit {
    /// Uniform distribution in [low, high).
    Uniform(f64, f64),
    /// Normal distribution with this mean and standard deviation.
    Normal(f64, f64),
}

/// Parameters of the config table `[neuron]`.
#[derive(Clone, Debug, Serialize)]
#[allow(non_snake_case)]
pub struct NeuronParams {
    /// Neuron model.
    pub model: NeuronModel,
    /// Resting potential (mV).
    pub E_L: f64,
    /// Membrane capacitance (pF), > 0.
    pub C_m: f64,
    /// Membrane time constant (ms), > 0.
    pub tau_m: f64,
    /// Refractory time, 0 (none) … 2²⁰ steps. `None` only for `ignore_and_fire`, which has no
    /// refractory time: the config does not set it and the default does not lie on the grid.
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
    /// Distribution of the initial potential.
    pub V_init: VInit,
    /// `ignore_and_fire`: range of rates (spikes/s), 0 < low ≤ high; periods of 1 … 2³⁰ steps.
    pub rate: [f64; 2],
    /// `ignore_and_fire`: range of phases, 0 < low ≤ high ≤ 1.
    pub phase: [f64; 2],
    /// File with initial values `/initial/{V_m,rate,phase}`, one per gid, which replace drawn ones.
    pub initial: Option<PathBuf>,
}

/// Formula for the PSP of a unit alpha current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitPsp {
    /// True maximum of the potential.
    Maximum,
    /// Value of the published example, with the error in its Lambert argument.
    NestExample,
}

/// Delays of the projections, one each, 1 … 2²⁰ steps; with another `T`, in another unit.
///
/// A recurrent delay is `None` only for a projection without synapses, or in the parameters if
/// `edges` is set: its file then gives the delays.
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
    /// Returns the delays with `of` applied to each.
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
    /// Sets the delay of a recurrent projection.
    pub fn set(&mut self, projection: Projection, delay: Option<Steps>) {
        *match projection {
            Projection::EE => &mut self.ee,
            Projection::EI => &mut self.ei,
            Projection::IE => &mut self.ie,
            Projection::II => &mut self.ii,
        } = delay;
    }

    /// Returns the delay of a recurrent projection. For a projection without synapses, where the
    /// delay has no effect, returns the smallest.
    pub fn of(&self, projection: Projection) -> Steps {
        let delay = match projection {
            Projection::EE => self.ee,
            Projection::EI => self.ei,
            Projection::IE => self.ie,
            Projection::II => self.ii,
        };
        delay.unwrap_or_else(|| self.min())
    }

    /// Returns the delay of the plastic synapses, E→E.
    pub fn plastic(&self) -> Steps {
        self.of(Projection::EE)
    }

    /// Returns the smallest recurrent delay, or that of the input if there are none.
    pub fn min(&self) -> Steps {
        self.recurrent().min().unwrap_or(self.x)
    }

    /// Returns the largest recurrent delay, or that of the input if there are none.
    pub fn max(&self) -> Steps {
        self.recurrent().max().unwrap_or(self.x)
    }

    fn recurrent(&self) -> impl Iterator<Item = Steps> {
        [self.ee, self.ei, self.ie, self.ii].into_iter().flatten()
    }
}

/// Parameters of the config table `[synapse]`.
#[derive(Clone, Debug, Serialize)]
#[allow(non_snake_case)]
pub struct SynapseParams {
    /// PSP amplitude (mV), if the config gives the weight as `J_E`.
    pub J_E: Option<f64>,
    /// PSP maximum of a 1 pA alpha current (mV/pA), if `J_E` gives the weight.
    pub J_unit: Option<f64>,
    /// Formula that gave `J_unit`.
    pub unit_psp: UnitPsp,
    /// Relative strength of inhibition.
    pub g: f64,
    /// PSC amplitude of excitatory synapses (pA), ≥ 0; initial weight of the plastic ones.
    pub I_E: f64,
    /// PSC amplitude of inhibitory synapses (pA), −g·I_E.
    pub I_I: f64,
    /// PSC amplitude of the external input (pA), = I_E.
    pub I_X: f64,
    /// Delays of a drawn network; with `edges` only X→all.
    pub delay: Delays,
}

/// Storage format of plastic weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightPrecision {
    /// Double precision, 8 bytes per plastic weight.
    F64,
    /// Single precision, 4 bytes per plastic weight.
    F32,
}

/// Parameters of the config table `[stdp]`: the power law of Morrison, Aertsen & Diesmann (2007),
/// weights in pA.
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
    /// Storage format of the weights.
    pub weight_precision: WeightPrecision,
}

/// Largest magnitude of an exponent for which the exponential, and products of a few such
/// exponentials, are finite and not 0.
pub const MAX_EXPONENT: f64 = 150.0;

impl WeightPrecision {
    /// Weights (pA) that 4 bytes hold, as text for messages.
    pub const F32_RANGE: &'static str = "0 or 1.4e-45 … 3.4e38";

    /// Returns whether a plastic weight is stored as a finite number, and as 0 only if it is 0.
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
    /// Returns the requirement on τ₋ as a message, if τ₋ is too short for a `delay` of the plastic
    /// synapses.
    ///
    /// The spike history keeps K₋ relative to a reference time up to 300 τ₋ back and reads it one
    /// delay back. The reference moves at most once per interval, which is no longer than the
    /// delay.
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

/// Parameters of the config table `[stimulus]`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stimulus {
    /// Independent Poisson source per neuron.
    Poisson {
        /// Relative rate, if the config gives it.
        eta: Option<f64>,
        /// Threshold rate (spikes/s), if `eta` gives the rate.
        nu_theta: Option<f64>,
        /// Rate of every source (spikes/s), ≥ 0.
        rate: f64,
        /// Mean count per step, `rate`·dt/1000, ≤ 30,000.
        mean_per_step: f64,
    },
    /// External spikes from a file: SONATA population X; node i drives gid i.
    Spikes(PathBuf),
}

/// Parameters of the config table `[simulation]`.
#[derive(Clone, Debug, Serialize)]
#[allow(non_snake_case)]
pub struct SimulationParams {
    /// Recorded model time, ≥ 1. presim + T < 2³¹ − 2²⁰, which lets stamp + delay fit an `i32`.
    pub T: Steps,
    /// Warm-up before `T`, neither recorded nor timed. The clock of all outputs starts with it.
    pub presim: Steps,
    /// Time step of the grid, > 0.
    pub dt: Ms,
    /// Tics per step, 1 … 2²⁰; periods and phases of `ignore_and_fire` are rounded to tics.
    pub tics_per_step: u32,
    /// Seed of all random numbers, 0 … 2⁶³ − 1 (a TOML integer).
    pub seed: u64,
    /// Threads per rank, 1 … 1024.
    pub threads: usize,
}

impl SimulationParams {
    /// Returns the time at which the run ends, presim + T.
    pub fn end(&self) -> Steps {
        self.presim + self.T
    }
}

/// Parameters of the config table `[record]`.
#[derive(Clone, Debug, Serialize)]
pub struct RecordParams {
    /// True if spikes are written.
    pub spikes: bool,
    /// Number of neurons whose spikes are written: the first `n_rec` gids (at most N).
    pub n_rec: u32,
    /// Deflate level of spikes.h5 and weights.h5, 0 (none) … 9.
    pub compression: u8,
    /// Selection of the weights to write, if any.
    pub weights: Option<WeightRecord>,
    /// Sampling of the weights during the run, if any.
    pub weights_over_time: Option<WeightSampling>,
}

/// Parameters of the config table `[record] weights`.
#[derive(Clone, Debug, Serialize)]
pub struct WeightRecord {
    /// Times of snapshots, ascending, each 0 … presim + T; one more follows at the end.
    pub at: Vec<Steps>,
    /// Number of targets: synapses onto the first `targets` excitatory neurons (at most N_E).
    pub targets: u32,
    /// Number of sources: synapses from the first `sources` excitatory neurons (at most N_E).
    pub sources: u32,
    /// True if SONATA's index of the edges onto each target is also written.
    pub target_to_source: bool,
}

/// Parameters of the config table `[record] weights_over_time`.
#[derive(Clone, Debug, Serialize)]
pub struct WeightSampling {
    /// Sampling interval, at least one step; samples at its multiples, from 0 on.
    pub every: Steps,
    /// Number of histogram bins, 1 … 10,000, of equal width from 0 on.
    pub bins: u32,
    /// Upper end of the last bin (pA), > 0.
    pub max: f64,
    /// Subsampling of the histograms: they count one in `one_in` synapses, 1 … N_E.
    pub one_in: u32,
    /// Number of synapses whose weights are written individually, at most 10,000 and N_E.
    pub trajectories: u32,
}
