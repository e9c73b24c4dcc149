//! Results of a rehearsal in units that are comparable between machines.

use crate::base::memory::Structure;
use crate::io::outcome::Phases;
use crate::tools::figure::Colour;

use super::super::Rehearsal;
use super::super::rehearsal::PLAYED;

/// Part of the memory of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryPart {
    WeightsAndTargets,
    RowIndex,
    Sources,
    TargetTable,
    NeuronsAndBuffers,
    Exchange,
}

impl MemoryPart {
    pub(super) const ALL: [MemoryPart; 6] = [
        MemoryPart::WeightsAndTargets,
        MemoryPart::RowIndex,
        MemoryPart::Sources,
        MemoryPart::TargetTable,
        MemoryPart::NeuronsAndBuffers,
        MemoryPart::Exchange,
    ];

    /// Returns the part that `structure` belongs to, or `None` for structures that exist only
    /// temporarily.
    fn of(structure: Structure) -> Option<MemoryPart> {
        Some(match structure {
            Structure::PlasticSynapses | Structure::StaticSynapses => MemoryPart::WeightsAndTargets,
            Structure::RowIndex => MemoryPart::RowIndex,
            Structure::Sources => MemoryPart::Sources,
            Structure::TargetTable => MemoryPart::TargetTable,
            Structure::Neurons
            | Structure::RingBuffers
            | Structure::ExternalInput
            | Structure::SpikeHistory => MemoryPart::NeuronsAndBuffers,
            Structure::Exchange => MemoryPart::Exchange,
            Structure::Recording | Structure::Construction => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            MemoryPart::WeightsAndTargets => "weights and targets",
            MemoryPart::RowIndex => "row index",
            MemoryPart::Sources => "sources",
            MemoryPart::TargetTable => "target table",
            MemoryPart::NeuronsAndBuffers => "neurons and buffers",
            MemoryPart::Exchange => "exchange",
        }
    }

    pub(super) fn colour(self) -> Colour {
        Colour::Nth(self as usize)
    }
}

/// Returns the measured phases, each with its index among all phases.
pub(super) fn measured() -> impl Iterator<Item = (usize, &'static str)> {
    let all = Phases::<f64>::NAMES.into_iter().enumerate();
    all.filter(|(_, name)| *name != PLAYED)
}

/// Rehearsal with times in seconds per second of model time, memory in bytes and volumes per
/// interval.
pub(super) struct Scaled<'a>(pub(super) &'a Rehearsal);

/// Minimum number of bytes per spike in the exchange: one word.
const BYTES_PER_SPIKE: f64 = 4.0;

impl Scaled<'_> {
    fn per_second(&self, seconds: f64) -> f64 {
        1000.0 * seconds / self.0.model_time_ms
    }

    pub(super) fn ranks(&self) -> f64 {
        self.0.ranks as f64
    }

    /// Returns the time of the phase with index `nth` among all phases.
    pub(super) fn phase(&self, nth: usize) -> f64 {
        self.per_second(self.0.wall_time.phases.named()[nth])
    }

    /// Returns the time of the measured phase `name`, or 0 if no phase has this name.
    pub(super) fn time(&self, name: &str) -> f64 {
        let named = measured().find(|(_, phase)| *phase == name);
        named.map_or(0.0, |(nth, _)| self.phase(nth))
    }

    /// Returns the time of the simulation loop without exchanges.
    pub(super) fn simulate(&self) -> f64 {
        self.per_second(self.0.wall_time.simulate)
    }

    /// Returns the time of the simulation loop that no measured phase accounts for.
    pub(super) fn rest(&self) -> f64 {
        let phases: f64 = measured().map(|(nth, _)| self.phase(nth)).sum();
        (self.simulate() - phases).max(0.0)
    }

    /// Returns the modelled time of the exchanges.
    pub(super) fn network(&self) -> f64 {
        self.per_second(self.0.network.seconds)
    }

    pub(super) fn memory(&self, part: MemoryPart) -> f64 {
        let held = self.0.memory.by_structure.iter();
        let held = held.filter(|(structure, _)| MemoryPart::of(*structure) == Some(part));
        held.map(|(_, bytes)| bytes as f64).sum()
    }

    /// Returns the number of bytes that the rank sends per interval.
    pub(super) fn sent(&self) -> f64 {
        self.0.network.bytes_per_peer as f64 * self.ranks()
    }

    /// Returns the number of spikes that the rank receives per interval, averaged over the run
    /// including the warm-up.
    pub(super) fn received(&self) -> f64 {
        self.0.counts.received as f64 / self.0.counts.intervals as f64
    }

    /// Returns the minimum number of bytes that the received spikes of an interval take.
    pub(super) fn payload(&self) -> f64 {
        BYTES_PER_SPIKE * self.received()
    }
}
