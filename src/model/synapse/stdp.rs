//! Power-law STDP (`stdp_pl_synapse_hom`): effect of one presynaptic spike on a row.
//!
//! Source of the law: Morrison, Aertsen & Diesmann (2007), Neural Comput 19:1437. The delay is
//! dendritic. Ties are resolved as in NEST: a postsynaptic spike exactly one delay before the
//! presynaptic one potentiates and does not yet depress.

use crate::base::math::{GridExp, Power};
use crate::base::simd::{self, Kernel};
use crate::base::units::{Lid, Ms, Steps};
use crate::model::buffers::{NEVER, Post, Recent, SpikeHistory};
use crate::model::params::StdpParams;

use super::{Arrival, Owners, Target, Weight};

/// Constants of the law, on the grid.
#[derive(Clone, Debug)]
pub struct Law {
    power: Power,
    lambda: f64,
    lambda_alpha: f64,
    decay_plus: GridExp,
}

/// Data that a presynaptic spike brings to the synapses of its row. Times are stamps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Visit {
    /// t_last − d; later postsynaptic spikes are new to the synapse.
    pub after: i32,
    /// t − d; postsynaptic spikes up to this stamp have reached the synapse.
    pub until: i32,
    /// K₊ just after the last presynaptic spike, 0 if there was none.
    pub trace: f64,
}

/// Spike histories of the neurons that stored targets stand for.
pub trait Histories<'a>: Copy {
    /// Returns the history that has the neuron of `target`, and its index there.
    fn of(self, target: usize) -> (OwnHistory<'a>, usize);

    /// Returns the latest spikes of the neuron of `target`.
    #[inline(always)]
    fn recent(self, target: usize) -> &'a Recent {
        let (history, index) = self.of(target);
        &history.recent[index]
    }

    /// Prefetches the latest spikes of the neuron of `target`.
    #[inline(always)]
    fn prefetch(self, target: usize) {
        let (history, index) = self.of(target);
        simd::prefetch(history.recent, index);
    }

    /// Returns the decay of traces up to `at`, see [`SpikeHistory::fade`].
    fn fade(self, at: Steps) -> f64;
}

/// History of the neurons of one thread; targets are their indices.
#[derive(Clone, Copy)]
pub struct OwnHistory<'a> {
    history: &'a SpikeHistory,
    recent: &'a [Recent],
}

impl<'a> OwnHistory<'a> {
    /// Returns access to `history`.
    pub fn new(history: &'a SpikeHistory) -> Self {
        OwnHistory {
            history,
            recent: history.recent(),
        }
    }
}

impl<'a> Histories<'a> for OwnHistory<'a> {
    #[inline(always)]
    fn of(self, target: usize) -> (OwnHistory<'a>, usize) {
        (self, target)
    }

    #[inline(always)]
    fn fade(self, at: Steps) -> f64 {
        self.history.fade(at)
    }
}

/// Histories of the neurons of all threads of a rank.
#[derive(Clone, Copy)]
pub struct AllHistories<'a> {
    /// Owners of the targets.
    pub owners: Owners,
    /// History of each owner. The traces of all refer to the same time.
    pub each: &'a [OwnHistory<'a>],
}

impl<'a> Histories<'a> for AllHistories<'a> {
    #[inline(always)]
    fn of(self, target: usize) -> (OwnHistory<'a>, usize) {
        let (owner, index) = self.owners.split(target);
        (self.each[owner], index)
    }

    #[inline(always)]
    fn fade(self, at: Steps) -> f64 {
        self.each[0].fade(at)
    }
}

impl Law {
    /// Creates the law on the grid `dt`, for model times up to `longest`.
    pub fn new(stdp: &StdpParams, dt: Ms, longest: Steps) -> Self {
        Law {
            power: Power::new(stdp.mu_plus),
            lambda: stdp.lambda,
            lambda_alpha: stdp.lambda * stdp.alpha,
            decay_plus: GridExp::new(dt, stdp.tau_plus, longest),
        }
    }

    /// Returns the decay of K₊ over time.
    pub fn decay_plus(&self) -> &GridExp {
        &self.decay_plus
    }

    /// Returns w + λ·w^μ·K₊·exp(−age), the weight after one postsynaptic spike. `factor` is
    /// λ·K₊·exp(−age).
    #[inline(always)]
    fn potentiated(&self, weight: f64, factor: f64) -> f64 {
        weight + factor * self.power.of(weight)
    }

    /// Returns max(0, w − λ·α·w·K₋) with K₋ = trace · fade.
    #[inline(always)]
    fn depressed(&self, weight: f64, trace: f64, fade: f64) -> f64 {
        weight * (1.0 - trace * (self.lambda_alpha * fade)).max(0.0)
    }

    /// Returns the weight after one presynaptic arrival, for any history. Potentiates once per
    /// postsynaptic spike in (`after`, `until`], oldest first, then depresses with K₋ of the spikes
    /// strictly before `until`.
    ///
    /// `weight` and the result are in pA, finite and ≥ 0. O(spikes since `after`).
    #[cold]
    #[inline(never)]
    fn weight_after<'a>(
        &self,
        weight: f64,
        visit: Visit,
        histories: impl Histories<'a>,
        target: usize,
    ) -> f64 {
        let (OwnHistory { history, .. }, index) = histories.of(target);
        let lid = Lid(index as u32);
        let mut weight = weight;
        if visit.trace > 0.0 {
            for post in history
                .since(lid, visit.after)
                .take_while(|p| p.stamp <= visit.until)
            {
                let age = post.stamp - visit.after;
                let factor = self.lambda * visit.trace * self.decay_plus.at(age);
                weight = self.potentiated(weight, factor);
            }
        }
        let before = |post: &Post| post.stamp < visit.until;
        let all = history.since(lid, NEVER);
        let trace = all.rev().find(before).map_or(0.0, |post| post.trace);
        self.depressed(weight, trace, history.fade(Steps(visit.until)))
    }

    /// Applies one presynaptic arrival to the synapses of a row: plasticity, then delivery.
    ///
    /// `targets` (ascending) and `weights` (pA) are the row; `add` takes a target and its new weight.
    /// Moves 2 × the weight's bytes, the target's bytes and a 32-byte record per synapse. The row
    /// streams through; records stay in L2.
    #[inline(always)]
    pub fn deliver<'a, T: Target, W: Weight>(
        &self,
        batch: &mut Batch,
        visit: Visit,
        histories: impl Histories<'a>,
        targets: &[T],
        weights: &mut [W],
        mut add: impl FnMut(usize, f64),
    ) {
        let fade = histories.fade(Steps(visit.until));
        for (targets, weights) in targets.chunks(BATCH).zip(weights.chunks_mut(BATCH)) {
            let row = Row {
                law: self,
                visit,
                histories,
                targets,
            };
            simd::run(Collect {
                row,
                batch,
                weights,
            });
            for which in (0..ROUNDS).rev() {
                simd::run(Potentiate {
                    row,
                    round: &batch.rounds[which],
                    which,
                    weights,
                });
            }
            simd::run(Depress {
                law: self,
                traces: &batch.traces,
                fade,
                weights,
            });
            for (&target, &weight) in targets.iter().zip(&*weights) {
                add(target.index(), weight.value());
            }
        }
    }
}

impl Law {
    /// Returns the weight of a synapse onto `target` after one presynaptic arrival, for rows that are
    /// too short for [`Law::deliver`]; with the same result to the last bit. `fade` is that of
    /// `histories` at `visit.until`.
    #[inline(always)]
    pub fn visited<'a, W: Weight>(
        &self,
        weight: W,
        visit: Visit,
        fade: f64,
        histories: impl Histories<'a>,
        target: usize,
    ) -> W {
        let Recent { stamps, traces } = histories.recent(target);
        let [newest, second, third, fourth] = *stamps;
        let (after, until) = (visit.opens(), visit.until);
        if fourth > after || second >= until {
            return W::stored(self.weight_after(weight.value(), visit, histories, target));
        }
        let scale = self.lambda * visit.trace;
        let potentiated = |weight: W, stamp: i32| {
            let factor = scale * self.decay_plus.at(stamp.wrapping_sub(visit.after));
            W::stored(self.potentiated(weight.value(), factor))
        };
        let mut weight = weight;
        if third > after {
            weight = potentiated(weight, third);
        }
        if second > after {
            weight = potentiated(weight, second);
        }
        if newest > after && newest <= until {
            weight = potentiated(weight, newest);
        }
        let trace = traces[usize::from(newest >= until)];
        W::stored(self.depressed(weight.value(), trace, fade))
    }
}

impl Visit {
    /// Returns the visit of `arrival` to synapses of this delay.
    #[inline(always)]
    pub fn of(arrival: &Arrival, delay: Steps) -> Self {
        Visit {
            after: arrival.last - delay.0,
            until: arrival.stamp - delay.0,
            trace: arrival.trace,
        }
    }

    /// Returns the stamp after which postsynaptic spikes potentiate; without a trace none does.
    #[inline(always)]
    fn opens(&self) -> i32 {
        if self.trace > 0.0 {
            self.after
        } else {
            i32::MAX
        }
    }
}

/// Synapses per batch; the arrays of a batch stay in L1.
const BATCH: usize = 128;
/// Maximum number of potentiations that go through the vector units together.
const LANES: usize = 8;
/// Prefetch distance of a spike history, in synapses.
const PREFETCH_DISTANCE: usize = 12;
/// Postsynaptic spikes per synapse that a batch applies. With more spikes, or spikes older than the
/// record of the history, [`Law::weight_after`] takes over.
const ROUNDS: usize = 3;

/// Working memory for one batch of synapses of a row, sized to stay in L1.
pub struct Batch {
    /// Trace of the last postsynaptic spike before the arrival; 0 for synapses already processed.
    traces: [f64; BATCH],
    /// Synapses with their latest, second-latest and third-latest postsynaptic spike in the window.
    /// Applied last to first, which is oldest spike first.
    rounds: [Round; ROUNDS],
}

struct Round {
    len: usize,
    synapses: [u8; BATCH],
}

impl Round {
    /// Adds `synapse` if `holds`, without a branch.
    #[inline(always)]
    fn push(&mut self, holds: bool, synapse: usize) {
        self.synapses[self.len % BATCH] = synapse as u8;
        self.len = self.len.wrapping_add(usize::from(holds));
    }
}

impl Default for Batch {
    fn default() -> Self {
        Batch::new()
    }
}

impl Batch {
    /// Creates an empty batch.
    pub fn new() -> Self {
        let none = |_| Round {
            len: 0,
            synapses: [0; BATCH],
        };
        Batch {
            traces: [0.0; BATCH],
            rounds: std::array::from_fn(none),
        }
    }
}

/// Input shared by the kernels of a delivery: at most [`BATCH`] synapses of one row.
struct Row<'a, T, H> {
    law: &'a Law,
    visit: Visit,
    histories: H,
    targets: &'a [T],
}

impl<T, H: Copy> Clone for Row<'_, T, H> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T, H: Copy> Copy for Row<'_, T, H> {}

/// Kernel that sorts the postsynaptic spikes of each synapse into rounds and reads the traces. It
/// branches only for the rare synapse whose spikes exceed the record, and processes that synapse at
/// once.
struct Collect<'a, T, W, H> {
    row: Row<'a, T, H>,
    batch: &'a mut Batch,
    weights: &'a mut [W],
}

impl<'h, T: Target, W: Weight, H: Histories<'h>> Kernel for Collect<'_, T, W, H> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Row {
            law,
            visit,
            histories,
            targets,
        } = self.row;
        let until = visit.until;
        let after = visit.opens();
        let [latest, second_latest, third_latest] = &mut self.batch.rounds;
        (latest.len, second_latest.len, third_latest.len) = (0, 0, 0);
        let slots = self.weights.iter_mut().zip(&mut self.batch.traces);
        // Avoids `enumerate`, which checks its count for overflow.
        for ((j, &target), (weight, trace)) in (0..BATCH).zip(targets).zip(slots) {
            if let Some(ahead) = targets.get(j.wrapping_add(PREFETCH_DISTANCE)) {
                histories.prefetch(ahead.index());
            }
            let target = target.index();
            let Recent { stamps, traces } = histories.recent(target);
            let [newest, second, third, fourth] = *stamps;
            if fourth > after || second >= until {
                *weight = W::stored(law.weight_after(weight.value(), visit, histories, target));
                *trace = 0.0;
                continue;
            }
            *trace = traces[usize::from(newest >= until)];
            latest.push(newest > after && newest <= until, j);
            second_latest.push(second > after, j);
            third_latest.push(third > after, j);
        }
    }
}

/// Kernel that applies w + λ·K₊·exp(−age) · w^μ to the synapses of a round, for spike number
/// `which` of their targets (0: the latest).
struct Potentiate<'a, T, W, H> {
    row: Row<'a, T, H>,
    round: &'a Round,
    which: usize,
    weights: &'a mut [W],
}

impl<'h, T: Target, W: Weight, H: Histories<'h>> Kernel for Potentiate<'_, T, W, H> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Row {
            law,
            visit,
            histories,
            targets,
        } = self.row;
        let synapses = &self.round.synapses[..self.round.len];
        let mut values = [0.0; BATCH];
        let mut factors = [0.0; BATCH];
        let scale = law.lambda * visit.trace;
        for ((value, factor), &j) in values.iter_mut().zip(&mut factors).zip(synapses) {
            let stamp = histories.recent(targets[j as usize].index()).stamps[self.which];
            *factor = scale * law.decay_plus.at(stamp.wrapping_sub(visit.after));
            *value = self.weights[j as usize].value();
        }
        // Two independent streams share the loaded constants, and neither waits for its own
        // results. Vectors are whole; the padding of the last one is dropped.
        let half = synapses.len().div_ceil(2).next_multiple_of(LANES);
        let (left, right) = values.split_at_mut(half);
        let (left_factors, right_factors) = factors.split_at(half);
        let power = law.power;
        let pairs = left.iter_mut().zip(right);
        let factors = left_factors.iter().zip(right_factors);
        for ((left, right), (left_factor, right_factor)) in pairs.zip(factors) {
            *left += left_factor * power.of(*left);
            *right += right_factor * power.of(*right);
        }
        for (&value, &j) in values.iter().zip(synapses) {
            self.weights[j as usize] = W::stored(value);
        }
    }
}

/// Kernel that applies max(0, w − λ·α·w·K₋) to all synapses of a batch.
struct Depress<'a, W> {
    law: &'a Law,
    traces: &'a [f64; BATCH],
    fade: f64,
    weights: &'a mut [W],
}

impl<W: Weight> Kernel for Depress<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (weight, &trace) in self.weights.iter_mut().zip(self.traces) {
            *weight = W::stored(self.law.depressed(weight.value(), trace, self.fade));
        }
    }
}
