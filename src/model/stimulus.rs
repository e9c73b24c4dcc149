//! External input: number of spikes from its private source that reach each neuron at each step.
//!
//! Counts are generated ahead for tiles of [`BLOCK`] steps and [`GROUP`] neurons. The update reads
//! the same tiles, and a tile is filled and read while it is in L1.

use rand::Rng;

use crate::base::memory::allocated_bytes;
use crate::base::pages::HugeArray;
use crate::base::rng::{Abreast, Purpose, WORDS, stream};
use crate::base::simd::{self, Kernel};
use crate::base::sizes::{product, total};
use crate::base::units::{GROUP, Gid, Steps};
use crate::model::params::MAX_EVENTS_PER_STEP;

/// Steps per tile, for which counts are generated at once.
pub const BLOCK: usize = 128;
/// Steps covered by one ChaCha block, at 16 bits per step.
const PART: usize = 2 * WORDS;

/// External input of one virtual process.
pub struct Input {
    source: Source,
    /// First stamp that a spike can have.
    first: Steps,
    delay: Steps,
    /// Counts of external spikes, one tile per group: the lower bytes here, the upper ones in
    /// `upper`, which is empty if no count exceeds 255.
    lower: HugeArray<Tile>,
    upper: HugeArray<Tile>,
    /// Block that each tile holds; −1 if none yet.
    held: Vec<i32>,
}

/// First stamp of Poisson input, as for NEST's `poisson_generator`: it is active after its start
/// time, and the spikes of a step carry the stamp of the step's end. The draws of the step before
/// are skipped; each draw thus keeps the stream position of its step.
const FIRST_DRAWN: Steps = Steps(2);

/// First stamp of given spikes.
const FIRST_GIVEN: Steps = Steps(1);

/// Lower bytes of the counts of a group and, if any count needs them, the upper bytes; see
/// [`Input::arriving`].
pub type Counts<'a> = (&'a [u8; GROUP], Option<&'a [u8; GROUP]>);

/// Bytes of counts, \[step in block]\[neuron in group].
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Tile([[u8; GROUP]; BLOCK]);

enum Source {
    Poisson {
        law: PoissonLaw,
        seed: u64,
        gids: Vec<Gid>,
    },
    /// Stamps and lids, sorted by block and group; `starts[t]..starts[t + 1]` belong to tile t.
    Given {
        spikes: Vec<(Steps, u32)>,
        starts: Vec<usize>,
    },
}

impl Input {
    /// Creates independent Poisson sources of `mean` spikes per step for the neurons `gids`, silent
    /// in the first step.
    pub fn poisson(mean: f64, delay: Steps, seed: u64, gids: Vec<Gid>) -> Self {
        let neurons = gids.len();
        let law = PoissonLaw::new(mean);
        let most = law.most();
        let source = Source::Poisson { law, seed, gids };
        Input::new(source, FIRST_DRAWN, most, delay, neurons)
    }

    /// Creates input from given spikes: (emission stamp, lid) in any order, at most 65535 per step
    /// and neuron.
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
            FIRST_GIVEN,
            most.unwrap_or(0),
            delay,
            neurons,
        )
    }

    fn new(source: Source, first: Steps, most: usize, delay: Steps, neurons: usize) -> Self {
        let groups = neurons.div_ceil(GROUP);
        let tiles = |needed: bool| HugeArray::zeroed(if needed { groups } else { 0 });
        Input {
            source,
            first,
            delay,
            lower: tiles(true),
            upper: tiles(most > 255),
            held: vec![-1; groups],
        }
    }

    /// Returns the counts that arrive with stamp `arrival` at the neurons of `group`: their lower
    /// bytes, and the upper ones if any count needs them.
    ///
    /// The spikes were emitted one delay earlier, and none before the first stamp of the source.
    #[inline(always)]
    pub fn arriving(&mut self, group: usize, arrival: Steps) -> Counts<'_> {
        const NOTHING: Counts = (&[0; GROUP], None);
        let emission = arrival.0 - self.delay.0;
        if emission < self.first.0 {
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

    /// Fills the tile of `group` with the counts of `block`.
    #[cold]
    #[inline(never)]
    fn fill(&mut self, group: usize, block: i32) {
        self.held[group] = block;
        let (lower, upper) = (&mut self.lower[group], self.upper.get_mut(group));
        match &self.source {
            Source::Poisson { law, seed, gids } => {
                let here = group * GROUP..gids.len().min((group + 1) * GROUP);
                fill_poisson(law, *seed, &gids[here], block, lower, upper);
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
    /// Returns the bytes for Poisson sources of `mean` spikes per step.
    pub fn poisson_bytes(mean: f64, neurons: u64) -> u64 {
        // A mean above 255 needs upper bytes in any case; its long distribution is not built.
        let upper = mean > 255.0 || PoissonLaw::new(mean).most() > 255;
        let gids = product([size_of::<Gid>() as u64, neurons]);
        total([Self::tile_bytes(neurons, upper), gids])
    }

    /// Returns the bytes for `spikes` given spikes within `steps` steps, at most 255 per neuron and
    /// step.
    pub fn given_bytes(spikes: u64, steps: u64, neurons: u64) -> u64 {
        let tiles = product([neurons.div_ceil(GROUP as u64), steps.div_ceil(BLOCK as u64)]);
        let starts = product([8, tiles.saturating_add(1)]);
        total([
            Self::tile_bytes(neurons, false),
            product([8, spikes]),
            starts,
        ])
    }

    fn tile_bytes(neurons: u64, upper: bool) -> u64 {
        let groups = neurons.div_ceil(GROUP as u64);
        let tiles = product([1 + u64::from(upper), HugeArray::<Tile>::bytes(groups)]);
        total([tiles, product([4, groups])])
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        let source = match &self.source {
            Source::Poisson { gids, .. } => allocated_bytes(gids),
            Source::Given { spikes, starts } => allocated_bytes(spikes) + allocated_bytes(starts),
        };
        source + self.lower.held() + self.upper.held() + allocated_bytes(&self.held)
    }
}

fn fill_poisson(
    law: &PoissonLaw,
    seed: u64,
    gids: &[Gid],
    block: i32,
    lower: &mut Tile,
    mut upper: Option<&mut Tile>,
) {
    let mut padded = [Gid(0); GROUP];
    padded[..gids.len()].copy_from_slice(gids);
    simd::run(DrawCounts {
        law,
        seed,
        gids: &padded,
        block,
        lower,
        upper: upper.as_deref_mut(),
    });
    if gids.len() < GROUP {
        for tile in [Some(lower), upper].into_iter().flatten() {
            tile.0.iter_mut().for_each(|row| row[gids.len()..].fill(0));
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

/// Poisson distribution tabulated for exact inversion.
///
/// A draw compares 16 random bits with the cumulative distribution. If they fall into a cell of
/// width 2⁻¹⁶ that contains a boundary of the distribution, 48 further bits decide. Each
/// probability is thus exact to 2⁻⁵³ at the cost of 16 random bits.
#[derive(Clone, Debug)]
pub struct PoissonLaw {
    /// Smallest tabulated count; smaller counts have a probability below 2⁻⁶⁴.
    least: u16,
    /// P(X ≤ least + k) · 2⁶⁴, ascending.
    boundaries: Vec<u64>,
    /// Upper 16 bits of the boundaries in the cells 1 … 65534, as offset (signed) numbers.
    cells: Vec<i16>,
    /// `least` + boundaries in cell 0.
    base: u16,
    /// Cells that contain a boundary, as offset numbers, each once.
    cut: Vec<i16>,
}

/// Returns 16 random bits as a signed number, which vector units can compare.
fn offset(cell: u16) -> i16 {
    (cell ^ 0x8000) as i16
}

impl PoissonLaw {
    /// Tabulates the distribution with mean `mean`, 0 ≤ `mean` ≤ [`MAX_EVENTS_PER_STEP`]. Every
    /// count with a probability above 2⁻⁶⁴ then fits 16 bits.
    ///
    /// Uses the recurrence p(k+1) = p(k)·mean/(k+1) from the mode outwards and scales by the sum;
    /// this needs no transcendental function.
    ///
    /// # Panics
    /// Panics if `mean` is out of range.
    pub fn new(mean: f64) -> Self {
        assert!(
            (0.0..=MAX_EVENTS_PER_STEP).contains(&mean),
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
        // Sums from the small end keep the digits of the tails.
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

    /// Returns the largest count that a draw can give; larger counts have a probability below 2⁻⁶⁴.
    fn most(&self) -> usize {
        usize::from(self.least) + self.boundaries.len()
    }

    /// Returns the count that `draw`, 64 random bits, stands for.
    fn invert(&self, draw: u64) -> u16 {
        self.least + self.boundaries.partition_point(|&bound| bound <= draw) as u16
    }
}

/// 16 random bits for each of two successive steps, \[neuron]\[step].
type Pairs = [i16; 2 * GROUP];

/// Kernel that draws the Poisson counts of a group of neurons for the steps of a block.
struct DrawCounts<'a> {
    law: &'a PoissonLaw,
    seed: u64,
    gids: &'a [Gid; GROUP],
    block: i32,
    lower: &'a mut Tile,
    upper: Option<&'a mut Tile>,
}

impl Kernel for DrawCounts<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let parts = BLOCK / PART;
        let mut words = Abreast([[0; GROUP]; WORDS]);
        for part in 0..parts {
            let number = self.block as u64 * parts as u64 + part as u64;
            words.generate(self.seed, Purpose::Poisson, self.gids, number);
            for word in words.0.as_flattened_mut() {
                *word = word.to_le();
            }
            let bits: &[Pairs; WORDS] = bytemuck::cast_ref(&words.0);
            let mut open = [0; 2 * GROUP];
            for (pair, bits) in bits.iter().enumerate() {
                self.invert(part * PART + 2 * pair, bits, &mut open);
            }
            if open.iter().fold(0, |any, open| any | open) != 0 {
                self.settle(part * PART, bits, &open);
            }
        }
    }
}

impl DrawCounts<'_> {
    /// Writes the counts that `bits` decide for `step` and the next one. Marks in `open` the lanes
    /// where `bits` leave a count open.
    #[inline(always)]
    fn invert(&mut self, step: usize, bits: &Pairs, open: &mut Pairs) {
        let mut counts = [self.law.base; 2 * GROUP];
        for &cell in &self.law.cells {
            for (count, &b) in counts.iter_mut().zip(bits) {
                *count = count.wrapping_add(u16::from(b > cell));
            }
        }
        for &cell in &self.law.cut {
            for (open, &b) in open.iter_mut().zip(bits) {
                *open |= i16::from(b == cell).wrapping_neg();
            }
        }
        let counts: [u32; GROUP] = bytemuck::cast(counts);
        let counts = counts.map(u32::from_le);
        write_rows(self.lower, step, &counts, 0);
        if let Some(upper) = &mut self.upper {
            write_rows(upper, step, &counts, 8);
        }
    }

    /// Decides the draws, from step `first` on, whose 16 bits fell into a cut cell. Their lanes are
    /// marked in `open`.
    #[cold]
    #[inline(never)]
    fn settle(&mut self, first: usize, bits: &[Pairs; WORDS], open: &Pairs) {
        for (lane, _) in open.iter().enumerate().filter(|(_, open)| **open != 0) {
            let neuron = lane / 2;
            let mut rng = stream(self.seed, Purpose::PoissonTail, self.gids[neuron]);
            for (pair, bits) in bits.iter().enumerate() {
                let (b, step) = (bits[lane], first + 2 * pair + lane % 2);
                if self.law.cut.binary_search(&b).is_err() {
                    continue;
                }
                rng.set_word_pos(2 * (self.block as u128 * BLOCK as u128 + step as u128));
                let draw = u64::from(b as u16 ^ 0x8000) << 48 | rng.next_u64() >> 16;
                let count = self.law.invert(draw);
                self.lower.0[step][neuron] = count as u8;
                if let Some(upper) = &mut self.upper {
                    upper.0[step][neuron] = (count >> 8) as u8;
                }
            }
        }
    }
}

/// Writes one byte of each count to row `step` (lower halves of `counts`) and to the next row
/// (upper halves).
#[inline(always)]
fn write_rows(tile: &mut Tile, step: usize, counts: &[u32; GROUP], shift: u32) {
    for (row, shift) in tile.0[step..].iter_mut().zip([shift, 16 + shift]) {
        for (byte, count) in row.iter_mut().zip(counts) {
            *byte = (count >> shift) as u8;
        }
    }
}

#[cfg(test)]
mod tests;
