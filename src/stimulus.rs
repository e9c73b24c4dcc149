//! External input: how many spikes of its private source reach each neuron at each step.
//!
//! Counts are made ahead for blocks of [`BLOCK`] steps and groups of [`GROUP`] neurons, the
//! tile in which the update consumes them, so a tile is filled and read while it is in L1.

use rand::Rng;
use rand::rand_core::block::Generator;
use rand_chacha::ChaCha8Core;

use crate::rng::{Purpose, blocks, stream};
use crate::simd::{self, Kernel};
use crate::units::{Gid, Steps};

/// Neurons that are advanced together.
pub const GROUP: usize = 64;
/// Steps for which counts are made at once: 16 bits each from the four ChaCha blocks that
/// the generator makes in one go.
pub const BLOCK: usize = 128;

/// The external input of one virtual process.
pub struct Input {
    source: Source,
    delay: Steps,
    /// One tile a group: \[step in block]\[neuron in group], counts of external spikes.
    tiles: Vec<Tile>,
    /// Which block each tile holds; −1: none yet.
    held: Vec<i32>,
}

type Tile = [[u16; GROUP]; BLOCK];

enum Source {
    Poisson {
        law: PoissonLaw,
        trains: Vec<PoissonTrain>,
    },
    /// Stamps and lids, sorted by block and group; tile t's are `starts[t]..starts[t + 1]`.
    Given {
        spikes: Vec<(Steps, u32)>,
        starts: Vec<usize>,
    },
}

impl Input {
    /// Independent Poisson sources of mean `mean` spikes a step for the neurons `gids`.
    pub fn poisson(mean: f64, delay: Steps, seed: u64, gids: Vec<Gid>) -> Self {
        let neurons = gids.len();
        let trains = gids
            .into_iter()
            .map(|gid| PoissonTrain::new(seed, gid))
            .collect();
        let law = PoissonLaw::new(mean);
        Input::new(Source::Poisson { law, trains }, delay, neurons)
    }

    /// Given spikes: (emission stamp, lid) in any order.
    pub fn given(mut spikes: Vec<(Steps, u32)>, delay: Steps, neurons: usize) -> Self {
        let groups = neurons.div_ceil(GROUP);
        let key = |&(stamp, lid): &(Steps, u32)| {
            ((stamp.0 - 1) as usize / BLOCK) * groups + lid as usize / GROUP
        };
        spikes.sort_unstable_by_key(key);
        let tiles = spikes.last().map_or(0, |last| key(last) + 1);
        let mut starts = vec![0; tiles + 1];
        for spike in &spikes {
            starts[key(spike) + 1] += 1;
        }
        for tile in 0..tiles {
            starts[tile + 1] += starts[tile];
        }
        Input::new(Source::Given { spikes, starts }, delay, neurons)
    }

    fn new(source: Source, delay: Steps, neurons: usize) -> Self {
        let groups = neurons.div_ceil(GROUP);
        let tiles = vec![[[0; GROUP]; BLOCK]; groups];
        Input {
            source,
            delay,
            tiles,
            held: vec![-1; groups],
        }
    }

    /// Counts that arrive with stamp `arrival` at the neurons of `group`.
    ///
    /// Emitted a delay earlier; nothing was emitted before the first step.
    #[inline(always)]
    pub fn arriving(&mut self, group: usize, arrival: i32) -> &[u16; GROUP] {
        const NOTHING: [u16; GROUP] = [0; GROUP];
        let emission = arrival - self.delay.0;
        if emission < 1 {
            return &NOTHING;
        }
        let (block, step) = (
            (emission - 1) / BLOCK as i32,
            (emission - 1) as usize % BLOCK,
        );
        if self.held[group] != block {
            self.fill(group, block);
        }
        &self.tiles[group][step]
    }

    /// Makes the tile of `group` for `block`, the one after the one it holds.
    #[cold]
    #[inline(never)]
    fn fill(&mut self, group: usize, block: i32) {
        let before = std::mem::replace(&mut self.held[group], block);
        let tile = &mut self.tiles[group];
        match &mut self.source {
            Source::Poisson { law, trains } => {
                debug_assert_eq!(block, before + 1, "Poisson trains are drawn in order");
                let trains = trains[group * GROUP..]
                    .chunks_mut(ABREAST)
                    .take(GROUP / ABREAST);
                for (trains, column) in trains.zip((0..).step_by(ABREAST)) {
                    let mut counts = [[0; BLOCK]; ABREAST];
                    for (counts, train) in counts.iter_mut().zip(trains) {
                        *counts = law.counts(train, block);
                    }
                    transpose(&counts, tile, column);
                }
            }
            Source::Given { spikes, starts } => {
                tile.iter_mut().for_each(|row| row.fill(0));
                let index = block as usize * self.held.len() + group;
                if index + 1 < starts.len() {
                    for &(stamp, lid) in &spikes[starts[index]..starts[index + 1]] {
                        let count = &mut tile[(stamp.0 - 1) as usize % BLOCK][lid as usize % GROUP];
                        *count = count.checked_add(1).expect("at most 65535 spikes a step");
                    }
                }
            }
        }
    }
}

/// Trains that are turned from rows into columns at once, so that they go out as one word.
const ABREAST: usize = 4;

/// Writes the counts of four trains to the columns from `column` on.
fn transpose(counts: &[[u16; BLOCK]; ABREAST], tile: &mut Tile, column: usize) {
    let [a, b, c, d] = counts;
    for (step, row) in tile.iter_mut().enumerate() {
        row[column..column + ABREAST].copy_from_slice(&[a[step], b[step], c[step], d[step]]);
    }
}

/// The private source of one neuron; 64 bytes.
#[derive(Clone)]
pub struct PoissonTrain {
    bits: ChaCha8Core,
    seed: u64,
    gid: Gid,
}

impl PoissonTrain {
    /// The source of neuron `gid`, at its beginning.
    pub fn new(seed: u64, gid: Gid) -> Self {
        PoissonTrain {
            bits: blocks(seed, Purpose::Poisson, gid),
            seed,
            gid,
        }
    }
}

/// Poisson distribution tabulated for exact inversion.
///
/// A draw compares 16 random bits with the cumulative distribution; where they fall into a
/// cell of width 2⁻¹⁶ that a boundary of the distribution cuts, 48 further bits decide. So
/// each probability is exact to 2⁻⁵³ at the cost of 16 random bits.
#[derive(Clone, Debug)]
pub struct PoissonLaw {
    /// The smallest count of a probability above 2⁻⁶⁴.
    least: u16,
    /// P(X ≤ least + k) · 2⁶⁴, ascending.
    boundaries: Vec<u64>,
    /// Upper 16 bits of the boundaries in the cells 1 … 65534, as offset (signed) numbers.
    cells: Vec<i16>,
    /// `least` + boundaries in cell 0.
    base: u16,
    /// All cells that a boundary cuts, as offset numbers, each once.
    cut: Vec<i16>,
}

/// Largest mean of a [`PoissonLaw`]: every count of a probability above 2⁻⁶⁴ fits 16 bits.
pub const MAX_MEAN: f64 = 30_000.0;

/// 16 random bits as a signed number, so that vector units can compare them.
fn offset(cell: u16) -> i16 {
    (cell ^ 0x8000) as i16
}

impl PoissonLaw {
    /// The distribution with mean `mean`, 0 ≤ `mean` ≤ [`MAX_MEAN`].
    ///
    /// Built by the recurrence p(k+1) = p(k)·mean/(k+1) from the mode outwards and scaled by
    /// its sum: needs no transcendental function.
    pub fn new(mean: f64) -> Self {
        assert!(
            (0.0..=MAX_MEAN).contains(&mean),
            "mean count {mean} out of range"
        );
        const NEGLIGIBLE: f64 = 1e-25;
        let mode = mean.floor();
        let mut lower = Vec::new();
        let (mut k, mut p) = (mode, 1.0);
        while k > 0.0 && p > NEGLIGIBLE {
            p *= k / mean;
            k -= 1.0;
            lower.push(p);
        }
        let least = k as u16;
        let mut weights: Vec<f64> = lower.into_iter().rev().collect();
        let (mut k, mut p) = (mode, 1.0);
        while p > NEGLIGIBLE {
            weights.push(p);
            k += 1.0;
            p *= mean / k;
        }
        PoissonLaw::from_weights(least, &weights)
    }

    fn from_weights(least: u16, weights: &[f64]) -> Self {
        const TWO_64: f64 = 18_446_744_073_709_551_616.0;
        // Sums from the small end keep the tails' digits.
        let half = weights.len() / 2;
        let running = |sum: &mut f64, w: &f64| {
            *sum += w;
            Some(*sum)
        };
        let below: Vec<f64> = weights.iter().scan(0.0, running).collect();
        let above: Vec<f64> = weights.iter().rev().scan(0.0, running).collect();
        let total = below[half]
            + if half + 1 < weights.len() {
                above[weights.len() - half - 2]
            } else {
                0.0
            };
        let mut boundaries = Vec::new();
        for k in 0..weights.len() - 1 {
            let (p, q) = (below[k] / total, above[weights.len() - 2 - k] / total);
            let boundary = if p < 0.5 {
                (p * TWO_64) as u64
            } else {
                ((q * TWO_64) as u64).wrapping_neg()
            };
            if boundary != 0 || p < 0.5 {
                boundaries.push(boundary);
            }
        }
        let cells: Vec<u16> = boundaries.iter().map(|&b| (b >> 48) as u16).collect();
        let mut cut: Vec<i16> = cells.iter().map(|&c| offset(c)).collect();
        cut.dedup();
        PoissonLaw {
            least,
            base: least + cells.iter().filter(|&&c| c == 0).count() as u16,
            cells: cells
                .iter()
                .filter(|&&c| c > 0 && c < u16::MAX)
                .map(|&c| offset(c))
                .collect(),
            cut,
            boundaries,
        }
    }

    /// Counts of `train` for the [`BLOCK`] steps of `block`; blocks are asked for in order.
    pub fn counts(&self, train: &mut PoissonTrain, block: i32) -> [u16; BLOCK] {
        let mut words = [0u32; BLOCK / 2];
        train.bits.generate(&mut words);
        let mut bits = [0i16; BLOCK];
        for (pair, word) in bits.chunks_exact_mut(2).zip(words) {
            pair.copy_from_slice(&[word as i16, (word >> 16) as i16]);
        }
        let (mut counts, open) = simd::run(Invert {
            law: self,
            bits: &bits,
        });
        if open {
            self.settle(train, block, &bits, &mut counts);
        }
        counts
    }

    /// Decides the draws whose 16 bits fell into a cut cell.
    #[cold]
    fn settle(
        &self,
        train: &PoissonTrain,
        block: i32,
        bits: &[i16; BLOCK],
        counts: &mut [u16; BLOCK],
    ) {
        let mut rng = stream(train.seed, Purpose::PoissonTail, train.gid);
        for (step, (count, b)) in counts.iter_mut().zip(bits).enumerate() {
            if self.cut.binary_search(b).is_ok() {
                rng.set_word_pos(2 * (block as u128 * BLOCK as u128 + step as u128));
                let draw = u64::from(*b as u16 ^ 0x8000) << 48 | rng.next_u64() >> 16;
                let below = self.boundaries.partition_point(|&bound| bound <= draw);
                *count = self.least + below as u16;
            }
        }
    }
}

struct Invert<'a> {
    law: &'a PoissonLaw,
    bits: &'a [i16; BLOCK],
}

impl Kernel for Invert<'_> {
    type Output = ([u16; BLOCK], bool);

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut counts = [self.law.base; BLOCK];
        for &cell in &self.law.cells {
            for (count, &b) in counts.iter_mut().zip(self.bits) {
                *count += u16::from(b > cell);
            }
        }
        let mut open = [false; BLOCK];
        for &cell in &self.law.cut {
            for (open, &b) in open.iter_mut().zip(self.bits) {
                *open |= b == cell;
            }
        }
        (counts, open.iter().fold(false, |any, &open| any | open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pmf(mean: f64, k: u32) -> f64 {
        libm::exp(f64::from(k) * libm::log(mean) - mean - libm::lgamma(f64::from(k) + 1.0))
    }

    #[test]
    fn boundaries_are_the_cumulative_distribution() {
        for mean in [0.001, 0.217, 2.0, 17.3, 400.0, 29_000.0] {
            let law = PoissonLaw::new(mean);
            let mut below = 0.0;
            for (i, &b) in law.boundaries.iter().enumerate() {
                below += pmf(mean, u32::from(law.least) + i as u32);
                let error = (b as f64 / 18_446_744_073_709_551_616.0 - below).abs();
                assert!(error < 1e-9, "mean {mean}, count {i}: {error}");
            }
        }
    }

    #[test]
    fn counts_follow_the_distribution() {
        for mean in [0.0, 0.217, 2.0, 33.0] {
            let law = PoissonLaw::new(mean);
            let mut histogram = [0u32; 200];
            let draws = 4000 * BLOCK as u32;
            for gid in 0..400 {
                let mut train = PoissonTrain::new(7, Gid(gid));
                for block in 0..10 {
                    for count in law.counts(&mut train, block) {
                        histogram[usize::from(count)] += 1;
                    }
                }
            }
            if mean == 0.0 {
                assert_eq!(histogram[0], draws);
                continue;
            }
            let (mut chi2, mut bins) = (0.0, 0.0);
            for (k, &n) in histogram.iter().enumerate() {
                let expected = pmf(mean, k as u32) * f64::from(draws);
                if expected > 10.0 {
                    chi2 += (f64::from(n) - expected).powi(2) / expected;
                    bins += 1.0;
                }
            }
            let limit = bins + 4.0 * f64::sqrt(2.0 * bins);
            assert!(chi2 < limit, "mean {mean}: chi² {chi2} over {bins} bins");
        }
    }

    /// The tail that 16 bits cannot resolve: P(X ≥ 5) = 3.4e-6 at mean 0.217.
    #[test]
    fn rare_counts_have_their_probability() {
        let law = PoissonLaw::new(0.217);
        let (gids, blocks) = (2000, 100);
        let mut rare = 0;
        for gid in 0..gids {
            let mut train = PoissonTrain::new(1, Gid(gid as u32));
            for block in 0..blocks {
                rare += law
                    .counts(&mut train, block)
                    .iter()
                    .filter(|&&c| c >= 5)
                    .count();
            }
        }
        let draws = f64::from(gids) * f64::from(blocks) * BLOCK as f64;
        let expected = draws * (5..30).map(|k| pmf(0.217, k)).sum::<f64>();
        let deviation = (rare as f64 - expected) / expected.sqrt();
        assert!(
            deviation.abs() < 4.0,
            "{rare} rare counts, {expected} expected"
        );
    }

    #[test]
    fn neurons_and_steps_are_independent() {
        let law = PoissonLaw::new(0.5);
        let rows: Vec<[u16; BLOCK]> = (0..2000)
            .map(|gid| law.counts(&mut PoissonTrain::new(5, Gid(gid)), 0))
            .collect();
        let centred = |gid: usize, step: usize| f64::from(rows[gid][step]) - 0.5;
        let (mut neighbours, mut successive) = (0.0, 0.0);
        for gid in 0..rows.len() - 1 {
            for step in 0..BLOCK - 1 {
                neighbours += centred(gid, step) * centred(gid + 1, step);
                successive += centred(gid, step) * centred(gid, step + 1);
            }
        }
        let pairs = (rows.len() - 1) as f64 * (BLOCK - 1) as f64;
        for sum in [neighbours, successive] {
            let z = sum / (0.5 * pairs.sqrt());
            assert!(z.abs() < 4.0, "correlation of {z} standard errors");
        }
    }

    #[test]
    fn given_spikes_arrive_a_delay_later_and_add_up() {
        let spikes = vec![
            (Steps(200), 70),
            (Steps(1), 3),
            (Steps(200), 70),
            (Steps(128), 70),
        ];
        let mut input = Input::given(spikes, Steps(12), 100);
        assert_eq!(input.arriving(0, 13)[3], 1);
        assert_eq!(input.arriving(1, 140)[6], 1);
        assert_eq!(input.arriving(1, 212)[6], 2);
        assert_eq!(input.arriving(1, 213)[6], 0);
        assert_eq!(input.arriving(0, 5000), &[0; GROUP]);
        assert_eq!(input.arriving(1, 12), &[0; GROUP]);
    }
}
