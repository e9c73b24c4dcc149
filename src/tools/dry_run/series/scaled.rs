//! A rehearsal in units that compare between machines.

use crate::base::memory::Structure;
use crate::io::outcome::Phases;
use crate::tools::figure::Colour;

use super::super::Rehearsal;
use super::super::rehearsal::PLAYED;

/// A part of the memory of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    WeightsAndTargets,
    RowIndex,
    Sources,
    TargetTable,
    NeuronsAndBuffers,
    Exchange,
}

impl Part {
    pub(super) const ALL: [Part; 6] = [
        Part::WeightsAndTargets,
        Part::RowIndex,
        Part::Sources,
        Part::TargetTable,
        Part::NeuronsAndBuffers,
        Part::Exchange,
    ];

    /// Returns the part that `structure` belongs to; none of what is there only for a time.
    fn of(structure: Structure) -> Option<Part> {
        Some(match structure {
            Structure::PlasticSynapses | Structure::StaticSynapses => Part::WeightsAndTargets,
            Structure::RowIndex => Part::RowIndex,
            Structure::Sources => Part::Sources,
            Structure::TargetTable => Part::TargetTable,
            Structure::Neurons
            | Structure::RingBuffers
            | Structure::ExternalInput
            | Structure::SpikeHistory => Part::NeuronsAndBuffers,
            Structure::Exchange => Part::Exchange,
            Structure::Recording | Structure::Construction => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Part::WeightsAndTargets => "weights and targets",
            Part::RowIndex => "row index",
            Part::Sources => "sources",
            Part::TargetTable => "target table",
            Part::NeuronsAndBuffers => "neurons and buffers",
            Part::Exchange => "exchange",
        }
    }

    pub(super) fn colour(self) -> Colour {
        Colour::Nth(self as usize)
    }
}

/// Phases that are measured, with the places that they have among all.
pub(super) fn measured() -> impl Iterator<Item = (usize, &'static str)> {
    let all = Phases::<f64>::NAMES.into_iter().enumerate();
    all.filter(|(_, name)| *name != PLAYED)
}

/// A rehearsal. Times in s per s of model time, memory in bytes, volumes per interval.
pub(super) struct Scaled(pub(super) Rehearsal);

/// Bytes of a spike in the exchange, at least.
const BYTES_PER_SPIKE: f64 = 4.0;

impl Scaled {
    fn per_second(&self, seconds: f64) -> f64 {
        1000.0 * seconds / self.0.model_time_ms
    }

    pub(super) fn ranks(&self) -> f64 {
        self.0.ranks as f64
    }

    /// Returns the time of the phase with place `nth` among all.
    pub(super) fn phase(&self, nth: usize) -> f64 {
        self.per_second(self.0.wall_time.phases.named()[nth])
    }

    /// Returns the time of the phase `name`.
    pub(super) fn time(&self, name: &str) -> f64 {
        let named = measured().find(|(_, phase)| *phase == name);
        named.map_or(0.0, |(nth, _)| self.phase(nth))
    }

    /// Returns the time of the loop without exchanges.
    pub(super) fn simulate(&self) -> f64 {
        self.per_second(self.0.wall_time.simulate)
    }

    /// Returns the time of the loop that no phase accounts for.
    pub(super) fn rest(&self) -> f64 {
        let phases: f64 = measured().map(|(nth, _)| self.phase(nth)).sum();
        (self.simulate() - phases).max(0.0)
    }

    /// Returns the modelled time of the exchanges.
    pub(super) fn network(&self) -> f64 {
        self.per_second(self.0.network.seconds)
    }

    pub(super) fn memory(&self, part: Part) -> f64 {
        let held = self.0.memory.by_structure.iter();
        let held = held.filter(|(structure, _)| Part::of(*structure) == Some(part));
        held.map(|(_, bytes)| bytes as f64).sum()
    }

    /// Returns the bytes that the rank sends in an interval.
    pub(super) fn sent(&self) -> f64 {
        self.0.network.bytes_per_peer as f64 * self.ranks()
    }

    /// Returns the spikes that the rank receives in an interval.
    pub(super) fn received(&self) -> f64 {
        let timed = self.0.network.exchanges as f64;
        let intervals = timed * (1.0 + self.0.warm_up_ms / self.0.model_time_ms);
        self.0.counts.received as f64 / intervals
    }

    /// Returns the bytes that these spikes need at least.
    pub(super) fn payload(&self) -> f64 {
        BYTES_PER_SPIKE * self.received()
    }
}
