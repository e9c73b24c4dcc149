//! The simulation: built once, then one loop over intervals of min_delay.

mod build;
mod census;
mod given;
mod memory;
mod range;
mod team;
mod timers;

use std::sync::Arc;
use std::time::Instant;

use crate::comm::Comm;
use crate::error::Result;
use crate::network::Placement;
use crate::params::{Delays, Params};
use crate::per_thread::PerThread;
use crate::recording::Recorder;
use crate::signals;
use crate::spikes::{Exchange, Flags, row_and_stamp};
use crate::synapse::{Arrival, Law, Sources};
use crate::units::{Grid, Interval, Ms, Steps};
use crate::vp::VirtualProcess;

pub use build::read_rates;
pub use census::{Census, Moments, WeightMoments};
pub use given::GivenSpikes;
use team::Team;
pub use timers::{Laps, Phase, Timers};

/// One rank's part of the network and all it takes to advance it.
pub struct Simulation {
    comm: Comm,
    params: Params,
    place: Placement,
    team: Team,
    vps: PerThread<VirtualProcess>,
    sources: Sources,
    exchange: Exchange,
    law: Arc<Law>,
    clock: Clock,
    delays: Delays,
    construction: Construction,
    given: Option<GivenSpikes>,
    /// Bytes that connecting took and gave back.
    drafts: u64,
    /// Entries of the last exchange, (lag, row), and what they mean to the rows here.
    entries: Vec<u64>,
    arrivals: Vec<Arrival>,
}

/// Where the run stands in model time.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: Steps,
    min_delay: Steps,
    end: Steps,
    /// Made once: whoever watches is told the time after every interval.
    grid: Grid,
}

impl Clock {
    /// How many intervals lie before `interval`.
    fn number(&self, interval: Interval) -> u32 {
        (interval.start.0 / self.min_delay.0) as u32
    }

    /// Whether `interval` is one of those in which the state is tidied up and checked.
    fn is_upkeep_due(&self, interval: Interval) -> bool {
        self.number(interval) % PRUNE_EVERY == PRUNE_EVERY - 1
    }
}

/// Wall time of construction on this rank (s), by NEST's names.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Construction {
    /// Neurons, ring buffers, input.
    pub create: f64,
    /// Synapses.
    pub connect: f64,
    /// Target table and exchange.
    pub communicate_prepare: f64,
}

/// Where a run is, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Model time reached, warm-up included.
    pub now: Ms,
    /// Model time at the end.
    pub end: Ms,
    /// Spikes of this rank's neurons after the warm-up.
    pub spikes: u64,
}

/// Intervals between two prunings of the spike history, and between two looks at the neurons.
pub const PRUNE_EVERY: u32 = 1024;
/// Intervals between two that tell waiting for other ranks from transfer: a barrier takes as
/// long as an exchange of few spikes, here 1/16 of it.
const SAMPLE_EVERY: u32 = 16;
/// Prefetch distance of the state of a source, in received entries.
const PREFETCH_DISTANCE: usize = 16;

impl Simulation {
    /// Advances the network to the end of the run. Collective.
    ///
    /// One interval: deliver (received entries → STDP → ring buffers) and update (ring buffers
    /// → neurons → emitted spikes), collocate (one entry per spike and listening rank), record,
    /// exchange (MPI_Alltoall; carries every rank's flags), receive (entries into the order of
    /// delivery). The spikes of the last interval are emitted and recorded, not delivered.
    /// `progress` is called after every interval.
    ///
    /// Errors: what the recorder could not write; a weight or potential that is no longer finite;
    /// a signal that asked a rank to end ([`signals::watch`]), after which what was recorded waits
    /// to be flushed. The same on all ranks.
    pub fn run(
        &mut self,
        recorder: &mut Recorder,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Timers> {
        let mut timers = Timers::start();
        self.record_initial_weights(recorder, &mut timers)?;
        while let Some(interval) = self.next_interval() {
            // The last of these is the interval in which the warm-up ends.
            if interval.start <= self.params.simulation.presim {
                timers = Timers::start_at(self.params.simulation.presim);
            }
            self.deliver_and_update(interval, &mut timers);
            self.check_neurons_if_due(recorder, interval);
            self.snapshot_if_due(recorder, interval)?;
            self.sample_if_due(recorder, interval, &mut timers);
            timers.time(Phase::Collocate, || self.collocate());
            timers.time(Phase::Record, || self.record(recorder, interval));
            let flags = self.exchange(recorder, interval, &mut timers)?;
            timers.time(Phase::Receive, || self.receive(interval));
            if flags.flush || flags.failed {
                timers.time(Phase::Record, || recorder.flush(&self.comm));
            }
            if flags.failed {
                self.check_failure(recorder, interval)?;
            }
            self.clock.now = interval.end();
            progress(self.progress(recorder));
            if flags.interrupted {
                self.end_if_asked()?;
            }
        }
        timers.stop(self.clock.now, self.params.simulation.dt);
        self.check_range(self.clock.end)?;
        self.snapshot_at_end(recorder)?;
        self.end_if_asked()?;
        Ok(timers)
    }

    /// Fails where a signal has asked some rank to end. Collective.
    fn end_if_asked(&self) -> Result<()> {
        let when = || format!("at {} ms of model time", self.now().0);
        signals::end_if_asked(&self.comm, when)
    }

    /// The steps to the next exchange, fewer at the end of the run.
    fn next_interval(&self) -> Option<Interval> {
        let Clock {
            now,
            min_delay,
            end,
            ..
        } = self.clock;
        let steps = min_delay.0.min(end.0 - now.0);
        (steps > 0).then_some(Interval { start: now, steps })
    }

    /// Both in one go on every thread; times are those of the calling one.
    fn deliver_and_update(&mut self, interval: Interval, timers: &mut Timers) {
        let arrivals = &self.arrivals;
        let begun = Instant::now();
        self.team
            .each(&self.vps, |_, vp| vp.advance(arrivals, interval));
        let all = begun.elapsed();
        let [deliver, update] = self.vps.lock(0).laps;
        timers.book(Phase::Deliver, deliver);
        timers.book(Phase::Update, update);
        timers.book(
            Phase::Synchronize,
            all.saturating_sub(deliver).saturating_sub(update),
        );
        if self.clock.is_upkeep_due(interval) {
            self.prune(interval);
        }
    }

    /// Has the run end with this interval where a neuron here holds what is not finite.
    fn check_neurons_if_due(&self, recorder: &mut Recorder, interval: Interval) {
        if self.clock.is_upkeep_due(interval) && !self.neurons_are_finite() {
            recorder.note_out_of_range();
        }
    }

    /// Fails on every rank with what has a rank end the run with `interval`. Collective.
    fn check_failure(&self, recorder: &mut Recorder, interval: Interval) -> Result<()> {
        if self.comm.max(u64::from(recorder.is_out_of_range())) > 0 {
            self.check_range(interval.end())?;
        }
        recorder.check(&self.comm)
    }

    /// Forgets postsynaptic spikes that no synapse will ask for. Depression at a spike of
    /// this interval or a later one asks for the time a delay before it, at the earliest.
    fn prune(&mut self, interval: Interval) {
        let delay = self.delays.plastic();
        let windows = self
            .sources
            .open_windows(delay, self.law.decay_plus().horizon());
        let oldest_reading = interval.stamp(0) - delay;
        self.team.each(&self.vps, |_, vp| {
            windows.prune(&mut vp.history, oldest_reading)
        });
    }

    fn collocate(&mut self) {
        let vps: Vec<_> = self.vps.iter_mut().collect();
        self.exchange
            .collocate(vps.iter().map(|vp| (&vp.emissions[..], &vp.table)));
    }

    fn record(&mut self, recorder: &mut Recorder, interval: Interval) {
        for (vp, thread) in self.vps.iter_mut().zip(0..) {
            recorder.record(&self.place, thread, interval, &vp.emissions);
        }
    }

    /// Exchanges, growing and repeating until all fits. In one interval of [`SAMPLE_EVERY`]
    /// the ranks meet first, which tells waiting from transfer.
    fn exchange(
        &mut self,
        recorder: &Recorder,
        interval: Interval,
        timers: &mut Timers,
    ) -> Result<Flags> {
        let flags = Flags {
            failed: recorder.failed(),
            flush: recorder.wants_flush(),
            interrupted: signals::received().is_some(),
        };
        let begun = Instant::now();
        let sampled =
            self.comm.size() > 1 && self.clock.number(interval).is_multiple_of(SAMPLE_EVERY);
        if sampled {
            timers.time(Phase::SampledWait, || self.comm.barrier());
        }
        let met = Instant::now();
        let flags = loop {
            match self.exchange.exchange(&self.comm, flags)? {
                Some(flags) => break flags,
                None => self.collocate(),
            }
        };
        if sampled {
            timers.book(Phase::SampledTransfer, met.elapsed());
        }
        timers.book(Phase::Communicate, begun.elapsed());
        Ok(flags)
    }

    /// Readies what was received for the next delivery, in the order of (lag, gid).
    fn receive(&mut self, interval: Interval) {
        self.exchange.received(&mut self.entries);
        let decay = self.law.decay_plus();
        let sources = &mut self.sources;
        self.arrivals.clear();
        let stamped = |&entry: &u64| row_and_stamp(entry, interval.start);
        for (now, entry) in self.entries.iter().enumerate() {
            if let Some(later) = self.entries.get(now + PREFETCH_DISTANCE) {
                sources.prefetch(stamped(later).0);
            }
            let (row, stamp) = stamped(entry);
            self.arrivals.push(sources.arrive(row, stamp, decay));
        }
    }

    /// What is recorded of the weights at time 0.
    fn record_initial_weights(
        &mut self,
        recorder: &mut Recorder,
        timers: &mut Timers,
    ) -> Result<()> {
        let before = Interval {
            start: Steps(-1),
            steps: 1,
        };
        recorder.begin_samples(
            &self.comm,
            &self.place,
            &self.params,
            &self.sources,
            &self.vps,
        )?;
        self.snapshot_if_due(recorder, before)?;
        self.sample_if_due(recorder, before, timers);
        Ok(())
    }

    /// Samples the weights where it is time, on every thread.
    fn sample_if_due(&mut self, recorder: &mut Recorder, interval: Interval, timers: &mut Timers) {
        let Some(sampler) = recorder.sampler() else {
            return;
        };
        let times = sampler.due(interval);
        if times.is_empty() {
            return;
        }
        let begun = Instant::now();
        let parts = self
            .team
            .map(|thread| sampler.sample(thread, &self.vps.lock(thread)));
        recorder.add_sample(&self.comm, &times, parts);
        timers.book(Phase::Record, begun.elapsed());
    }

    fn snapshot_if_due(&mut self, recorder: &mut Recorder, interval: Interval) -> Result<()> {
        for at in recorder.snapshots_within(interval) {
            self.check_range(at)?;
            recorder.snapshot(&self.comm, &self.place, &self.sources, &mut self.vps, at)?;
        }
        Ok(())
    }

    /// The weights at the end, unless the last interval has already taken them.
    fn snapshot_at_end(&mut self, recorder: &mut Recorder) -> Result<()> {
        let end = self.clock.end;
        let last = Interval {
            start: end - Steps(1),
            steps: 1,
        };
        if !recorder.snapshots_within(last).is_empty() {
            return Ok(());
        }
        recorder.snapshot(&self.comm, &self.place, &self.sources, &mut self.vps, end)
    }

    fn progress(&self, recorder: &Recorder) -> Progress {
        let spikes = recorder.spikes().1.iter().sum();
        Progress {
            now: self.now(),
            end: self.clock.end.to_ms(self.clock.grid),
            spikes,
        }
    }

    /// The ranks.
    pub fn comm(&self) -> &Comm {
        &self.comm
    }

    /// Model time reached, warm-up included.
    pub fn now(&self) -> Ms {
        self.clock.now.to_ms(self.clock.grid)
    }

    /// The parameters it was built from.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Takes the network apart, for measurements of its kernels: the virtual processes of
    /// this rank, the sources that their rows belong to.
    pub fn into_parts(self) -> (Vec<VirtualProcess>, Sources) {
        (self.vps.into_items().collect(), self.sources)
    }

    /// The delays in force: the parameters' or those of the edges read.
    pub fn delays(&self) -> Delays {
        self.delays
    }

    /// The external spikes of all ranks, where they were read.
    pub fn given_spikes(&self) -> Option<GivenSpikes> {
        self.given
    }

    /// Wall time of construction on this rank.
    pub fn construction(&self) -> Construction {
        self.construction
    }
}
