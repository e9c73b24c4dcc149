//! Listeners: the other ranks that the neurons of the rehearsed rank project to.

use std::ops::Range;
use std::path::Path;

use crate::base::error::Result;
use crate::base::rng::{Purpose, stream, unit};
use crate::base::units::{Gid, Projection};
use crate::engine::spikes::request;
use crate::io::sonata::read;
use crate::model::network::Placement;
use crate::model::params::{Delays, Params};

/// Source of the target-table requests that the other ranks send to the rehearsed rank.
pub enum Listeners {
    /// Requests drawn from their distribution: a rank requests a neuron with the probability that
    /// at least one of its own neurons has drawn it as a source, independently of the other ranks.
    Drawn {
        place: Placement,
        seed: u64,
        chances: Chances,
    },
    /// Requests read from the edges file, as sorted unique pairs (gid, rank).
    Read {
        place: Placement,
        pairs: Vec<(u32, u32)>,
    },
}

impl Listeners {
    /// Creates the listeners to the neurons of rank `place.rank`. Also returns the delays of the
    /// network.
    ///
    /// # Errors
    /// Fails if the edges file cannot be read or is invalid.
    pub fn new(params: &Params, place: Placement) -> Result<(Self, Delays)> {
        match &params.network.edges {
            Some(path) => Self::read(params, place, path),
            None => {
                let drawn = Listeners::Drawn {
                    place,
                    seed: params.simulation.seed,
                    chances: Chances::new(params, &place),
                };
                Ok((drawn, params.synapse.delay))
            }
        }
    }

    fn read(params: &Params, place: Placement, path: &Path) -> Result<(Self, Delays)> {
        let mut delays = params.synapse.delay;
        let mut pairs = Vec::new();
        for projection in Projection::ALL {
            let [sources, targets] = place.populations(projection);
            let [n_source, n_target] = [sources.len(), targets.len()].map(|len| len as u32);
            let dt = params.simulation.dt;
            let edges = read::read_edges(path, projection, n_source, n_target, dt, |_| true)?;
            delays.set(projection, edges.delay);
            pairs.extend(edges.edges.iter().filter_map(|edge| {
                let source = Gid(sources.start + edge.source);
                let listener = place.rank_of(Gid(targets.start + edge.target));
                (place.rank_of(source) == place.rank).then_some((source.0, listener))
            }));
            pairs.sort_unstable();
            pairs.dedup();
        }
        Ok((Listeners::Read { place, pairs }, delays))
    }

    /// Returns whether the listeners are read from a file and therefore exact.
    pub fn are_exact(&self) -> bool {
        matches!(self, Listeners::Read { .. })
    }

    /// Returns one list of requests per rank about the neurons `about`, as in the set-up of the
    /// target table. The row numbers in the requests are 0, because the rehearsed rank does not
    /// depend on them.
    pub fn requests(&self, about: &Range<u32>) -> Vec<Vec<u64>> {
        match self {
            Listeners::Read { place, pairs } => {
                let mut lists = vec![Vec::new(); place.ranks as usize];
                let first = pairs.partition_point(|&(gid, _)| gid < about.start);
                for &(gid, rank) in pairs[first..]
                    .iter()
                    .take_while(|(gid, _)| *gid < about.end)
                {
                    lists[rank as usize].push(request(Gid(gid), 0));
                }
                lists
            }
            Listeners::Drawn {
                place,
                seed,
                chances,
            } => chances.draw(place, *seed, about),
        }
    }
}

/// Probabilities that a rank listens to a given neuron of E and of I.
pub struct Chances {
    /// Probabilities, indexed by the source population and by whether the rank has one more neuron
    /// of E, and of I, than the rank with the fewest.
    of: [[[f64; 2]; 2]; 2],
    /// Largest probability, by source population.
    most: [f64; 2],
    fewest: [u32; 2],
}

impl Chances {
    fn new(params: &Params, place: &Placement) -> Self {
        let network = &params.network;
        let fewest = [place.n_e / place.ranks, (place.n - place.n_e) / place.ranks];
        let chance = |pool: usize, neurons: [u32; 2]| {
            let (k, size) = [(network.K_E, network.N_E), (network.K_I, network.N_I)][pool];
            // Logarithm of the probability that none of the targets has drawn the neuron.
            let missed = |onto: usize| {
                let own = u32::from(!network.allow_autapses && onto == pool);
                let candidates = f64::from(size - own.min(size));
                if k == 0 || neurons[onto] == 0 {
                    return 0.0;
                }
                let k = f64::from(k);
                f64::from(neurons[onto])
                    * if network.allow_multapses {
                        k * libm::log1p(-1.0 / candidates)
                    } else {
                        libm::log1p(-k / candidates)
                    }
            };
            -libm::expm1(missed(0) + missed(1))
        };
        let of = [0, 1].map(|pool| {
            [0, 1].map(|e| [0, 1].map(|i| chance(pool, [fewest[0] + e, fewest[1] + i])))
        });
        let most = of.map(|pool| pool.into_iter().flatten().fold(0.0, f64::max));
        Chances { of, most, fewest }
    }

    fn of(&self, pool: usize, rank: u32, place: &Placement) -> f64 {
        let there = Placement {
            rank,
            threads: 1,
            ..*place
        };
        let e = there.count_below(0, place.n_e);
        let i = there.count_below(0, place.n) - e;
        self.of[pool][(e - self.fewest[0]) as usize][(i - self.fewest[1]) as usize]
    }

    fn draw(&self, place: &Placement, seed: u64, about: &Range<u32>) -> Vec<Vec<u64>> {
        let ranks = place.ranks;
        let mut lists = vec![Vec::new(); ranks as usize];
        let first = (place.rank + ranks - about.start % ranks) % ranks;
        for gid in about.clone().skip(first as usize).step_by(ranks as usize) {
            let mut rng = stream(seed, Purpose::Listeners, Gid(gid));
            let pool = usize::from(gid >= place.n_e);
            let most = self.most[pool];
            let mut rank = 0u64;
            loop {
                // Skip the ranks that do not listen at the largest probability …
                let skipped = libm::log(1.0 - unit(&mut rng)) / libm::log1p(-most);
                rank += skipped.min(f64::from(u32::MAX)) as u64;
                if rank >= u64::from(ranks) {
                    break;
                }
                // … then accept this rank with its own probability relative to the largest.
                let here = self.of(pool, rank as u32, place);
                if here >= most || unit(&mut rng) * most < here {
                    lists[rank as usize].push(request(Gid(gid), 0));
                }
                rank += 1;
            }
        }
        lists
    }
}
