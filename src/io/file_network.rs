//! Network read from SONATA files. Parts without a named file are drawn.

use std::path::Path;

use crate::base::error::{Error, Result};
use crate::base::memory::allocated_bytes;
use crate::base::sizes::product;
use crate::base::units::{Gid, Ms, Projection, Steps};
use crate::io::sonata::read::{self, Edge};
use crate::model::network::{Placement, Pool};
use crate::model::params::{
    Delays, MAX_PERIOD, NeuronModel, Params, SimulationParams, Stimulus, WeightPrecision,
};
use crate::model::recipe::{DrawnNetwork, ExternalSpikes, GivenSpikes, Incoming, Initial, Recipe};

/// Network whose synapses (`network.edges`), initial states (`neuron.initial`) and external spikes
/// (`stimulus.spikes`) are read from the files named in the parameters. Each of the three is drawn
/// if no file is named.
pub struct FileNetwork {
    drawn: DrawnNetwork,
    /// Synapses from E and from I onto neurons of this rank, sorted by target. Synapses onto the
    /// same target are in the order of the file.
    edges: Option<[Vec<Link>; 2]>,
    /// In-degrees from E and from I, averaged over the neurons of this rank and rounded down.
    in_degree: [u32; 2],
}

/// Synapse onto a neuron of this rank.
struct Link {
    target: Gid,
    /// Index of the source within its population.
    source: u32,
    /// Weight (pA).
    weight: f64,
}

impl FileNetwork {
    /// Returns the network of `params`. Reads no file.
    pub fn new(params: Params) -> Self {
        FileNetwork {
            drawn: DrawnNetwork { params },
            edges: None,
            in_degree: [0; 2],
        }
    }

    /// Returns the bytes that a rank holds for `edges` edges onto its neurons.
    pub fn bytes(edges: u64) -> u64 {
        product([size_of::<Link>() as u64, edges])
    }
}

impl Recipe for FileNetwork {
    fn params(&self) -> &Params {
        &self.drawn.params
    }

    fn initial(&self, gids: &[Gid]) -> Result<Initial> {
        let Params {
            neuron,
            network,
            simulation,
            ..
        } = self.params();
        let Some(path) = &neuron.initial else {
            return self.drawn.initial(gids);
        };
        Ok(match neuron.model {
            NeuronModel::IafPscAlpha => {
                let gids = gids.iter().copied();
                Initial::Potentials(read::read_initial(path, "V_m", network.N, gids)?)
            }
            NeuronModel::IgnoreAndFire => {
                let (rates, phases) =
                    read_rates(path, network.N, gids.iter().copied(), simulation.dt)?;
                Initial::RatesAndPhases(rates, phases)
            }
        })
    }

    fn external_spikes(&self, place: &Placement) -> Result<Option<ExternalSpikes>> {
        let params = self.params();
        let Stimulus::Spikes(path) = &params.stimulus else {
            return Ok(None);
        };
        let keep = |gid: Gid| place.rank_of(gid) == place.rank;
        let spikes = read::read_spikes(path, place.n, params.simulation.dt, keep)?;
        let origin = format!("{}: /spikes/X", path.display());
        ExternalSpikes::new(&origin, spikes, params).map(Some)
    }

    /// Reads the four projections and keeps the synapses onto neurons of `place`.
    fn prepare(&mut self, place: &Placement) -> Result<Delays> {
        let params = self.params();
        let mut delays = params.synapse.delay;
        let Some(path) = &params.network.edges else {
            return Ok(delays);
        };
        let mut edges = [Vec::new(), Vec::new()];
        for projection in Projection::ALL {
            let pool = match projection {
                Projection::EE | Projection::EI => 0,
                Projection::IE | Projection::II => 1,
            };
            let delay = read_links(params, place, path, projection, &mut edges[pool])?;
            delays.set(projection, delay);
        }
        let neurons = place.neurons().max(1) as usize;
        for (edges, in_degree) in edges.iter_mut().zip(&mut self.in_degree) {
            edges.shrink_to_fit();
            // The sort is stable: the synapses onto a neuron keep the order of the file.
            edges.sort_by_key(|link| link.target);
            *in_degree = (edges.len() / neurons) as u32;
        }
        self.edges = Some(edges);
        Ok(delays)
    }

    fn synapses(&self, pool: Pool, target: Gid, incoming: &mut Incoming) {
        let Some(edges) = &self.edges else {
            return self.drawn.synapses(pool, target, incoming);
        };
        let edges = &edges[pool as usize];
        let first = edges.partition_point(|link| link.target < target);
        let onto_it = edges[first..]
            .iter()
            .take_while(|link| link.target == target);
        for link in onto_it {
            incoming.sources.push(link.source);
            incoming.weights.push(link.weight);
        }
    }

    fn in_degree(&self, pool: Pool) -> u32 {
        match self.edges {
            Some(_) => self.in_degree[pool as usize],
            None => self.drawn.in_degree(pool),
        }
    }

    fn held(&self) -> u64 {
        let edges = self.edges.iter().flatten();
        edges.map(allocated_bytes).sum()
    }
}

/// Appends the edges of `projection` onto neurons of this rank to `links`. Returns their common
/// delay.
fn read_links(
    params: &Params,
    place: &Placement,
    path: &Path,
    projection: Projection,
    links: &mut Vec<Link>,
) -> Result<Option<Steps>> {
    let [sources, targets] = place.populations(projection);
    let [n_source, n_target] = [sources.len(), targets.len()].map(|len| len as u32);
    let keep = |target: u32| place.rank_of(Gid(targets.start + target)) == place.rank;
    let dt = params.simulation.dt;
    let read = read::read_edges(path, projection, n_source, n_target, dt, keep)?;
    links.reserve(read.edges.len());
    for edge in read.edges {
        check_precision(path, projection, &edge, params.stdp.weight_precision)?;
        links.push(Link {
            target: Gid(targets.start + edge.target),
            source: edge.source,
            weight: edge.weight,
        });
    }
    Ok(read.delay)
}

/// Fails if `edge` is plastic and `precision` cannot hold its weight.
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

/// Reads the rates (spikes/s) and phases (fractions of a period) of the neurons `gids`, out of `n`
/// neurons, from the file at `path`.
///
/// # Errors
/// Fails if the file cannot be read (see [`read::read_initial`]), a rate is below one spike per 2³⁰
/// steps or above one per step, or a phase is not > 0 and ≤ 1.
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

/// Fails if a rate or phase is out of range.
fn check_rates(
    path: &Path,
    gids: impl Iterator<Item = Gid>,
    rates: &[f64],
    phases: &[f64],
    dt: Ms,
) -> Result<()> {
    let path = path.display();
    let fastest = 1000.0 / dt.0;
    let slowest = fastest / f64::from(MAX_PERIOD);
    for ((gid, &rate), &phase) in gids.zip(rates).zip(phases) {
        let (name, value, must) = if !(slowest..=fastest).contains(&rate) {
            let must =
                format!("{slowest:e} … {fastest} (spikes/s: one in 2^30 steps … one per step)");
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

/// Returns a warning about the spikes of the file at `path` if some are later than the end of the
/// run, or if none arrives by then. Returns `None` otherwise, even if spikes are still in transit
/// at the end.
pub fn doubt(spikes: GivenSpikes, path: &Path, simulation: &SimulationParams) -> Option<String> {
    let dt = simulation.dt;
    let end = simulation.end().to_ms(dt).0;
    let GivenSpikes {
        all,
        outside,
        undelivered,
        latest,
    } = spikes;
    let or_later = match latest {
        Steps(i32::MAX) => " or later",
        _ => "",
    };
    let (path, latest) = (path.display(), latest.to_ms(dt).0);
    if outside > 0 {
        Some(format!(
            "{path}: /spikes/X: {outside} of {all} external spikes are later than the end of \
             the run at {end} ms (the last at {latest} ms{or_later}) and are not used: timestamps must \
             be in ms, and the run (presim + T) long enough for them"
        ))
    } else if all > 0 && undelivered == all {
        Some(format!(
            "{path}: /spikes/X: none of {all} external spikes arrives by the end of the run at \
             {end} ms: it must be longer by the delay X_to_all at least"
        ))
    } else {
        None
    }
}
