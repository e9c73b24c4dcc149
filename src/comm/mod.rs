//! Everything that crosses ranks, and the machine they run on. Knows MPI, nothing of neurons.
//!
//! - [`communicator`]: [`Comm`], the collectives of a run; `mpi_ranks`: those that go in rounds
//! - [`launcher`]: what mpirun and srun tell a process before MPI does
//! - [`job`]: the end of all ranks where one cannot go on
//! - [`signals`]: signals that ask a run to end, agreed on by all ranks
//! - [`cores`]: the cores that ranks may use
//! - [`interconnect`]: how long an exchange takes, as a model; [`bench`](mod@bench) measures it

pub mod bench;
pub mod communicator;
pub mod cores;
pub mod interconnect;
pub mod job;
pub mod launcher;
mod mpi_ranks;
pub mod signals;

pub use communicator::{Comm, Hold, MPI_MOST, OtherRanks, Spread, Word};
