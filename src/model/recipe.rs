//! Recipes: descriptions of a network that the engine queries.

use crate::base::error::{Error, Result};
use crate::base::rng::{Purpose, normal, stream, uniform};
use crate::base::units::{Gid, Steps};
use crate::comm::Comm;
use crate::model::network::{Placement, Pool, draw_sources};
use crate::model::params::{Delays, NeuronModel, Params, VInit};

/// Description of a network, queried piece by piece: each rank asks only for its own neurons.
///
/// An answer may depend only on the neurons queried, not on the split into ranks and threads nor on
/// the order of the queries.
pub trait Recipe: Sync {
    /// Returns the parameters: sizes of the populations, constants of the models, times and seed.
    fn params(&self) -> &Params;

    /// Returns the initial states of the neurons `gids`.
    ///
    /// # Errors
    /// Fails if the states cannot be read.
    fn initial(&self, gids: &[Gid]) -> Result<Initial>;

    /// Returns the external spikes of the neurons of `place`, or `None` if their input is Poisson.
    ///
    /// # Errors
    /// Fails if the spikes cannot be read.
    fn external_spikes(&self, _place: &Placement) -> Result<Option<ExternalSpikes>> {
        Ok(None)
    }

    /// Prepares the synapses onto the neurons of `place` for the calls of
    /// [`synapses`](Recipe::synapses) that follow. Returns the delays of all projections; the
    /// default returns those of the parameters.
    ///
    /// # Errors
    /// Fails if the synapses cannot be read.
    fn prepare(&mut self, _place: &Placement) -> Result<Delays> {
        Ok(self.params().synapse.delay)
    }

    /// Adds the synapses from `pool` onto `target` to `incoming`, which is empty. Repeated calls
    /// must list the same synapses. All threads call this function concurrently, twice for most
    /// neurons.
    fn synapses(&self, pool: Pool, target: Gid, incoming: &mut Incoming);

    /// Returns the approximate number of synapses per neuron from `pool`. It affects how rows are
    /// built, not what they hold.
    fn in_degree(&self, pool: Pool) -> u32;

    /// Returns the bytes held for [`synapses`](Recipe::synapses).
    fn held(&self) -> u64 {
        0
    }
}

/// Synapses from one pool onto one neuron.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Index of each synapse's source within the pool.
    pub sources: Vec<u32>,
    /// Weights of the synapses (pA), in the order of `sources`; empty if all synapses of the
    /// projection have the weight of the parameters.
    pub weights: Vec<f64>,
}

impl Incoming {
    pub(crate) fn clear(&mut self) {
        self.sources.clear();
        self.weights.clear();
    }
}

/// Initial states of neurons, one value per neuron.
#[derive(Clone, Debug, PartialEq)]
pub enum Initial {
    /// Membrane potentials (mV) of `iaf_psc_alpha`.
    Potentials(Vec<f64>),
    /// Rates (spikes/s) and phases (of a period) of `ignore_and_fire`.
    RatesAndPhases(Vec<f64>, Vec<f64>),
}

/// External spikes of the neurons of a rank.
#[derive(Clone, Debug, Default)]
pub struct ExternalSpikes {
    /// Stamps and gids of the spikes that arrive by the end of the run, ascending.
    pub(crate) spikes: Vec<(Steps, Gid)>,
    pub(crate) counts: GivenSpikes,
}

impl ExternalSpikes {
    /// Counts `spikes` and drops those that arrive after the end of the run of `params`, which
    /// would only take memory. `origin` names their source in messages.
    ///
    /// # Errors
    /// Fails if a neuron has more than 65,535 spikes in a step.
    pub fn new(origin: &str, spikes: Vec<(Steps, Gid)>, params: &Params) -> Result<Self> {
        let mut counts = GivenSpikes::default();
        let (delay, end) = (params.synapse.delay.x, params.simulation.end());
        let mut spikes = spikes;
        spikes.retain(|&(stamp, _)| counts.count(stamp, delay, end));
        spikes.sort_unstable();
        let most = usize::from(u16::MAX);
        let mut steps = spikes.chunk_by(|a, b| a == b);
        if let Some(crowd) = steps.find(|same| same.len() > most) {
            let (stamp, gid) = crowd[0];
            return Err(Error::input(format!(
                "{origin} holds {} spikes of node {} at {} ms: must be at most {most} per step",
                crowd.len(),
                gid.0,
                stamp.to_ms(params.simulation.dt).0
            )));
        }
        Ok(ExternalSpikes { spikes, counts })
    }
}

/// Counts of external spikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenSpikes {
    /// Number of all spikes.
    pub all: u64,
    /// Number of spikes with a stamp after the end of the run.
    pub outside: u64,
    /// Number of spikes that arrive after the end of the run, `outside` included.
    pub undelivered: u64,
    /// Latest stamp; 0 if there are no spikes.
    pub latest: Steps,
}

impl GivenSpikes {
    /// Counts a spike with this stamp in a run to `end`. Returns whether it arrives by then.
    fn count(&mut self, stamp: Steps, delay: Steps, end: Steps) -> bool {
        let arrives = stamp.0 <= end.0 - delay.0;
        self.all += 1;
        self.outside += u64::from(stamp > end);
        self.undelivered += u64::from(!arrives);
        self.latest = self.latest.max(stamp);
        arrives
    }

    /// Returns the counts of all ranks together; each rank counts the spikes of its own neurons.
    /// Collective.
    pub(crate) fn of_all_ranks(self, comm: &Comm) -> Self {
        GivenSpikes {
            all: comm.sum(self.all),
            outside: comm.sum(self.outside),
            undelivered: comm.sum(self.undelivered),
            latest: Steps(comm.max(self.latest.0 as u64) as i32),
        }
    }
}

/// Network of the model: drawn synapses and initial states, Poisson input.
#[derive(Clone, Debug)]
pub struct DrawnNetwork {
    pub(crate) params: Params,
}

impl DrawnNetwork {
    /// Creates the recipe of the network of `params`.
    ///
    /// # Errors
    /// Fails if `params` name a file, because a drawn network reads none.
    pub fn new(params: Params) -> Result<Self> {
        match params.files().first() {
            None => Ok(DrawnNetwork { params }),
            Some((key, path)) => Err(Error::input(format!(
                "{key} = {:?}: a drawn network reads no files",
                path.display().to_string()
            ))),
        }
    }
}

impl Recipe for DrawnNetwork {
    fn params(&self) -> &Params {
        &self.params
    }

    fn initial(&self, gids: &[Gid]) -> Result<Initial> {
        let neuron = &self.params.neuron;
        let seed = self.params.simulation.seed;
        let of_all = |draw: &dyn Fn(Gid) -> f64| gids.iter().copied().map(draw).collect();
        let uniform = |purpose, range| of_all(&|gid| uniform(seed, purpose, gid, range));
        let purpose = Purpose::InitialPotential;
        Ok(match (neuron.model, neuron.V_init) {
            (NeuronModel::IafPscAlpha, VInit::Uniform(low, high)) => {
                Initial::Potentials(uniform(purpose, [low, high]))
            }
            (NeuronModel::IafPscAlpha, VInit::Normal(mean, sd)) => {
                Initial::Potentials(of_all(&|gid| {
                    mean + sd * normal(&mut stream(seed, purpose, gid))
                }))
            }
            (NeuronModel::IgnoreAndFire, _) => Initial::RatesAndPhases(
                uniform(Purpose::Rate, neuron.rate),
                uniform(Purpose::Phase, neuron.phase),
            ),
        })
    }

    fn synapses(&self, pool: Pool, target: Gid, incoming: &mut Incoming) {
        let Params {
            network,
            simulation,
            ..
        } = &self.params;
        draw_sources(
            network,
            simulation.seed,
            pool,
            target,
            &mut incoming.sources,
        );
    }

    fn in_degree(&self, pool: Pool) -> u32 {
        match pool {
            Pool::E => self.params.network.K_E,
            Pool::I => self.params.network.K_I,
        }
    }
}
