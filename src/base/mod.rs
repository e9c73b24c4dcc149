//! General utilities that do not depend on the neuron model.
//!
//! - units and sizes: [`units`], [`sizes`] (saturating arithmetic)
//! - reproducible mathematics: [`math`], [`rng`], [`digest`]
//! - speed: [`simd`] (hot loops compiled for wider vectors), [`pages`] (huge pages), [`sort`]
//!   (by radix), [`per_thread`]
//! - memory: [`memory`] (accounting, resident and available memory), [`allocator`]
//!   (out-of-memory handling)
//! - files: [`files`] (atomic writes), [`lock`] (directory locks)
//! - [`error`]: the error type, a one-line message with an exit code

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
pub mod sort;
pub mod units;
