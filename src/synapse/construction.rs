//! Building the rows of a virtual process: drawn twice instead of stored once.
//!
//! A first pass over the draws counts the synapses of each source; once the rank knows its
//! rows, a second pass over the same draws puts every target straight into place. Targets
//! come in ascending order, so rows end up sorted. Where a pool is larger than the local
//! synapses drawn from it (many ranks), counts would grow with N: there, and for
//! connections read from a file, (source, target) pairs are sorted instead.

use crate::error::{Error, Result};
use crate::memory::allocated_bytes;
use crate::network::{Draw, Placement, Pool};
use crate::sizes::{product, total};
use crate::units::{Gid, Lid};

use super::{RowIndex, Rows, Targets};

/// The connections from one pool of sources onto the neurons of one virtual process,
/// excitatory and inhibitory targets apart.
pub struct Draft {
    pool: Pool,
    /// local targets: excitatory, inhibitory
    neurons: [u32; 2],
    onto: [Connections; 2],
}

enum Connections {
    /// Drawn; synapses by source index, to be drawn again.
    Counted(Vec<u32>),
    /// Sorted by (source << 32 | target); equal keys in the order they came.
    Listed {
        keys: Vec<u64>,
        weights: Option<Vec<f64>>,
    },
}

/// One connection read from a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Index of the source within its population.
    pub source: u32,
    /// Index of the target among the virtual process's neurons of its population.
    pub target: u32,
    /// Weight (pA).
    pub weight: f64,
}

/// Rows ready for use, with the weights of connections that brought their own.
pub type Built = (Rows, Option<Vec<f64>>);

impl Draft {
    /// First pass over the draws of thread `thread`. O(local synapses), 4 bytes each at most.
    pub fn drawn(draw: &mut Draw, pool: Pool, place: &Placement, thread: u32) -> Self {
        let neurons = split(place, thread);
        let (k, size) = draw.in_degree(pool);
        let local = u64::from(neurons[0] + neurons[1]) * u64::from(k);
        let counted = counts(u64::from(size), local);
        let onto = [0, 1].map(|side| {
            let targets = targets(neurons, side);
            if counted {
                let mut counts = vec![0u32; size as usize];
                for lid in targets {
                    let gid = place.gid(thread, Lid(lid));
                    draw.sources(pool, gid, |source| counts[source as usize] += 1);
                }
                return Connections::Counted(counts);
            }
            let mut keys = Vec::with_capacity(targets.len() * k as usize);
            let first = targets.start;
            for lid in targets {
                let gid = place.gid(thread, Lid(lid));
                let target = u64::from(lid - first);
                draw.sources(pool, gid, |source| {
                    keys.push(u64::from(source) << 32 | target)
                });
            }
            keys.sort_unstable();
            Connections::Listed {
                keys,
                weights: None,
            }
        });
        Draft {
            pool,
            neurons,
            onto,
        }
    }

    /// Connections read from a file, onto excitatory and inhibitory targets.
    pub fn listed(pool: Pool, place: &Placement, thread: u32, links: [Vec<Link>; 2]) -> Self {
        let onto = links.map(|mut links| {
            let key = |link: &Link| u64::from(link.source) << 32 | u64::from(link.target);
            links.sort_by_key(key);
            Connections::Listed {
                keys: links.iter().map(key).collect(),
                weights: Some(links.iter().map(|link| link.weight).collect()),
            }
        });
        Draft {
            pool,
            neurons: split(place, thread),
            onto,
        }
    }

    /// The sources with synapses here, ascending, each once.
    pub fn sources(&self) -> Vec<u32> {
        match &self.onto {
            [Connections::Counted(to_e), Connections::Counted(to_i)] => (0..to_e.len())
                .filter(|&source| to_e[source] > 0 || to_i[source] > 0)
                .map(|source| source as u32)
                .collect(),
            listed => {
                let mut sources = Vec::new();
                for connections in listed {
                    if let Connections::Listed { keys, .. } = connections {
                        sources.extend(keys.iter().map(|key| (key >> 32) as u32));
                        sources.dedup();
                    }
                }
                sources.sort_unstable();
                sources.dedup();
                sources
            }
        }
    }

    /// Second pass: the rows of `sources` (ascending; all of [`Draft::sources`] and maybe
    /// more), onto excitatory and onto inhibitory targets.
    ///
    /// Errors: 2³² synapses or more of one projection on a virtual process.
    pub fn build(
        self,
        draw: &mut Draw,
        place: &Placement,
        thread: u32,
        sources: &[u32],
    ) -> Result<[Built; 2]> {
        let [to_e, to_i] = self.onto;
        let mut build = |connections, side| {
            let targets = targets(self.neurons, side);
            let wide = targets.len() > 1 << 16;
            match connections {
                Connections::Counted(counts) => {
                    let starts = starts(sources.iter().map(|&s| counts[s as usize]))?;
                    let redraw = Redraw {
                        pool: self.pool,
                        place,
                        thread,
                        targets,
                    };
                    let targets = if wide {
                        Targets::Wide(redraw.place(draw, counts, sources, &starts))
                    } else {
                        Targets::Narrow(redraw.place(draw, counts, sources, &starts))
                    };
                    Ok((rows(starts, targets), None))
                }
                Connections::Listed { keys, weights } => {
                    let starts = starts(lengths(&keys, sources))?;
                    let low = keys.iter().map(|&key| key as u32);
                    let targets = if wide {
                        Targets::Wide(low.collect())
                    } else {
                        Targets::Narrow(low.map(|target| target as u16).collect())
                    };
                    Ok((rows(starts, targets), weights))
                }
            }
        };
        Ok([build(to_e, 0)?, build(to_i, 1)?])
    }
}

/// Memory, in bytes.
impl Draft {
    /// Of the synapses of one thread, `synapses` onto its excitatory and its inhibitory
    /// neurons, drawn from a pool of `size`; or `read` from a file, with weights.
    pub fn bytes(synapses: [u64; 2], size: u64, read: bool) -> u64 {
        let all = total(synapses);
        if read {
            product([8 + 8, all])
        } else if counts(size, all) {
            product([2 * 4, size])
        } else {
            product([8, all])
        }
    }

    /// As it is.
    pub fn held(&self) -> u64 {
        let held = self.onto.iter().map(|connections| match connections {
            Connections::Counted(counts) => allocated_bytes(counts),
            Connections::Listed { keys, weights } => {
                allocated_bytes(keys) + weights.as_ref().map_or(0, allocated_bytes)
            }
        });
        held.sum()
    }
}

/// Whether counting the synapses of every source of a pool of `size` takes less than listing
/// the `local` ones.
fn counts(size: u64, local: u64) -> bool {
    size.saturating_mul(2) <= local
}

fn rows(starts: Vec<u32>, targets: Targets) -> Rows {
    let index = RowIndex::new(starts);
    Rows { index, targets }
}

/// Local excitatory and inhibitory neurons.
fn split(place: &Placement, thread: u32) -> [u32; 2] {
    let excitatory = place.count_below(thread, place.n_e);
    [excitatory, place.count_below(thread, place.n) - excitatory]
}

/// The lids of one side's targets: excitatory (0) or inhibitory (1).
fn targets(neurons: [u32; 2], side: usize) -> std::ops::Range<u32> {
    if side == 0 {
        0..neurons[0]
    } else {
        neurons[0]..neurons[0] + neurons[1]
    }
}

/// Running sums of the row lengths, from 0.
fn starts(lengths: impl Iterator<Item = u32>) -> Result<Vec<u32>> {
    let mut end = 0u32;
    let mut starts = Vec::with_capacity(lengths.size_hint().0 + 1);
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

/// How many of the sorted `keys` belong to each of `sources`.
fn lengths(keys: &[u64], sources: &[u32]) -> impl Iterator<Item = u32> {
    let mut rest = keys;
    sources.iter().map(move |&source| {
        let length = rest
            .iter()
            .take_while(|&&key| (key >> 32) as u32 == source)
            .count();
        rest = &rest[length..];
        length as u32
    })
}

struct Redraw<'a> {
    pool: Pool,
    place: &'a Placement,
    thread: u32,
    targets: std::ops::Range<u32>,
}

impl Redraw<'_> {
    /// Draws again and puts each target at the next free place of its source's row.
    /// `cursors`, indexed by source, is room for those places.
    fn place<T: super::Target>(
        self,
        draw: &mut Draw,
        mut cursors: Vec<u32>,
        sources: &[u32],
        starts: &[u32],
    ) -> Vec<T> {
        for (&source, &start) in sources.iter().zip(starts) {
            cursors[source as usize] = start;
        }
        let mut placed = vec![T::new(0); starts[starts.len() - 1] as usize];
        let first = self.targets.start;
        for lid in self.targets {
            let gid: Gid = self.place.gid(self.thread, Lid(lid));
            let target = T::new((lid - first) as usize);
            draw.sources(self.pool, gid, |source| {
                let cursor = &mut cursors[source as usize];
                placed[*cursor as usize] = target;
                *cursor += 1;
            });
        }
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::NetworkParams;

    fn network(n: u32, k_e: u32) -> NetworkParams {
        NetworkParams {
            N: n,
            N_per_rank: None,
            N_E: n,
            N_I: 0,
            K: k_e,
            K_E: k_e,
            K_I: 0,
            beta: 1.0,
            allow_autapses: true,
            allow_multapses: true,
            edges: None,
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

    /// Counting and sorting, the dense and the sparse way, build what was drawn.
    #[test]
    fn rows_hold_the_draws() {
        // dense: 60 sources for 30 · 10 synapses; sparse: 20,000 sources for 40
        for (n, k, ranks, dense) in [(60, 10, 2, true), (20_000, 2, 1000, false)] {
            let network = network(n, k);
            let place = Placement {
                n,
                n_e: n,
                ranks,
                threads: 1,
                rank: 1,
            };
            let mut draw = Draw::new(&network, 9);
            let draft = Draft::drawn(&mut draw, Pool::E, &place, 0);
            assert_eq!(matches!(draft.onto[0], Connections::Counted(_)), dense);
            let sources = draft.sources();
            let [(rows, _), _] = draft.build(&mut draw, &place, 0, &sources).unwrap();
            let mut expected = Vec::new();
            for (lid, gid) in place.gids(0).enumerate() {
                draw.sources(Pool::E, gid, |source| expected.push((source, lid)));
            }
            expected.sort_unstable();
            assert_eq!(pairs(&sources, &rows), expected);
        }
    }

    #[test]
    fn listed_connections_keep_their_weights_and_order() {
        let place = Placement {
            n: 4,
            n_e: 3,
            ranks: 1,
            threads: 1,
            rank: 0,
        };
        let link = |source, target, weight| Link {
            source,
            target,
            weight,
        };
        let onto_e = vec![
            link(2, 1, 1.0),
            link(0, 2, 2.0),
            link(2, 1, 3.0),
            link(2, 0, 4.0),
        ];
        let draft = Draft::listed(Pool::E, &place, 0, [onto_e, vec![link(1, 0, 5.0)]]);
        assert_eq!(draft.sources(), [0, 1, 2]);
        let network = network(3, 0);
        let mut draw = Draw::new(&network, 0);
        let [(rows_e, weights_e), (rows_i, weights_i)] =
            draft.build(&mut draw, &place, 0, &[0, 1, 2]).unwrap();
        assert_eq!(pairs(&[0, 1, 2], &rows_e), [(0, 2), (2, 0), (2, 1), (2, 1)]);
        assert_eq!(weights_e.unwrap(), [2.0, 4.0, 1.0, 3.0]);
        assert_eq!(pairs(&[0, 1, 2], &rows_i), [(1, 0)]);
        assert_eq!(weights_i.unwrap(), [5.0]);
    }
}
