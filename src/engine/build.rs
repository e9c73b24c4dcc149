//! From parameters to a network that is ready to run: create, connect, communicate_prepare.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::allocator::working_on;
use crate::buffers::{RingBuffer, SpikeHistory};
use crate::comm::Comm;
use crate::error::{Error, Result};
use crate::memory::Structure;
use crate::network::{Draw, Placement, Pool};
use crate::neuron::{self, IafPscAlpha, IgnoreAndFire, Neurons, Tics};
use crate::params::{Delays, NeuronModel, Params, Stimulus, VInit, WeightPrecision};
use crate::rng::{Purpose, normal, stream, uniform};
use crate::signals;
use crate::sonata::read::{self, Edge};
use crate::spikes::{Exchange, TargetTable};
use crate::stimulus::Input;
use crate::synapse::{
    Built, Draft, Law, Link, PlasticProjection, PlasticWeights, Sources, StaticProjection,
    StaticWeights,
};
use crate::units::{Gid, Grid, Lid, Ms, Projection, Steps};
use crate::vp::VirtualProcess;

use super::team::Team;
use super::{Clock, Construction, GivenSpikes, Simulation};

impl Simulation {
    /// Builds the part of the network that this rank holds. Collective.
    ///
    /// Errors: files of the input at fault, limits of a rank exceeded, threads refused; the
    /// same on all ranks.
    pub fn build(comm: Comm, params: Params) -> Result<Self> {
        let place = Placement {
            n: params.network.N,
            n_e: params.network.N_E,
            ranks: comm.size() as u32,
            threads: params.simulation.threads as u32,
            rank: comm.rank() as u32,
        };
        let team = comm.agree(Team::new(params.simulation.threads, place.rank))?;
        // First, because what is wrong with these files is found sooner than the synapses.
        let begun = Instant::now();
        working_on(Structure::ExternalInput.name());
        let (nodes, given) = comm.agree(Nodes::read(&params, &place))?;
        let given = given.map(|given| given.of_all_ranks(&comm));
        let read = begun.elapsed().as_secs_f64();
        end_if_asked(&comm)?;

        let begun = Instant::now();
        let (delays, wired) = comm.agree(connect(&params, &place, &team))?;
        let connect = begun.elapsed().as_secs_f64();
        end_if_asked(&comm)?;
        check_delay(&params, delays)?;

        let begun = Instant::now();
        let inhibitory = |source| Gid(params.network.N_E + source);
        working_on(Structure::TargetTable.name());
        let (e, i) = (wired.sources.excitatory(), wired.sources.inhibitory());
        let tables = TargetTable::set_up(
            &comm,
            &place,
            e.iter().map(Gid).chain(i.iter().map(inhibitory)),
        )?;
        working_on(Structure::Exchange.name());
        let min_delay = delays.min();
        let exchange = Exchange::new(&comm, wired.sources.len(), min_delay.0 as u32);
        let prepare = begun.elapsed().as_secs_f64();

        working_on(Structure::Neurons.name());
        let begun = Instant::now();
        let clock = Clock {
            now: Steps(0),
            min_delay,
            end: params.simulation.end(),
            grid: Grid::new(params.simulation.dt),
        };
        let law = Arc::new(Law::new(&params.stdp, params.simulation.dt, clock.end));
        let parts = wired.projections.into_iter().zip(tables).zip(nodes);
        // Each thread makes what it will use: the memory then lies near it.
        let vps = team.map_items(parts.collect(), |thread, ((projections, table), node)| {
            let context = Context {
                params: &params,
                place: &place,
                delays,
                law: &law,
                clock,
            };
            context.virtual_process(thread as u32, projections, table, node)
        });
        let create = read + begun.elapsed().as_secs_f64();
        end_if_asked(&comm)?;
        working_on("");
        Ok(Simulation {
            comm,
            place,
            team,
            vps: vps.into_iter().collect(),
            sources: wired.sources,
            exchange,
            law,
            clock,
            delays,
            drafts: wired.drafted,
            given,
            entries: Vec::new(),
            arrivals: Vec::new(),
            construction: Construction {
                create,
                connect,
                communicate_prepare: prepare,
            },
            params,
        })
    }
}

/// Fails where a signal has asked some rank to end. Collective.
fn end_if_asked(comm: &Comm) -> Result<()> {
    let when = || "while the network was built, before anything was written".to_owned();
    signals::end_if_asked(comm, when)
}

/// The rows of this rank, thread by thread.
struct Wired {
    sources: Sources,
    projections: Vec<Projections>,
    /// Bytes that the drafts of the rows took.
    drafted: u64,
}

struct Projections {
    ee: Built,
    ei: Built,
    ie: Built,
    ii: Built,
}

/// Draws or reads the connections and builds the rows.
fn connect(params: &Params, place: &Placement, team: &Team) -> Result<(Delays, Wired)> {
    working_on(Structure::Construction.name());
    let seed = params.simulation.seed;
    let (delays, drafts) = match &params.network.edges {
        None => {
            let drafts = team.map(|thread| {
                let mut draw = Draw::new(&params.network, seed);
                [Pool::E, Pool::I].map(|pool| Draft::drawn(&mut draw, pool, place, thread as u32))
            });
            (params.synapse.delay, drafts)
        }
        Some(path) => read_edges(params, place, path)?,
    };
    let drafted = drafts.iter().flatten().map(Draft::held).sum();
    working_on(Structure::Sources.name());
    let rows_of = |pool: usize| union(drafts.iter().map(|draft| draft[pool].sources()));
    let (excitatory, inhibitory) = (rows_of(0), rows_of(1));
    let projections = team.map_items(drafts, |thread, [from_e, from_i]| -> Result<Projections> {
        let mut draw = Draw::new(&params.network, seed);
        let thread = thread as u32;
        working_on(Structure::PlasticSynapses.name());
        let [ee, ei] = from_e.build(&mut draw, place, thread, &excitatory)?;
        working_on(Structure::StaticSynapses.name());
        let [ie, ii] = from_i.build(&mut draw, place, thread, &inhibitory)?;
        Ok(Projections { ee, ei, ie, ii })
    });
    let projections = projections.into_iter().collect::<Result<_>>()?;
    Ok((
        delays,
        Wired {
            sources: Sources::new(excitatory, inhibitory),
            projections,
            drafted,
        },
    ))
}

/// All that occur in any of the ascending lists, ascending, each once.
fn union(lists: impl Iterator<Item = Vec<u32>>) -> Vec<u32> {
    lists
        .reduce(|mut all, list| {
            all.extend(list);
            all.sort_unstable();
            all.dedup();
            all
        })
        .unwrap_or_default()
}

/// Reads the four projections from SONATA edges, keeping those onto neurons of this rank.
fn read_edges(
    params: &Params,
    place: &Placement,
    path: &Path,
) -> Result<(Delays, Vec<[Draft; 2]>)> {
    let network = &params.network;
    let mut delays = params.synapse.delay;
    let mut links = |projection: Projection| -> Result<Vec<Vec<Link>>> {
        let n_source = match projection {
            Projection::EE | Projection::EI => network.N_E,
            Projection::IE | Projection::II => network.N_I,
        };
        let onto_e = matches!(projection, Projection::EE | Projection::IE);
        let (n_target, first) = if onto_e {
            (network.N_E, 0)
        } else {
            (network.N_I, network.N_E)
        };
        let gid = |target: u32| Gid(first + target);
        let keep = |target: u32| place.rank_of(gid(target)) == place.rank;
        let read = read::read_edges(
            path,
            projection,
            n_source,
            n_target,
            params.simulation.dt,
            keep,
        )?;
        delays.set(projection, read.delay);
        let mut links = vec![Vec::new(); place.threads as usize];
        for edge in read.edges {
            check_precision(path, projection, &edge, params.stdp.weight_precision)?;
            let gid = gid(edge.target);
            let thread = place.thread_of(gid);
            let before = if onto_e {
                0
            } else {
                place.count_below(thread, place.n_e)
            };
            let target = place.lid_of(gid).0 - before;
            links[thread as usize].push(Link {
                source: edge.source,
                target,
                weight: edge.weight,
            });
        }
        Ok(links)
    };
    let (ee, ei) = (links(Projection::EE)?, links(Projection::EI)?);
    let (ie, ii) = (links(Projection::IE)?, links(Projection::II)?);
    let drafts = ee.into_iter().zip(ei).zip(ie).zip(ii).zip(0..);
    let drafts = drafts.map(|((((ee, ei), ie), ii), thread)| {
        let from_e = Draft::listed(Pool::E, place, thread, [ee, ei]);
        let from_i = Draft::listed(Pool::I, place, thread, [ie, ii]);
        [from_e, from_i]
    });
    Ok((delays, drafts.collect()))
}

/// Refuses a delay of the plastic synapses, which a file may bring, that is too long for τ₋.
fn check_delay(params: &Params, delays: Delays) -> Result<()> {
    let delay = delays.ee.map(|delay| delay.to_ms(params.simulation.dt));
    match delay.and_then(|delay| params.stdp.too_short(delay)) {
        None => Ok(()),
        Some(what) => Err(Error::input(format!(
            "[stdp] tau_minus = {:?}: {what}",
            params.stdp.tau_minus
        ))),
    }
}

/// Refuses a plastic weight that the precision asked for cannot hold.
fn check_precision(
    path: &Path,
    projection: Projection,
    edge: &Edge,
    precision: WeightPrecision,
) -> Result<()> {
    let Edge {
        source,
        target,
        weight,
    } = edge;
    if projection != Projection::EE || precision.holds(*weight) {
        return Ok(());
    }
    Err(Error::input(format!(
        "{}: /edges/{}/0/syn_weight of the synapse {source} -> {target} = {weight:e}: must be {} \
         (pA) for stdp.weight_precision = \"f32\"",
        path.display(),
        projection.name(),
        WeightPrecision::F32_RANGE
    )))
}

/// What the neurons of one thread start from, and their external spikes where they are given.
struct Nodes {
    initial: Initial,
    spikes: Option<Vec<(Steps, u32)>>,
}

enum Initial {
    Potentials(Vec<f64>),
    RatesAndPhases(Vec<f64>, Vec<f64>),
}

impl Nodes {
    /// For every thread of this rank, drawn or read; counts the spikes that were read.
    fn read(params: &Params, place: &Placement) -> Result<(Vec<Nodes>, Option<GivenSpikes>)> {
        let (mut spikes, given) = match &params.stimulus {
            Stimulus::Poisson { .. } => (vec![None; place.threads as usize], None),
            Stimulus::Spikes(path) => {
                let (spikes, given) = read_spikes(params, place, path)?;
                (spikes.into_iter().map(Some).collect(), Some(given))
            }
        };
        let nodes: Result<Vec<Nodes>> = (0..place.threads)
            .map(|thread| {
                let initial = Initial::of(params, place, thread)?;
                Ok(Nodes {
                    initial,
                    spikes: spikes[thread as usize].take(),
                })
            })
            .collect();
        Ok((nodes?, given))
    }
}

/// Stamps and lids of the external spikes of each thread.
type ByThread = Vec<Vec<(Steps, u32)>>;

/// Reads those of this rank. What would arrive after the end costs memory and nothing else: it
/// is counted and left out.
fn read_spikes(params: &Params, place: &Placement, path: &Path) -> Result<(ByThread, GivenSpikes)> {
    let keep = |gid: Gid| place.rank_of(gid) == place.rank;
    let mut spikes = vec![Vec::new(); place.threads as usize];
    let end = params.simulation.end();
    let mut given = GivenSpikes::default();
    for (stamp, gid) in read::read_spikes(path, place.n, params.simulation.dt, keep)? {
        if given.count(stamp, params.synapse.delay.x, end) {
            spikes[place.thread_of(gid) as usize].push((stamp, place.lid_of(gid).0));
        }
    }
    for (spikes, thread) in spikes.iter_mut().zip(0..) {
        spikes.sort_unstable();
        let most = usize::from(u16::MAX);
        if let Some(crowd) = spikes
            .chunk_by(|a, b| a == b)
            .find(|same| same.len() > most)
        {
            let (stamp, lid) = crowd[0];
            return Err(Error::input(format!(
                "{}: /spikes/X holds {} spikes of node {} at {} ms: must be at most {most} a step",
                path.display(),
                crowd.len(),
                place.gid(thread, Lid(lid)).0,
                stamp.to_ms(params.simulation.dt).0
            )));
        }
    }
    Ok((spikes, given))
}

impl Initial {
    fn of(params: &Params, place: &Placement, thread: u32) -> Result<Self> {
        let neuron = &params.neuron;
        let seed = params.simulation.seed;
        let read = |path, name| read::read_initial(path, name, place.n, place.gids(thread));
        let uniform = |purpose, range| -> Vec<f64> {
            let draw = |gid| uniform(seed, purpose, gid, range);
            place.gids(thread).map(draw).collect()
        };
        Ok(match (neuron.model, &neuron.initial) {
            (NeuronModel::IafPscAlpha, Some(path)) => Initial::Potentials(read(path, "V_m")?),
            (NeuronModel::IafPscAlpha, None) => Initial::Potentials(match neuron.V_init {
                VInit::Uniform(low, high) => uniform(Purpose::InitialPotential, [low, high]),
                VInit::Normal(mean, sd) => {
                    let purpose = Purpose::InitialPotential;
                    let draw = |gid| mean + sd * normal(&mut stream(seed, purpose, gid));
                    place.gids(thread).map(draw).collect()
                }
            }),
            (NeuronModel::IgnoreAndFire, Some(path)) => {
                let dt = params.simulation.dt;
                let (rates, phases) = read_rates(path, place.n, place.gids(thread), dt)?;
                Initial::RatesAndPhases(rates, phases)
            }
            (NeuronModel::IgnoreAndFire, None) => Initial::RatesAndPhases(
                uniform(Purpose::Rate, neuron.rate),
                uniform(Purpose::Phase, neuron.phase),
            ),
        })
    }
}

/// Rates (spikes/s) and phases of the neurons `gids` of `n`, from the file at `path`.
///
/// Errors: as of every file; rates and phases that the config could not ask for either.
pub fn read_rates(
    path: &Path,
    n: u32,
    gids: impl Iterator<Item = Gid> + Clone,
    dt: Ms,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let rates = read::read_initial(path, "rate", n, gids.clone())?;
    let phases = read::read_initial(path, "phase", n, gids.clone())?;
    check_rates(path, gids, &rates, &phases, dt)?;
    Ok((rates, phases))
}

/// The longest period of `ignore_and_fire` (steps).
const MOST_PERIOD: f64 = (1u32 << 30) as f64;

/// Refuses rates and phases that the config could not ask for either.
fn check_rates(
    path: &Path,
    gids: impl Iterator<Item = Gid>,
    rates: &[f64],
    phases: &[f64],
    dt: Ms,
) -> Result<()> {
    let path = path.display();
    let fastest = 1000.0 / dt.0;
    let slowest = fastest / MOST_PERIOD;
    for ((gid, &rate), &phase) in gids.zip(rates).zip(phases) {
        let (name, value, must) = if !(slowest..=fastest).contains(&rate) {
            let must =
                format!("{slowest:e} … {fastest} (spikes/s: one in 2^30 steps … one a step)");
            ("rate", rate, must)
        } else if !(phase > 0.0 && phase <= 1.0) {
            ("phase", phase, "> 0 and ≤ 1 (of a period)".to_owned())
        } else {
            continue;
        };
        return Err(Error::input(format!(
            "{path}: /initial/{name}[{}] = {value}: must be {must}",
            gid.0
        )));
    }
    Ok(())
}

struct Context<'a> {
    params: &'a Params,
    place: &'a Placement,
    delays: Delays,
    law: &'a Arc<Law>,
    clock: Clock,
}

impl Context<'_> {
    fn virtual_process(
        &self,
        thread: u32,
        projections: Projections,
        table: TargetTable,
        node: Nodes,
    ) -> VirtualProcess {
        let (params, delays) = (self.params, self.delays);
        let dt = params.simulation.dt;
        let gids: Vec<Gid> = self.place.gids(thread).collect();
        let excitatory = self.place.count_below(thread, self.place.n_e) as usize;
        let slots = delays.max().0 as usize;
        let channels = neuron::channels(&params.neuron);
        working_on(Structure::RingBuffers.name());
        let ring = RingBuffer::new(gids.len(), channels, slots);
        let neurons = match node.initial {
            Initial::Potentials(potentials) => {
                if channels == 1 {
                    Neurons::IafPscAlpha(IafPscAlpha::new(&params.neuron, dt, &potentials))
                } else {
                    let neurons = IafPscAlpha::new(&params.neuron, dt, &potentials);
                    Neurons::IafPscAlphaTwoCurrents(neurons)
                }
            }
            Initial::RatesAndPhases(rates, phases) => {
                let tics = Tics::of(&params.simulation);
                Neurons::IgnoreAndFire(IgnoreAndFire::new(tics, &rates, &phases))
            }
        };
        working_on(Structure::ExternalInput.name());
        let input = match (&params.stimulus, node.spikes) {
            (Stimulus::Poisson { mean_per_step, .. }, _) => {
                Input::poisson(*mean_per_step, delays.x, params.simulation.seed, gids)
            }
            (Stimulus::Spikes(_), spikes) => {
                Input::given(spikes.unwrap_or_default(), delays.x, gids.len())
            }
        };
        let (i_e, i_i) = (params.synapse.I_E, params.synapse.I_I);
        working_on(Structure::SpikeHistory.name());
        VirtualProcess {
            excitatory,
            neurons,
            input,
            weight_x: params.synapse.I_X,
            ring,
            history: SpikeHistory::new(excitatory, dt, params.stdp.tau_minus, self.clock.end),
            ee: plastic(
                projections.ee,
                delays.plastic(),
                i_e,
                params.stdp.weight_precision,
            ),
            ei: fixed(projections.ei, delays.of(Projection::EI), i_e),
            ie: fixed(projections.ie, delays.of(Projection::IE), i_i),
            ii: fixed(projections.ii, delays.of(Projection::II), i_i),
            law: Arc::clone(self.law),
            table,
            emissions: Vec::new(),
            events: 0,
            laps: Default::default(),
        }
    }
}

fn plastic(
    (rows, weights): Built,
    delay: Steps,
    weight: f64,
    precision: WeightPrecision,
) -> PlasticProjection {
    let weights = match (precision, weights) {
        (WeightPrecision::F64, None) => PlasticWeights::F64(vec![weight; rows.len()]),
        (WeightPrecision::F64, Some(weights)) => PlasticWeights::F64(weights),
        (WeightPrecision::F32, None) => PlasticWeights::F32(vec![weight as f32; rows.len()]),
        (WeightPrecision::F32, Some(weights)) => {
            PlasticWeights::F32(weights.into_iter().map(|w| w as f32).collect())
        }
    };
    PlasticProjection {
        delay,
        rows,
        weights,
    }
}

fn fixed((rows, weights): Built, delay: Steps, weight: f64) -> StaticProjection {
    let weights = weights.map_or(StaticWeights::Same(weight), StaticWeights::Each);
    StaticProjection {
        delay,
        rows,
        weights,
    }
}
