//! The machine that advances a network. Knows no file format.
//!
//! - [`simulation`]: [`Simulation::build`] and [`Simulation::run`], **the loop**; [`Observer`],
//!   which a run tells what it produces
//! - [`vp`]: all that one thread owns, and the phases deliver and update
//! - [`spikes`]: what ranks send each other: target table, chunk, exchange
//! - `team`: the threads of a rank; `timers`: wall time by phase

pub mod simulation;
pub mod spikes;
mod team;
mod timers;
pub mod vp;

pub use simulation::{
    Census, Construction, Emitted, Observer, PRUNE_EVERY, Part, Simulation, Spike,
};
pub use timers::{Laps, Phase, Timers};
