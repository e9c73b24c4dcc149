//! Synapses that one thread holds, onto its own neurons or all of its rank.

mod construction;
mod ids;
mod index;
mod moments;
mod owners;
mod sources;
mod stdp;

pub use construction::{Built, Listed, RowBuilder};
pub use ids::Ids;
pub use index::RowIndex;
pub use moments::{Moments, WeightAdder, WeightMoments};
pub use owners::{Holder, Owners};
pub use sources::{Arrival, Sources};
pub use stdp::{AllHistories, Batch, Histories, Law, OwnHistory, Visit};

use std::ops::Range;
use std::sync::Arc;

use crate::base::memory::allocated_bytes;
use crate::base::simd;
use crate::base::sizes::{product, total};
use crate::base::units::Steps;
use crate::model::params::WeightPrecision;

/// Stored target, see [`Owners`].
pub trait Target: Copy + Send + Sync {
    /// Returns the target.
    fn index(self) -> usize;
    /// Stores target `index`, which must fit the type.
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

/// Stored plastic weight (pA).
pub trait Weight: Copy + Send + Sync {
    /// Returns the weight as a double, for computing.
    fn value(self) -> f64;
    /// Rounds `value` for storing.
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

/// Targets of all synapses of a projection: 2 bytes each if their number allows it, else 4.
pub enum Targets {
    /// All targets are below 65,536.
    Narrow(Vec<u16>),
    /// Any targets.
    Wide(Vec<u32>),
}

impl Targets {
    /// Prefetches the targets of the synapses `range`.
    #[inline(always)]
    pub fn prefetch(&self, range: Range<usize>) {
        match self {
            Targets::Narrow(targets) => prefetch(targets, range),
            Targets::Wide(targets) => prefetch(targets, range),
        }
    }

    /// Returns the target of synapse `index`.
    #[inline(always)]
    pub fn get(&self, index: usize) -> usize {
        match self {
            Targets::Narrow(targets) => targets[index].index(),
            Targets::Wide(targets) => targets[index].index(),
        }
    }
}

/// Synapses of one projection, row after row; a row holds the synapses of one source.
pub struct Rows {
    /// Start and end of each row, for the synapses of the same sources onto E and onto I.
    pub index: Arc<RowIndex>,
    /// Population of the targets: 0 for E, 1 for I.
    pub side: usize,
    /// Targets of the synapses, ascending within a row.
    pub targets: Targets,
}

impl Rows {
    /// Returns the range of synapses of row `row`.
    #[inline(always)]
    pub fn range(&self, row: u32) -> Range<usize> {
        let [e, i] = self.index.ranges(row);
        if self.side == 0 { e } else { i }
    }

    /// Returns the first synapse of row `row` whose target is at least `bound`, or the end of the
    /// row if there is none.
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

    /// Returns the number of synapses.
    pub fn len(&self) -> usize {
        self.index.synapses()[self.side]
    }

    /// Returns whether there are no synapses.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Projection whose weights never change.
pub struct StaticProjection {
    /// Delay of all synapses.
    pub delay: Steps,
    /// Rows of synapses.
    pub rows: Rows,
    /// Weights of the synapses (pA).
    pub weights: StaticWeights,
}

impl StaticProjection {
    /// Calls `each` with stored target and weight (pA) of the synapses `range`.
    #[inline(always)]
    pub fn for_each(&self, range: Range<usize>, each: impl FnMut(usize, f64)) {
        match &self.rows.targets {
            Targets::Narrow(targets) => self.with_weights(&targets[range.clone()], range, each),
            Targets::Wide(targets) => self.with_weights(&targets[range.clone()], range, each),
        }
    }

    #[inline(always)]
    fn with_weights<T: Target>(
        &self,
        targets: &[T],
        range: Range<usize>,
        mut each: impl FnMut(usize, f64),
    ) {
        let targets = targets.iter().map(|target| target.index());
        match &self.weights {
            StaticWeights::Same(weight) => targets.for_each(|target| each(target, *weight)),
            StaticWeights::Each(weights) => {
                let weights = weights[range].iter();
                targets
                    .zip(weights)
                    .for_each(|(target, weight)| each(target, *weight));
            }
        }
    }
}

/// Weights of a static projection (pA).
pub enum StaticWeights {
    /// One weight for all synapses.
    Same(f64),
    /// One weight per synapse.
    Each(Vec<f64>),
}

/// E→E projection.
pub struct PlasticProjection {
    /// Delay of all synapses, dendritic.
    pub delay: Steps,
    /// Rows of synapses.
    pub rows: Rows,
    /// Weights of the synapses (pA) after the last delivered presynaptic spike.
    pub weights: PlasticWeights,
}

impl PlasticProjection {
    /// Calls `each` with source, stored target and weight (pA) of every synapse whose source is in
    /// `sources`, in order of source, then target. `gids` are the sources of the rows.
    pub fn for_each(&self, gids: &Ids, sources: Range<u32>, mut each: impl FnMut(u32, usize, f64)) {
        for row in gids.below(sources.start)..gids.below(sources.end) {
            let source = gids.get(row);
            for synapse in self.rows.range(row as u32) {
                each(
                    source,
                    self.rows.targets.get(synapse),
                    self.weights.get(synapse),
                );
            }
        }
    }
}

/// Work on a plastic row, whatever the types of its targets and weights.
pub trait RowWork {
    /// Works on the `targets` and `weights` (pA) of a row.
    ///
    /// Hot loops pass through here: implementations are `#[inline(always)]`.
    fn run<T: Target, W: Weight>(self, targets: &[T], weights: &mut [W]);
}

impl PlasticProjection {
    /// Runs `work` on the synapses `range`.
    #[inline(always)]
    pub fn work_on(&mut self, range: Range<usize>, work: impl RowWork) {
        use {PlasticWeights as W, Targets as T};
        match (&self.rows.targets, &mut self.weights) {
            (T::Narrow(targets), W::F64(weights)) => {
                work.run(&targets[range.clone()], &mut weights[range]);
            }
            (T::Narrow(targets), W::F32(weights)) => {
                work.run(&targets[range.clone()], &mut weights[range]);
            }
            (T::Wide(targets), W::F64(weights)) => {
                work.run(&targets[range.clone()], &mut weights[range]);
            }
            (T::Wide(targets), W::F32(weights)) => {
                work.run(&targets[range.clone()], &mut weights[range]);
            }
        }
    }
}

/// Plastic weights in the configured precision.
pub enum PlasticWeights {
    /// Double precision, 8 bytes per weight.
    F64(Vec<f64>),
    /// Single precision, 4 bytes per weight.
    F32(Vec<f32>),
}

impl PlasticWeights {
    /// Prefetches the weights of the synapses `range`.
    #[inline(always)]
    pub fn prefetch(&self, range: Range<usize>) {
        match self {
            PlasticWeights::F64(weights) => prefetch(weights, range),
            PlasticWeights::F32(weights) => prefetch(weights, range),
        }
    }

    /// Returns whether all weights are finite. Reads all of them.
    pub fn are_finite(&self) -> bool {
        match self {
            PlasticWeights::F64(weights) => all_finite(weights),
            PlasticWeights::F32(weights) => all_finite(weights),
        }
    }

    /// Returns the weight of synapse `index` (pA).
    pub fn get(&self, index: usize) -> f64 {
        match self {
            PlasticWeights::F64(weights) => weights[index],
            PlasticWeights::F32(weights) => weights[index].value(),
        }
    }
}

fn all_finite<W: Weight>(weights: &[W]) -> bool {
    // No branch per weight, which lets the compiler vectorise the loop.
    let finite = |all: bool, weight: &W| all & weight.value().is_finite();
    let mut batches = weights.chunks(1 << 12);
    batches.all(|batch| batch.iter().fold(true, finite))
}

/// Prefetches `slice[range]`, cache line by cache line.
#[inline(always)]
fn prefetch<T>(slice: &[T], range: Range<usize>) {
    if range.is_empty() {
        return;
    }
    // Short rows end here, wherever in a line they begin.
    simd::prefetch(slice, range.start);
    simd::prefetch(slice, range.end - 1);
    let line = simd::LINE / size_of::<T>();
    let mut index = range.start.wrapping_add(line);
    // Not `step_by`, which divides.
    while index < range.end {
        simd::prefetch(slice, index);
        index = index.wrapping_add(line);
    }
}

/// Memory, in bytes.
impl Rows {
    /// Returns the bytes for the targets of `synapses` synapses; all targets are below `end`.
    pub fn target_bytes(synapses: u64, end: u64) -> u64 {
        let wide = end > 1 << 16;
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
    /// Returns the bytes for `synapses` synapses, whose targets are below `end`.
    pub fn bytes(synapses: u64, end: u64, precision: WeightPrecision) -> u64 {
        let weight = match precision {
            WeightPrecision::F64 => 8,
            WeightPrecision::F32 => 4,
        };
        total([
            Rows::target_bytes(synapses, end),
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
    /// Returns the bytes for `synapses` synapses, whose targets are below `end`, with one weight per
    /// synapse if they are `read` from a file.
    pub fn bytes(synapses: u64, end: u64, read: bool) -> u64 {
        let weight = if read { 8 } else { 0 };
        total([
            Rows::target_bytes(synapses, end),
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
