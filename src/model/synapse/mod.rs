//! The synapses of one virtual process, stored on the side of their targets.

mod construction;
mod ids;
mod index;
mod moments;
mod sources;
mod stdp;

pub use construction::{Built, RowBuilder};
pub use ids::Ids;
pub use index::RowIndex;
pub use moments::{Moments, WeightAdder, WeightMoments};
pub use sources::{Arrival, Sources};
pub use stdp::{Batch, Law, Visit};

use std::ops::Range;

use crate::base::memory::allocated_bytes;
use crate::base::simd;
use crate::base::sizes::{product, total};
use crate::base::units::{Lid, Steps};
use crate::model::buffers::Slot;
use crate::model::params::WeightPrecision;

/// Index of a target within its population on this virtual process, as stored.
pub trait Target: Copy + Send + Sync {
    /// As an index.
    fn index(self) -> usize;
    /// From an index, which must fit.
    fn new(index: usize) -> Self;
}

impl Target for u16 {
    #[inline(always)]
    fn index(self) -> usize {
        self as usize
    }
    #[inline(always)]
    fn new(index: usize) -> Self {
        index as u16
    }
}

impl Target for u32 {
    #[inline(always)]
    fn index(self) -> usize {
        self as usize
    }
    #[inline(always)]
    fn new(index: usize) -> Self {
        index as u32
    }
}

/// A plastic weight as stored (pA).
pub trait Weight: Copy + Send + Sync {
    /// For computing.
    fn value(self) -> f64;
    /// Rounded for storing.
    fn stored(value: f64) -> Self;
}

impl Weight for f64 {
    #[inline(always)]
    fn value(self) -> f64 {
        self
    }
    #[inline(always)]
    fn stored(value: f64) -> Self {
        value
    }
}

impl Weight for f32 {
    #[inline(always)]
    fn value(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn stored(value: f64) -> Self {
        value as f32
    }
}

/// Targets of all synapses of a projection, two bytes each where the population allows it.
pub enum Targets {
    /// At most 65,536 targets on this virtual process.
    Narrow(Vec<u16>),
    /// More.
    Wide(Vec<u32>),
}

impl Targets {
    /// Asks for those of the synapses `range`.
    #[inline(always)]
    pub fn prefetch(&self, range: Range<usize>) {
        match self {
            Targets::Narrow(targets) => prefetch(targets, range),
            Targets::Wide(targets) => prefetch(targets, range),
        }
    }

    /// The target of synapse `index`.
    pub fn get(&self, index: usize) -> usize {
        match self {
            Targets::Narrow(targets) => targets[index].index(),
            Targets::Wide(targets) => targets[index].index(),
        }
    }
}

/// The synapses of one projection, row after row; a row is the synapses of one source.
pub struct Rows {
    /// Where they begin.
    pub index: RowIndex,
    /// Ascending within a row.
    pub targets: Targets,
}

impl Rows {
    /// The synapses of row `row`.
    #[inline(always)]
    pub fn range(&self, row: u32) -> Range<usize> {
        self.index.range(row)
    }

    /// The first synapse of row `row` whose target is `bound` or a later one, else its end.
    pub fn first_from(&self, row: u32, bound: usize) -> usize {
        fn below<T: Target>(targets: &[T], bound: usize) -> usize {
            targets.partition_point(|target| target.index() < bound)
        }
        let range = self.range(row);
        let start = range.start;
        start
            + match &self.targets {
                Targets::Narrow(targets) => below(&targets[range], bound),
                Targets::Wide(targets) => below(&targets[range], bound),
            }
    }

    /// How many synapses there are.
    pub fn len(&self) -> usize {
        self.index.synapses()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A projection whose weights never change.
pub struct StaticProjection {
    /// Delay of all its synapses.
    pub delay: Steps,
    /// The synapses.
    pub rows: Rows,
    /// Their weights (pA).
    pub weights: StaticWeights,
}

/// Weights of a static projection (pA).
pub enum StaticWeights {
    /// The same for all.
    Same(f64),
    /// One a synapse.
    Each(Vec<f64>),
}

/// The E→E projection.
pub struct PlasticProjection {
    /// Delay of all its synapses, dendritic.
    pub delay: Steps,
    /// The synapses.
    pub rows: Rows,
    /// Their weights (pA), as of the last delivered presynaptic spike.
    pub weights: PlasticWeights,
}

impl PlasticProjection {
    /// Calls `each` with source, target and weight (pA) of every synapse whose source is one of
    /// `sources`, by source and by target. `gids` are the sources of the rows.
    pub fn for_each(&self, gids: &Ids, sources: Range<u32>, mut each: impl FnMut(u32, Lid, f64)) {
        for row in gids.below(sources.start)..gids.below(sources.end) {
            let source = gids.get(row);
            for synapse in self.rows.range(row as u32) {
                let target = Lid(self.rows.targets.get(synapse) as u32);
                each(source, target, self.weights.get(synapse));
            }
        }
    }
}

/// Plastic weights in the precision asked for.
pub enum PlasticWeights {
    /// 8 bytes each.
    F64(Vec<f64>),
    /// 4 bytes each.
    F32(Vec<f32>),
}

impl PlasticWeights {
    /// Asks for those of the synapses `range`.
    #[inline(always)]
    pub fn prefetch(&self, range: Range<usize>) {
        match self {
            PlasticWeights::F64(weights) => prefetch(weights, range),
            PlasticWeights::F32(weights) => prefetch(weights, range),
        }
    }

    /// Whether all are finite numbers. Streams through all of them.
    pub fn are_finite(&self) -> bool {
        match self {
            PlasticWeights::F64(weights) => all_finite(weights),
            PlasticWeights::F32(weights) => all_finite(weights),
        }
    }

    /// The weight of synapse `index` (pA).
    pub fn get(&self, index: usize) -> f64 {
        match self {
            PlasticWeights::F64(weights) => weights[index],
            PlasticWeights::F32(weights) => weights[index].value(),
        }
    }
}

fn all_finite<W: Weight>(weights: &[W]) -> bool {
    // Without a branch for each weight, so that vectors do it.
    let finite = |all: bool, weight: &W| all & weight.value().is_finite();
    let mut batches = weights.chunks(1 << 12);
    batches.all(|batch| batch.iter().fold(true, finite))
}

/// Asks for `slice[range]`, line by line.
#[inline(always)]
fn prefetch<T>(slice: &[T], range: Range<usize>) {
    for index in range.step_by(simd::LINE / size_of::<T>()) {
        simd::prefetch(slice, index);
    }
}

impl StaticProjection {
    /// Adds the weights of the synapses `range` to `slot`, what arrives at the target
    /// population.
    #[inline(always)]
    pub fn deliver(&self, range: Range<usize>, slot: Slot) {
        match &self.rows.targets {
            Targets::Narrow(targets) => self.add(&targets[range.clone()], range, slot),
            Targets::Wide(targets) => self.add(&targets[range.clone()], range, slot),
        }
    }

    #[inline(always)]
    fn add<T: Target>(&self, targets: &[T], range: Range<usize>, mut slot: Slot) {
        match &self.weights {
            &StaticWeights::Same(weight) => {
                let sums = slot.channel(weight);
                for &target in targets {
                    sums[target.index()] += weight;
                }
            }
            StaticWeights::Each(weights) => {
                for (&target, &weight) in targets.iter().zip(&weights[range]) {
                    slot.channel(weight)[target.index()] += weight;
                }
            }
        }
    }
}

/// Memory, in bytes.
impl Rows {
    /// The targets of `synapses` synapses onto a population of `neurons` here.
    pub fn target_bytes(synapses: u64, neurons: u64) -> u64 {
        let wide = neurons > 1 << 16;
        product([synapses, if wide { 4 } else { 2 }])
    }

    fn targets_held(&self) -> u64 {
        match &self.targets {
            Targets::Narrow(targets) => allocated_bytes(targets),
            Targets::Wide(targets) => allocated_bytes(targets),
        }
    }
}

/// Memory, in bytes, without the row index.
impl PlasticProjection {
    /// Of `synapses` synapses onto `neurons` neurons here.
    pub fn bytes(synapses: u64, neurons: u64, precision: WeightPrecision) -> u64 {
        let weight = match precision {
            WeightPrecision::F64 => 8,
            WeightPrecision::F32 => 4,
        };
        total([
            Rows::target_bytes(synapses, neurons),
            product([weight, synapses]),
        ])
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        let weights = match &self.weights {
            PlasticWeights::F64(weights) => allocated_bytes(weights),
            PlasticWeights::F32(weights) => allocated_bytes(weights),
        };
        self.rows.targets_held() + weights
    }
}

/// Memory, in bytes, without the row index.
impl StaticProjection {
    /// Of `synapses` synapses onto `neurons` neurons here, with a weight for each if they were
    /// `read` from a file.
    pub fn bytes(synapses: u64, neurons: u64, read: bool) -> u64 {
        let weight = if read { 8 } else { 0 };
        total([
            Rows::target_bytes(synapses, neurons),
            product([weight, synapses]),
        ])
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        let weights = match &self.weights {
            StaticWeights::Same(_) => 0,
            StaticWeights::Each(weights) => allocated_bytes(weights),
        };
        self.rows.targets_held() + weights
    }
}
