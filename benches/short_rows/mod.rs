//! Delivery in rows of a few synapses, as one of many ranks or threads has them, beside what the
//! memory allows at best.

use std::hint::black_box;
use std::sync::Arc;

use rand::Rng;
use stdp_hpc::base::pages;
use stdp_hpc::base::rng::{Purpose, stream};
use stdp_hpc::base::simd;
use stdp_hpc::base::units::{Gid, Lid};
use stdp_hpc::engine::delivery::Synapses;
use stdp_hpc::engine::vp::VirtualProcess;
use stdp_hpc::model::synapse::{PlasticWeights, RowIndex, Sources, Targets};

use super::report::{Report, Round, Traffic, timed};
use super::{Group, INTERVAL, first_thread, next, params};

/// Synapses: far more than the caches hold.
const SYNAPSES: u32 = 10_000_000;
/// Synaptic events per interval, at 1 spike/s.
const EVENTS: u32 = 15_000;

/// Returns a number below `bound`.
fn below(rng: &mut impl Rng, bound: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(bound)) >> 32) as u32
}

/// One thread with short rows, and the arrivals of an interval after the other.
struct Short {
    vp: VirtualProcess,
    synapses: Synapses,
    sources: Sources,
    plastic: bool,
    rows: u32,
    /// Arrivals per interval.
    arrivals: u32,
    rng: Box<dyn Rng>,
    now: i32,
}

impl Short {
    /// Rows of `numerator` / `denominator` synapses on average, on random targets.
    fn new(report: &Report, plastic: bool, [numerator, denominator]: [u32; 2]) -> Self {
        let (vp, mut held, _) = first_thread(params(report.quick, &["network.K=10"]));
        let synapses = if report.quick { 10_000 } else { SYNAPSES };
        let rows = synapses / numerator * denominator;
        let mut rng = stream(1, Purpose::Rate, Gid(0));
        let start =
            |row: u32| (u64::from(row) * u64::from(numerator) / u64::from(denominator)) as u32;
        let starts = pages::collect(rows as usize + 1, (0..=rows).map(start));
        let last = starts[rows as usize] as usize;
        let e = vp.excitatory as u32;
        let mut targets = pages::collect(last, (0..last).map(|_| below(&mut rng, e) as u16));
        for ends in starts.windows(2) {
            targets[ends[0] as usize..ends[1] as usize].sort_unstable();
        }
        let none = vec![0; starts.len()];
        let index = Arc::new(RowIndex::new([starts, none]));
        let sources = match plastic {
            true => Sources::new((0..rows).collect(), Vec::new()),
            false => Sources::new(Vec::new(), (0..rows).collect()),
        };
        // The rows of the other population stay empty: nothing arrives there.
        let (onto_e, onto_i) = match plastic {
            true => (&mut held.ee.rows, &mut held.ei.rows),
            false => (&mut held.ie.rows, &mut held.ii.rows),
        };
        onto_e.targets = Targets::Narrow(targets);
        onto_e.index = Arc::clone(&index);
        onto_i.index = Arc::clone(&index);
        if plastic {
            held.ee.weights = PlasticWeights::F64(pages::filled(30.0, last));
        } else {
            // Delivery looks at the index of E.
            held.ee.rows.index = index;
        }
        Short {
            vp,
            synapses: held,
            sources,
            plastic,
            rows,
            arrivals: EVENTS * denominator / numerator,
            rng: Box::new(rng),
            now: 0,
        }
    }

    /// One interval; an element is a synaptic event.
    fn round(&mut self) -> Round {
        let interval = next(&mut self.now);
        let mut arrivals = Vec::new();
        for lag in 0..INTERVAL as u32 {
            let each = self.arrivals / INTERVAL as u32;
            let mut rows: Vec<u32> = (0..each).map(|_| below(&mut self.rng, self.rows)).collect();
            rows.sort_unstable();
            rows.dedup();
            let decay = self.synapses.law.decay_plus();
            let stamp = interval.stamp(lag);
            let arrive = |row| self.sources.arrive(row, stamp, decay);
            arrivals.extend(rows.into_iter().map(arrive));
        }
        let before = self.synapses.events;
        let time = timed(|| self.synapses.deliver(&arrivals, &mut self.vp));
        self.vp.history.refer_to(interval.start);
        if self.plastic {
            for _ in 0..self.vp.excitatory / 666 {
                let lid = Lid(below(&mut self.rng, self.vp.excitatory as u32));
                let newest = self.vp.history.recent()[lid.0 as usize].stamps[0];
                if newest < interval.stamp(0).0 {
                    self.vp.history.push(lid, interval.stamp(0));
                }
            }
        }
        (time, self.synapses.events - before)
    }
}

/// Limit that the memory sets: one record of weight and target per event, prefetched, and a record and
/// a sum of its target. No index, no law.
struct Limit {
    synapses: Vec<(f64, u32)>,
    histories: Vec<[f64; 4]>,
    sums: Vec<f64>,
    rng: Box<dyn Rng>,
}

/// Prefetch distance of a synapse, and of what its target has, in events.
const AHEAD: [usize; 2] = [24, 12];

impl Limit {
    fn new(report: &Report) -> Self {
        let synapses = if report.quick { 10_000 } else { SYNAPSES };
        let neurons = 6250;
        let mut rng = stream(2, Purpose::Rate, Gid(0));
        let synapse = |_| (30.0, below(&mut rng, neurons));
        Limit {
            synapses: pages::collect(synapses as usize, (0..synapses).map(synapse)),
            histories: vec![[0.001; 4]; neurons as usize],
            sums: vec![0.0; neurons as usize],
            rng: Box::new(rng),
        }
    }

    fn round(&mut self) -> Round {
        let number = self.synapses.len() as u32;
        let mut events = Vec::new();
        for _ in 0..INTERVAL {
            let each = EVENTS / INTERVAL as u32;
            let lag = events.len();
            events.extend((0..each).map(|_| below(&mut self.rng, number) as usize));
            events[lag..].sort_unstable();
        }
        let time = timed(|| self.deliver(&events));
        black_box(&self.sums);
        (time, events.len() as u64)
    }

    fn deliver(&mut self, events: &[usize]) {
        let [far, near] = AHEAD;
        for step in 0..events.len() + far {
            if let Some(&event) = events.get(step) {
                simd::prefetch(&self.synapses, event);
            }
            if let Some(&event) = events.get(step.wrapping_sub(far - near)) {
                let target = self.synapses[event].1 as usize;
                simd::prefetch(&self.histories, target);
                simd::prefetch(&self.sums, target);
            }
            if let Some(&event) = events.get(step.wrapping_sub(far)) {
                let (weight, target) = &mut self.synapses[event];
                let target = *target as usize;
                *weight *= 1.0 - 0.02 * self.histories[target][0];
                self.sums[target] += *weight;
            }
        }
    }
}

pub fn measure(report: &Report, group: &mut Group) {
    let traffic = |plastic: bool| Traffic {
        streamed: if plastic { 18.0 } else { 2.0 },
        near: if plastic { 48.0 } else { 16.0 },
    };
    for (name, length) in [
        ("1", [1, 1]),
        ("1.5", [3, 2]),
        ("4", [4, 1]),
        ("16", [16, 1]),
        ("64", [64, 1]),
    ] {
        for (kind, plastic) in [("static", false), ("plastic", true)] {
            report.measure(
                group,
                ["deliver rows of", &format!("{name} {kind}")],
                "event",
                traffic(plastic),
                || {
                    let mut short = Short::new(report, plastic, length);
                    (0..if report.quick { 1 } else { 1000 }).for_each(|_| _ = short.round());
                    short
                },
                Short::round,
            );
        }
    }
    report.measure(
        group,
        ["deliver rows of", "1: limit"],
        "event",
        traffic(true),
        || Limit::new(report),
        Limit::round,
    );
}
