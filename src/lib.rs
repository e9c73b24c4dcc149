//! Distributed simulator of the scalable two-population STDP network model.

pub mod buffers;
pub mod cli;
pub mod comm;
pub mod console;
pub mod digest;
pub mod engine;
pub mod error;
pub mod math;
pub mod network;
pub mod neuron;
pub mod outcome;
pub mod params;
pub mod recording;
pub mod rng;
pub mod simd;
pub mod sonata;
pub mod spikes;
pub mod stimulus;
pub mod synapse;
pub mod units;
pub mod vp;
