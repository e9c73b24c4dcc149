//! Power-law STDP (`stdp_pl_synapse_hom`): what one presynaptic spike does to a row.
//!
//! Source of the law: Morrison, Aertsen & Diesmann (2007), Neural Comput 19:1437; the delay
//! is dendritic and ties fall as in NEST: a postsynaptic spike exactly a delay before the
//! presynaptic one potentiates and does not yet depress.

use crate::buffers::{Post, Recent, SpikeHistory};
use crate::math::{GridExp, Power};
use crate::params::StdpParams;
use crate::simd::{self, Kernel};
use crate::units::{Lid, Ms, Steps};

use super::{Target, Weight};

/// The constants of the law, on the grid.
#[derive(Clone, Debug)]
pub struct Law {
    power: Power,
    lambda: f64,
    lambda_alpha: f64,
    decay_plus: GridExp,
}

/// What a presynaptic spike brings to the synapses of its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Visit {
    /// Postsynaptic spikes after this stamp are new to the synapse: t_last − d.
    pub after: i32,
    /// And up to this one they have reached it: t − d.
    pub until: i32,
    /// K₊ just after the last presynaptic spike, 0 if there was none.
    pub trace: f64,
}

impl Law {
    /// The law on the grid `dt`, for model times up to `longest`.
    pub fn new(stdp: &StdpParams, dt: Ms, longest: Steps) -> Self {
        Law {
            power: Power::new(stdp.mu_plus),
            lambda: stdp.lambda,
            lambda_alpha: stdp.lambda * stdp.alpha,
            decay_plus: GridExp::new(dt, stdp.tau_plus, longest),
        }
    }

    /// Decay of K₊ over time.
    pub fn decay_plus(&self) -> &GridExp {
        &self.decay_plus
    }

    /// w + λ·w^μ·K₊·exp(−age): one postsynaptic spike. `factor` is λ·K₊·exp(−age).
    #[inline(always)]
    fn potentiated(&self, weight: f64, factor: f64) -> f64 {
        weight + factor * self.power.of(weight)
    }

    /// max(0, w − λ·α·w·K₋).
    #[inline(always)]
    fn depressed(&self, weight: f64, trace_minus: f64) -> f64 {
        weight * (1.0 - self.lambda_alpha * trace_minus).max(0.0)
    }

    /// Weight after one presynaptic arrival, for any history: potentiates once per
    /// postsynaptic spike in (`after`, `until`], oldest first, then depresses with K₋ of the
    /// spikes strictly before `until`.
    ///
    /// `weight` in pA, finite, ≥ 0, and so is the result. O(spikes since `after`).
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
        let trace = history
            .since(lid, crate::buffers::NEVER)
            .rev()
            .find(before)
            .map_or(0.0, |p| p.trace * history.decay().at(visit.until - p.stamp));
        self.depressed(weight, trace)
    }

    /// One presynaptic arrival at the synapses of a row: plasticity, then delivery.
    ///
    /// `targets` (ascending) and `weights` (pA) are the row, `slot` the arrival slot of the
    /// ring buffer. Moves 2 × the weight's bytes, the target's and a 32-byte record per
    /// synapse; the row streams, records and slot stay in L2.
    #[inline(always)]
    pub fn deliver<T: Target, W: Weight>(
        &self,
        visit: Visit,
        history: &SpikeHistory,
        targets: &[T],
        weights: &mut [W],
        slot: &mut [f64],
    ) {
        let mut batch = Batch::new();
        for (targets, weights) in targets.chunks(BATCH).zip(weights.chunks_mut(BATCH)) {
            simd::run(Collect {
                batch: &mut batch,
                law: self,
                visit,
                history,
                targets,
                weights,
            });
            for round in 0..ROUNDS {
                batch.potentiate(self, visit, round);
            }
            batch.depress(self);
            for ((&target, weight), &value) in targets.iter().zip(weights).zip(&batch.weights) {
                *weight = W::stored(value);
                slot[target.index()] += weight.value();
            }
        }
    }
}

/// Synapses worked on at once: the arrays of a batch stay in L1.
const BATCH: usize = 128;
/// How many synapses ahead a history record is asked for.
const AHEAD: usize = 12;
/// Postsynaptic spikes per synapse that the batch applies; with more, or spikes older than
/// the history's record, [`Law::weight_after`] takes over.
const ROUNDS: usize = 3;
/// Potentiations are computed in whole vectors of this many; what fills the last is dropped.
const LANES: usize = 8;

struct Batch {
    weights: [f64; BATCH],
    /// K₋ at the arrival
    traces_minus: [f64; BATCH],
    /// Potentiations by the third-latest, the second-latest and the latest postsynaptic spike
    /// of each synapse that has it in its window: in this order, oldest first.
    rounds: [Round; ROUNDS],
}

struct Round {
    len: usize,
    synapse: [u8; BATCH],
    age: [i32; BATCH],
}

impl Round {
    /// Notes a potentiation if `holds`, without a branch.
    #[inline(always)]
    fn push(&mut self, holds: bool, synapse: usize, age: i32) {
        self.synapse[self.len % BATCH] = synapse as u8;
        self.age[self.len % BATCH] = age;
        self.len += usize::from(holds);
    }
}

impl Batch {
    #[inline(always)]
    fn new() -> Self {
        let none = || Round {
            len: 0,
            synapse: [0; BATCH],
            age: [0; BATCH],
        };
        Batch {
            weights: [0.0; BATCH],
            traces_minus: [0.0; BATCH],
            rounds: std::array::from_fn(|_| none()),
        }
    }

    #[inline(always)]
    fn potentiate(&mut self, law: &Law, visit: Visit, round: usize) {
        let Round { len, synapse, age } = &self.rounds[round];
        let (synapse, age) = (&synapse[..*len], &age[..*len]);
        let mut factors = [0.0; BATCH];
        let mut weights = [0.0; BATCH];
        let scale = law.lambda * visit.trace;
        for (((factor, weight), &j), &age) in
            factors.iter_mut().zip(&mut weights).zip(synapse).zip(age)
        {
            *factor = scale * law.decay_plus.at(age);
            *weight = self.weights[j as usize % BATCH];
        }
        let vectors = len.div_ceil(LANES);
        simd::run(Potentiate {
            law,
            factors: &factors,
            weights: &mut weights,
            vectors,
        });
        for (&j, &weight) in synapse.iter().zip(&weights) {
            self.weights[j as usize % BATCH] = weight;
        }
    }

    #[inline(always)]
    fn depress(&mut self, law: &Law) {
        for (weight, &trace) in self.weights.iter_mut().zip(&self.traces_minus) {
            *weight = law.depressed(*weight, trace);
        }
    }
}

/// w + factor · w^μ for the first `vectors` · [`LANES`] weights.
struct Potentiate<'a> {
    law: &'a Law,
    factors: &'a [f64; BATCH],
    weights: &'a mut [f64; BATCH],
    vectors: usize,
}

impl Kernel for Potentiate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let whole = self.vectors * LANES;
        let power = self.law.power;
        for (weight, &factor) in self.weights[..whole].iter_mut().zip(&self.factors[..whole]) {
            *weight += factor * power.of(*weight);
        }
    }
}

/// Sorts the postsynaptic spikes of each synapse into rounds and reads K₋, without branches
/// but for the rare synapse that the record does not suffice for.
struct Collect<'a, T, W> {
    batch: &'a mut Batch,
    law: &'a Law,
    visit: Visit,
    history: &'a SpikeHistory,
    targets: &'a [T],
    weights: &'a [W],
}

impl<T: Target, W: Weight> Kernel for Collect<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Collect {
            batch,
            law,
            visit,
            history,
            targets,
            weights,
        } = self;
        let Visit { until, trace, .. } = visit;
        // Without a trace there is nothing to potentiate: an empty window.
        let after = if trace > 0.0 { visit.after } else { i32::MAX };
        let recent = history.recent();
        let decay = history.decay();
        let [third_latest, second_latest, latest] = &mut batch.rounds;
        (third_latest.len, second_latest.len, latest.len) = (0, 0, 0);
        let slots = batch.weights.iter_mut().zip(&mut batch.traces_minus);
        for (j, ((&target, weight), (value, trace_minus))) in
            targets.iter().zip(weights).zip(slots).enumerate()
        {
            if let Some(ahead) = targets.get(j + AHEAD) {
                simd::prefetch(recent, ahead.index());
            }
            let Recent { stamps, traces } = &recent[target.index()];
            let [newest, second, third, fourth] = *stamps;
            if fourth > after || second >= until {
                let lid = Lid(target.index() as u32);
                *value = law.weight_after(weight.value(), visit, history, lid);
                *trace_minus = 0.0;
                continue;
            }
            *value = weight.value();
            let (stamp, trace) = if newest < until {
                (newest, traces[0])
            } else {
                (second, traces[1])
            };
            *trace_minus = trace * decay.at(until.wrapping_sub(stamp));
            third_latest.push(third > after, j, third.wrapping_sub(after));
            second_latest.push(second > after, j, second.wrapping_sub(after));
            latest.push(
                newest > after && newest <= until,
                j,
                newest.wrapping_sub(after),
            );
        }
    }
}
