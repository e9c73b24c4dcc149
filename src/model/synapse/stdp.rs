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

use super::{Arrival, Target, Weight};

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
    fn weight_after(&self, weight: f64, visit: Visit, history: &SpikeHistory, lid: Lid) -> f64 {
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
    /// `targets` (ascending) and `weights` (pA) are the row, `slot` the arrival slot of the ring
    /// buffer. Moves 2 × the weight's bytes, the target's bytes and a 32-byte record per synapse.
    /// The row streams through; records and slot stay in L2.
    #[inline(always)]
    pub fn deliver<T: Target, W: Weight>(
        &self,
        batch: &mut Batch,
        visit: Visit,
        history: &SpikeHistory,
        targets: &[T],
        weights: &mut [W],
        slot: &mut [f64],
    ) {
        let fade = history.fade(Steps(visit.until));
        for (targets, weights) in targets.chunks(BATCH).zip(weights.chunks_mut(BATCH)) {
            let row = Row {
                law: self,
                visit,
                history,
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
                slot[target.index()] += weight.value();
            }
        }
    }
}

impl Law {
    /// Returns the weight of a synapse onto neuron `target` after one presynaptic arrival, for rows
    /// that are too short for [`Law::deliver`]; with the same result to the last bit. `fade` is that
    /// of `history` at `visit.until`.
    #[inline(always)]
    pub fn visited<W: Weight>(
        &self,
        weight: W,
        visit: Visit,
        fade: f64,
        history: &SpikeHistory,
        target: usize,
    ) -> W {
        let Recent { stamps, traces } = &history.recent()[target];
        let [newest, second, third, fourth] = *stamps;
        let (after, until) = (visit.opens(), visit.until);
        if fourth > after || second >= until {
            let lid = Lid(target as u32);
            return W::stored(self.weight_after(weight.value(), visit, history, lid));
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
struct Row<'a, T> {
    law: &'a Law,
    visit: Visit,
    history: &'a SpikeHistory,
    targets: &'a [T],
}

impl<T> Clone for Row<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Row<'_, T> {}

/// Kernel that sorts the postsynaptic spikes of each synapse into rounds and reads the traces. It
/// branches only for the rare synapse whose spikes exceed the record, and processes that synapse at
/// once.
struct Collect<'a, T, W> {
    row: Row<'a, T>,
    batch: &'a mut Batch,
    weights: &'a mut [W],
}

impl<T: Target, W: Weight> Kernel for Collect<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Row {
            law,
            visit,
            history,
            targets,
        } = self.row;
        let until = visit.until;
        let after = visit.opens();
        let recent = history.recent();
        let [latest, second_latest, third_latest] = &mut self.batch.rounds;
        (latest.len, second_latest.len, third_latest.len) = (0, 0, 0);
        let slots = self.weights.iter_mut().zip(&mut self.batch.traces);
        // Avoids `enumerate`, which checks its count for overflow.
        for ((j, &target), (weight, trace)) in (0..BATCH).zip(targets).zip(slots) {
            if let Some(ahead) = targets.get(j.wrapping_add(PREFETCH_DISTANCE)) {
                simd::prefetch(recent, ahead.index());
            }
            let Recent { stamps, traces } = &recent[target.index()];
            let [newest, second, third, fourth] = *stamps;
            if fourth > after || second >= until {
                let lid = Lid(target.index() as u32);
                *weight = W::stored(law.weight_after(weight.value(), visit, history, lid));
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
struct Potentiate<'a, T, W> {
    row: Row<'a, T>,
    round: &'a Round,
    which: usize,
    weights: &'a mut [W],
}

impl<T: Target, W: Weight> Kernel for Potentiate<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Row {
            law,
            visit,
            history,
            targets,
        } = self.row;
        let synapses = &self.round.synapses[..self.round.len];
        let mut values = [0.0; BATCH];
        let mut factors = [0.0; BATCH];
        let scale = law.lambda * visit.trace;
        for ((value, factor), &j) in values.iter_mut().zip(&mut factors).zip(synapses) {
            let stamp = history.recent()[targets[j as usize].index()].stamps[self.which];
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
