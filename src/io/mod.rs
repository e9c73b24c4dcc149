//! Input and output: TOML, HDF5 (SONATA) and JSON.
//!
//! - [`config`]: parameters from TOML or from code, checked
//! - [`file_network`]: the [`Recipe`](crate::model::recipe::Recipe) read from SONATA files
//! - [`recording`]: the [`Observer`](crate::engine::Observer) that writes spikes and weights
//! - [`outcome`]: run.json, the record of a run
//! - [`analysis`]: results read back from files: spikes, rates, connections, weights
//! - [`sonata`]: the file format; the only room that uses HDF5

pub mod analysis;
pub mod config;
pub mod file_network;
pub mod outcome;
pub mod recording;
pub mod sonata;
