//! What a run tells while it goes on.

use crate::base::error::{Error, Result};
use crate::base::units::{Gid, Interval, Steps};
use crate::comm::Comm;

use super::Simulation;

/// One spike of a neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spike {
    /// The neuron that fired.
    pub gid: Gid,
    /// Time of the spike (steps).
    pub stamp: Steps,
}

/// Receives what a run produces, on every rank and once per interval.
///
/// Every method does nothing by default. All ranks call the same methods in the same order, so
/// [`begin`](Observer::begin), [`interval`](Observer::interval), [`flush`](Observer::flush) and
/// [`end`](Observer::end) may talk to other ranks; they must do so even where they fail on one of
/// them. An error on any rank ends the run on all of them after the exchange that follows.
pub trait Observer {
    /// Is called at time 0, before the first interval.
    ///
    /// # Errors
    /// Whatever keeps the observer from observing.
    fn begin(&mut self, _simulation: &Simulation) -> Result<()> {
        Ok(())
    }

    /// Receives the spikes of this rank's neurons in one interval, but for those of the warm-up:
    /// thread by thread, in no order of time.
    fn spikes(&mut self, _spikes: &[Spike]) {}

    /// Is called at the end of `interval`, after [`spikes`](Observer::spikes): weights and neurons
    /// stand as they do at that time.
    ///
    /// # Errors
    /// Whatever the observer could not do.
    fn interval(&mut self, _simulation: &Simulation, _interval: Interval) -> Result<()> {
        Ok(())
    }

    /// Returns whether all ranks should [`flush`](Observer::flush) after the next exchange. One
    /// rank that wants it suffices.
    fn wants_flush(&self) -> bool {
        false
    }

    /// Brings what was observed on all ranks to where it belongs.
    ///
    /// # Errors
    /// Whatever the observer could not do.
    fn flush(&mut self, _comm: &Comm) -> Result<()> {
        Ok(())
    }

    /// Is called after the last interval, unless the run has failed or was interrupted.
    ///
    /// # Errors
    /// Whatever the observer could not do.
    fn end(&mut self, _simulation: &Simulation) -> Result<()> {
        Ok(())
    }
}

/// The observers of a run, and the first error of one of them on this rank.
pub(super) struct Observers<'a, 'b> {
    observers: &'a mut [&'b mut dyn Observer],
    failure: Option<Error>,
}

impl<'a, 'b> Observers<'a, 'b> {
    pub(super) fn new(observers: &'a mut [&'b mut dyn Observer]) -> Self {
        Observers {
            observers,
            failure: None,
        }
    }

    /// Calls `notify` with each observer, whatever the others return, and keeps the first error.
    fn each(&mut self, mut notify: impl FnMut(&mut dyn Observer) -> Result<()>) {
        for observer in self.observers.iter_mut() {
            if let Err(error) = notify(*observer) {
                self.failure.get_or_insert(error);
            }
        }
    }

    /// Collective.
    pub(super) fn begin(&mut self, simulation: &Simulation) -> Result<()> {
        self.each(|observer| observer.begin(simulation));
        self.check(simulation.comm())
    }

    /// Tells of the `spikes` of an interval and of its end. Collective; keeps a failure for
    /// [`Observers::check`].
    pub(super) fn interval(
        &mut self,
        simulation: &Simulation,
        spikes: &[Spike],
        interval: Interval,
    ) {
        self.each(|observer| {
            observer.spikes(spikes);
            observer.interval(simulation, interval)
        });
    }

    pub(super) fn wants_flush(&self) -> bool {
        self.observers.iter().any(|observer| observer.wants_flush())
    }

    /// Collective; keeps a failure for [`Observers::check`].
    pub(super) fn flush(&mut self, comm: &Comm) {
        self.each(|observer| observer.flush(comm));
    }

    /// Returns whether this rank has a failure that others may not know.
    pub(super) fn have_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Fails on all ranks with what failed on one of them. Collective.
    pub(super) fn check(&mut self, comm: &Comm) -> Result<()> {
        comm.agree(self.failure.take().map_or(Ok(()), Err))
    }

    /// Collective.
    pub(super) fn end(&mut self, simulation: &Simulation) -> Result<()> {
        self.each(|observer| observer.end(simulation));
        self.check(simulation.comm())
    }
}
