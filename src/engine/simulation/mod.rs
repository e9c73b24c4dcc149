//! The simulation: construction, then a loop over intervals of min_delay.

mod build;
mod census;
mod emitted;
mod memory;
mod observer;
mod range;

use std::ops::Range;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use crate::base::error::Result;
use crate::base::per_thread::PerThread;
use crate::base::units::{Gid, Grid, Interval, Ms, Steps};
use crate::comm::Comm;
use crate::comm::signals;
use crate::engine::delivery::Synapses;
use crate::engine::delivery::events::{EventBuffer, Sorter};
use crate::engine::spikes::{Addressed, Exchange, Flags, Inbox, RowShares};
use crate::engine::vp::VirtualProcess;
use crate::model::network::Placement;
use crate::model::params::{Delays, Params};
use crate::model::recipe::GivenSpikes;
use crate::model::synapse::{Law, Sources};

pub use census::Census;
pub use emitted::Emitted;
use emitted::Recorded;
use observer::Observers;
pub use observer::{Observer, Spike};

use super::team::Team;
use super::timers::{Phase, Timers};

/// One rank's part of the network, and the state that advances it.
pub struct Simulation {
    comm: Comm,
    params: Params,
    place: Placement,
    team: Team,
    vps: PerThread<VirtualProcess>,
    /// Synapses that each thread holds.
    synapses: PerThread<Synapses>,
    /// Inbox of the rank's rows or, if threads hold synapses by source, of each thread's rows.
    inboxes: PerThread<Inbox>,
    shares: RowShares,
    /// Received entries as packed (lag, row), by reading thread, then by inbox.
    entries: PerThread<Vec<Vec<u64>>>,
    /// Weights from the synapses of each thread; none if each thread has those onto its neurons.
    events: PerThread<EventBuffer>,
    sorters: PerThread<Sorter>,
    exchange: Exchange,
    /// Start of the interval whose spikes are delivered next.
    arrived: Steps,
    law: Arc<Law>,
    clock: Clock,
    delays: Delays,
    construction: Construction,
    given: Option<GivenSpikes>,
    /// Bytes of temporary structures during construction.
    drafts: u64,
    /// Spikes of each thread's neurons after the warm-up.
    recorded: PerThread<Recorded>,
    /// Spikes of all of them in the current interval.
    spikes: Vec<Spike>,
    /// Entries of each thread's spikes, by the thread that writes them to the send buffer; none if
    /// one thread writes all of them.
    addressed: PerThread<Vec<Vec<Addressed>>>,
    /// Period, in intervals, of measuring CPU time.
    sample_cpu_every: u32,
}

/// One thread's part of the network.
pub struct Part<'a> {
    /// Index of the thread.
    pub thread: u32,
    /// Placement of the neurons.
    pub place: &'a Placement,
    /// Sources of the rows of `synapses`.
    pub sources: &'a Sources,
    /// Neurons of the thread.
    pub vp: &'a VirtualProcess,
    /// Synapses that the thread holds.
    pub synapses: &'a Synapses,
}

impl Part<'_> {
    /// Calls `each` with the source, target and weight (pA) of every plastic synapse of the thread
    /// from `sources`, ordered by source, then by target.
    pub fn for_each_weight(&self, sources: Range<u32>, mut each: impl FnMut(Gid, Gid, f64)) {
        let gids = self.sources.excitatory();
        let Synapses { ee, owners, .. } = self.synapses;
        ee.for_each(gids, sources, |source, target, weight| {
            each(Gid(source), owners.gid(self.place, target), weight);
        });
    }
}

/// The parts of all threads.
struct Parts<'a> {
    place: &'a Placement,
    /// Locked once for all threads, which may share one.
    inboxes: Vec<MutexGuard<'a, Inbox>>,
    vps: &'a PerThread<VirtualProcess>,
    synapses: &'a PerThread<Synapses>,
}

impl Parts<'_> {
    fn with<T>(&self, thread: usize, work: impl FnOnce(&Part) -> T) -> T {
        let inbox = thread.min(self.inboxes.len() - 1);
        work(&Part {
            thread: thread as u32,
            place: self.place,
            sources: &self.inboxes[inbox].sources,
            vp: &self.vps.lock(thread),
            synapses: &self.synapses.lock(thread),
        })
    }
}

/// Model time of the run.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: Steps,
    min_delay: Steps,
    end: Steps,
    /// Time grid, stored because observers need the time in ms after every interval.
    grid: Grid,
}

impl Clock {
    /// Returns the number of intervals before `interval`.
    fn number(&self, interval: Interval) -> u32 {
        (interval.start.0 / self.min_delay.0) as u32
    }

    /// Returns whether the history is pruned and the neurons are checked in `interval`.
    fn is_upkeep_due(&self, interval: Interval) -> bool {
        self.number(interval) % PRUNE_EVERY == PRUNE_EVERY - 1
    }
}

/// Wall times of construction on this rank (s), under NEST's names.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Construction {
    /// Creation of neurons, ring buffers and input.
    pub create: f64,
    /// Drawing or reading of synapses.
    pub connect: f64,
    /// Set-up of target table and exchange.
    pub communicate_prepare: f64,
}

/// Period, in intervals, of pruning the spike history and of checking the neurons.
pub const PRUNE_EVERY: u32 = 1024;
/// Period, in intervals, of exchanges that follow a barrier. The barrier separates waiting from
/// transfer. It takes as long as an exchange of few spikes; its average cost per interval is 1/16
/// of that time.
const SAMPLE_EVERY: u32 = 16;
/// Default period, in intervals, of measuring CPU time: the system calls of one interval take about
/// 4 µs per thread.
const SAMPLE_CPU_EVERY: u32 = 16;
impl Simulation {
    /// Advances the network to the end of the run. Collective.
    ///
    /// One interval consists of deliver (arrivals → STDP → ring buffers), update (ring buffers →
    /// neurons → emitted spikes), collocate (one entry per spike and target rank), record (spikes →
    /// `observers`), exchange (MPI_Alltoall, with the flags of every rank) and receive (entries
    /// sorted for delivery). The spikes of the last interval are recorded and exchanged, but not
    /// delivered.
    ///
    /// # Errors
    /// Fails, on all ranks, if an observer fails, a weight or the state of a neuron is no longer
    /// finite, or a rank receives a signal ([`signals::watch`]). After a signal, observers may hold
    /// data that is not flushed.
    pub fn run(&mut self, observers: &mut [&mut dyn Observer]) -> Result<Timers> {
        let mut observers = Observers::new(observers);
        let threads = self.vps.len();
        let mut timers = Timers::start(Steps(0), threads);
        observers.begin(self)?;
        while let Some(interval) = self.next_interval() {
            // Restarts the timers in each interval that begins during the warm-up or at its end.
            if interval.start <= self.params.simulation.presim {
                timers = Timers::start(self.params.simulation.presim, threads);
            }
            timers.begin_interval(self.is_cpu_sampled(interval));
            self.deliver_and_update(interval, &mut timers);
            self.clock.now = interval.end();
            self.collocate(&mut timers);
            timers.time(Phase::Record, || self.record(&mut observers, interval));
            let flags = self.exchange(&observers, interval, &mut timers)?;
            self.receive(interval, &mut timers);
            if flags.flush || flags.failed {
                timers.time(Phase::Record, || observers.flush(&self.comm));
            }
            if flags.failed {
                self.check_range(interval.end())?;
            }
            if flags.failed || flags.interrupted {
                observers.check(&self.comm)?;
            }
            if flags.interrupted {
                self.end_if_asked()?;
            }
        }
        timers.stop(self.clock.now, self.params.simulation.dt);
        self.check_range(self.clock.end)?;
        observers.end(self)?;
        self.end_if_asked()?;
        Ok(timers)
    }

    /// Fails if any rank has received a signal to end the run. Collective.
    fn end_if_asked(&self) -> Result<()> {
        let when = || format!("at {} ms of model time", self.now().0);
        signals::end_if_asked(&self.comm, when)
    }

    /// Returns the next interval, or `None` after the end. The last interval may be shorter.
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

    /// Measures CPU time in every interval of `period`; the default is 16.
    pub fn sample_cpu_every(&mut self, period: u32) {
        self.sample_cpu_every = period;
    }

    /// Returns whether CPU time is measured in `interval`: between sampled exchanges, whose barrier
    /// is no part of the usual work.
    fn is_cpu_sampled(&self, interval: Interval) -> bool {
        let period = self.sample_cpu_every;
        self.clock.number(interval) % period == period / 2
    }

    /// Delivers and updates on every thread. Prunes the history if pruning is due.
    fn deliver_and_update(&mut self, interval: Interval, timers: &mut Timers) {
        if self.events.len() > 0 {
            self.deliver_to_all(timers);
            self.add_and_update(interval, timers);
        } else {
            let phases = [Phase::Deliver, Phase::Update, Phase::Record];
            let (inbox, synapses) = (self.inboxes.lock(0), &self.synapses);
            let recorder = self.recorder(interval);
            timers.time_all(&self.team, phases, &self.vps, |thread, vp, watch| {
                synapses.lock(thread).deliver(&inbox.arrivals, vp);
                let deliver = watch.lap();
                vp.update(interval);
                let update = watch.lap();
                recorder(thread, vp);
                [deliver, update, watch.lap()]
            });
        }
        if self.clock.is_upkeep_due(interval) {
            self.prune(interval);
        }
    }

    /// Delivers the arrivals of every thread's rows, whose targets are on all threads.
    fn deliver_to_all(&self, timers: &mut Timers) {
        let vps: Vec<_> = self.vps.iter().collect();
        let histories: Vec<_> = vps.iter().map(|vp| &vp.history).collect();
        let start = self.arrived;
        let (inboxes, synapses) = (&self.inboxes, &self.synapses);
        timers.time_all(
            &self.team,
            [Phase::Deliver],
            &self.events,
            |thread, events, watch| {
                let arrivals = &inboxes.lock(thread).arrivals;
                let mut synapses = synapses.lock(thread);
                synapses.deliver_to_all(arrivals, start, &histories, events);
                [watch.lap()]
            },
        );
    }

    /// Returns a function that keeps the spikes of `interval` of a thread's neurons.
    fn recorder(&self, interval: Interval) -> impl Fn(usize, &VirtualProcess) + Sync + '_ {
        let (recorded, place) = (&self.recorded, &self.place);
        let presim = self.params.simulation.presim;
        move |thread, vp| {
            recorded
                .lock(thread)
                .take(&vp.emissions, place, thread, interval, presim);
        }
    }

    /// Adds the delivered weights to the ring buffers of their owners, updates, and lists the entries
    /// of the spikes by rank.
    fn add_and_update(&self, interval: Interval, timers: &mut Timers) {
        let delays = self.synapses.lock(0).delays();
        let events: Vec<_> = self.events.iter().collect();
        let events: Vec<_> = events.iter().map(|events| &**events).collect();
        let phases = [
            Phase::Deliver,
            Phase::Update,
            Phase::Record,
            Phase::Collocate,
        ];
        let (start, sorters) = (self.arrived, &self.sorters);
        let (exchange, addressed) = (&self.exchange, &self.addressed);
        let recorder = self.recorder(interval);
        timers.time_all(&self.team, phases, &self.vps, |thread, vp, watch| {
            sorters.lock(thread).add(vp, thread, &events, start, delays);
            let deliver = watch.lap();
            vp.update(interval);
            let update = watch.lap();
            recorder(thread, vp);
            let record = watch.lap();
            exchange.address(&vp.emissions, &vp.table, &mut addressed.lock(thread));
            [deliver, update, record, watch.lap()]
        });
    }

    /// Drops postsynaptic spikes that no synapse will need. Spikes of this or a later interval
    /// still have to be delivered. Depression by a spike with stamp s reads K₋ at s − delay, so the
    /// history is needed from that time on.
    fn prune(&mut self, interval: Interval) {
        let delay = self.delays.plastic();
        let horizon = self.law.decay_plus().horizon();
        let inboxes: Vec<_> = self.inboxes.iter().collect();
        let sources: Vec<_> = inboxes.iter().map(|inbox| &inbox.sources).collect();
        let windows = Sources::open_windows(&sources, delay, horizon);
        let oldest_reading = interval.stamp(0) - delay;
        self.team.each(&self.vps, |_, vp| {
            windows.prune(&mut vp.history, oldest_reading)
        });
    }

    /// Writes the entries of the spikes to the send buffer.
    fn collocate(&mut self, timers: &mut Timers) {
        if self.addressed.len() == 0 {
            let begun = timers.begin();
            let vps: Vec<_> = self.vps.iter_mut().collect();
            self.exchange
                .collocate(vps.iter().map(|vp| (&vp.emissions[..], &vp.table)));
            timers.end(Phase::Collocate, begun);
            return;
        }
        let addressed: Vec<_> = self.addressed.iter().collect();
        let parts: PerThread<_> = self.exchange.parts(self.vps.len()).into_iter().collect();
        timers.time_all(
            &self.team,
            [Phase::Collocate],
            &parts,
            |thread, part, watch| {
                addressed
                    .iter()
                    .for_each(|lists| part.write(&lists[thread]));
                [watch.lap()]
            },
        );
    }

    /// Passes the spikes after the warm-up to the observers.
    fn record(&mut self, observers: &mut Observers, interval: Interval) {
        let mut spikes = std::mem::take(&mut self.spikes);
        spikes.clear();
        for recorded in self.recorded.iter_mut() {
            spikes.extend(recorded.spikes());
        }
        observers.interval(self, &spikes, interval);
        self.spikes = spikes;
    }

    /// Exchanges spikes and flags; repeats with larger chunks until all spikes fit. Every
    /// [`SAMPLE_EVERY`] intervals, a barrier precedes the exchange and separates waiting from
    /// transfer.
    fn exchange(
        &mut self,
        observers: &Observers,
        interval: Interval,
        timers: &mut Timers,
    ) -> Result<Flags> {
        let is_due = self.clock.is_upkeep_due(interval);
        let flags = Flags {
            failed: observers.have_failed() || is_due && !self.neurons_are_finite(),
            flush: observers.wants_flush(),
            interrupted: signals::received().is_some(),
        };
        let begun = timers.begin();
        let sampled =
            self.comm.size() > 1 && self.clock.number(interval).is_multiple_of(SAMPLE_EVERY);
        if sampled {
            timers.time(Phase::SampledWait, || self.comm.barrier());
        }
        let met = Instant::now();
        let flags = loop {
            match self.exchange.exchange(&self.comm, flags)? {
                Some(flags) => break flags,
                None => self.collocate(timers),
            }
        };
        if sampled {
            timers.book(Phase::SampledTransfer, met.elapsed());
        }
        timers.end(Phase::Communicate, begun);
        Ok(flags)
    }

    /// Turns the received entries into arrivals for the next delivery, ordered by (lag, row). If each
    /// thread has rows of its own, each reads the entries of some ranks for all threads, then sorts
    /// those of its rows.
    fn receive(&mut self, interval: Interval, timers: &mut Timers) {
        self.arrived = interval.start;
        let ranks = self.comm.size();
        let (exchange, shares) = (&self.exchange, &self.shares);
        let read = |ranks: Range<usize>, lists: &mut Vec<Vec<u64>>| {
            lists.iter_mut().for_each(Vec::clear);
            exchange.read(ranks, shares, lists);
        };
        let decay = self.law.decay_plus();
        let received;
        if self.events.len() == 0 {
            let begun = timers.begin();
            let mut lists = self.entries.lock(0);
            read(0..ranks, &mut lists);
            received = lists[0].len();
            let lists = lists.iter().map(Vec::as_slice);
            self.inboxes.lock(0).receive(lists, interval.start, decay);
            timers.end(Phase::Receive, begun);
        } else {
            let threads = self.vps.len();
            timers.time_all(
                &self.team,
                [Phase::Receive],
                &self.entries,
                |thread, lists, watch| {
                    let [first, end] = [thread, thread + 1].map(|part| part * ranks / threads);
                    read(first..end, lists);
                    [watch.lap()]
                },
            );
            let lists: Vec<_> = self.entries.iter().collect();
            received = lists
                .iter()
                .flat_map(|lists| lists.iter())
                .map(Vec::len)
                .sum();
            timers.time_all(
                &self.team,
                [Phase::Receive],
                &self.inboxes,
                |thread, inbox, watch| {
                    let of_thread = lists.iter().map(|lists| lists[thread].as_slice());
                    inbox.receive(of_thread, interval.start, decay);
                    [watch.lap()]
                },
            );
        }
        let begun = timers.begin();
        self.exchange.end_interval(received);
        timers.end(Phase::Receive, begun);
    }

    /// Returns the communicator of the run.
    pub fn comm(&self) -> &Comm {
        &self.comm
    }

    /// Returns the model time reached (ms), including the warm-up.
    pub fn now(&self) -> Ms {
        self.clock.now.to_ms(self.clock.grid)
    }

    /// Returns the model time at the end of the run (ms), including the warm-up.
    pub fn end(&self) -> Ms {
        self.clock.end.to_ms(self.clock.grid)
    }

    /// Returns the digest and counts of the spikes of this rank's neurons after the warm-up.
    pub fn emitted(&self) -> Emitted {
        let mut all = Emitted::default();
        for recorded in self.recorded.iter() {
            all.merge(&recorded.emitted);
        }
        all
    }

    /// Returns the placement of the neurons.
    pub fn place(&self) -> &Placement {
        &self.place
    }

    /// Returns the virtual processes of this rank.
    pub fn vps(&self) -> &PerThread<VirtualProcess> {
        &self.vps
    }

    /// Calls `work(part)` on all threads of this rank at the same time; returns the results,
    /// ordered by thread.
    pub fn map_threads<T: Send>(&self, work: impl Fn(&Part) -> T + Sync) -> Vec<T> {
        let parts = self.parts();
        self.team.map(|thread| parts.with(thread, &work))
    }

    /// Calls `work(part)` for each thread of this rank, in order; returns the results.
    pub fn map_parts<T>(&self, mut work: impl FnMut(&Part) -> T) -> Vec<T> {
        let parts = self.parts();
        (0..self.vps.len())
            .map(|thread| parts.with(thread, &mut work))
            .collect()
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            place: &self.place,
            inboxes: self.inboxes.iter().collect(),
            vps: &self.vps,
            synapses: &self.synapses,
        }
    }

    /// Calls `each` with the source, target and weight (pA) of every plastic synapse of this rank
    /// from `sources`, ordered by thread, then by source, then by target.
    pub fn for_each_weight(&self, sources: Range<u32>, mut each: impl FnMut(Gid, Gid, f64)) {
        self.map_parts(|part| part.for_each_weight(sources.clone(), &mut each));
    }

    /// Returns the parameters of the network.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Returns the virtual processes of this rank, the synapses of each thread and the sources of
    /// their rows, for benchmarks of the kernels.
    pub fn into_parts(self) -> (Vec<VirtualProcess>, Vec<Synapses>, Vec<Sources>) {
        let sources = self.inboxes.into_items().map(|inbox| inbox.sources);
        (
            self.vps.into_items().collect(),
            self.synapses.into_items().collect(),
            sources.collect(),
        )
    }

    /// Returns the delays of the network, which come from the parameters or from the file of edges.
    pub fn delays(&self) -> Delays {
        self.delays
    }

    /// Returns the counts, over all ranks, of the external spikes from the recipe; `None` if the
    /// recipe gives none.
    pub fn given_spikes(&self) -> Option<GivenSpikes> {
        self.given
    }

    /// Returns the wall times of construction on this rank (s).
    pub fn construction(&self) -> Construction {
        self.construction
    }
}
