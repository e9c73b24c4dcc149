//! Wall time by phase, measured by the first thread of a rank.

use std::time::{Duration, Instant};

use crate::base::units::{Ms, Steps};

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
    /// Number of measurements.
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

/// Wall times since the end of the warm-up.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    laps: [Laps; Phase::COUNT],
    begun: Instant,
    from: Steps,
    /// Wall time of the loop after the warm-up (s).
    pub simulate: f64,
    /// Model time of the measurement (ms).
    pub model: f64,
}

impl Timers {
    /// Starts the timers at model time 0.
    pub fn start() -> Self {
        Timers::start_at(Steps(0))
    }

    /// Starts the timers now. `from` is the model time at which the measurement begins.
    pub fn start_at(from: Steps) -> Self {
        Timers {
            laps: Default::default(),
            begun: Instant::now(),
            from,
            simulate: 0.0,
            model: 0.0,
        }
    }

    /// Runs `work` and adds its time to `phase`.
    #[inline]
    pub fn time<T>(&mut self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = work();
        self.book(phase, begun.elapsed());
        result
    }

    /// Adds `time` to `phase`.
    #[inline]
    pub fn book(&mut self, phase: Phase, time: Duration) {
        self.laps[phase as usize].add(time.as_secs_f64());
    }

    /// Stops the timers at model time `now` and sets `simulate` and `model`.
    pub fn stop(&mut self, now: Steps, dt: Ms) {
        self.simulate = self.begun.elapsed().as_secs_f64();
        self.model = (now - self.from).to_ms(dt).0;
    }

    /// Returns the statistics of `phase`.
    pub fn of(&self, phase: Phase) -> &Laps {
        &self.laps[phase as usize]
    }
}
