//! Wall time by phase, measured by the first thread of a rank, and CPU time of all threads.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::base::per_thread::PerThread;
use crate::base::units::{Ms, Steps};

use super::team::Team;

/// Phases of an interval, with NEST's names where NEST has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Delivery of arrivals: STDP, then sums in the ring buffers.
    Deliver,
    /// Update of neurons: reads the ring buffers, emits spikes.
    Update,
    /// Wait for the other threads of the rank.
    Synchronize,
    /// Writing of spikes to the send buffer.
    Collocate,
    /// Exchange, including the wait for other ranks.
    Communicate,
    /// Wait for other ranks before a sampled exchange; part of `Communicate`.
    SampledWait,
    /// Transfer of a sampled exchange; part of `Communicate`.
    SampledTransfer,
    /// Sorting of received entries for delivery; K₊ of their sources.
    Receive,
    /// Calls of the observers, including writes to disk.
    Record,
}

impl Phase {
    /// Number of phases.
    pub const COUNT: usize = 9;
}

/// Statistics of the wall times of one phase.
#[derive(Clone, Copy, Debug, Default)]
pub struct Laps {
    /// Number of intervals in which the phase was measured.
    pub count: u64,
    /// Sum of the times (s).
    pub total: f64,
    /// Sum of the squared times (s²).
    squares: f64,
    /// Longest time (s).
    pub longest: f64,
}

impl Laps {
    fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.total += seconds;
        self.squares += seconds * seconds;
        self.longest = self.longest.max(seconds);
    }

    /// Returns the standard deviation of the times (s); 0 without measurements.
    pub fn sd(&self) -> f64 {
        let n = self.count.max(1) as f64;
        (self.squares / n - (self.total / n).powi(2))
            .max(0.0)
            .sqrt()
    }
}

/// CPU time of a phase (s), estimated from sampled intervals.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CpuTime {
    /// Sum over the threads.
    pub total: f64,
    /// CPU time of the thread that has the most.
    pub slowest_thread: f64,
}

/// Wall time and CPU time of a piece of work.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lap {
    pub(super) wall: Duration,
    /// 0 if it is not measured.
    pub(super) cpu: Duration,
}

/// Clock for pieces of work that one thread does one after the other.
pub(super) struct Stopwatch {
    sampled: bool,
    last: Begun,
}

impl Stopwatch {
    /// Starts the clock, which measures CPU time if it is `sampled`.
    pub(super) fn start(sampled: bool) -> Self {
        Stopwatch {
            sampled,
            last: Begun::now(sampled),
        }
    }

    /// Returns the times since the start or the last lap.
    pub(super) fn lap(&mut self) -> Lap {
        let now = Begun::now(self.sampled);
        let last = std::mem::replace(&mut self.last, now);
        let cpu = self.last.cpu.zip(last.cpu);
        Lap {
            wall: self.last.at - last.at,
            cpu: cpu.map_or(Duration::ZERO, |(now, last)| now.saturating_sub(last)),
        }
    }
}

/// CPU time (s) that passes if every thread has a core, without the exchange: the sum over pieces of
/// work between which all threads wait for each other, each as long as its slowest thread takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CriticalPath {
    /// CPU time of all pieces.
    pub all: f64,
    /// CPU time of the pieces that one thread runs while the others wait.
    pub serial: f64,
}

/// Returns the CPU time of the calling thread. Takes some 0.5 µs: it is a system call.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = time.tv_nsec.unsigned_abs() as u32;
    Duration::new(time.tv_sec.unsigned_abs(), nanoseconds)
}

/// Wall times and CPU times since the end of the warm-up.
#[derive(Clone, Debug)]
pub struct Timers {
    laps: [Laps; Phase::COUNT],
    /// Wall times of the present interval (s), of phases that were measured in it.
    present: [Option<f64>; Phase::COUNT],
    /// CPU times by thread and phase in the sampled intervals (s).
    cpu: Vec<[f64; Phase::COUNT]>,
    /// CPU time of the sampled intervals along the critical path (s).
    path: CriticalPath,
    /// Numbers of intervals begun: all, and those sampled for CPU time.
    intervals: [u64; 2],
    /// CPU time of the present interval is measured.
    sampling: bool,
    begun: Instant,
    from: Steps,
    /// Wall time of the loop after the warm-up (s).
    pub simulate: f64,
    /// Model time of the measurement (ms).
    pub model: f64,
}

/// Time at which work began, and the CPU time of its thread then if it is sampled.
pub(super) struct Begun {
    at: Instant,
    cpu: Option<Duration>,
}

impl Begun {
    fn now(sampled: bool) -> Self {
        Begun {
            at: Instant::now(),
            cpu: sampled.then(thread_cpu),
        }
    }
}

impl Timers {
    /// Starts the timers of `threads` threads now. `from` is the model time at which the measurement
    /// begins.
    pub fn start(from: Steps, threads: usize) -> Self {
        Timers {
            laps: Default::default(),
            present: Default::default(),
            cpu: vec![Default::default(); threads],
            path: CriticalPath::default(),
            intervals: [0; 2],
            sampling: false,
            begun: Instant::now(),
            from,
            simulate: 0.0,
            model: 0.0,
        }
    }

    /// Begins an interval, whose CPU times count if it is `sampled`.
    pub fn begin_interval(&mut self, sampled: bool) {
        self.end_interval();
        self.sampling = sampled;
        self.intervals[0] += 1;
        self.intervals[1] += u64::from(sampled);
    }

    /// Returns whether the CPU time of the present interval is measured.
    pub fn is_sampling(&self) -> bool {
        self.sampling
    }

    /// Runs `work` on the first thread and adds its time and CPU time to `phase`.
    #[inline]
    pub fn time<T>(&mut self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let begun = self.begin();
        let result = work();
        self.end(phase, begun);
        result
    }

    /// Returns the time at which work of the first thread begins.
    #[inline]
    pub(super) fn begin(&self) -> Begun {
        Begun::now(self.sampling)
    }

    /// Adds time and CPU time since `begun` to `phase`.
    #[inline]
    pub(super) fn end(&mut self, phase: Phase, begun: Begun) {
        self.book(phase, begun.at.elapsed());
        if let Some(cpu) = begun.cpu {
            let cpu = thread_cpu().saturating_sub(cpu);
            self.book_cpu(0, phase, cpu);
            if !matches!(phase, Phase::Communicate | Phase::SampledWait) {
                self.path.all += cpu.as_secs_f64();
                self.path.serial += cpu.as_secs_f64();
            }
        }
    }

    /// Calls `work(thread, item, watch)` on all threads of `team` at the same time, each with its item
    /// of `state`. It returns the laps of `phases`, which are booked: wall times of the first thread,
    /// whose wait for the others follows, and CPU times of all.
    pub(super) fn time_all<T: Send, const N: usize>(
        &mut self,
        team: &Team,
        phases: [Phase; N],
        state: &PerThread<T>,
        work: impl Fn(usize, &mut T, &mut Stopwatch) -> [Lap; N] + Sync,
    ) {
        let sampled = self.sampling;
        let laps: PerThread<_> = (0..state.len()).map(|_| [Lap::default(); N]).collect();
        let begun = Instant::now();
        team.each(state, |thread, item| {
            let mut watch = Stopwatch::start(sampled);
            *laps.lock(thread) = work(thread, item, &mut watch);
        });
        let mut rest = begun.elapsed();
        for (phase, lap) in phases.into_iter().zip(*laps.lock(0)) {
            self.book(phase, lap.wall);
            rest = rest.saturating_sub(lap.wall);
        }
        self.book(Phase::Synchronize, rest);
        let mut slowest = Duration::ZERO;
        for (thread, laps) in laps.into_items().enumerate() {
            for (phase, lap) in phases.into_iter().zip(laps) {
                self.book_cpu(thread, phase, lap.cpu);
            }
            slowest = slowest.max(laps.iter().map(|lap| lap.cpu).sum());
        }
        self.path.all += slowest.as_secs_f64();
    }

    /// Adds the CPU `time` of `thread` to `phase`.
    pub fn book_cpu(&mut self, thread: usize, phase: Phase, time: Duration) {
        self.cpu[thread][phase as usize] += time.as_secs_f64();
    }

    /// Adds `time` to `phase` in the present interval.
    #[inline]
    pub fn book(&mut self, phase: Phase, time: Duration) {
        *self.present[phase as usize].get_or_insert(0.0) += time.as_secs_f64();
    }

    /// Adds the times of the present interval to the statistics.
    fn end_interval(&mut self) {
        for (laps, present) in self.laps.iter_mut().zip(&mut self.present) {
            if let Some(seconds) = present.take() {
                laps.add(seconds);
            }
        }
    }

    /// Stops the timers at model time `now` and sets `simulate` and `model`.
    pub fn stop(&mut self, now: Steps, dt: Ms) {
        self.end_interval();
        self.simulate = self.begun.elapsed().as_secs_f64();
        self.model = (now - self.from).to_ms(dt).0;
    }

    /// Returns the CPU time of `phase` in all intervals; 0 if none was sampled.
    pub fn cpu(&self, phase: Phase) -> CpuTime {
        let scale = self.scale();
        let times = self.cpu.iter().map(|times| scale * times[phase as usize]);
        CpuTime {
            total: times.clone().sum(),
            slowest_thread: times.fold(0.0, f64::max),
        }
    }

    /// Returns the critical path of all intervals; 0 if none was sampled.
    pub fn critical_path(&self) -> CriticalPath {
        let scale = self.scale();
        CriticalPath {
            all: scale * self.path.all,
            serial: scale * self.path.serial,
        }
    }

    /// Returns the ratio of all intervals to the sampled ones; 0 if none was sampled.
    fn scale(&self) -> f64 {
        let [all, sampled] = self.intervals.map(|number| number as f64);
        if sampled > 0.0 { all / sampled } else { 0.0 }
    }

    /// Returns the statistics of `phase`.
    pub fn of(&self, phase: Phase) -> &Laps {
        &self.laps[phase as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampled_intervals_stand_for_all() {
        let mut timers = Timers::start(Steps(0), 2);
        assert_eq!(timers.cpu(Phase::Update), CpuTime::default());
        for number in 0..8 {
            timers.begin_interval(number % 4 == 2);
            if timers.is_sampling() {
                timers.book_cpu(0, Phase::Update, Duration::from_secs(1));
                timers.book_cpu(1, Phase::Update, Duration::from_secs(2));
            }
            let spun: u64 = timers.time(Phase::Record, || {
                (0..1_000_000).map(std::hint::black_box).sum()
            });
            assert!(spun > 0);
        }
        let CpuTime {
            total,
            slowest_thread,
        } = timers.cpu(Phase::Update);
        assert_eq!((total, slowest_thread), (24.0, 16.0));
        let record = timers.cpu(Phase::Record);
        assert!(record.total > 0.0 && record.total == record.slowest_thread);
        let path = timers.critical_path();
        assert_eq!((path.all, path.serial), (record.total, record.total));
    }

    #[test]
    fn the_slowest_thread_counts() {
        let team = Team::new(2, 0).unwrap();
        let state: PerThread<()> = [(), ()].into_iter().collect();
        let mut timers = Timers::start(Steps(0), 2);
        for number in 0..4 {
            timers.begin_interval(number % 2 == 0);
            let phases = [Phase::Deliver, Phase::Update];
            timers.time_all(&team, phases, &state, |thread, (), _| {
                let lap = |seconds| Lap {
                    wall: Duration::ZERO,
                    cpu: Duration::from_secs(seconds),
                };
                match (number, thread) {
                    (0, 0) => [lap(1), lap(5)],
                    (0, _) => [lap(3), lap(2)],
                    (2, 0) => [lap(1), lap(1)],
                    (2, _) => [lap(3), lap(1)],
                    _ => [lap(0), lap(0)],
                }
            });
        }
        let path = timers.critical_path();
        assert_eq!((path.all, path.serial), (2.0 * (6.0 + 4.0), 0.0));
        assert_eq!(timers.cpu(Phase::Deliver).slowest_thread, 12.0);
        assert_eq!(timers.cpu(Phase::Update).total, 18.0);
    }
}
