//! The engine: builds a network from a recipe and advances it. Uses no file format.
//!
//! - [`simulation`]: [`Simulation::build`] and [`Simulation::run`], **the loop**; [`Observer`],
//!   which receives the spikes and the state of a run
//! - [`vp`]: neurons of one thread, and the phase update
//! - [`delivery`]: synapses of one thread, and the phase deliver
//! - [`spikes`]: messages between ranks: target table, chunk, exchange
//! - `team`: threads of a rank; `timers`: wall time and CPU time by phase

pub mod delivery;
pub mod simulation;
pub mod spikes;
mod team;
mod timers;
pub mod vp;

pub use simulation::{
    Census, Construction, Emitted, Observer, PRUNE_EVERY, Part, Simulation, Spike,
};
pub use timers::{CpuTime, CriticalPath, Laps, Phase, Timers};
