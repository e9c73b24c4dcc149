//! What knows nothing of neurons.
//!
//! - numbers and their meaning: [`units`], [`sizes`] (arithmetic that does not wrap)
//! - reproducible mathematics: [`math`], [`rng`], [`digest`]
//! - speed: [`simd`] (hot loops compiled for wider vectors), [`pages`] (huge pages),
//!   [`per_thread`]
//! - memory: [`memory`] (what is counted, held and left), [`allocator`] (its end)
//! - the machine's files: [`files`] (whole or not at all), [`lock`]
//! - [`error`]: a line for people and an exit code

pub mod allocator;
pub mod digest;
pub mod error;
pub mod files;
pub mod lock;
pub mod math;
pub mod memory;
pub mod pages;
pub mod per_thread;
pub mod rng;
pub mod simd;
pub mod sizes;
pub mod units;
