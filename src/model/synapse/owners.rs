//! Threads that own the targets of stored synapses.

use std::ops::Range;

use crate::base::error::{Error, Result};
use crate::base::units::{Gid, Lid};
use crate::model::network::Placement;

/// Average number of plastic synapses of a row on a thread below which most rows have too few of them
/// for a thread to look at every arrival.
const SCARCE: f64 = 4.0;
/// Number of sources in E below which threads would wait for each other longer than they save.
const MANY_ROWS: f64 = 65_536.0;

/// Thread of a rank that holds a synapse.
///
/// Usually each thread holds the synapses onto its own neurons, and all threads work on every row.
/// With many threads and many ranks, a row would have few synapses on a thread or none. Then the rows
/// of the rank are distributed over its threads, each with its synapses onto all neurons of the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Thread of the target.
    OfTarget,
    /// Thread that has the synapse's source.
    OfSource,
}

/// Environment variable that selects the holder, for comparisons.
pub const FORCE: &str = "STDP_HPC_HOLDER";

impl Holder {
    /// Returns the holder of the synapses of a rank whose neurons have `in_degree` excitatory sources
    /// each: the one that STDP_HPC_HOLDER names, or else the faster.
    ///
    /// # Errors
    /// Fails if STDP_HPC_HOLDER names no holder.
    pub fn of(place: &Placement, in_degree: f64) -> Result<Self> {
        let Some(name) = std::env::var_os(FORCE) else {
            return Ok(Self::faster(place, in_degree));
        };
        match name.to_str() {
            Some("target") => Ok(Holder::OfTarget),
            Some("source") => Ok(Holder::OfSource),
            _ => Err(Error::input(format!(
                "{FORCE} = {name:?}: must be \"source\" or \"target\""
            ))),
        }
    }

    fn faster(place: &Placement, in_degree: f64) -> Self {
        let count = |bound| (0..place.threads).map(move |t| place.count_below(t, bound));
        let [e, all] = [place.n_e, place.n].map(|bound| count(bound).map(f64::from).sum::<f64>());
        let pool = f64::from(place.n_e);
        // Sources are drawn at random.
        let rows = -pool * libm::expm1(-all * in_degree / pool.max(1.0));
        let are_scarce = e * in_degree < SCARCE * rows * f64::from(place.threads);
        let most = count(place.n).max().unwrap_or(0);
        let fit = Owners::all(place.threads).end(most.into()) <= u32::MAX.into();
        if place.threads > 1 && are_scarce && rows >= MANY_ROWS && fit {
            Holder::OfSource
        } else {
            Holder::OfTarget
        }
    }
}

/// Threads, and neurons on them, that the stored targets of a thread's synapses stand for.
///
/// A target is stored as `index << bits | thread`, where the index counts the neurons of its
/// population on its thread. Ascending targets thus have ascending gids. If all targets are on one
/// thread, a target is the index itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owners {
    /// First of the threads.
    first: u32,
    /// Number of threads.
    threads: u32,
    bits: u32,
}

impl Owners {
    /// Returns the owners if all targets are on thread `thread`.
    pub fn one(thread: u32) -> Self {
        Owners {
            first: thread,
            threads: 1,
            bits: 0,
        }
    }

    /// Returns the owners if targets are on all of `threads` threads.
    pub fn all(threads: u32) -> Self {
        Owners {
            first: 0,
            threads,
            bits: threads.next_power_of_two().ilog2(),
        }
    }

    /// Returns the threads.
    pub fn threads(self) -> Range<u32> {
        self.first..self.first + self.threads
    }

    /// Returns the target that stands for neuron `index` of its population on `thread`.
    pub fn pack(self, thread: u32, index: u32) -> usize {
        (index << self.bits | (thread - self.first)) as usize
    }

    /// Returns the owner of `target`, counted from the first one, and the index of its neuron.
    #[inline(always)]
    pub fn split(self, target: usize) -> (usize, usize) {
        (target & ((1 << self.bits) - 1), target >> self.bits)
    }

    /// Returns the excitatory neuron that `target` stands for.
    pub fn gid(self, place: &Placement, target: usize) -> Gid {
        let (owner, index) = self.split(target);
        place.gid(self.first + owner as u32, Lid(index as u32))
    }

    /// Returns the first target that stands for an excitatory neuron from `bound` on.
    pub fn first_from(self, place: &Placement, bound: Gid) -> usize {
        let first_of = |thread: u32| self.pack(thread, place.count_below(thread, bound.0));
        self.threads().map(first_of).min().expect("a thread")
    }

    /// Returns a bound on the targets of a population of at most `neurons` neurons per thread.
    pub fn end(self, neurons: u64) -> u64 {
        neurons << self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_ascend_with_their_neurons() {
        for threads in [1, 2, 3, 8] {
            let place = Placement {
                n: 103,
                n_e: 80,
                ranks: 3,
                threads,
                rank: 1,
            };
            let mut all: Vec<Gid> = (0..threads).flat_map(|thread| place.gids(thread)).collect();
            all.retain(|gid| gid.0 < place.n_e);
            all.sort();
            let owners = Owners::all(threads);
            let pack = |gid: &Gid| owners.pack(place.thread_of(*gid), place.lid_of(*gid).0);
            let packed: Vec<usize> = all.iter().map(pack).collect();
            assert!(packed.is_sorted());
            let gids = packed.iter().map(|&target| owners.gid(&place, target));
            assert!(gids.eq(all.iter().copied()));
            let most = u64::from(place.count_below(0, place.n_e));
            assert!((packed[packed.len() - 1] as u64) < owners.end(most));
            for bound in 0..=place.n_e {
                let below = packed.partition_point(|&t| t < owners.first_from(&place, Gid(bound)));
                assert_eq!(below, all.partition_point(|gid| gid.0 < bound));
            }
        }
    }
}
