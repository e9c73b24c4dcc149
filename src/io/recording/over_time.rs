//! Weights over time: histograms of the plastic weights, and trajectories of single synapses. The
//! parameters alone select the synapses, so the result does not depend on the split.

use std::ops::Range;

use crate::base::memory::allocated_bytes;
use crate::base::rng::{Purpose, below, stream};
use crate::base::simd::{self, Kernel};
use crate::base::sizes::{product, total};
use crate::base::units::{Gid, Interval, Ms, Steps};
use crate::engine::delivery::Synapses;
use crate::engine::{Part, Simulation};
use crate::io::sonata::weights::Sample;
use crate::model::params::WeightSampling;
use crate::model::synapse::{PlasticWeights, Weight};

/// Sampler of the plastic weights of one rank.
pub struct Sampler {
    every: Steps,
    bins: Bins,
    /// Ranges of counted synapses of each thread, ascending.
    counted: Vec<Vec<Range<u32>>>,
    /// Number of followed synapses on all ranks.
    columns: usize,
    /// Followed synapses of this rank.
    followed: Vec<Followed>,
}

/// Synapse whose weight is followed over time.
struct Followed {
    thread: usize,
    /// Index among the plastic synapses that the thread holds.
    synapse: usize,
    /// Index among the followed synapses on all ranks.
    column: usize,
}

impl Sampler {
    /// Returns the sampler of this rank, and the followed synapses as (source, target) in E.
    /// Collective.
    ///
    /// The sources are evenly spaced excitatory neurons. For each source with synapses, the sampler
    /// follows the synapse onto the first target at or after a random neuron, in cyclic order.
    pub fn new(simulation: &Simulation, sampling: &WeightSampling) -> (Self, Vec<(u32, u32)>) {
        let n_e = simulation.place().n_e;
        let pick = Pick::new(sampling.one_in, n_e);
        let counted = simulation.map_parts(|part| pick.synapses(part));
        let mut sampler = Sampler {
            every: sampling.every,
            bins: Bins::new(sampling.bins, sampling.max),
            counted,
            columns: 0,
            followed: Vec::new(),
        };
        let [n_e, n] = [n_e, sampling.trajectories].map(u64::from);
        let seed = simulation.params().simulation.seed;
        let from = (0..n).map(|i| (i * n_e / n) as u32);
        let searches: Vec<Search> = from.map(|source| Search::new(source, n_e, seed)).collect();
        let mine: Vec<_> = searches
            .iter()
            .map(|search| search.nearest(simulation))
            .collect();
        let nearness: Vec<u64> = mine.iter().map(|found| found.nearness).collect();
        let mut synapses = Vec::new();
        let best = simulation.comm().max_each(&nearness);
        for ((search, mine), best) in searches.iter().zip(mine).zip(best) {
            if best == 0 {
                continue;
            }
            // All synapses from a source onto a target are on one thread of one rank.
            if mine.nearness == best {
                sampler.followed.push(Followed {
                    column: synapses.len(),
                    ..mine.synapse
                });
            }
            synapses.push((search.source, search.target(best)));
        }
        sampler.columns = synapses.len();
        (sampler, synapses)
    }

    /// Returns the times of the samples that are due in `interval`, ascending. They are multiples
    /// of `every`, later than the start of the interval and not later than its end.
    pub fn due(&self, interval: Interval) -> Vec<Steps> {
        let every = i64::from(self.every.0);
        let start = i64::from(interval.start.0);
        let end = start + i64::from(interval.steps);
        let first = (start.div_euclid(every) + 1) * every;
        let times = (first..=end).step_by(every as usize);
        times.map(|time| Steps(time as i32)).collect()
    }

    /// Returns this rank's part of a sample: the number of weights at each place of the histogram
    /// (exactly 0, the bins, above, not finite), then the bits of the followed weights, which are 0
    /// for those of other ranks. The sum of the parts of all ranks is the sample.
    ///
    /// Cost: about 1 ns per counted synapse.
    pub fn sample(&self, simulation: &Simulation) -> Vec<u64> {
        let parts =
            simulation.map_threads(|part| self.sample_of(part.thread as usize, part.synapses));
        let add = |mut sum: Vec<u64>, part: Vec<u64>| {
            sum.iter_mut()
                .zip(part)
                .for_each(|(sum, part)| *sum += part);
            sum
        };
        parts.into_iter().reduce(add).expect("a thread")
    }

    /// Returns the part of a sample from one thread.
    fn sample_of(&self, thread: usize, synapses: &Synapses) -> Vec<u64> {
        let (bins, counted) = (self.bins, &self.counted[thread]);
        let mut sample = match &synapses.ee.weights {
            PlasticWeights::F64(weights) => simd::run(Count {
                bins,
                counted,
                weights,
            }),
            PlasticWeights::F32(weights) => simd::run(Count {
                bins,
                counted,
                weights,
            }),
        };
        let first = sample.len();
        sample.resize(first + self.columns, 0);
        for followed in self.followed.iter().filter(|f| f.thread == thread) {
            let weight = synapses.ee.weights.get(followed.synapse);
            sample[first + followed.column] = weight.to_bits();
            sample[first - 1] += u64::from(!weight.is_finite());
        }
        sample
    }

    /// Returns whether any weight in `sample` is not finite.
    pub fn is_out_of_range(&self, sample: &[u64]) -> bool {
        sample[self.bins.places() - 1] > 0
    }

    /// Returns the sample at time `at` from the sum of all parts.
    pub fn complete(&self, sum: &[u64], at: Ms) -> Sample {
        let (counts, weights) = sum.split_at(self.bins.places());
        let [zeros, counts @ .., above, _] = counts else {
            unreachable!("three places beside the bins");
        };
        Sample {
            at,
            zeros: *zeros,
            counts: counts.to_vec(),
            above: *above,
            weights: weights.iter().copied().map(f64::from_bits).collect(),
        }
    }
}

/// Memory in bytes.
impl Sampler {
    /// Returns the bytes for a rank of `threads` threads with `synapses` plastic synapses from
    /// `rows` excitatory sources, including the temporary memory of a sample.
    pub fn bytes(sampling: &WeightSampling, rows: u64, synapses: u64, threads: u64) -> u64 {
        let places = Bins::new(sampling.bins, sampling.max).places() as u64;
        let parts = product([rows, threads, PARTS]) as f64;
        let occurring = -parts * libm::expm1(-(synapses as f64) / parts.max(1.0));
        let ranges = (occurring / f64::from(sampling.one_in)) as u64;
        let passing = Self::passing(places, sampling.trajectories.into(), threads);
        total([product([size_of::<Range<u32>>() as u64, ranges]), passing])
    }

    /// Returns the allocated bytes of the ranges, plus the temporary bytes of a sample.
    pub fn held(&self) -> u64 {
        let (places, columns) = (self.bins.places() as u64, self.columns as u64);
        let passing = Self::passing(places, columns, self.counted.len() as u64);
        self.counted.iter().map(allocated_bytes).sum::<u64>() + passing
    }

    /// Returns the temporary bytes of a sample: the counts and sample of every thread, and the
    /// samples of the rank and of the run.
    fn passing(places: u64, columns: u64, threads: u64) -> u64 {
        threads * 4 * LANES as u64 * places + (threads + 2) * 8 * (places + columns)
    }
}

/// Selection of the counted synapses; see [`COUNTED`].
///
/// For each part of the targets, one source in `one_in` is selected, and each part has different
/// sources. The counted synapses of a source are contiguous in its row, since single synapses would
/// cost a cache line each. More parts would need more sources and touch more pages. Whole rows
/// would leave few sources, whose synapses have similar weights.
struct Pick {
    one_in: u64,
    n_e: u64,
}

/// Number of parts into which the targets are divided.
const PARTS: u64 = 4;

/// Description of [`Pick`] for the file.
pub(super) const COUNTED: &str = "synapses where one_in divides source_node_id + \
     floor(4 * target_node_id / N_E) * ceil(one_in / 4)";

impl Pick {
    fn new(one_in: u32, n_e: u32) -> Self {
        Pick {
            one_in: one_in.into(),
            n_e: n_e.into(),
        }
    }

    /// Returns the first target of part `part`.
    fn begin(&self, part: u64) -> u32 {
        (part * self.n_e).div_ceil(PARTS) as u32
    }

    /// Returns the ranges of the counted synapses of a thread, ascending.
    fn synapses(&self, part: &Part) -> Vec<Range<u32>> {
        let Synapses { owners, ee, .. } = part.synapses;
        let rows = &ee.rows;
        let step = self.one_in.div_ceil(PARTS);
        let bounds: Vec<usize> = (0..=PARTS)
            .map(|nth| owners.first_from(part.place, Gid(self.begin(nth))))
            .collect();
        let mut found: Vec<Range<u32>> = Vec::new();
        for (row, source) in (0..).zip(part.sources.excitatory().iter()) {
            let chosen = |part: &u64| (u64::from(source) + part * step).is_multiple_of(self.one_in);
            for part in (0..PARTS).filter(chosen) {
                let bounds = &bounds[part as usize..];
                let [begin, end] = [0, 1].map(|side| rows.first_from(row, bounds[side]) as u32);
                match found.last_mut() {
                    _ if begin == end => {}
                    Some(last) if last.end == begin => last.end = end,
                    _ => found.push(begin..end),
                }
            }
        }
        found.shrink_to_fit();
        found
    }
}

/// Search for the synapse of one source that is to be followed.
struct Search {
    source: u32,
    /// First target of the search.
    begin: u64,
    n_e: u64,
}

/// Result of one rank's search.
struct Found {
    /// Nearness of the target to the first target of the search: N_E at that target, 1 at the most
    /// distant one, 0 without a synapse.
    nearness: u64,
    synapse: Followed,
}

impl Search {
    fn new(source: u32, n_e: u64, seed: u64) -> Self {
        let mut random = stream(seed, Purpose::Followed, Gid(source));
        Search {
            source,
            begin: below(&mut random, n_e as u32).into(),
            n_e,
        }
    }

    /// Returns the target with the nearness `nearness`.
    fn target(&self, nearness: u64) -> u32 {
        ((self.begin + self.n_e - nearness) % self.n_e) as u32
    }

    fn nearness(&self, target: u32) -> u64 {
        let distance = (u64::from(target) + self.n_e - self.begin) % self.n_e;
        self.n_e - distance
    }

    /// Returns the nearest synapse on this rank; among synapses onto the same target, the first.
    fn nearest(&self, simulation: &Simulation) -> Found {
        let mut found = Found {
            nearness: 0,
            synapse: Followed {
                thread: 0,
                synapse: 0,
                column: 0,
            },
        };
        simulation.map_parts(|part| {
            let gids = part.sources.excitatory();
            let row = gids.below(self.source);
            if row == gids.len() || gids.get(row) != self.source {
                return;
            }
            let Synapses { owners, ee, .. } = part.synapses;
            for synapse in ee.rows.range(row as u32) {
                let target = owners.gid(part.place, ee.rows.targets.get(synapse));
                let nearness = self.nearness(target.0);
                if nearness > found.nearness {
                    found.nearness = nearness;
                    found.synapse.thread = part.thread as usize;
                    found.synapse.synapse = synapse;
                }
            }
        });
        found
    }
}

/// Map from weights to places in the counts. A weight of exactly 0 has place 0. A weight in a bin
/// has place 1 + ⌊weight · bins/max⌋. Larger weights have the place after the bins. Weights that
/// are not finite have the last place.
#[derive(Clone, Copy)]
struct Bins {
    count: f64,
    /// Number of bins per pA.
    scale: f64,
}

impl Bins {
    fn new(count: u32, max: f64) -> Self {
        let count = f64::from(count);
        Bins {
            count,
            scale: count / max,
        }
    }

    fn places(&self) -> usize {
        self.count as usize + 3
    }

    #[inline(always)]
    fn place(&self, weight: f64) -> u32 {
        // Infinity and NaN give `count`, like weights beyond the bins; the next line adds 1.
        let bin = (weight * self.scale).min(self.count) as i32 as u32;
        let bin = bin.wrapping_add(u32::from(!weight.is_finite()));
        if weight == 0.0 {
            0
        } else {
            bin.wrapping_add(1)
        }
    }
}

/// Number of weights per batch. Vector instructions compute the places of a batch.
const BATCH: usize = 64;
/// Number of counters per place. Many successive weights have the same place, and successive
/// additions to one counter would wait for each other.
const LANES: usize = 4;

/// Kernel that counts weights by place.
struct Count<'a, W> {
    bins: Bins,
    /// Ranges of synapses to count.
    counted: &'a [Range<u32>],
    weights: &'a [W],
}

/// Prefetch distance, in ranges. Each range is on a different page.
const PREFETCH_DISTANCE: usize = 4;
/// Maximum number of bytes prefetched per range. The hardware prefetches the rest.
const ASKED: usize = 1 << 11;

impl<W: Weight> Count<'_, W> {
    /// Prefetches the weights of range number `at`.
    #[inline(always)]
    fn prefetch(&self, at: usize) {
        if let Some(range) = self.counted.get(at) {
            let [start, end] = [range.start, range.end].map(|end| end as usize);
            let end = end.min(start + ASKED / size_of::<W>());
            for index in (start..end).step_by(simd::LINE / size_of::<W>()) {
                simd::prefetch(self.weights, index);
            }
        }
    }
}

impl<W: Weight> Kernel for Count<'_, W> {
    type Output = Vec<u64>;

    #[inline(always)]
    fn run(self) -> Vec<u64> {
        let mut counts = vec![[0u32; LANES]; self.bins.places()];
        let mut places = [0; BATCH];
        for (at, range) in self.counted.iter().enumerate() {
            self.prefetch(at + PREFETCH_DISTANCE);
            let weights = &self.weights[range.start as usize..range.end as usize];
            for batch in weights.chunks(BATCH) {
                for (place, weight) in places.iter_mut().zip(batch) {
                    *place = self.bins.place(weight.value());
                }
                let (fours, rest) = places[..batch.len()].as_chunks::<LANES>();
                for places in fours {
                    for (lane, &place) in places.iter().enumerate() {
                        let count = &mut counts[place as usize][lane];
                        *count = count.wrapping_add(1);
                    }
                }
                for &place in rest {
                    counts[place as usize][0] += 1;
                }
            }
        }
        let sum = |lanes: [u32; LANES]| lanes.into_iter().map(u64::from).sum();
        counts.into_iter().map(sum).collect()
    }
}
