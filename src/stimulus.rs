//! External input: how many spikes of its private source reach each neuron at each step.
//!
//! Counts are made ahead for blocks of [`BLOCK`] steps and groups of [`GROUP`] neurons, the
//! tile in which the update consumes them, so a tile is filled and read while it is in L1.

use rand::Rng;
use rand::rand_core::block::Generator;
use rand_chacha::ChaCha8Core;

use crate::memory::room;
use crate::pages::HugeArray;
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
    /// One tile a group: counts of external spikes, their lower and their upper bytes; no
    /// upper ones where no count exceeds 255.
    lower: HugeArray<Tile>,
    upper: HugeArray<Tile>,
    /// Which block each tile holds; −1: none yet.
    held: Vec<i32>,
}

/// See [`Input::arriving`].
pub type Counts<'a> = (&'a [u8; GROUP], Option<&'a [u8; GROUP]>);

/// \[step in block]\[neuron in group]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Tile([[u8; GROUP]; BLOCK]);

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
        let most = law.most();
        Input::new(Source::Poisson { law, trains }, most, delay, neurons)
    }

    /// Given spikes: (emission stamp, lid) in any order, at most 65535 a step and neuron.
    pub fn given(mut spikes: Vec<(Steps, u32)>, delay: Steps, neurons: usize) -> Self {
        let groups = neurons.div_ceil(GROUP);
        let key = |&(stamp, lid): &(Steps, u32)| {
            ((stamp.0 - 1) as usize / BLOCK) * groups + lid as usize / GROUP
        };
        spikes.sort_unstable_by_key(|spike| (key(spike), *spike));
        let most = spikes.chunk_by(|a, b| a == b).map(<[_]>::len).max();
        let tiles = spikes.last().map_or(0, |last| key(last) + 1);
        let mut starts = vec![0; tiles + 1];
        for spike in &spikes {
            starts[key(spike) + 1] += 1;
        }
        for tile in 0..tiles {
            starts[tile + 1] += starts[tile];
        }
        Input::new(
            Source::Given { spikes, starts },
            most.unwrap_or(0),
            delay,
            neurons,
        )
    }

    fn new(source: Source, most: usize, delay: Steps, neurons: usize) -> Self {
        let groups = neurons.div_ceil(GROUP);
        let tiles = |needed: bool| HugeArray::zeroed(if needed { groups } else { 0 });
        Input {
            source,
            delay,
            lower: tiles(true),
            upper: tiles(most > 255),
            held: vec![-1; groups],
        }
    }

    /// Counts that arrive with stamp `arrival` at the neurons of `group`: their lower bytes,
    /// and the upper ones where any count needs them.
    ///
    /// They were emitted a delay earlier, and none before the first step.
    #[inline(always)]
    pub fn arriving(&mut self, group: usize, arrival: Steps) -> Counts<'_> {
        const NOTHING: Counts = (&[0; GROUP], None);
        let emission = arrival.0 - self.delay.0;
        if emission < 1 {
            return NOTHING;
        }
        let (block, step) = (
            (emission - 1) / BLOCK as i32,
            (emission - 1) as usize % BLOCK,
        );
        if self.held[group] != block {
            self.fill(group, block);
        }
        let upper = self.upper.get(group).map(|tile| &tile.0[step]);
        (&self.lower[group].0[step], upper)
    }

    /// Makes the tile of `group` for `block`, the one after the one it holds.
    #[cold]
    #[inline(never)]
    fn fill(&mut self, group: usize, block: i32) {
        let before = std::mem::replace(&mut self.held[group], block);
        let (lower, upper) = (&mut self.lower[group], self.upper.get_mut(group));
        match &mut self.source {
            Source::Poisson { law, trains } => {
                debug_assert_eq!(block, before + 1, "Poisson trains are drawn in order");
                let here = group * GROUP..trains.len().min((group + 1) * GROUP);
                fill_poisson(law, &mut trains[here], block, lower, upper);
            }
            Source::Given { spikes, starts } => {
                let index = block as usize * self.held.len() + group;
                let range = starts
                    .get(index..=index + 1)
                    .map_or(0..0, |ends| ends[0]..ends[1]);
                fill_given(&spikes[range], lower, upper);
            }
        }
    }
}

/// Memory, in bytes.
impl Input {
    /// Of Poisson sources of `mean` spikes a step.
    pub fn poisson_bytes(mean: f64, neurons: u64) -> u64 {
        let most = PoissonLaw::new(mean).most();
        Self::tile_bytes(neurons, most > 255) + size_of::<PoissonTrain>() as u64 * neurons
    }

    /// Of `spikes` given spikes within `steps` steps, at most 255 a neuron and step.
    pub fn given_bytes(spikes: u64, steps: u64, neurons: u64) -> u64 {
        let tiles = neurons.div_ceil(GROUP as u64) * steps.div_ceil(BLOCK as u64);
        Self::tile_bytes(neurons, false) + 8 * spikes + 8 * (tiles + 1)
    }

    fn tile_bytes(neurons: u64, upper: bool) -> u64 {
        let groups = neurons.div_ceil(GROUP as u64);
        (1 + u64::from(upper)) * HugeArray::<Tile>::bytes(groups) + 4 * groups
    }

    /// As it is.
    pub fn held(&self) -> u64 {
        let source = match &self.source {
            Source::Poisson { trains, .. } => room(trains),
            Source::Given { spikes, starts } => room(spikes) + room(starts),
        };
        source + self.lower.held() + self.upper.held() + room(&self.held)
    }
}

/// Trains that are turned from rows into columns at once, so that they go out as one word.
const ABREAST: usize = 8;

fn fill_poisson(
    law: &PoissonLaw,
    trains: &mut [PoissonTrain],
    block: i32,
    lower: &mut Tile,
    mut upper: Option<&mut Tile>,
) {
    let mut counts = [[0; BLOCK]; ABREAST];
    for (index, trains) in trains.chunks_mut(ABREAST).enumerate() {
        for (counts, train) in counts.iter_mut().zip(trains) {
            law.draw(train, block, counts);
        }
        simd::run(Transpose {
            counts: &counts,
            tile: lower,
            shift: 0,
            index,
        });
        if let Some(upper) = &mut upper {
            simd::run(Transpose {
                counts: &counts,
                tile: upper,
                shift: 8,
                index,
            });
        }
    }
}

fn fill_given(spikes: &[(Steps, u32)], lower: &mut Tile, upper: Option<&mut Tile>) {
    lower.0.fill([0; GROUP]);
    let mut upper = upper;
    if let Some(upper) = &mut upper {
        upper.0.fill([0; GROUP]);
    }
    for spikes in spikes.chunk_by(|a, b| a == b) {
        let (stamp, lid) = spikes[0];
        let (row, column) = ((stamp.0 - 1) as usize % BLOCK, lid as usize % GROUP);
        lower.0[row][column] = spikes.len() as u8;
        if let Some(upper) = &mut upper {
            upper.0[row][column] = (spikes.len() >> 8) as u8;
        }
    }
}

/// Writes one byte of the counts of eight trains to the eight columns of number `index`.
struct Transpose<'a> {
    counts: &'a [[u16; BLOCK]; ABREAST],
    tile: &'a mut Tile,
    shift: u32,
    index: usize,
}

impl Kernel for Transpose<'_> {
    type Output = ();

    /// Bytes to pairs, pairs to quadruples, quadruples to words of eight.
    #[inline(always)]
    fn run(self) {
        let mut pairs = [[0u16; BLOCK]; ABREAST / 2];
        for (pairs, counts) in pairs.iter_mut().zip(self.counts.chunks_exact(2)) {
            for step in 0..BLOCK {
                let byte = |train: usize| counts[train][step] >> self.shift & 255;
                pairs[step] = byte(0) | byte(1) << 8;
            }
        }
        let mut fours = [[0u32; BLOCK]; ABREAST / 4];
        for (fours, pairs) in fours.iter_mut().zip(pairs.chunks_exact(2)) {
            for step in 0..BLOCK {
                fours[step] = u32::from(pairs[0][step]) | u32::from(pairs[1][step]) << 16;
            }
        }
        let mut words = [0u64; BLOCK];
        for step in 0..BLOCK {
            words[step] = u64::from(fours[0][step]) | u64::from(fours[1][step]) << 32;
        }
        let first = self.index * ABREAST;
        for (row, word) in self.tile.0.iter_mut().zip(words) {
            row[first..first + ABREAST].copy_from_slice(&word.to_le_bytes());
        }
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

    /// The largest count of a probability above 2⁻⁶⁴.
    fn most(&self) -> usize {
        usize::from(self.least) + self.boundaries.len()
    }

    /// Counts of `train` for the [`BLOCK`] steps of `block`; blocks are asked for in order.
    pub fn draw(&self, train: &mut PoissonTrain, block: i32, counts: &mut [u16; BLOCK]) {
        let mut words = [0u32; BLOCK / 2];
        train.bits.generate(&mut words);
        let mut bits = [0i16; BLOCK];
        for (pair, word) in bits.chunks_exact_mut(2).zip(words) {
            pair.copy_from_slice(&[word as i16, (word >> 16) as i16]);
        }
        if simd::run(Invert {
            law: self,
            bits: &bits,
            counts,
        }) {
            self.settle(train, block, &bits, counts);
        }
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

/// Counts that the bits decide; returns whether some are left open.
struct Invert<'a> {
    law: &'a PoissonLaw,
    bits: &'a [i16; BLOCK],
    counts: &'a mut [u16; BLOCK],
}

impl Kernel for Invert<'_> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let mut counts = [self.law.base; BLOCK];
        for &cell in &self.law.cells {
            for (count, &b) in counts.iter_mut().zip(self.bits) {
                *count += u16::from(b > cell);
            }
        }
        *self.counts = counts;
        let mut open = [false; BLOCK];
        for &cell in &self.law.cut {
            for (open, &b) in open.iter_mut().zip(self.bits) {
                *open |= b == cell;
            }
        }
        open.iter().fold(false, |any, &open| any | open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(law: &PoissonLaw, train: &mut PoissonTrain, block: i32) -> [u16; BLOCK] {
        let mut counts = [0; BLOCK];
        law.draw(train, block, &mut counts);
        counts
    }

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
                    for count in drawn(&law, &mut train, block) {
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
                rare += drawn(&law, &mut train, block)
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
            .map(|gid| drawn(&law, &mut PoissonTrain::new(5, Gid(gid)), 0))
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

    fn arriving(input: &mut Input, group: usize, arrival: i32) -> [f64; GROUP] {
        let (lower, upper) = input.arriving(group, Steps(arrival));
        let upper = upper.unwrap_or(&[0; GROUP]);
        std::array::from_fn(|j| f64::from(lower[j]) + 256.0 * f64::from(upper[j]))
    }

    #[test]
    fn given_spikes_arrive_a_delay_later_and_add_up() {
        for many in [2, 700] {
            let mut spikes = vec![(Steps(200), 70); many];
            spikes.extend([(Steps(1), 3), (Steps(128), 70)]);
            let mut input = Input::given(spikes, Steps(12), 100);
            assert_eq!(arriving(&mut input, 0, 13)[3], 1.0);
            assert_eq!(arriving(&mut input, 1, 140)[6], 1.0);
            assert_eq!(arriving(&mut input, 1, 212)[6], many as f64);
            assert_eq!(arriving(&mut input, 1, 213)[6], 0.0);
            assert_eq!(arriving(&mut input, 0, 5000), [0.0; GROUP]);
            assert_eq!(arriving(&mut input, 1, 12), [0.0; GROUP]);
        }
    }

    #[test]
    fn tiles_hold_what_each_train_draws() {
        for mean in [0.3, 9.0, 400.0] {
            let (law, neurons) = (PoissonLaw::new(mean), 100);
            let mut input = Input::poisson(mean, Steps(1), 4, (0..neurons).map(Gid).collect());
            let mut trains: Vec<_> = (0..neurons).map(|g| PoissonTrain::new(4, Gid(g))).collect();
            for block in 0..2 {
                for (gid, train) in trains.iter_mut().enumerate() {
                    let counts = drawn(&law, train, block);
                    for (step, &count) in counts.iter().enumerate() {
                        let arrival = 2 + block * BLOCK as i32 + step as i32;
                        let sums = arriving(&mut input, gid / GROUP, arrival);
                        assert_eq!(
                            sums[gid % GROUP],
                            f64::from(count),
                            "mean {mean}, gid {gid}"
                        );
                    }
                }
            }
        }
    }
}
