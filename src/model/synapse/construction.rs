//! Construction of the rows of a virtual process: synapses are listed twice instead of stored.
//!
//! A first pass over the synapses of a [`Recipe`] counts those of each source. Once the rank knows
//! its rows, a second pass puts every target into place. Targets come in ascending order; rows are
//! therefore sorted.
//!
//! If a pool is larger than the number of local synapses from it (many ranks), counts would grow
//! with N. Then (source, target) pairs are stored and sorted instead.

use std::ops::Range;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::memory::allocated_bytes;
use crate::base::pages;
use crate::base::sizes::{product, total};
use crate::base::units::{Lid, pack, unpack};
use crate::model::network::{Placement, Pool};
use crate::model::recipe::{Incoming, Recipe};

use super::{RowIndex, Rows, Target, Targets};

/// Builder of the rows for the synapses from one pool onto the neurons of one virtual process, with
/// excitatory and inhibitory targets apart.
pub struct RowBuilder<'a> {
    lister: Lister<'a>,
    onto: [Synapses; 2],
}

/// Access to the synapses from one pool onto the neurons of one virtual process.
struct Lister<'a> {
    recipe: &'a dyn Recipe,
    pool: Pool,
    place: &'a Placement,
    thread: u32,
}

enum Synapses {
    /// Number of synapses by index of the source, to be listed again; true if each synapse has an
    /// individual weight.
    Counted(Vec<u32>, bool),
    /// Keys source << 32 | target, ascending.
    Listed(Vec<u64>),
    /// Keys as in `Listed` with weights (pA); equal keys in the order of the recipe.
    Weighted(Vec<(u64, f64)>),
}

/// Rows ready for use, with weights (pA) if synapses have individual ones.
pub type Built = (Rows, Option<Vec<f64>>);

/// Synapses of all rows onto one population.
struct Side {
    /// Start of every row and end of the last.
    starts: Vec<u32>,
    targets: Targets,
    weights: Option<Vec<f64>>,
}

impl<'a> RowBuilder<'a> {
    /// Makes the first pass over the synapses from `pool` onto the neurons of thread `thread`.
    /// O(local synapses), at most 16 bytes per synapse.
    ///
    /// # Panics
    /// Panics if the recipe names a source outside the pool, or gives weights to only some of the
    /// synapses.
    pub fn new(recipe: &'a dyn Recipe, pool: Pool, place: &'a Placement, thread: u32) -> Self {
        let local =
            u64::from(place.count_below(thread, place.n)) * u64::from(recipe.in_degree(pool));
        let lister = Lister {
            recipe,
            pool,
            place,
            thread,
        };
        let counted = counts(lister.pool_size().into(), local);
        let onto = [0, 1].map(|side| match counted {
            true => lister.count(side),
            false => lister.list(side),
        });
        RowBuilder { lister, onto }
    }

    /// Returns the sources with synapses on this virtual process, ascending, without duplicates.
    pub fn sources(&self) -> Vec<u32> {
        let source = |key: u64| unpack(key).0;
        let mut sources = Vec::new();
        for synapses in &self.onto {
            match synapses {
                Synapses::Counted(counts, _) => {
                    let counted = (0u32..).zip(counts).filter(|(_, count)| **count > 0);
                    sources.extend(counted.map(|(source, _)| source));
                }
                Synapses::Listed(keys) => sources.extend(keys.iter().map(|&key| source(key))),
                Synapses::Weighted(pairs) => {
                    sources.extend(pairs.iter().map(|&(key, _)| source(key)));
                }
            }
            sources.dedup();
        }
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// Makes the second pass: builds the rows of `sources` onto excitatory and onto inhibitory
    /// targets. `sources` ascend and contain at least all of [`RowBuilder::sources`].
    ///
    /// # Errors
    /// Fails if a projection has 2³² synapses or more on a virtual process.
    pub fn build(self, sources: &[u32]) -> Result<[Built; 2]> {
        let RowBuilder { lister, onto } = self;
        let build = |side, synapses| {
            if lister.targets(side).len() > 1 << 16 {
                lister.place::<u32>(side, synapses, sources, Targets::Wide)
            } else {
                lister.place::<u16>(side, synapses, sources, Targets::Narrow)
            }
        };
        let [to_e, to_i] = onto;
        let (e, i) = (build(0, to_e)?, build(1, to_i)?);
        let index = Arc::new(RowIndex::new([e.starts, i.starts]));
        let rows = |side: usize, targets| {
            let index = Arc::clone(&index);
            Rows {
                index,
                side,
                targets,
            }
        };
        Ok([
            (rows(0, e.targets), e.weights),
            (rows(1, i.targets), i.weights),
        ])
    }
}

impl Lister<'_> {
    fn pool_size(&self) -> u32 {
        match self.pool {
            Pool::E => self.place.n_e,
            Pool::I => self.place.n - self.place.n_e,
        }
    }

    /// Returns the lids of the targets of one side: excitatory (0) or inhibitory (1).
    fn targets(&self, side: usize) -> Range<u32> {
        let excitatory = self.place.count_below(self.thread, self.place.n_e);
        match side {
            0 => 0..excitatory,
            _ => excitatory..self.place.count_below(self.thread, self.place.n),
        }
    }

    /// Calls `each` with the index of every target of a side and the synapses onto it. Returns
    /// whether the synapses have weights.
    fn for_each_target(&self, side: usize, mut each: impl FnMut(u32, &Incoming)) -> bool {
        let mut incoming = Incoming::default();
        let (mut with, mut without) = (false, false);
        for (target, lid) in (0..).zip(self.targets(side)) {
            incoming.clear();
            let gid = self.place.gid(self.thread, Lid(lid));
            self.recipe.synapses(self.pool, gid, &mut incoming);
            let Incoming { sources, weights } = &incoming;
            if weights.is_empty() {
                without |= !sources.is_empty();
            } else {
                assert_eq!(sources.len(), weights.len(), "synapses of neuron {gid:?}");
                with = true;
            }
            each(target, &incoming);
        }
        assert!(
            !(with && without),
            "all synapses of a projection have weights, or none"
        );
        with
    }

    /// Panics if a source is outside the pool.
    fn check_sources(&self, incoming: &Incoming) {
        let largest = incoming.sources.iter().copied().fold(0, u32::max);
        let is_inside = incoming.sources.is_empty() || largest < self.pool_size();
        assert!(
            is_inside,
            "source {largest} of a neuron is outside its pool"
        );
    }

    fn count(&self, side: usize) -> Synapses {
        let mut counts = vec![0u32; self.pool_size() as usize];
        let weighted = self.for_each_target(side, |_, incoming| {
            self.check_sources(incoming);
            for &source in &incoming.sources {
                counts[source as usize] += 1;
            }
        });
        Synapses::Counted(counts, weighted)
    }

    fn list(&self, side: usize) -> Synapses {
        let targets = self.targets(side).len();
        let (mut keys, mut weighted) = (Vec::new(), Vec::new());
        self.for_each_target(side, |target, incoming| {
            self.check_sources(incoming);
            let Incoming { sources, weights } = incoming;
            if weights.is_empty() {
                if keys.is_empty() {
                    keys.reserve_exact(targets * sources.len());
                }
                keys.extend(sources.iter().map(|&source| pack(source, target)));
            } else {
                let pairs = sources.iter().zip(weights);
                weighted.extend(pairs.map(|(&source, &weight)| (pack(source, target), weight)));
            }
        });
        if weighted.is_empty() {
            keys.sort_unstable();
            return Synapses::Listed(keys);
        }
        weighted.shrink_to_fit();
        weighted.sort_by_key(|&(key, _)| key);
        Synapses::Weighted(weighted)
    }

    /// Puts each target, and its weight, into its row.
    fn place<T: Target>(
        &self,
        side: usize,
        synapses: Synapses,
        sources: &[u32],
        stored: fn(Vec<T>) -> Targets,
    ) -> Result<Side> {
        let target = |key: u64| T::new(key as u32 as usize);
        let (starts, targets, weights) = match synapses {
            Synapses::Counted(counts, weighted) => {
                let starts = starts(sources.iter().map(|&source| counts[source as usize]))?;
                let (targets, weights) = self.list_again(side, counts, weighted, sources, &starts);
                (starts, targets, weights)
            }
            Synapses::Listed(keys) => {
                let starts = starts(lengths(keys.iter().copied(), sources))?;
                let targets = keys.iter().map(|&key| target(key));
                (starts, pages::collect(keys.len(), targets), None)
            }
            Synapses::Weighted(pairs) => {
                let starts = starts(lengths(pairs.iter().map(|&(key, _)| key), sources))?;
                let targets = pairs.iter().map(|&(key, _)| target(key)).collect();
                let weights = pairs.iter().map(|&(_, weight)| weight).collect();
                (starts, targets, Some(weights))
            }
        };
        Ok(Side {
            starts,
            targets: stored(targets),
            weights,
        })
    }

    /// Lists the synapses again and puts each at the next free position of its source's row.
    /// `cursors`, indexed by source, is reused for those positions.
    fn list_again<T: Target>(
        &self,
        side: usize,
        mut cursors: Vec<u32>,
        weighted: bool,
        sources: &[u32],
        starts: &[u32],
    ) -> (Vec<T>, Option<Vec<f64>>) {
        for (&source, &start) in sources.iter().zip(starts) {
            cursors[source as usize] = start;
        }
        let synapses = starts[starts.len() - 1] as usize;
        let mut targets = pages::filled(T::new(0), synapses);
        let mut weights = weighted.then(|| vec![0.0; synapses]);
        self.for_each_target(side, |target, incoming| {
            let target = T::new(target as usize);
            let mut next = |source: u32| {
                let cursor = &mut cursors[source as usize];
                *cursor += 1;
                *cursor as usize - 1
            };
            match &mut weights {
                None => incoming.sources.iter().for_each(|&source| {
                    targets[next(source)] = target;
                }),
                Some(weights) => {
                    for (&source, &weight) in incoming.sources.iter().zip(&incoming.weights) {
                        let place = next(source);
                        (targets[place], weights[place]) = (target, weight);
                    }
                }
            }
        });
        (targets, weights)
    }
}

/// Memory, in bytes.
impl RowBuilder<'_> {
    /// Returns the bytes for one thread: `synapses` synapses onto its excitatory and inhibitory
    /// neurons, from a pool of `size` neurons; `weighted` if synapses have individual weights.
    pub fn bytes(synapses: [u64; 2], size: u64, weighted: bool) -> u64 {
        let all = total(synapses);
        match (counts(size, all), weighted) {
            (true, _) => product([2 * 4, size]),
            (false, true) => product([16, all]),
            (false, false) => product([8, all]),
        }
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        let held = self.onto.iter().map(|synapses| match synapses {
            Synapses::Counted(counts, _) => allocated_bytes(counts),
            Synapses::Listed(keys) => allocated_bytes(keys),
            Synapses::Weighted(pairs) => allocated_bytes(pairs),
        });
        held.sum()
    }
}

/// Returns whether counting the synapses per source of a pool of `size` takes less memory than
/// listing the `local` synapses.
fn counts(size: u64, local: u64) -> bool {
    size.saturating_mul(2) <= local
}

/// Returns the running sums of the row lengths, from 0.
///
/// # Errors
/// Fails if the sum exceeds 2³² − 1.
fn starts(lengths: impl Iterator<Item = u32>) -> Result<Vec<u32>> {
    let mut end = 0u32;
    let mut starts = pages::with_capacity(lengths.size_hint().0 + 1);
    starts.push(0);
    for length in lengths {
        end = end.checked_add(length).ok_or_else(|| {
            Error::run(
                "more than 4294967295 synapses of one projection on one thread: \
                 use more ranks or threads",
            )
        })?;
        starts.push(end);
    }
    Ok(starts)
}

/// Returns the number of sorted `keys` that belong to each of `sources`.
fn lengths(keys: impl Iterator<Item = u64>, sources: &[u32]) -> impl Iterator<Item = u32> {
    let mut rest = keys.peekable();
    sources.iter().map(move |&source| {
        let mut length = 0;
        while rest.next_if(|key| unpack(*key).0 == source).is_some() {
            length += 1;
        }
        length
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;
    use crate::base::units::Gid;
    use crate::model::params::Params;
    use crate::model::recipe::Initial;

    /// Network of listed synapses.
    struct Listed {
        in_degree: u32,
        /// Pool, index of the source, target, weight.
        synapses: Vec<(Pool, u32, Gid, Option<f64>)>,
    }

    impl Recipe for Listed {
        fn params(&self) -> &Params {
            unreachable!("rows are built without")
        }

        fn initial(&self, _: &[Gid]) -> Result<Initial> {
            Err(Error::run("no states"))
        }

        fn synapses(&self, pool: Pool, target: Gid, incoming: &mut Incoming) {
            let here = self
                .synapses
                .iter()
                .filter(|s| s.0 == pool && s.2 == target);
            for &(_, source, _, weight) in here {
                incoming.sources.push(source);
                incoming.weights.extend(weight);
            }
        }

        fn in_degree(&self, _: Pool) -> u32 {
            self.in_degree
        }
    }

    fn pairs(sources: &[u32], rows: &Rows) -> Vec<(u32, usize)> {
        sources
            .iter()
            .enumerate()
            .flat_map(|(row, &s)| {
                rows.range(row as u32)
                    .map(move |i| (s, rows.targets.get(i)))
            })
            .collect()
    }

    /// Checks that counting and sorting (the dense and the sparse way) build the listed rows.
    #[test]
    fn rows_hold_what_is_listed() {
        let link = |pool, source, target, weight| (pool, source, Gid(target), Some(weight));
        let synapses = vec![
            link(Pool::E, 2, 1, 1.0),
            link(Pool::E, 0, 2, 2.0),
            link(Pool::E, 2, 1, 3.0),
            link(Pool::E, 2, 0, 4.0),
            link(Pool::I, 0, 3, 6.0),
            link(Pool::E, 1, 3, 5.0),
        ];
        let place = Placement {
            n: 4,
            n_e: 3,
            ranks: 1,
            threads: 1,
            rank: 0,
        };
        for in_degree in [0, 2] {
            for weighted in [true, false] {
                let mut recipe = Listed {
                    in_degree,
                    synapses: synapses.clone(),
                };
                if !weighted {
                    recipe
                        .synapses
                        .iter_mut()
                        .for_each(|synapse| synapse.3 = None);
                }
                let builder = RowBuilder::new(&recipe, Pool::E, &place, 0);
                let is_counted = matches!(builder.onto[0], Synapses::Counted(..));
                assert_eq!(is_counted, in_degree > 0);
                assert_eq!(builder.sources(), [0, 1, 2]);
                let [onto_e, onto_i] = builder.build(&[0, 1, 2]).expect("few synapses");
                assert_eq!(
                    pairs(&[0, 1, 2], &onto_e.0),
                    [(0, 2), (2, 0), (2, 1), (2, 1)]
                );
                assert_eq!(pairs(&[0, 1, 2], &onto_i.0), [(1, 0)]);
                assert_eq!(onto_e.1, weighted.then(|| vec![2.0, 4.0, 1.0, 3.0]));
                assert_eq!(onto_i.1, weighted.then(|| vec![5.0]));
                let from_i = RowBuilder::new(&recipe, Pool::I, &place, 0);
                assert_eq!(from_i.sources(), [0]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "outside its pool")]
    fn sources_outside_the_pool_are_refused() {
        let recipe = Listed {
            in_degree: 1,
            synapses: vec![(Pool::I, 1, Gid(0), None)],
        };
        let place = Placement {
            n: 4,
            n_e: 3,
            ranks: 1,
            threads: 1,
            rank: 0,
        };
        RowBuilder::new(&recipe, Pool::I, &place, 0);
    }
}
