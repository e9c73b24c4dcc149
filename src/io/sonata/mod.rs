//! SONATA files: reads networks, input and initial state; writes spikes and weights.
//!
//! No other module uses HDF5. This one has no threads and no MPI: one rank writes, and every rank
//! that needs a file reads it itself. No HDF5 error leaves the module; a fault that a user can
//! correct becomes a one-line [`crate::base::error::Error`].
//!
//! libhdf5 reads the files. `output` writes them, without libhdf5; its files stay intact if the run
//! is killed at any moment.

pub mod check;
mod guard;
mod output;
pub mod read;
pub mod spikes;
pub mod weights;

use std::ops::Range;

use crate::base::sizes::whole;

/// Resident memory (bytes) that HDF5 takes once files are open: code pages, types, property lists
/// and file metadata. Measured with HDF5 1.10.
pub const LIBRARY: u64 = 4700 << 10;

/// Returns the bytes of a column of `rows` rows of `bytes` bytes, stored in whole chunks of `chunk`
/// rows.
fn column_bytes(rows: u64, bytes: u64, chunk: usize) -> u64 {
    whole(rows, chunk as u64).saturating_mul(bytes)
}

/// Entries per read: 8 MiB.
const BLOCK: usize = 1 << 20;

/// Returns the row ranges, of at most [`BLOCK`] rows each, that cover a dataset of `len` rows.
fn blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len)
        .step_by(BLOCK)
        .map(move |start| start..len.min(start + BLOCK))
}

/// Returns the cause of `error` on one line: the message of the operating system if there is one,
/// otherwise the innermost message of HDF5.
fn cause(error: &hdf5::Error) -> String {
    let Some(stack) = error.stack() else {
        return error.to_string();
    };
    let system = stack.iter().rev().find_map(|frame| {
        let (_, rest) = frame.desc().split_once("error message = '")?;
        Some(rest.split_once('\'')?.0.to_owned())
    });
    let innermost = || stack.last().map(|frame| frame.desc().replace('\n', " "));
    system
        .or_else(innermost)
        .unwrap_or_else(|| "unknown cause".to_owned())
}
