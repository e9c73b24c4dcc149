//! The library alone: parameters from text, neurons, plasticity and numbers against references,
//! and the order of the rooms.

mod architecture;
mod bad_config;
mod good_config;
mod keys;
mod nest_neurons;
mod power;
mod short_rows;
