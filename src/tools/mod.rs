//! What people do around a run.
//!
//! - [`plan`]: what a run would take: memory, files, exchange; the smallest machine it fits
//! - [`dry_run`]: one rank of many run alone, the others played
//! - [`study`]: many runs of one config
//! - [`report`]: what runs did, as one page; [`figure`]: its figures; `text_table`: tables;
//!   `child`: processes that the verbs start

mod child;
pub mod dry_run;
pub mod figure;
pub mod plan;
pub mod report;
pub mod study;
mod text_table;
