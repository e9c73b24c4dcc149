//! Construction of rows: synapses are drawn twice instead of stored as drawn.
//!
//! A first pass over the synapses of a [`Recipe`] counts those of each source. Once the rank knows
//! its rows, a second pass puts every target into place. Targets come in ascending order; rows are
//! therefore sorted.
//!
//! If a pool is larger than the number of local synapses from it (many ranks), counts would grow
//! with N. Then both passes go by buckets of sources: (source, target) pairs are listed bucket by
//! bucket, and sorted within a bucket, which fits the cache. Likewise if threads hold the synapses by
//! source ([`Holder::OfSource`]): each thread lists the synapses onto its own neurons, and each takes
//! its share of the buckets from all lists.

use std::ops::Range;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::memory::allocated_bytes;
use crate::base::pages;
use crate::base::sizes::{product, total};
use crate::base::sort::by_radix;
use crate::base::units::{Lid, pack, unpack};
use crate::model::network::{Placement, Pool};
use crate::model::recipe::{Incoming, Recipe};

use super::{Holder, Owners, RowIndex, Rows, Target, Targets};

/// Builder of the rows for the synapses from one pool that one thread holds, with excitatory and
/// inhibitory targets apart.
pub struct RowBuilder<'a> {
    lister: Lister<'a>,
    onto: [Synapses; 2],
    /// Bytes of the largest list that was made for these rows alone.
    listed: u64,
}

/// Access to the synapses from one pool onto the neurons of one thread.
#[derive(Clone, Copy)]
struct Lister<'a> {
    recipe: &'a dyn Recipe,
    pool: Pool,
    place: &'a Placement,
    thread: u32,
    owners: Owners,
}

enum Synapses {
    /// Number of synapses by index of the source, to be listed again; true if each synapse has an
    /// individual weight.
    Counted(Vec<u32>, bool),
    /// All synapses, row by row.
    Sorted(Sorted),
}

/// Synapses onto one population, ordered by (source, target); equal ones in the order of the recipe.
struct Sorted {
    /// Sources with synapses, and their numbers of synapses.
    rows: Vec<(u32, u32)>,
    targets: Targets,
    /// Weights (pA), if synapses have individual ones.
    weights: Option<Vec<f64>>,
}

/// Division of a pool into buckets of 2^`bits` sources.
#[derive(Clone, Copy)]
struct Buckets {
    bits: u32,
    number: usize,
}

/// Number of synapses of a rank in a bucket: sorting them stays in the L2 cache.
const BUCKET: u64 = 1 << 16;
/// Minimum number of buckets per share, so that shares are about equal.
const BUCKETS_PER_SHARE: u64 = 16;

impl Buckets {
    /// Returns buckets for `synapses` synapses from `pool` sources, and for `shares` shares.
    fn new(pool: u32, synapses: u64, shares: u64) -> Self {
        let number = (synapses / BUCKET).max(BUCKETS_PER_SHARE * shares);
        let bits = (u64::from(pool) / number).max(1).ilog2();
        Buckets {
            bits,
            number: (pool as usize).div_ceil(1 << bits),
        }
    }

    #[inline(always)]
    fn of(self, source: u32) -> usize {
        (source >> self.bits) as usize
    }

    /// Returns the buckets of share `share` of `shares`.
    fn share(self, share: usize, shares: usize) -> Range<usize> {
        self.number * share / shares..self.number * (share + 1) / shares
    }
}

/// Synapses onto one population of one thread, bucket by bucket; in a bucket, in the order of the
/// recipe, target by target.
struct List {
    /// Source << 32 | target.
    keys: Vec<u64>,
    /// Weights (pA), if synapses have individual ones.
    weights: Option<Vec<f64>>,
    /// Start of every bucket and end of the last.
    starts: Vec<usize>,
}

/// Synapses from one pool onto the neurons of one thread, listed by buckets of sources, with
/// excitatory and inhibitory targets apart.
pub struct Listed<'a> {
    lister: Lister<'a>,
    buckets: Buckets,
    onto: [List; 2],
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
    /// Makes the first pass over the synapses from `pool` onto the neurons of thread `thread`, which
    /// holds them. O(local synapses), at most 16 bytes per synapse.
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
            owners: Owners::one(thread),
        };
        let counted = counts(lister.pool_size().into(), local);
        let mut listed = 0;
        let onto = [0, 1].map(|side| match counted {
            true => lister.count(side),
            false => {
                let buckets = Buckets::new(lister.pool_size(), local, 1);
                let list = lister.list(side, buckets);
                listed = list.held().max(listed);
                Synapses::Sorted(lister.sorted(side, &[&list], 0..buckets.number))
            }
        });
        RowBuilder {
            lister,
            onto,
            listed,
        }
    }

    /// Takes share `share` of the sources from the lists of all threads of a rank, in this order.
    /// O(synapses of the share).
    ///
    /// # Panics
    /// Panics if there is no list, or if some synapses have weights and others have none.
    pub fn of_share(lists: &[Listed<'a>], share: usize) -> Self {
        let Listed {
            lister, buckets, ..
        } = lists[0];
        let buckets = buckets.share(share, lists.len());
        let onto = [0, 1].map(|side: usize| {
            let lists: Vec<_> = lists.iter().map(|list| &list.onto[side]).collect();
            Synapses::Sorted(lister.sorted(side, &lists, buckets.clone()))
        });
        RowBuilder {
            lister,
            onto,
            listed: 0,
        }
    }

    /// Returns the sources with synapses in these rows, ascending, without duplicates.
    pub fn sources(&self) -> Vec<u32> {
        let mut sources = Vec::new();
        for synapses in &self.onto {
            match synapses {
                Synapses::Counted(counts, _) => {
                    let counted = (0u32..).zip(counts).filter(|(_, count)| **count > 0);
                    sources.extend(counted.map(|(source, _)| source));
                }
                Synapses::Sorted(Sorted { rows, .. }) => {
                    sources.extend(rows.iter().map(|&(source, _)| source));
                }
            }
        }
        // Two ascending runs, which this sort merges.
        sources.sort();
        sources.dedup();
        sources
    }

    /// Makes the second pass: builds the rows of `sources` onto excitatory and onto inhibitory
    /// targets. `sources` ascend and contain at least all of [`RowBuilder::sources`].
    ///
    /// # Errors
    /// Fails if a thread has 2³² synapses or more of a projection.
    pub fn build(self, sources: &[u32]) -> Result<[Built; 2]> {
        let RowBuilder { lister, onto, .. } = self;
        let build = |side, synapses| match synapses {
            Synapses::Counted(counts, weighted) if lister.are_narrow(side) => {
                lister.place::<u16>(side, counts, weighted, sources, Targets::Narrow)
            }
            Synapses::Counted(counts, weighted) => {
                lister.place::<u32>(side, counts, weighted, sources, Targets::Wide)
            }
            Synapses::Sorted(sorted) => sorted.into_side(sources),
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

impl<'a> Listed<'a> {
    /// Makes both passes over the synapses from `pool` onto the neurons of thread `thread`, whose rank
    /// holds them by source. O(local synapses), at most 16 bytes per synapse.
    ///
    /// # Panics
    /// Panics as [`RowBuilder::new`] does.
    pub fn new(recipe: &'a dyn Recipe, pool: Pool, place: &'a Placement, thread: u32) -> Self {
        let lister = Lister {
            recipe,
            pool,
            place,
            thread,
            owners: Owners::all(place.threads),
        };
        let synapses = u64::from(place.neurons()) * u64::from(recipe.in_degree(pool));
        let buckets = Buckets::new(lister.pool_size(), synapses, place.threads.into());
        Listed {
            lister,
            buckets,
            onto: [0, 1].map(|side| lister.list(side, buckets)),
        }
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        self.onto.iter().map(List::held).sum()
    }
}

impl List {
    fn held(&self) -> u64 {
        let weights = self.weights.as_ref().map_or(0, allocated_bytes);
        allocated_bytes(&self.keys) + weights + allocated_bytes(&self.starts)
    }
}

impl Sorted {
    /// Returns the rows of `sources`, which ascend and contain all that have synapses.
    fn into_side(self, sources: &[u32]) -> Result<Side> {
        let mut rows = self.rows.into_iter().peekable();
        let lengths = sources.iter().map(|&source| {
            let row = rows.next_if(|&(of, _)| of == source);
            row.map_or(0, |(_, length)| length)
        });
        Ok(Side {
            starts: starts(lengths)?,
            targets: self.targets,
            weights: self.weights,
        })
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

    /// Returns whether the stored targets of one side fit 16 bits.
    fn are_narrow(&self, side: usize) -> bool {
        let threads = self.owners.threads();
        let neurons = threads.map(|thread| {
            let of_thread = Lister { thread, ..*self };
            of_thread.targets(side).len() as u64
        });
        self.owners.end(neurons.max().unwrap_or(0)) <= 1 << 16
    }

    /// Calls `each` with every stored target of a side and the synapses onto it. Returns whether the
    /// synapses have weights.
    fn for_each_target(&self, side: usize, mut each: impl FnMut(usize, &Incoming)) -> bool {
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
            each(self.owners.pack(self.thread, target), &incoming);
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

    /// Lists the synapses of a side.
    fn list(&self, side: usize, buckets: Buckets) -> List {
        let mut counts = vec![0; buckets.number];
        let weighted = self.for_each_target(side, |_, incoming| {
            self.check_sources(incoming);
            for &source in &incoming.sources {
                counts[buckets.of(source)] += 1;
            }
        });
        let mut starts = vec![0];
        starts.extend(counts.iter().scan(0, |end, count| {
            *end += count;
            Some(*end)
        }));
        let mut next = counts;
        next.copy_from_slice(&starts[..buckets.number]);
        let synapses = starts[buckets.number];
        let mut keys = pages::filled(0, synapses);
        let mut weights = weighted.then(|| vec![0.0; synapses]);
        self.for_each_target(side, |target, incoming| {
            for (nth, &source) in incoming.sources.iter().enumerate() {
                let next = &mut next[buckets.of(source)];
                keys[*next] = pack(source, target as u32);
                if let Some(weights) = &mut weights {
                    weights[*next] = incoming.weights[nth];
                }
                *next += 1;
            }
        });
        List {
            keys,
            weights,
            starts,
        }
    }

    /// Sorts the synapses of a side in `buckets` of `lists`.
    fn sorted(&self, side: usize, lists: &[&List], buckets: Range<usize>) -> Sorted {
        if self.are_narrow(side) {
            sorted::<u16>(lists, buckets, Targets::Narrow)
        } else {
            sorted::<u32>(lists, buckets, Targets::Wide)
        }
    }

    /// Puts each target, and its weight, into its row.
    fn place<T: Target>(
        &self,
        side: usize,
        counts: Vec<u32>,
        weighted: bool,
        sources: &[u32],
        stored: fn(Vec<T>) -> Targets,
    ) -> Result<Side> {
        let starts = starts(sources.iter().map(|&source| counts[source as usize]))?;
        let (targets, weights) = self.list_again(side, counts, weighted, sources, &starts);
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
            let target = T::new(target);
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
    /// Returns the bytes of counts and lists for one thread: `synapses` synapses, by pool, onto its excitatory and
    /// inhibitory neurons, from pools of `sizes` neurons; `weighted` if synapses have individual
    /// weights.
    pub fn bytes(synapses: [[u64; 2]; 2], sizes: [u64; 2], weighted: bool, holder: Holder) -> u64 {
        let (mut staying, mut passing) = (0, 0);
        for (onto, size) in synapses.into_iter().zip(sizes) {
            let all = total(onto);
            let key = if weighted { 16 } else { 8 };
            match holder {
                Holder::OfTarget if counts(size, all) => staying += product([2 * 4, size]),
                // One list at a time, or those of both sides.
                Holder::OfTarget => passing = product([key, onto[0].max(onto[1])]).max(passing),
                Holder::OfSource => passing = product([key, all]).max(passing),
            }
        }
        total([staying, passing])
    }

    /// Returns the bytes that the rows of a thread, from both pools, take while they are built: of
    /// counts held now, and of the largest list before.
    pub fn drafted(of_thread: &[Self; 2]) -> u64 {
        let counted = of_thread.iter().flat_map(|builder| &builder.onto);
        let counted = counted.map(|synapses| match synapses {
            Synapses::Counted(counts, _) => allocated_bytes(counts),
            Synapses::Sorted(_) => 0,
        });
        let listed = of_thread.iter().map(|builder| builder.listed).max();
        counted.sum::<u64>() + listed.unwrap_or(0)
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

/// Sorts the synapses in `buckets` of `lists` by (source, target); equal ones stay in order.
fn sorted<T: Target>(
    lists: &[&List],
    buckets: Range<usize>,
    stored: fn(Vec<T>) -> Targets,
) -> Sorted {
    let of =
        |list: &List, buckets: Range<usize>| list.starts[buckets.start]..list.starts[buckets.end];
    let all = lists.iter().map(|list| of(list, buckets.clone()).len());
    let mut targets = pages::with_capacity(all.sum());
    let weighted = lists.iter().any(|list| list.weights.is_some());
    let mut weights = weighted.then(|| Vec::with_capacity(targets.capacity()));
    let mut rows: Vec<(u32, u32)> = Vec::new();
    let (mut keys, mut spare, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    for bucket in buckets {
        keys.clear();
        for list in lists {
            keys.extend(&list.keys[of(list, bucket..bucket + 1)]);
        }
        if let Some(weights) = &mut weights {
            let of_bucket = lists.iter().flat_map(|list| {
                let weights = list.weights.as_deref().unwrap_or_default();
                weights
                    .get(of(list, bucket..bucket + 1))
                    .unwrap_or_default()
            });
            pairs.clear();
            pairs.extend(keys.iter().copied().zip(of_bucket.copied()));
            assert_eq!(pairs.len(), keys.len(), "synapses with and without weights");
            pairs.sort_by_key(|&(key, _)| key);
            weights.extend(pairs.iter().map(|&(_, weight)| weight));
        }
        by_radix(&mut keys, &mut spare);
        for &key in &keys {
            let (source, target) = unpack(key);
            targets.push(T::new(target as usize));
            match rows.last_mut() {
                Some((last, length)) if *last == source => *length += 1,
                _ => rows.push((source, 1)),
            }
        }
    }
    rows.shrink_to_fit();
    Sorted {
        rows,
        targets: stored(targets),
        weights,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;
    use crate::base::units::Gid;
    use crate::model::params::Params;
    use crate::model::recipe::Initial;

    /// Network of listed synapses.
    struct Given {
        in_degree: u32,
        /// Pool, index of the source, target, weight.
        synapses: Vec<(Pool, u32, Gid, Option<f64>)>,
    }

    impl Recipe for Given {
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
                let mut recipe = Given {
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

    /// Checks that the shares hold every synapse once, in the rows of their sources.
    #[test]
    fn shares_hold_what_is_listed() {
        let all = |weighted: bool| {
            let synapse = |k: u32| {
                let weight = weighted.then_some(f64::from(k));
                (Pool::E, k * 7 % 5, Gid(k * 3 % 11), weight)
            };
            (0..40).map(synapse).collect::<Vec<_>>()
        };
        let place = Placement {
            n: 11,
            n_e: 8,
            ranks: 1,
            threads: 3,
            rank: 0,
        };
        for weighted in [true, false] {
            let recipe = Given {
                in_degree: 4,
                synapses: all(weighted),
            };
            let list = |thread| Listed::new(&recipe, Pool::E, &place, thread);
            let lists: Vec<_> = (0..3).map(list).collect();
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            for share in 0..3 {
                let builder = RowBuilder::of_share(&lists, share);
                let sources = builder.sources();
                let [(rows, weights), _] = builder.build(&sources).expect("few synapses");
                let owners = Owners::all(3);
                for (synapse, (source, target)) in pairs(&sources, &rows).into_iter().enumerate() {
                    let weight = weights.as_ref().map(|weights| weights[synapse]);
                    found.push((source, owners.gid(&place, target), weight));
                }
            }
            for (_, source, target, weight) in all(weighted) {
                expected.extend((target.0 < 8).then_some((source, target, weight)));
            }
            expected.sort_by_key(|&(source, target, _)| (source, target));
            assert_eq!(found, expected);
        }
    }

    #[test]
    #[should_panic(expected = "outside its pool")]
    fn sources_outside_the_pool_are_refused() {
        let recipe = Given {
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
