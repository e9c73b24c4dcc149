//! Communication between ranks and the machine they run on. Uses MPI; independent of neurons.
//!
//! - [`communicator`]: [`Comm`], the collectives of a run; `mpi_ranks`: collectives in rounds
//! - [`launcher`]: environment variables that mpirun and srun set
//! - [`job`]: ends all ranks if one rank fails
//! - [`signals`]: signals that ask a run to end, agreed on by all ranks
//! - [`cores`]: cores that the ranks may use
//! - [`interconnect`]: time model of one exchange; [`bench`](mod@bench) measures it

pub mod bench;
pub mod communicator;
pub mod cores;
pub mod interconnect;
pub mod job;
pub mod launcher;
mod mpi_ranks;
pub mod signals;

pub use communicator::{Comm, Hold, MPI_MOST, OtherRanks, Spread, Word};
