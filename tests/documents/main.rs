//! Documents, pages in a browser, scripts and job scripts, as their readers use them.

#[path = "../common/mod.rs"]
mod common;

mod bench_script;
mod documents;
mod report_page;
mod scripts;
mod slurm_scripts;
