//! The one seam to MPI: everything that crosses ranks.
//!
//! Every method but the accessors is collective: all ranks call it, in the same order. MPI's
//! own errors end the whole job (MPI_ERRORS_ARE_FATAL), and so does a panic once
//! [`abort_job_on_panic`](super::job::abort_job_on_panic) is in force, so no rank is left waiting.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::traits::*;

use crate::base::error::{Error, Result};

use super::job::RANK;
use super::launcher::{LAUNCHERS, OTHER_SIGNS, told};
use super::mpi_ranks::MpiRanks;

/// The ranks of a run, or those of them on one node.
pub enum Comm {
    /// One rank, without MPI.
    Alone,
    /// The ranks of an MPI communicator.
    Mpi(MpiRanks),
    /// One of many ranks; the others are played.
    Played(PlayedRanks),
}

/// Maximum number of elements in an MPI call: counts and displacements are C's `int`.
pub const MPI_MOST: usize = i32::MAX as usize;

/// Stands in for the other ranks, so that one process can rehearse one rank. Reductions and
/// gathers then return that rank's own values.
pub trait OtherRanks {
    /// Exchanges the target table: `send` has a list per rank about the neurons `about`; returns
    /// the list that each rank sends here.
    fn lists(&mut self, about: &Range<u32>, send: Vec<Vec<u64>>) -> Vec<Vec<u64>>;
    /// Exchanges spikes: `send` and `receive` have a chunk per rank.
    fn chunks(&mut self, send: &[u32], receive: &mut [u32]);
}

/// A rank whose others are played: see [`Comm::played`].
pub struct PlayedRanks {
    others: RefCell<Box<dyn OtherRanks>>,
    rank: usize,
    size: usize,
}

/// Keeps MPI from being finalized: see [`Comm::hold`].
#[must_use]
pub struct Hold {
    _universe: Option<Rc<Universe>>,
}

/// Plain numbers that cross ranks.
pub trait Word: Equivalence + Copy + Default {}
impl<T: Equivalence + Copy + Default> Word for T {}

impl Comm {
    /// Returns rank `rank` of `size`, the rest played by `others`.
    pub fn played(others: Box<dyn OtherRanks>, rank: usize, size: usize) -> Self {
        let others = RefCell::new(others);
        Comm::Played(PlayedRanks { others, rank, size })
    }

    /// Returns the same ranks with at most `most` elements in an MPI call, for tests: larger
    /// collectives go in rounds, as they do beyond [`MPI_MOST`].
    pub fn in_pieces_of(self, most: usize) -> Self {
        match self {
            Comm::Mpi(mpi) => Comm::Mpi(MpiRanks { most, ..mpi }),
            other => other,
        }
    }

    /// Returns the ranks that the launcher started; one rank without a launcher.
    ///
    /// Without a launcher MPI stays out of it: starting it alone takes 0.3 s, or 10 s where
    /// the host name does not resolve. Errors: MPI refuses to start or lacks thread support;
    /// the launcher belongs to another MPI (each process would be a job of its own).
    pub fn from_launcher() -> Result<Self> {
        let told = told(&LAUNCHERS);
        if told.is_none()
            && OTHER_SIGNS
                .iter()
                .all(|name| std::env::var_os(name).is_none())
        {
            return Ok(Comm::Alone);
        }
        let (universe, threading) = mpi::initialize_with_threading(Threading::Funneled)
            .ok_or_else(|| Error::run("MPI was already initialized"))?;
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        RANK.store(rank, Ordering::Relaxed);
        if threading < Threading::Funneled {
            return Err(Error::run(format!(
                "MPI grants {threading:?} threads only; MPI_THREAD_FUNNELED is needed"
            )));
        }
        if let Some((name, told)) = told
            && told != size
        {
            return Err(Error::run(format!(
                "{name} is {told} but MPI_COMM_WORLD has {size} rank(s): either the launcher is \
                 not of the MPI library that this program was built with (start it with the \
                 mpirun of that library, or srun with a matching --mpi), or this is a shell \
                 inside a step of Slurm (use mpirun -n {told} there, or unset {name} for one rank)"
            )));
        }
        Ok(Comm::Mpi(MpiRanks::new(world, Rc::new(universe), MPI_MOST)))
    }

    /// Returns the ranks on this rank's node (those that can share memory), in rank order.
    /// Collective.
    pub fn node(&self) -> Comm {
        match self {
            Comm::Alone | Comm::Played(_) => Comm::Alone,
            Comm::Mpi(mpi) => Comm::Mpi(mpi.on_this_node()),
        }
    }

    /// Waits until all ranks have come here.
    pub fn barrier(&self) {
        if let Comm::Mpi(mpi) = self {
            mpi.ranks.barrier();
        }
    }

    /// Keeps MPI running beyond this communicator's end. MPI_Finalize waits for all ranks, so a
    /// failing rank that holds can print its message before another rank exits and the launcher
    /// kills the job.
    pub fn hold(&self) -> Hold {
        let _universe = match self {
            Comm::Mpi(mpi) => Some(Rc::clone(&mpi.universe)),
            Comm::Alone | Comm::Played(_) => None,
        };
        Hold { _universe }
    }

    /// Returns this rank, 0 … size − 1.
    pub fn rank(&self) -> usize {
        match self {
            Comm::Alone => 0,
            Comm::Mpi(mpi) => mpi.rank,
            Comm::Played(played) => played.rank,
        }
    }

    /// Returns the number of ranks, ≥ 1.
    pub fn size(&self) -> usize {
        match self {
            Comm::Alone => 1,
            Comm::Mpi(mpi) => mpi.size,
            Comm::Played(played) => played.size,
        }
    }

    /// Sends the r-th of `size` equal chunks of `send` to rank r; `receive` holds the chunks
    /// that the others sent here, in rank order. One MPI_Alltoall.
    ///
    /// Panics unless both are whole chunks of the same, addressable, length.
    pub fn all_to_all<T: Word>(&self, send: &[T], receive: &mut [T]) {
        assert!(send.len() == receive.len() && send.len().is_multiple_of(self.size()));
        assert!(send.len() <= MPI_MOST, "callers keep to MPI's counts");
        match self {
            Comm::Mpi(mpi) => mpi.ranks.all_to_all_into(send, receive),
            Comm::Alone | Comm::Played(_) => receive.copy_from_slice(send),
        }
    }

    /// [`Comm::all_to_all`] of the chunks that carry spikes.
    pub fn all_to_all_chunks(&self, send: &[u32], receive: &mut [u32]) {
        match self {
            Comm::Played(played) => played.others.borrow_mut().chunks(send, receive),
            Comm::Alone | Comm::Mpi(_) => self.all_to_all(send, receive),
        }
    }

    /// Sends `send[r]`, which is about the neurons `about`, to rank r; returns the list that
    /// each rank sent here.
    ///
    /// Lists may have any length: they go in rounds of at most 2²⁸ elements per rank.
    pub fn all_to_all_lists(&self, about: &Range<u32>, send: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
        assert_eq!(send.len(), self.size());
        match self {
            Comm::Alone => send,
            Comm::Mpi(mpi) => mpi.all_to_all_lists(send),
            Comm::Played(played) => played.others.borrow_mut().lists(about, send),
        }
    }

    /// Returns every rank's `mine` on rank 0, concatenated in rank order; empty elsewhere.
    ///
    /// `mine` may have any length: it goes in rounds of at most 2³¹ − 1 elements on rank 0.
    pub fn gather<T: Word>(&self, mine: &[T]) -> Vec<T> {
        match self {
            Comm::Mpi(mpi) => mpi.gather(mine),
            Comm::Alone | Comm::Played(_) => mine.to_vec(),
        }
    }

    /// Returns the largest `mine` of all ranks, on all ranks.
    pub fn max(&self, mine: u64) -> u64 {
        self.reduce(mine, SystemOperation::max())
    }

    /// Returns the wrapping sum of `mine` over all ranks, on all ranks.
    pub fn sum(&self, mine: u64) -> u64 {
        self.reduce(mine, SystemOperation::sum())
    }

    fn reduce(&self, mine: u64, operation: SystemOperation) -> u64 {
        match self {
            Comm::Mpi(mpi) => mpi.reduce(mine, operation),
            Comm::Alone | Comm::Played(_) => mine,
        }
    }

    /// Returns the element-wise wrapping sums over all ranks, which have equally many elements, on
    /// rank 0; empty elsewhere.
    pub fn sum_each(&self, mine: &[u64]) -> Vec<u64> {
        let Comm::Mpi(mpi) = self else {
            return mine.to_vec();
        };
        let root = mpi.ranks.process_at_rank(0);
        if mpi.rank != 0 {
            for mine in mine.chunks(mpi.most) {
                root.reduce_into(mine, SystemOperation::sum());
            }
            return Vec::new();
        }
        let mut sums = vec![0; mine.len()];
        for (mine, sums) in mine.chunks(mpi.most).zip(sums.chunks_mut(mpi.most)) {
            root.reduce_into_root(mine, sums, SystemOperation::sum());
        }
        sums
    }

    /// Returns the element-wise maxima over all ranks, which have equally many elements.
    pub fn max_each<T: Word>(&self, mine: &[T]) -> Vec<T> {
        let mut largest = mine.to_vec();
        if let Comm::Mpi(mpi) = self {
            for (mine, largest) in mine.chunks(mpi.most).zip(largest.chunks_mut(mpi.most)) {
                mpi.ranks
                    .all_reduce_into(mine, largest, SystemOperation::max());
            }
        }
        largest
    }

    /// Returns minimum, mean and maximum of `mine` over all ranks.
    pub fn spread(&self, mine: f64) -> Spread {
        let Comm::Mpi(mpi) = self else {
            return Spread {
                min: mine,
                mean: mine,
                max: mine,
            };
        };
        let (mut min, mut sum, mut max) = (mine, mine, mine);
        mpi.ranks
            .all_reduce_into(&mine, &mut min, SystemOperation::min());
        mpi.ranks
            .all_reduce_into(&mine, &mut sum, SystemOperation::sum());
        mpi.ranks
            .all_reduce_into(&mine, &mut max, SystemOperation::max());
        Spread {
            min,
            mean: sum / mpi.size as f64,
            max,
        }
    }

    /// Returns the sum of `mine` over all ranks; its rounding depends on the order in which MPI adds.
    pub fn total(&self, mine: f64) -> f64 {
        let Comm::Mpi(mpi) = self else { return mine };
        let mut sum = 0.0;
        mpi.ranks
            .all_reduce_into(&mine, &mut sum, SystemOperation::sum());
        sum
    }

    /// Returns name and version of the MPI library, if one is in use.
    pub fn library(&self) -> Option<String> {
        let Comm::Mpi(_) = self else { return None };
        let version = mpi::environment::library_version().ok()?;
        Some(
            version
                .split([',', '\n'])
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        )
    }

    /// Copies the `bytes` of rank `root` to all ranks.
    pub fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) {
        let Comm::Mpi(mpi) = self else { return };
        let root = mpi.ranks.process_at_rank(root as i32);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        for piece in bytes.chunks_mut(mpi.most) {
            root.broadcast_into(piece);
        }
    }

    /// Returns `mine` if it is Ok on all ranks, else, on all ranks, the error of the lowest rank that
    /// has one.
    ///
    /// Called before ranks go on to the next collective: a lone early return is a deadlock.
    pub fn agree<T>(&self, mine: Result<T>) -> Result<T> {
        let failed = if mine.is_err() {
            self.size() - self.rank()
        } else {
            0
        };
        let worst = self.max(failed as u64) as usize;
        if worst == 0 {
            return mine;
        }
        let mut message = match &mine {
            Err(error) => [&[error.exit_code()], error.to_string().as_bytes()].concat(),
            Ok(_) => Vec::new(),
        };
        self.broadcast(self.size() - worst, &mut message);
        let text = String::from_utf8_lossy(&message[1..]);
        Err(Error::of_exit_code(message[0], text.into_owned()))
    }
}

/// Minimum, mean and maximum over the ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The largest.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rank_talks_to_itself() {
        let comm = Comm::Alone;
        let mut received = [0; 3];
        comm.all_to_all(&[1, 2, 3], &mut received);
        assert_eq!(received, [1, 2, 3]);
        assert_eq!(comm.all_to_all_lists(&(0..9), vec![vec![5, 6]]), [[5, 6]]);
        assert_eq!(comm.gather(&[7u64]), [7]);
        assert_eq!((comm.max(3), comm.sum(4)), (3, 4));
        assert_eq!(
            (comm.sum_each(&[1, 2]), comm.max_each(&[3u64])),
            (vec![1, 2], vec![3])
        );
        assert_eq!((comm.node().rank(), comm.node().size()), (0, 1));
        assert_eq!(comm.agree(Ok(1)), Ok(1));
        for code in [1, 2, 75] {
            let error = Error::of_exit_code(code, "a.toml: bad".to_owned());
            assert_eq!(error.exit_code(), code);
            assert_eq!(comm.agree::<()>(Err(error.clone())), Err(error));
        }
    }
}
