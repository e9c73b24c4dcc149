//! Observers: receivers of the spikes and the state of a run.

use crate::base::error::{Error, Result};
use crate::base::units::{Gid, Interval, Steps};
use crate::comm::Comm;

use super::Simulation;

/// One spike of a neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spike {
    /// Gid of the neuron.
    pub gid: Gid,
    /// Time of the spike (steps).
    pub stamp: Steps,
}

/// Receiver of the spikes and the state of a run, called on every rank once per interval.
///
/// Every method does nothing by default. All ranks call the same methods in the same order, so
/// [`begin`](Observer::begin), [`interval`](Observer::interval), [`flush`](Observer::flush) and
/// [`end`](Observer::end) may use collectives. A method that uses collectives must call them even
/// if it fails on its rank. An error on any rank ends the run on all ranks after the next exchange.
pub trait Observer {
    /// Receives the network at time 0, before the first interval.
    ///
    /// # Errors
    /// Fails if the observer cannot start. The run then ends.
    fn begin(&mut self, _simulation: &Simulation) -> Result<()> {
        Ok(())
    }

    /// Receives the spikes of this rank's neurons in one interval, except those in the warm-up.
    /// They are ordered by thread, not by time; often there are none.
    fn spikes(&mut self, _spikes: &[Spike]) {}

    /// Receives the network at the end of `interval`, after its [`spikes`](Observer::spikes).
    ///
    /// # Errors
    /// Fails if the observer cannot continue. The run then ends.
    fn interval(&mut self, _simulation: &Simulation, _interval: Interval) -> Result<()> {
        Ok(())
    }

    /// Returns whether all ranks should [`flush`](Observer::flush) after the next exchange; `true`
    /// on one rank suffices.
    fn wants_flush(&self) -> bool {
        false
    }

    /// Writes or gathers the data observed since the last flush. Not called at the end of the run:
    /// [`end`](Observer::end) writes the rest.
    ///
    /// # Errors
    /// Fails if the observer cannot write or gather its data. The run then ends.
    fn flush(&mut self, _comm: &Comm) -> Result<()> {
        Ok(())
    }

    /// Receives the network after the last interval, unless the run has failed or was interrupted.
    ///
    /// # Errors
    /// Fails if the observer cannot finish. The run then fails.
    fn end(&mut self, _simulation: &Simulation) -> Result<()> {
        Ok(())
    }
}

/// Observers of a run, and their first error on this rank.
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

    /// Calls `notify` for each observer, even after an error, and keeps the first error.
    fn each(&mut self, mut notify: impl FnMut(&mut dyn Observer) -> Result<()>) {
        for observer in self.observers.iter_mut() {
            if let Err(error) = notify(*observer) {
                self.failure.get_or_insert(error);
            }
        }
    }

    /// Starts all observers. Collective.
    pub(super) fn begin(&mut self, simulation: &Simulation) -> Result<()> {
        self.each(|observer| observer.begin(simulation));
        self.check(simulation.comm())
    }

    /// Passes `spikes` and the end of `interval` to all observers. Collective. Failures are kept
    /// for [`Observers::check`].
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

    /// Flushes all observers. Collective. Failures are kept for [`Observers::check`].
    pub(super) fn flush(&mut self, comm: &Comm) {
        self.each(|observer| observer.flush(comm));
    }

    /// Returns whether an observer of this rank has failed.
    pub(super) fn have_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Fails on all ranks with the failure of the lowest rank that has one. Collective.
    pub(super) fn check(&mut self, comm: &Comm) -> Result<()> {
        comm.agree(self.failure.take().map_or(Ok(()), Err))
    }

    /// Ends all observers. Collective.
    pub(super) fn end(&mut self, simulation: &Simulation) -> Result<()> {
        self.each(|observer| observer.end(simulation));
        self.check(simulation.comm())
    }
}
