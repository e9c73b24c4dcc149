//! How long each kernel takes per element, beside the bytes that it cannot help moving.
//! benches/README.md says how to run and read it.

mod report;
mod short_rows;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;

use report::{Report, Round, Traffic, timed};
use stdp_hpc::base::math::Power;
use stdp_hpc::base::rng::{Purpose, stream, unit};
use stdp_hpc::base::simd::{self, Kernel};
use stdp_hpc::base::sort::by_radix;
use stdp_hpc::base::units::{GROUP, Gid, Interval, Lid, Steps};
use stdp_hpc::comm::Comm;
use stdp_hpc::engine::Simulation;
use stdp_hpc::engine::delivery::Synapses;
use stdp_hpc::engine::spikes::{Exchange, Flags, RowShares, TargetTable};
use stdp_hpc::engine::vp::VirtualProcess;
use stdp_hpc::io::config;
use stdp_hpc::model::network::{Placement, Pool};
use stdp_hpc::model::neuron::Emission;
use stdp_hpc::model::params::Params;
use stdp_hpc::model::recipe::DrawnNetwork;
use stdp_hpc::model::stimulus::{BLOCK, Input};
use stdp_hpc::model::synapse::{RowBuilder, RowIndex, Sources};

/// Steps of an interval of the default network.
const INTERVAL: i32 = 12;
/// The default network is looked at as one of so many threads sees it.
const THREADS: u32 = 2;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn main() {
    simd::choose().unwrap_or_else(|error| panic!("{error}"));
    let report = Report::new();
    let mut criterion = report::criterion();
    let mut group = report::group(&mut criterion);
    deliver(&report, &mut group);
    short_rows::measure(&report, &mut group);
    update(&report, &mut group);
    poisson(&report, &mut group);
    pow(&report, &mut group);
    exchange(&report, &mut group);
    construction(&report, &mut group);
    group.finish();
    report.print();
    criterion.final_summary();
}

/// default.toml with some keys changed; a small version of it where it is only tried.
fn params(quick: bool, changes: &[&str]) -> Params {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/default.toml"));
    let text = std::fs::read_to_string(path).expect("default.toml");
    let mut changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
    // Model time for as many rounds as anyone may want to measure.
    changes.push("simulation.T=10000000".to_owned());
    if quick {
        changes.extend(["network.N=1000", "network.K=100"].map(str::to_owned));
    }
    config::load(path, &text, &changes, Some(THREADS as usize), 1).expect("good parameters")
}

/// What the first of the threads holds, and all sources.
fn first_thread(params: Params) -> (VirtualProcess, Synapses, Sources) {
    let network = DrawnNetwork::new(params).expect("no files");
    let simulation = Simulation::build(Comm::Alone, network).expect("built");
    let (vps, synapses, sources) = simulation.into_parts();
    let first = (
        vps.into_iter().next(),
        synapses.into_iter().next(),
        sources.into_iter().next(),
    );
    let (Some(vp), Some(synapses), Some(sources)) = first else {
        unreachable!("a thread");
    };
    (vp, synapses, sources)
}

/// The interval after `now`, which moves on.
fn next(now: &mut i32) -> Interval {
    let start = Steps(*now);
    *now += INTERVAL;
    let steps = INTERVAL;
    Interval { start, steps }
}

/// Deliveries as the default network has them, without the rest of its loop.
struct Delivery {
    vp: VirtualProcess,
    synapses: Synapses,
    sources: Sources,
    /// Which sources to deliver from: rows of the excitatory or of the inhibitory ones.
    rows: std::ops::Range<u32>,
    /// By row: steps between spikes, stamp of the next one.
    periods: Vec<i32>,
    next: Vec<i32>,
    /// (stamp, row) of the interval before.
    spikes: Vec<(i32, u32)>,
    now: i32,
    /// What the update between two deliveries drives out of L1 and L2.
    other: Vec<u8>,
}

impl Delivery {
    /// Each source fires regularly, at a rate drawn around `rate` (spikes/s).
    fn new(params: Params, plastic: bool, rate: f64) -> Self {
        let (vp, mut synapses, sources) = first_thread(params);
        let e = sources.excitatory().len() as u32;
        let rows = if plastic {
            // Only these: a row of E otherwise has static synapses too.
            let ee = &mut synapses.ee.rows;
            let starts = (0..e).map(|row| ee.range(row).start as u32);
            let starts: Vec<u32> = starts.chain([ee.len() as u32]).collect();
            let none = vec![0; starts.len()];
            ee.index = Arc::new(RowIndex::new([starts, none]));
            synapses.ei.rows.index = Arc::clone(&ee.index);
            0..e
        } else {
            e..sources.len() as u32
        };
        let draw = |row: u32| {
            let mut rng = stream(1, Purpose::Rate, Gid(row));
            let period = (8000.0 / rate / (0.5 + unit(&mut rng))) as i32;
            (period, 1 + (unit(&mut rng) * f64::from(period)) as i32)
        };
        let (periods, next) = rows.clone().map(draw).unzip();
        Delivery {
            vp,
            synapses,
            sources,
            rows,
            periods,
            next,
            spikes: Vec::new(),
            now: 0,
            other: vec![0; 2 << 20],
        }
    }

    /// The same after `intervals`, with traces and histories filled.
    fn after(mut self, intervals: usize) -> Self {
        for _ in 0..intervals {
            self.round();
        }
        self
    }

    /// One interval; an element is a synaptic event.
    fn round(&mut self) -> Round {
        self.spikes.sort_unstable();
        let decay = self.synapses.law.decay_plus();
        let arrive = |&(stamp, row): &(i32, u32)| self.sources.arrive(row, Steps(stamp), decay);
        let arrivals: Vec<_> = self.spikes.iter().map(arrive).collect();
        self.other
            .iter_mut()
            .step_by(64)
            .for_each(|byte| *byte = byte.wrapping_add(1));
        black_box(&mut self.other);
        let before = self.synapses.events;
        let time = timed(|| self.synapses.deliver(&arrivals, &mut self.vp));
        self.fire();
        (time, self.synapses.events - before)
    }

    /// Spikes of the next interval, noted in the history as the update does.
    fn fire(&mut self) {
        let interval = next(&mut self.now);
        self.vp.history.refer_to(interval.start);
        self.spikes.clear();
        let plastic = self.rows.start == 0;
        let each = self
            .next
            .iter_mut()
            .zip(&self.periods)
            .zip(self.rows.clone());
        for ((next, period), row) in each {
            if *next > self.now {
                continue;
            }
            self.spikes.push((*next, row));
            if plastic && row % THREADS == 0 {
                self.vp.history.push(Lid(row / THREADS), Steps(*next));
            }
            *next += period;
        }
        if interval.start.0 / INTERVAL % 1024 == 1023 {
            let delay = self.synapses.ee.delay;
            let horizon = self.synapses.law.decay_plus().horizon();
            let windows = Sources::open_windows(&[&self.sources], delay, horizon);
            let oldest = interval.stamp(0) - delay;
            windows.prune(&mut self.vp.history, oldest);
        }
    }
}

fn deliver(report: &Report, group: &mut Group) {
    let shorten = if report.quick { 50 } else { 1 };
    // The ring buffer's slot is read and written.
    let near = 16.0;
    let streamed = 2.0;
    report.measure(
        group,
        ["deliver", "static"],
        "event",
        Traffic { streamed, near },
        || Delivery::new(params(report.quick, &[]), false, 10.0).after(100 / shorten),
        Delivery::round,
    );
    for (precision, bytes) in [("f64", 8.0), ("f32", 4.0)] {
        for (rate, intervals) in [(1.0, 2000), (10.0, 400)] {
            let set = format!("stdp.weight_precision={precision}");
            // Target; weight read and written; record of the history.
            let traffic = Traffic {
                streamed: 2.0 + 2.0 * bytes,
                near: near + 32.0,
            };
            report.measure(
                group,
                ["deliver", &format!("plastic {precision} {rate}/s")],
                "event",
                traffic,
                || {
                    let params = params(report.quick, &[&set]);
                    Delivery::new(params, true, rate).after(intervals / shorten)
                },
                Delivery::round,
            );
        }
    }
}

/// Intervals in which all of a block of external input is used, and their steps.
const INTERVALS: i32 = 32;
const STEPS: u64 = (INTERVALS * INTERVAL) as u64;
const _: () = assert!((STEPS as usize).is_multiple_of(BLOCK));

/// State read and written once an interval.
fn per_step(state: f64) -> f64 {
    2.0 * state / f64::from(INTERVAL)
}

/// Of external input, per neuron and step: a count written and read, and the gid read once a
/// block.
const INPUT: f64 = 2.0 + 4.0 / BLOCK as f64;

fn update(report: &Report, group: &mut Group) {
    // A constant current keeps integrate-and-fire neurons, here without inhibition, at a few
    // spikes a second.
    let quiet = "neuron.I_e=-85.0";
    let two = "neuron.tau_syn_in=1.0";
    let iaf = "neuron.model=iaf_psc_alpha";
    // State; a slot of the ring buffer, read and emptied, for each channel.
    for (name, changes, state, ring) in [
        ("ignore_and_fire", &[][..], 16.0, 16.0),
        ("iaf_psc_alpha", &[iaf, quiet], 32.0, 16.0),
        ("iaf_psc_alpha 2 currents", &[iaf, quiet, two], 48.0, 32.0),
    ] {
        let mut changes = changes.to_vec();
        changes.push("network.K=10");
        report.measure(
            group,
            ["update", name],
            "neuron-step",
            Traffic {
                streamed: per_step(state) + ring + INPUT,
                near: 0.0,
            },
            || {
                let params = params(report.quick, &changes);
                let neurons = u64::from(params.network.N / THREADS);
                (first_thread(params).0, 0, neurons)
            },
            |(vp, now, neurons)| {
                let time = timed(|| (0..INTERVALS).for_each(|_| vp.update(next(now))));
                (time, *neurons * STEPS)
            },
        );
    }
}

/// External input alone, in the order in which the update asks for it.
struct Sums<'a> {
    input: &'a mut Input,
    groups: usize,
    interval: Interval,
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for group in 0..self.groups {
            let mut sums = [0.0; GROUP];
            for lag in self.interval.lags() {
                let arrival = self.interval.stamp(lag);
                let (counts, _) = self.input.arriving(group, arrival);
                for (sum, &count) in sums.iter_mut().zip(counts) {
                    *sum += 31.0 * f64::from(count);
                }
            }
            black_box(&mut sums);
        }
    }
}

fn poisson(report: &Report, group: &mut Group) {
    let mean = match params(true, &[]).stimulus {
        stdp_hpc::model::params::Stimulus::Poisson { mean_per_step, .. } => mean_per_step,
        stdp_hpc::model::params::Stimulus::Spikes(_) => unreachable!("default.toml has a rate"),
    };
    let neurons = if report.quick { 100 } else { 6250 };
    report.measure(
        group,
        ["Poisson", &format!("mean {mean:.3}")],
        "neuron-step",
        Traffic {
            streamed: INPUT,
            near: 16.0,
        },
        || {
            let gids = (0..neurons).map(Gid).collect();
            (Input::poisson(mean, Steps(INTERVAL), 1, gids), 0)
        },
        |(input, now)| {
            let groups = (neurons as usize).div_ceil(GROUP);
            let time = timed(|| {
                for _ in 0..INTERVALS {
                    let interval = next(now);
                    simd::run(Sums {
                        input,
                        groups,
                        interval,
                    });
                }
            });
            (time, u64::from(neurons) * STEPS)
        },
    );
}

/// x^μ for all of an array that fits L1.
struct Powers<'a> {
    power: Power,
    from: &'a [f64],
    to: &'a mut [f64],
}

impl Kernel for Powers<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to = self.power.of(*from);
        }
    }
}

fn pow(report: &Report, group: &mut Group) {
    let draw = |_| {
        let mut rng = stream(1, Purpose::Rate, Gid(0));
        (0..1024).map(|_| 100.0 * unit(&mut rng)).collect()
    };
    report.measure(
        group,
        ["pow", "x^0.4"],
        "number",
        Traffic {
            streamed: 0.0,
            near: 16.0,
        },
        || [(); 2].map(draw),
        |[from, to]: &mut [Vec<f64>; 2]| {
            let power = Power::new(black_box(0.4));
            let time = timed(|| simd::run(Powers { power, from, to }));
            black_box(to);
            (time, from.len() as u64)
        },
    );
}

/// The spikes of an interval on their way through the exchange of a single rank.
struct Traded {
    comm: Comm,
    exchange: Exchange,
    table: TargetTable,
    emissions: Vec<Emission>,
    shares: RowShares,
    entries: [Vec<u64>; 1],
    spare: Vec<u64>,
}

impl Traded {
    /// `neurons` at 10/s.
    fn new(neurons: u32) -> Self {
        let comm = Comm::Alone;
        let place = Placement {
            n: neurons,
            n_e: neurons,
            ranks: 1,
            threads: 1,
            rank: 0,
        };
        let tables = TargetTable::set_up(&comm, &place, neurons as usize, (0..neurons).map(Gid));
        let tables = tables.expect("small");
        let mut rng = stream(1, Purpose::Rate, Gid(0));
        let mut emissions = Vec::new();
        for group in 0..neurons / 64 {
            for lag in 0..INTERVAL as u32 {
                for lid in group * 64..(group + 1) * 64 {
                    if unit(&mut rng) < 10.0 * 0.125e-3 {
                        emissions.push(Emission { lag, lid: Lid(lid) });
                    }
                }
            }
        }
        Traded {
            exchange: Exchange::new(&comm, neurons as usize, INTERVAL as u32),
            table: tables.into_iter().next().expect("a thread"),
            emissions,
            shares: RowShares::of([Sources::new((0..neurons).collect(), Vec::new())].iter()),
            entries: [Vec::new()],
            spare: Vec::new(),
            comm,
        }
    }

    /// Times collocation and reception.
    fn round(&mut self) -> [Round; 2] {
        let spikes = self.emissions.len() as u64;
        let one = [(&self.emissions[..], &self.table)];
        let collocate = loop {
            let collocate = timed(|| self.exchange.collocate(one.into_iter()));
            let flags = self.exchange.exchange(&self.comm, Flags::default());
            if flags.expect("few spikes").is_some() {
                break collocate;
            }
        };
        let receive = timed(|| {
            self.entries[0].clear();
            self.exchange.read(0..1, &self.shares, &mut self.entries);
            let [entries] = &mut self.entries;
            by_radix(entries, &mut self.spare);
            self.exchange.end_interval(entries.len());
        });
        [(collocate, spikes), (receive, spikes)]
    }
}

fn exchange(report: &Report, group: &mut Group) {
    let neurons = if report.quick { 1000 } else { 125_000 };
    // Ends in the table, target and row; what comes and goes is near.
    let collocate = Traffic {
        streamed: 8.0 + 8.0,
        near: 8.0 + 4.0,
    };
    report.measure(
        group,
        ["collocate", "1 rank"],
        "spike",
        collocate,
        || Traded::new(neurons),
        |traded| traded.round()[0],
    );
    let receive = Traffic {
        streamed: 0.0,
        near: 4.0 + 8.0,
    };
    report.measure(
        group,
        ["receive", "and sort"],
        "spike",
        receive,
        || Traded::new(neurons),
        |traded| traded.round()[1],
    );
}

fn construction(report: &Report, group: &mut Group) {
    let params = params(report.quick, &[]);
    let place = Placement {
        n: params.network.N,
        n_e: params.network.N_E,
        ranks: 1,
        threads: THREADS,
        rank: 0,
    };
    let network = DrawnNetwork::new(params).expect("no files");
    // A target is written; on the way a count and a cursor are moved on.
    let traffic = Traffic {
        streamed: 2.0,
        near: 16.0,
    };
    report.measure(
        group,
        ["construction", "drawn rows"],
        "synapse",
        traffic,
        || (),
        |()| {
            let mut synapses = 0;
            let time = timed(|| {
                for pool in [Pool::E, Pool::I] {
                    let builder = RowBuilder::new(&network, pool, &place, 0);
                    let sources = builder.sources();
                    let built = builder.build(&sources);
                    for (rows, _) in built.expect("few enough") {
                        synapses += rows.len() as u64;
                        black_box(rows);
                    }
                }
            });
            (time, synapses)
        },
    );
}
