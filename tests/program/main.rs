//! The program, alone and under mpirun: its results, its files, its ends, its messages.

#[path = "../bench/mod.rs"]
mod bench;
#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod comm_bench;
mod dry_run;
mod dry_run_series;
mod ends;
mod exchange;
mod export;
mod given_input;
mod hostile;
mod instruction_sets;
mod invariance;
mod killed;
mod nest_networks;
mod odd_machines;
mod plan;
mod range;
mod recording;
mod report_one;
mod report_scaling;
mod result_directory;
mod sonata_full_disk;
mod statistics;
mod study;
mod times;
mod weights;
