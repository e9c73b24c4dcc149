//! Construction of a network, in NEST's phases create, connect and communicate_prepare.

use std::sync::Arc;
use std::time::Instant;

use crate::base::allocator::working_on;
use crate::base::error::{Error, Result};
use crate::base::memory::Structure;
use crate::base::pages;
use crate::base::units::{Gid, Grid, Projection, Steps};
use crate::comm::Comm;
use crate::comm::signals;
use crate::engine::delivery::Synapses;
use crate::engine::delivery::events::{EventBuffer, Sorter};
use crate::engine::spikes::{Exchange, Inbox, RowShares, TargetTable};
use crate::engine::team::Team;
use crate::engine::vp::VirtualProcess;
use crate::model::buffers::{RingBuffer, SpikeHistory};
use crate::model::network::{Placement, Pool};
use crate::model::neuron::{self, IafPscAlpha, IgnoreAndFire, Neurons, Tics};
use crate::model::params::{Delays, NeuronModel, Params, Stimulus, WeightPrecision};
use crate::model::recipe::{ExternalSpikes, GivenSpikes, Initial, Recipe};
use crate::model::stimulus::Input;
use crate::model::synapse::{
    Built, Holder, Law, Listed, Owners, PlasticProjection, PlasticWeights, RowBuilder, Sources,
    StaticProjection, StaticWeights,
};

use super::{Clock, Construction, Recorded, SAMPLE_CPU_EVERY, Simulation};

impl Simulation {
    /// Builds this rank's part of the network of `recipe`. Collective.
    ///
    /// # Errors
    /// Fails, on all ranks, if `recipe` fails, τ₋ is too short for the plastic delay, a limit of a
    /// rank is exceeded, the system refuses threads, or a signal arrives.
    pub fn build(comm: Comm, mut recipe: impl Recipe) -> Result<Self> {
        let params = recipe.params().clone();
        let place = Placement::new(&params, comm.size(), comm.rank());
        let team = comm.agree(Team::new(params.simulation.threads, place.rank))?;
        // Initial states and external spikes come first: reading them is faster than building
        // synapses, so faults in them are found early.
        let begun = Instant::now();
        working_on(Structure::ExternalInput.name());
        let (nodes, given) = comm.agree(Nodes::of(&recipe, &place))?;
        let given = given.map(|given| given.of_all_ranks(&comm));
        let read = begun.elapsed().as_secs_f64();
        end_if_asked(&comm)?;

        let begun = Instant::now();
        let (delays, wired) = comm.agree(connect(&mut recipe, &place, &team))?;
        drop(recipe);
        let connect = begun.elapsed().as_secs_f64();
        end_if_asked(&comm)?;
        check_delay(&params, delays)?;

        let begun = Instant::now();
        let inhibitory = |source| Gid(params.network.N_E + source);
        working_on(Structure::TargetTable.name());
        let e = wired.sources.iter().flat_map(|of| of.excitatory().iter());
        let i = wired.sources.iter().flat_map(|of| of.inhibitory().iter());
        let gids = e.map(Gid).chain(i.map(inhibitory));
        let rows = wired.sources.iter().map(Sources::len).sum();
        let tables = TargetTable::set_up(&comm, &place, rows, gids)?;
        working_on(Structure::Exchange.name());
        let min_delay = delays.min();
        let exchange = Exchange::new(&comm, rows, min_delay.0 as u32);
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
        let context = Context {
            params: &params,
            place: &place,
            delays,
            law: &law,
            clock,
        };
        let parts = wired.projections.into_iter().zip(tables).zip(nodes);
        // Each thread allocates its own data, which keeps the memory local to the thread.
        let parts = team.map_items(parts.collect(), |thread, ((projections, table), node)| {
            let owners = match wired.holder {
                Holder::OfTarget => Owners::one(thread as u32),
                Holder::OfSource => Owners::all(place.threads),
            };
            let synapses = context.synapses(owners, projections);
            let vp = context.virtual_process(thread as u32, table, node);
            (vp, synapses)
        });
        let (vps, synapses): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let threads = vps.len();
        let inboxes = wired.sources.len();
        // Number of threads that pass data to each other in every interval.
        let sharing = match wired.holder {
            Holder::OfTarget => 0,
            Holder::OfSource => threads,
        };
        let create = read + begun.elapsed().as_secs_f64();
        end_if_asked(&comm)?;
        working_on("");
        Ok(Simulation {
            comm,
            place,
            team,
            vps: vps.into_iter().collect(),
            synapses: synapses.into_iter().collect(),
            shares: RowShares::of(wired.sources.iter()),
            entries: (0..threads).map(|_| vec![Vec::new(); inboxes]).collect(),
            events: (0..sharing).map(|_| EventBuffer::new(threads)).collect(),
            sorters: (0..sharing).map(|_| Sorter::default()).collect(),
            addressed: (0..sharing).map(|_| vec![Vec::new(); threads]).collect(),
            recorded: (0..threads).map(|_| Recorded::default()).collect(),
            inboxes: wired.sources.into_iter().map(Inbox::new).collect(),
            exchange,
            arrived: Steps(0),
            law,
            clock,
            delays,
            drafts: wired.drafted,
            given,
            spikes: Vec::new(),
            sample_cpu_every: SAMPLE_CPU_EVERY,
            construction: Construction {
                create,
                connect,
                communicate_prepare: prepare,
            },
            params,
        })
    }
}

/// Fails if any rank has received a signal to end the run. Collective.
fn end_if_asked(comm: &Comm) -> Result<()> {
    let when = || "while the network was built, before anything was written".to_owned();
    signals::end_if_asked(comm, when)
}

/// Rows of each thread.
struct Wired {
    holder: Holder,
    /// Sources of the rows: those of all threads, or of each.
    sources: Vec<Sources>,
    projections: Vec<Projections>,
    /// Bytes of the temporary structures from which the rows are built.
    drafted: u64,
}

struct Projections {
    ee: Built,
    ei: Built,
    ie: Built,
    ii: Built,
}

/// Builds the rows from the synapses of the recipe. Returns the delays and the rows.
fn connect(recipe: &mut dyn Recipe, place: &Placement, team: &Team) -> Result<(Delays, Wired)> {
    working_on(Structure::Construction.name());
    let delays = recipe.prepare(place)?;
    let recipe = &*recipe;
    let holder = Holder::of(place, recipe.in_degree(Pool::E).into())?;
    let wired = match holder {
        Holder::OfTarget => connect_by_target(recipe, place, team)?,
        Holder::OfSource => connect_by_source(recipe, place, team)?,
    };
    Ok((delays, wired))
}

/// Builds the rows so that each thread holds the synapses onto its neurons.
fn connect_by_target(recipe: &dyn Recipe, place: &Placement, team: &Team) -> Result<Wired> {
    let builders = team.map(|thread| {
        [Pool::E, Pool::I].map(|pool| RowBuilder::new(recipe, pool, place, thread as u32))
    });
    let drafted = recipe.held() + builders.iter().map(RowBuilder::drafted).sum::<u64>();
    working_on(Structure::Sources.name());
    let rows_of = |pool: usize| union(builders.iter().map(|builder| builder[pool].sources()));
    let (excitatory, inhibitory) = (rows_of(0), rows_of(1));
    let projections = team.map_items(builders, |_, [from_e, from_i]| -> Result<Projections> {
        working_on(Structure::PlasticSynapses.name());
        let [ee, ei] = from_e.build(&excitatory)?;
        working_on(Structure::StaticSynapses.name());
        let [ie, ii] = from_i.build(&inhibitory)?;
        Ok(Projections { ee, ei, ie, ii })
    });
    Ok(Wired {
        holder: Holder::OfTarget,
        projections: projections.into_iter().collect::<Result<_>>()?,
        sources: vec![Sources::new(excitatory, inhibitory)],
        drafted,
    })
}

/// Builds the rows so that each thread holds the synapses of a share of the sources.
fn connect_by_source(recipe: &dyn Recipe, place: &Placement, team: &Team) -> Result<Wired> {
    let mut drafted = 0;
    // One pool after the other, which halves the lists.
    let mut build = |pool, structure: Structure| -> Result<Vec<_>> {
        working_on(Structure::Construction.name());
        let lists = team.map(|thread| Listed::new(recipe, pool, place, thread as u32));
        drafted = lists.iter().map(Listed::held).sum::<u64>().max(drafted);
        working_on(structure.name());
        let built = team.map(|thread| -> Result<_> {
            let builder = RowBuilder::of_share(&lists, thread);
            let sources = builder.sources();
            Ok((builder.build(&sources)?, sources))
        });
        built.into_iter().collect()
    };
    let from_e = build(Pool::E, Structure::PlasticSynapses)?;
    let from_i = build(Pool::I, Structure::StaticSynapses)?;
    working_on(Structure::Sources.name());
    let built = from_e.into_iter().zip(from_i).collect();
    let wired = team.map_items(built, |_, (from_e, from_i)| {
        let (([ee, ei], excitatory), ([ie, ii], inhibitory)) = (from_e, from_i);
        (
            Sources::new(excitatory, inhibitory),
            Projections { ee, ei, ie, ii },
        )
    });
    let (sources, projections) = wired.into_iter().unzip();
    Ok(Wired {
        holder: Holder::OfSource,
        sources,
        projections,
        drafted: recipe.held() + drafted,
    })
}

/// Returns the union of `lists`, ascending and without duplicates.
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

/// Fails if τ₋ is too short for the delay of the plastic synapses, which may come from a file.
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

/// Initial state of one thread's neurons, and their external spikes if the recipe gives them.
struct Nodes {
    initial: Initial,
    spikes: Option<Vec<(Steps, u32)>>,
}

impl Nodes {
    /// Returns the initial states and external spikes of each thread of this rank, and the counts
    /// of the external spikes.
    ///
    /// # Errors
    /// Fails if `recipe` fails or gives states of another model or number of neurons.
    fn of(recipe: &dyn Recipe, place: &Placement) -> Result<(Vec<Nodes>, Option<GivenSpikes>)> {
        let given = recipe.external_spikes(place)?;
        let counts = given.as_ref().map(|given| given.counts);
        let mut spikes = given.map(|given| by_thread(given, place));
        let nodes = (0..place.threads).map(|thread| {
            let gids: Vec<Gid> = place.gids(thread).collect();
            let initial = recipe.initial(&gids)?;
            check_initial(&initial, recipe.params().neuron.model, gids.len())?;
            let of_thread = |spikes: &mut Vec<_>| std::mem::take(&mut spikes[thread as usize]);
            Ok(Nodes {
                initial,
                spikes: spikes.as_mut().map(of_thread),
            })
        });
        Ok((nodes.collect::<Result<_>>()?, counts))
    }
}

/// Returns the (stamp, lid) pairs of the external spikes of each thread, in the order of `given`.
fn by_thread(given: ExternalSpikes, place: &Placement) -> Vec<Vec<(Steps, u32)>> {
    let mut spikes = vec![Vec::new(); place.threads as usize];
    for (stamp, gid) in given.spikes {
        spikes[place.thread_of(gid) as usize].push((stamp, place.lid_of(gid).0));
    }
    spikes
}

/// Fails unless `initial` holds one state of `model` for each of `neurons` neurons.
fn check_initial(initial: &Initial, model: NeuronModel, neurons: usize) -> Result<()> {
    let (of, lengths) = match initial {
        Initial::Potentials(potentials) => (NeuronModel::IafPscAlpha, [potentials.len(); 2]),
        Initial::RatesAndPhases(rates, phases) => {
            (NeuronModel::IgnoreAndFire, [rates.len(), phases.len()])
        }
    };
    if of == model && lengths == [neurons; 2] {
        return Ok(());
    }
    Err(Error::run(format!(
        "the recipe gives {} and {} initial values of {} for {neurons} neurons of {}",
        lengths[0],
        lengths[1],
        of.name(),
        model.name()
    )))
}

struct Context<'a> {
    params: &'a Params,
    place: &'a Placement,
    delays: Delays,
    law: &'a Arc<Law>,
    clock: Clock,
}

impl Context<'_> {
    fn synapses(&self, owners: Owners, projections: Projections) -> Synapses {
        let (params, delays) = (self.params, self.delays);
        let Projections { ee, ei, ie, ii } = projections;
        let precision = params.stdp.weight_precision;
        let (i_e, i_i) = (params.synapse.I_E, params.synapse.I_I);
        Synapses {
            owners,
            ee: plastic(ee, delays.plastic(), i_e, precision),
            ei: fixed(ei, delays.of(Projection::EI), i_e),
            ie: fixed(ie, delays.of(Projection::IE), i_i),
            ii: fixed(ii, delays.of(Projection::II), i_i),
            law: Arc::clone(self.law),
            events: 0,
        }
    }

    fn virtual_process(&self, thread: u32, table: TargetTable, node: Nodes) -> VirtualProcess {
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
        let input = match (node.spikes, &params.stimulus) {
            (None, Stimulus::Poisson { mean_per_step, .. }) => {
                Input::poisson(*mean_per_step, delays.x, params.simulation.seed, gids)
            }
            (spikes, _) => Input::given(spikes.unwrap_or_default(), delays.x, gids.len()),
        };
        working_on(Structure::SpikeHistory.name());
        VirtualProcess {
            excitatory,
            neurons,
            input,
            weight_x: params.synapse.I_X,
            ring,
            history: SpikeHistory::new(excitatory, dt, params.stdp.tau_minus, self.clock.end),
            table,
            emissions: Vec::new(),
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
        (WeightPrecision::F64, None) => PlasticWeights::F64(pages::filled(weight, rows.len())),
        (WeightPrecision::F64, Some(weights)) => PlasticWeights::F64(weights),
        (WeightPrecision::F32, None) => {
            PlasticWeights::F32(pages::filled(weight as f32, rows.len()))
        }
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
