//! Populations, placement of neurons and drawing of connections: pure functions of parameters and
//! seed.

use std::collections::HashSet;
use std::ops::Range;

use rand::Rng;

use crate::base::rng::{Purpose, below, stream};
use crate::base::units::{Gid, Lid, Projection};
use crate::model::params::{NetworkParams, Params};

/// Round-robin placement of N neurons on R ranks of T threads, as seen by one rank.
///
/// Virtual process vp = gid mod (R·T); rank = vp mod R; thread = vp div R; lid = gid div (R·T).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Number of neurons, N.
    pub n: u32,
    /// Number of excitatory neurons, N_E; their gids come first.
    pub n_e: u32,
    /// Number of ranks, R.
    pub ranks: u32,
    /// Threads per rank, T.
    pub threads: u32,
    /// Index of this rank.
    pub rank: u32,
}

impl Placement {
    /// Returns the placement on rank `rank` of `ranks`, with the sizes and threads of `params`.
    pub fn new(params: &Params, ranks: usize, rank: usize) -> Self {
        Placement {
            n: params.network.N,
            n_e: params.network.N_E,
            ranks: ranks as u32,
            threads: params.simulation.threads as u32,
            rank: rank as u32,
        }
    }

    fn stride(&self) -> u32 {
        self.ranks * self.threads
    }

    /// Returns the rank that owns `gid`.
    pub fn rank_of(&self, gid: Gid) -> u32 {
        gid.0 % self.stride() % self.ranks
    }

    /// Returns the thread of that rank that owns `gid`.
    pub fn thread_of(&self, gid: Gid) -> u32 {
        gid.0 % self.stride() / self.ranks
    }

    /// Returns the index of `gid` on its virtual process; excitatory neurons come first there too.
    pub fn lid_of(&self, gid: Gid) -> Lid {
        Lid(gid.0 / self.stride())
    }

    /// Returns the gid of neuron `lid` of thread `thread` of this rank.
    pub fn gid(&self, thread: u32, lid: Lid) -> Gid {
        Gid(lid.0 * self.stride() + thread * self.ranks + self.rank)
    }

    /// Returns the number of gids below `bound` that live on thread `thread` of this rank.
    pub fn count_below(&self, thread: u32, bound: u32) -> u32 {
        let vp = thread * self.ranks + self.rank;
        if bound > vp {
            (bound - vp).div_ceil(self.stride())
        } else {
            0
        }
    }

    /// Returns the number of neurons on this rank.
    pub fn neurons(&self) -> u32 {
        (0..self.threads)
            .map(|thread| self.count_below(thread, self.n))
            .sum()
    }

    /// Returns the gids of the sources and of the targets of `projection`.
    pub fn populations(&self, projection: Projection) -> [Range<u32>; 2] {
        [projection.source(), projection.target()].map(|name| match name {
            "E" => 0..self.n_e,
            _ => self.n_e..self.n,
        })
    }

    /// Returns the gids of thread `thread` of this rank, ascending.
    pub fn gids(&self, thread: u32) -> impl ExactSizeIterator<Item = Gid> + Clone + use<> {
        let here = *self;
        (0..self.count_below(thread, self.n)).map(move |lid| here.gid(thread, Lid(lid)))
    }
}

/// Population that sources belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Excitatory neurons.
    E,
    /// Inhibitory neurons.
    I,
}

/// Appends the index within `pool` of every source of neuron `target` to `sources`, in the order in
/// which they are drawn under `seed`. Every call appends the same indices.
///
/// Draws are uniform: independent with multapses, otherwise a uniform subset by Floyd's method
/// (Bentley & Floyd 1987, Commun ACM 30:754). If autapses are forbidden, the pool excludes the
/// neuron itself and nothing is rejected. O(in-degree).
pub fn draw_sources(
    network: &NetworkParams,
    seed: u64,
    pool: Pool,
    target: Gid,
    sources: &mut Vec<u32>,
) {
    let (purpose, k, size, first) = match pool {
        Pool::E => (Purpose::SourcesE, network.K_E, network.N_E, 0),
        Pool::I => (Purpose::SourcesI, network.K_I, network.N_I, network.N_E),
    };
    let mut rng = stream(seed, purpose, target);
    let own = target.0.wrapping_sub(first);
    let leave_out = !network.allow_autapses && own < size;
    let candidates = size - u32::from(leave_out);
    let own = if leave_out { own } else { u32::MAX };
    let skip_own = |candidate: u32| candidate + u32::from(candidate >= own);
    if network.allow_multapses {
        sources.extend((0..k).map(|_| skip_own(below(&mut rng, candidates))));
    } else {
        subset(&mut rng, k, candidates, |candidate| {
            sources.push(skip_own(candidate))
        });
    }
}

/// Calls `each` with `k` different numbers below `n`, a uniformly drawn subset.
fn subset(rng: &mut impl Rng, k: u32, n: u32, mut each: impl FnMut(u32)) {
    let mut chosen = HashSet::with_capacity(k as usize);
    for last in n - k..n {
        let candidate = below(rng, last + 1);
        let fresh = if chosen.insert(candidate) {
            candidate
        } else {
            last
        };
        chosen.insert(fresh);
        each(fresh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n_e: u32, k_e: u32, autapses: bool, multapses: bool) -> NetworkParams {
        NetworkParams {
            N: n_e + 5,
            N_per_rank: None,
            N_E: n_e,
            N_I: 5,
            K: k_e,
            K_E: k_e,
            K_I: 0,
            beta: 0.8,
            allow_autapses: autapses,
            allow_multapses: multapses,
            edges: None,
        }
    }

    fn drawn(network: &NetworkParams, gid: u32) -> Vec<u32> {
        let mut sources = Vec::new();
        draw_sources(network, 1, Pool::E, Gid(gid), &mut sources);
        sources
    }

    #[test]
    fn every_neuron_has_one_place() {
        for (ranks, threads, n, n_e) in [(1, 1, 10, 8), (3, 2, 50, 41), (4, 3, 7, 5), (2, 2, 1, 1)]
        {
            let mut seen = vec![0; n as usize];
            for rank in 0..ranks {
                let place = Placement {
                    n,
                    n_e,
                    ranks,
                    threads,
                    rank,
                };
                for thread in 0..threads {
                    let excitatory = place.count_below(thread, n_e);
                    for (lid, gid) in place.gids(thread).enumerate() {
                        seen[gid.0 as usize] += 1;
                        assert_eq!(place.rank_of(gid), rank);
                        assert_eq!(place.thread_of(gid), thread);
                        assert_eq!(place.lid_of(gid), Lid(lid as u32));
                        assert_eq!(gid.0 < n_e, (lid as u32) < excitatory);
                    }
                }
            }
            assert!(seen.iter().all(|&times| times == 1));
        }
    }

    #[test]
    fn flags_hold() {
        for gid in 0..40 {
            let sources = drawn(&network(40, 39, false, false), gid);
            let mut sorted = sources.clone();
            sorted.sort_unstable();
            let all_others: Vec<u32> = (0..40).filter(|&s| s != gid).collect();
            assert_eq!(sorted, all_others);
        }
        let repeats = drawn(&network(40, 400, false, true), 7);
        assert!(repeats.len() == 400 && !repeats.contains(&7));
        assert!(drawn(&network(40, 400, true, true), 7).contains(&7));
        let all: HashSet<u32> = drawn(&network(40, 40, true, false), 7)
            .into_iter()
            .collect();
        assert_eq!(all.len(), 40);
    }

    /// Compares out-degrees, autapses and multapses of 400 neurons with theory.
    #[test]
    fn draws_are_uniform() {
        for multapses in [true, false] {
            let network = network(400, 100, true, multapses);
            let (mut out_degree, mut autapses, mut repeats) = (vec![0.0; 400], 0.0, 0.0);
            for gid in 0..400 {
                let sources = drawn(&network, gid);
                sources.iter().for_each(|&s| out_degree[s as usize] += 1.0);
                autapses += sources.iter().filter(|&&s| s == gid).count() as f64;
                let distinct: HashSet<&u32> = sources.iter().collect();
                repeats += (sources.len() - distinct.len()) as f64;
            }
            let chi2: f64 = out_degree
                .iter()
                .map(|d| (d - 100.0f64).powi(2) / 100.0)
                .sum();
            let per_degree = if multapses { 1.0 - 1.0 / 400.0 } else { 0.75 };
            assert!((chi2 / 400.0 - per_degree).abs() < 0.3, "{chi2}");
            assert!(
                (autapses - 100.0f64).abs() < 40.0,
                "{autapses} autapses, 100 expected"
            );
            let expected = if multapses {
                400.0 * (100.0 - 400.0 * (1.0 - (1.0 - 1.0 / 400.0f64).powi(100)))
            } else {
                0.0
            };
            assert!(
                (repeats - expected).abs() <= 0.08 * expected,
                "{repeats} of {expected}"
            );
        }
    }
}
