//! Distributed simulator of the scalable two-population STDP network model.

pub mod error;
pub mod params;
pub mod sonata;
pub mod units;
