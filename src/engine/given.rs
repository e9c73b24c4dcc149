//! How much of the external spikes that a run was given it can use.

use std::path::Path;

use crate::comm::Comm;
use crate::params::SimulationParams;
use crate::units::Steps;

/// External spikes read from a file, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenSpikes {
    /// All in the file.
    pub all: u64,
    /// Of them, later than the end of the run.
    pub outside: u64,
    /// Those, and those that are still on their way at the end.
    pub undelivered: u64,
    /// The latest stamp.
    pub latest: Steps,
}

impl GivenSpikes {
    /// Counts a spike with this stamp in a run to `end`; returns whether it arrives by then.
    pub(super) fn count(&mut self, stamp: Steps, delay: Steps, end: Steps) -> bool {
        let arrives = stamp.0 <= end.0 - delay.0;
        self.all += 1;
        self.outside += u64::from(stamp > end);
        self.undelivered += u64::from(!arrives);
        self.latest = self.latest.max(stamp);
        arrives
    }

    /// The counts of all ranks, each of which counts those of its own neurons. Collective.
    pub(super) fn of_all_ranks(self, comm: &Comm) -> Self {
        GivenSpikes {
            all: comm.sum(self.all),
            outside: comm.sum(self.outside),
            undelivered: comm.sum(self.undelivered),
            latest: Steps(comm.max(self.latest.0 as u64) as i32),
        }
    }

    /// Returns the likely fault of the spikes of the file at `path`; `None` where the run uses all but
    /// those that the last delay leaves on their way.
    pub fn doubt(&self, path: &Path, simulation: &SimulationParams) -> Option<String> {
        let dt = simulation.dt;
        let end = simulation.end().to_ms(dt).0;
        let (path, latest) = (path.display(), self.latest.to_ms(dt).0);
        let or_later = match self.latest {
            Steps(i32::MAX) => " or later",
            _ => "",
        };
        let GivenSpikes { all, outside, .. } = self;
        if *outside > 0 {
            Some(format!(
                "{path}: /spikes/X: {outside} of {all} external spikes are later than the end of \
                 the run at {end} ms (the last at {latest} ms{or_later}) and are not used: timestamps must \
                 be in ms, and the run (presim + T) long enough for them"
            ))
        } else if *all > 0 && self.undelivered == *all {
            Some(format!(
                "{path}: /spikes/X: none of {all} external spikes arrives by the end of the run at \
                 {end} ms: it must be longer by the delay X_to_all at least"
            ))
        } else {
            None
        }
    }
}
