//! The simulation: construction, then a loop over intervals of min_delay.

mod build;
mod census;
mod memory;
mod observer;
mod range;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::base::digest::Digest;
use crate::base::error::Result;
use crate::base::per_thread::PerThread;
use crate::base::units::{Gid, Grid, Interval, Ms, Steps};
use crate::comm::Comm;
use crate::comm::signals;
use crate::engine::spikes::{Exchange, Flags, row_and_stamp};
use crate::engine::vp::VirtualProcess;
use crate::model::network::Placement;
use crate::model::neuron::Emission;
use crate::model::params::{Delays, Params};
use crate::model::recipe::GivenSpikes;
use crate::model::synapse::{Arrival, Law, Sources};

pub use census::Census;
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
    sources: Sources,
    exchange: Exchange,
    law: Arc<Law>,
    clock: Clock,
    delays: Delays,
    construction: Construction,
    given: Option<GivenSpikes>,
    /// Bytes of temporary structures during construction.
    drafts: u64,
    /// Entries of the last exchange as packed (lag, row), ascending. `arrivals` has one item per
    /// entry.
    entries: Vec<u64>,
    arrivals: Vec<Arrival>,
    /// Spikes of the current interval after the warm-up.
    spikes: Vec<Spike>,
    emitted: Emitted,
    /// Period, in intervals, of measuring CPU time.
    sample_cpu_every: u32,
}

/// Digest and counts of the spikes of one rank's neurons after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Emitted {
    /// Digest of (gid, stamp) of all spikes.
    pub digest: Digest,
    /// Numbers of spikes of excitatory and inhibitory neurons.
    pub counts: [u64; 2],
}

impl Emitted {
    fn add(&mut self, spike: &Spike, n_e: u32) {
        self.digest.add_spike(spike.gid, spike.stamp);
        self.counts[usize::from(spike.gid.0 >= n_e)] += 1;
    }
}

/// One thread's part of the network.
pub struct Part<'a> {
    /// Index of the thread.
    pub thread: u32,
    /// Placement of the neurons.
    pub place: &'a Placement,
    /// Sources with synapses on the rank.
    pub sources: &'a Sources,
    /// Neurons of the thread, and the synapses onto them.
    pub vp: &'a VirtualProcess,
}

impl Part<'_> {
    /// Calls `each` with the source, target and weight (pA) of every plastic synapse of the thread
    /// from `sources`, ordered by source, then by target.
    pub fn for_each_weight(&self, sources: Range<u32>, mut each: impl FnMut(Gid, Gid, f64)) {
        let gids = self.sources.excitatory();
        self.vp.ee.for_each(gids, sources, |source, lid, weight| {
            each(Gid(source), self.place.gid(self.thread, lid), weight);
        });
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
/// Prefetch distance for the state of a source, in received entries.
const PREFETCH_DISTANCE: usize = 16;

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
            timers.time(Phase::Collocate, || self.collocate());
            timers.time(Phase::Record, || self.record(&mut observers, interval));
            let flags = self.exchange(&observers, interval, &mut timers)?;
            timers.time(Phase::Receive, || self.receive(interval));
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

    /// Delivers and updates on every thread, and adds the times of the calling thread to `timers`.
    /// Prunes the history if pruning is due.
    fn deliver_and_update(&mut self, interval: Interval, timers: &mut Timers) {
        let arrivals = &self.arrivals;
        let begun = Instant::now();
        let sampled = timers.is_sampling();
        self.team
            .each(&self.vps, |_, vp| vp.advance(arrivals, interval, sampled));
        let all = begun.elapsed();
        let [deliver, update] = self.vps.lock(0).laps;
        timers.book(Phase::Deliver, deliver);
        timers.book(Phase::Update, update);
        timers.book(
            Phase::Synchronize,
            all.saturating_sub(deliver).saturating_sub(update),
        );
        if sampled {
            for (thread, vp) in self.vps.iter().enumerate() {
                for (phase, time) in [Phase::Deliver, Phase::Update].into_iter().zip(vp.cpu) {
                    timers.book_cpu(thread, phase, time);
                }
            }
        }
        if self.clock.is_upkeep_due(interval) {
            self.prune(interval);
        }
    }

    /// Drops postsynaptic spikes that no synapse will need. Spikes of this or a later interval
    /// still have to be delivered. Depression by a spike with stamp s reads K₋ at s − delay, so the
    /// history is needed from that time on.
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

    /// Counts the spikes after the warm-up and passes them to the observers.
    fn record(&mut self, observers: &mut Observers, interval: Interval) {
        let mut spikes = std::mem::take(&mut self.spikes);
        spikes.clear();
        for (vp, thread) in self.vps.iter_mut().zip(0..) {
            let spike = |emission: &Emission| Spike {
                gid: self.place.gid(thread, emission.lid),
                stamp: interval.stamp(emission.lag),
            };
            let recorded = |spike: &Spike| spike.stamp > self.params.simulation.presim;
            spikes.extend(vp.emissions.iter().map(spike).filter(recorded));
        }
        for spike in &spikes {
            self.emitted.add(spike, self.params.network.N_E);
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
                None => self.collocate(),
            }
        };
        if sampled {
            timers.book(Phase::SampledTransfer, met.elapsed());
        }
        timers.end(Phase::Communicate, begun);
        Ok(flags)
    }

    /// Turns the received entries into arrivals for the next delivery, ordered by (lag, row).
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
        self.emitted
    }

    /// Returns the placement of the neurons.
    pub fn place(&self) -> &Placement {
        &self.place
    }

    /// Returns the sources with synapses on this rank.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Returns the virtual processes of this rank.
    pub fn vps(&self) -> &PerThread<VirtualProcess> {
        &self.vps
    }

    /// Calls `work(part)` on all threads of this rank at the same time; returns the results,
    /// ordered by thread.
    pub fn map_threads<T: Send>(&self, work: impl Fn(&Part) -> T + Sync) -> Vec<T> {
        let (vps, sources, place) = (&self.vps, &self.sources, &self.place);
        self.team.map(|thread| {
            work(&Part {
                thread: thread as u32,
                place,
                sources,
                vp: &vps.lock(thread),
            })
        })
    }

    /// Calls `each` with the source, target and weight (pA) of every plastic synapse of this rank
    /// from `sources`, ordered by thread, then by source, then by target.
    pub fn for_each_weight(&self, sources: Range<u32>, mut each: impl FnMut(Gid, Gid, f64)) {
        for (vp, thread) in self.vps.iter().zip(0..) {
            let part = Part {
                thread,
                place: &self.place,
                sources: &self.sources,
                vp: &vp,
            };
            part.for_each_weight(sources.clone(), &mut each);
        }
    }

    /// Returns the parameters of the network.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Returns the virtual processes of this rank and the sources of their rows, for benchmarks of
    /// the kernels.
    pub fn into_parts(self) -> (Vec<VirtualProcess>, Sources) {
        (self.vps.into_items().collect(), self.sources)
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
