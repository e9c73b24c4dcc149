//! Tools for the work before and after a run.
//!
//! - [`plan`]: estimates memory, file sizes and exchange; finds the smallest machine that fits
//! - [`dry_run`]: rehearses one rank of many in a single process
//! - [`study`]: runs a config with many values of its keys
//! - [`report`]: presents results as one page; [`figure`]: its figures; `text_table`: tables;
//!   `child`: child processes that the subcommands start; `output_directory`: where they write

mod child;
pub mod dry_run;
pub mod figure;
mod output_directory;
pub mod plan;
pub mod report;
pub mod study;
mod text_table;
