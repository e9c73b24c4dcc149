//! Wall time by phase, as the calling thread of a rank sees it.

use std::time::{Duration, Instant};

use crate::base::units::{Ms, Steps};

/// The phases of an interval, by NEST's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Received entries → STDP → ring buffers.
    Deliver,
    /// Ring buffers → neurons → emitted spikes.
    Update,
    /// Waiting for the other threads of the rank.
    Synchronize,
    /// Spikes into the send buffer.
    Collocate,
    /// The exchange, with the wait for other ranks.
    Communicate,
    /// Of the exchange, in the intervals where it is told apart: waiting for other ranks …
    SampledWait,
    /// … and the transfer after it.
    SampledTransfer,
    /// Received entries into the order of delivery; K₊.
    Receive,
    /// Spikes to the recorder and to disk.
    Record,
}

impl Phase {
    /// How many there are.
    pub const COUNT: usize = 9;
}

/// Times of one phase over the intervals (s).
#[derive(Clone, Copy, Debug, Default)]
pub struct Laps {
    /// How often it was timed.
    pub count: u64,
    /// Sum of the times.
    pub total: f64,
    /// Sum of their squares.
    squares: f64,
    /// The longest.
    pub longest: f64,
}

impl Laps {
    fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.total += seconds;
        self.squares += seconds * seconds;
        self.longest = self.longest.max(seconds);
    }

    /// Standard deviation over the intervals.
    pub fn sd(&self) -> f64 {
        let n = self.count.max(1) as f64;
        (self.squares / n - (self.total / n).powi(2))
            .max(0.0)
            .sqrt()
    }
}

/// Wall time since the warm-up ended.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    laps: [Laps; Phase::COUNT],
    begun: Instant,
    from: Steps,
    /// Wall time of the loop (s).
    pub simulate: f64,
    /// Model time from the beginning to the end, ms.
    pub model: f64,
}

impl Timers {
    /// Begins at model time 0.
    pub fn start() -> Self {
        Timers::start_at(Steps(0))
    }

    /// Begins now, with an interval in which model time `from` lies.
    pub fn start_at(from: Steps) -> Self {
        Timers {
            laps: Default::default(),
            begun: Instant::now(),
            from,
            simulate: 0.0,
            model: 0.0,
        }
    }

    /// Runs `work` and books its time on `phase`.
    #[inline]
    pub fn time<T>(&mut self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = work();
        self.book(phase, begun.elapsed());
        result
    }

    /// Books `time` on `phase`.
    #[inline]
    pub fn book(&mut self, phase: Phase, time: Duration) {
        self.laps[phase as usize].add(time.as_secs_f64());
    }

    /// Ends at model time `now`.
    pub fn stop(&mut self, now: Steps, dt: Ms) {
        self.simulate = self.begun.elapsed().as_secs_f64();
        self.model = (now - self.from).to_ms(dt).0;
    }

    /// The times of `phase`.
    pub fn of(&self, phase: Phase) -> &Laps {
        &self.laps[phase as usize]
    }
}
