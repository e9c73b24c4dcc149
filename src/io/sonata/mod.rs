//! SONATA files: networks, input and initial state in, spikes and weights out.
//!
//! The only room that knows HDF5. It has no threads and no MPI: one rank writes, and every
//! rank that needs a file reads it for itself. No error of HDF5 leaves the room; what a user
//! can mend becomes one line, see [`crate::base::error::Error`].
//!
//! libhdf5 reads; what is written goes through `output`, which leaves a whole file whatever
//! the moment a run is killed.

pub mod check;
mod guard;
mod output;
pub mod read;
pub mod spikes;
pub mod weights;

use std::ops::Range;

use crate::base::sizes::whole;

/// Resident memory that HDF5 takes once files are open: pages of its code, types, property
/// lists, the file's own notes. Measured with HDF5 1.10.
pub const LIBRARY: u64 = 4700 << 10;

/// Bytes of a column of `rows` rows of `bytes` in whole chunks of `chunk` rows.
fn column_bytes(rows: u64, bytes: u64, chunk: usize) -> u64 {
    whole(rows, chunk as u64).saturating_mul(bytes)
}

/// Entries read at a time: 8 MiB.
const BLOCK: usize = 1 << 20;

/// The rows of a dataset of `len`, block by block.
fn blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len)
        .step_by(BLOCK)
        .map(move |start| start..len.min(start + BLOCK))
}

/// What went wrong, in a few words on one line: the operating system's cause where there is
/// one, else the innermost of the messages HDF5 gave.
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
