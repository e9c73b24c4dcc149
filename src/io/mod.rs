//! Files in and out: TOML, HDF5 (SONATA) and JSON.
//!
//! - [`config`]: parameters from TOML or from code, checked
//! - [`file_network`]: the [`Recipe`](crate::model::recipe::Recipe) that SONATA files give
//! - [`recording`]: the [`Observer`](crate::engine::Observer) that writes spikes and weights
//! - [`outcome`]: run.json, the record of a run
//! - [`analysis`]: a result read again: spikes, rates, connections, weights
//! - [`sonata`]: the format itself, the one room that knows HDF5

pub mod analysis;
pub mod config;
pub mod file_network;
pub mod outcome;
pub mod recording;
pub mod sonata;
