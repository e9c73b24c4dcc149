//! Wall time by phase, as the calling thread of a rank sees it.

use std::time::Instant;

use crate::units::{Ms, Steps};

/// The phases of an interval, by NEST's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Received entries → STDP → ring buffers.
    Deliver,
    /// Ring buffers → neurons → emitted spikes.
    Update,
    /// Spikes into the send buffer.
    Collocate,
    /// The exchange.
    Communicate,
    /// Spikes to the recorder and to disk.
    Record,
}

/// Seconds of wall time since the warm-up ended.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    seconds: [f64; 5],
    begun: Instant,
    from: Steps,
    /// Wall time of the loop.
    pub simulate: f64,
    /// Model time it covered, ms.
    pub model: f64,
}

impl Timers {
    /// Begins at model time 0.
    pub fn start() -> Self {
        Timers::start_at(Steps(0))
    }

    /// Begins at model time `from`.
    pub fn start_at(from: Steps) -> Self {
        Timers {
            seconds: [0.0; 5],
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
        self.seconds[phase as usize] += begun.elapsed().as_secs_f64();
        result
    }

    /// Ends at model time `now`.
    pub fn stop(&mut self, now: Steps, dt: Ms) {
        self.simulate = self.begun.elapsed().as_secs_f64();
        self.model = Steps(now.0 - self.from.0).to_ms(dt).0;
    }

    /// Seconds spent in `phase`.
    pub fn of(&self, phase: Phase) -> f64 {
        self.seconds[phase as usize]
    }
}
