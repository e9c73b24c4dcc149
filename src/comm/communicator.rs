//! Interface to MPI: all communication between ranks.
//!
//! All methods except accessors are collective: all ranks must call them in the same order. MPI
//! errors end the whole job (MPI_ERRORS_ARE_FATAL). A panic does, too, once
//! [`abort_job_on_panic`](super::job::abort_job_on_panic) is installed. No rank is left waiting.

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

/// All ranks of a run, or those on one node.
pub enum Comm {
    /// A single rank, without MPI.
    Alone,
    /// The ranks of an MPI communicator.
    Mpi(MpiRanks),
    /// One real rank among ranks that are simulated by [`OtherRanks`].
    Played(PlayedRanks),
}

/// Maximum number of elements in an MPI call: counts and displacements are C's `int`.
pub const MPI_MOST: usize = i32::MAX as usize;

/// Stand-in for the other ranks in a dry run, where one process runs a single rank of many.
/// Reductions and gathers then return the values of that rank.
pub trait OtherRanks {
    /// Exchanges the target table. `send` has one list per rank about the neurons `about`.
    /// Returns the list that each rank sends to this rank.
    fn lists(&mut self, about: &Range<u32>, send: Vec<Vec<u64>>) -> Vec<Vec<u64>>;
    /// Exchanges spikes. `send` and `receive` have one chunk per rank.
    fn chunks(&mut self, send: &[u32], receive: &mut [u32]);
}

/// One rank and the stand-in for the others; see [`Comm::played`].
pub struct PlayedRanks {
    others: RefCell<Box<dyn OtherRanks>>,
    rank: usize,
    size: usize,
}

/// Guard that delays MPI_Finalize while it exists; see [`Comm::hold`].
#[must_use]
pub struct Hold {
    _universe: Option<Rc<Universe>>,
}

/// Plain number that ranks can exchange.
pub trait Word: Equivalence + Copy + Default {}
impl<T: Equivalence + Copy + Default> Word for T {}

impl Comm {
    /// Creates rank `rank` of `size`; `others` stands in for the other ranks.
    pub fn played(others: Box<dyn OtherRanks>, rank: usize, size: usize) -> Self {
        let others = RefCell::new(others);
        Comm::Played(PlayedRanks { others, rank, size })
    }

    /// Limits MPI calls to `most` elements, for tests. Larger collectives are split into rounds,
    /// as they are beyond [`MPI_MOST`].
    pub fn in_pieces_of(self, most: usize) -> Self {
        match self {
            Comm::Mpi(mpi) => Comm::Mpi(MpiRanks { most, ..mpi }),
            other => other,
        }
    }

    /// Returns the ranks that the launcher started, or a single rank without a launcher.
    ///
    /// Does not initialize MPI without a launcher, because that takes 0.3 s, or 10 s if the host
    /// name does not resolve.
    ///
    /// # Errors
    /// Fails if MPI is already initialized or lacks thread support, or if the launcher belongs to
    /// another MPI library. In the last case each process would be a separate job.
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

    /// Returns the ranks on this rank's node (those that share memory), in rank order.
    /// Collective.
    pub fn node(&self) -> Comm {
        match self {
            Comm::Alone | Comm::Played(_) => Comm::Alone,
            Comm::Mpi(mpi) => Comm::Mpi(mpi.on_this_node()),
        }
    }

    /// Waits until all ranks have called this method.
    pub fn barrier(&self) {
        if let Comm::Mpi(mpi) = self {
            mpi.ranks.barrier();
        }
    }

    /// Returns a guard that keeps MPI running after this communicator is dropped.
    ///
    /// MPI_Finalize waits for all ranks. A failing rank that holds the guard can print its message
    /// before another rank exits and the launcher kills the job.
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

    /// Sends the r-th of `size` equal chunks of `send` to rank r. Fills `receive` with the chunks
    /// from all ranks, in rank order. One MPI_Alltoall.
    ///
    /// # Panics
    /// Panics if `send` and `receive` differ in length, or if that length is not a multiple of
    /// `size` or exceeds [`MPI_MOST`].
    pub fn all_to_all<T: Word>(&self, send: &[T], receive: &mut [T]) {
        assert!(send.len() == receive.len() && send.len().is_multiple_of(self.size()));
        assert!(send.len() <= MPI_MOST, "callers keep to MPI's counts");
        match self {
            Comm::Mpi(mpi) => mpi.ranks.all_to_all_into(send, receive),
            Comm::Alone | Comm::Played(_) => receive.copy_from_slice(send),
        }
    }

    /// Exchanges chunks of spikes, like [`Comm::all_to_all`].
    pub fn all_to_all_chunks(&self, send: &[u32], receive: &mut [u32]) {
        match self {
            Comm::Played(played) => played.others.borrow_mut().chunks(send, receive),
            Comm::Alone | Comm::Mpi(_) => self.all_to_all(send, receive),
        }
    }

    /// Sends `send[r]`, a list about the neurons `about`, to rank r. Returns the lists received,
    /// one per rank.
    ///
    /// Lists may have any length. They are sent in rounds of at most 2²⁸ elements per rank.
    pub fn all_to_all_lists(&self, about: &Range<u32>, send: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
        assert_eq!(send.len(), self.size());
        match self {
            Comm::Alone => send,
            Comm::Mpi(mpi) => mpi.all_to_all_lists(send),
            Comm::Played(played) => played.others.borrow_mut().lists(about, send),
        }
    }

    /// Concatenates `mine` of all ranks in rank order. Returns the result on rank 0, and an empty
    /// vector on other ranks.
    ///
    /// `mine` may have any length. Rank 0 receives at most 2³¹ − 1 elements per round.
    pub fn gather<T: Word>(&self, mine: &[T]) -> Vec<T> {
        match self {
            Comm::Mpi(mpi) => mpi.gather(mine),
            Comm::Alone | Comm::Played(_) => mine.to_vec(),
        }
    }

    /// Returns the maximum of `mine` over all ranks, on all ranks.
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

    /// Returns the element-wise wrapping sums over all ranks on rank 0, and an empty vector on
    /// other ranks. `mine` must have the same length on all ranks.
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

    /// Returns the element-wise maxima over all ranks, on all ranks. `mine` must have the same
    /// length on all ranks.
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

    /// Returns minimum, mean and maximum of `mine` over all ranks, on all ranks.
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

    /// Returns the sum of `mine` over all ranks, on all ranks. Its rounding depends on the order in
    /// which MPI adds.
    pub fn total(&self, mine: f64) -> f64 {
        let Comm::Mpi(mpi) = self else { return mine };
        let mut sum = 0.0;
        mpi.ranks
            .all_reduce_into(&mine, &mut sum, SystemOperation::sum());
        sum
    }

    /// Returns name and version of the MPI library; `None` without MPI.
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

    /// Copies `bytes` of rank `root` to all ranks. Their length may differ between ranks.
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

    /// Returns `mine` if it is Ok on all ranks. Otherwise returns, on all ranks, the error of the
    /// lowest failing rank.
    ///
    /// Must be called before the next collective: if only one rank returned early, the others would
    /// deadlock.
    ///
    /// # Errors
    /// Fails if `mine` is an error on any rank.
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
    /// Minimum.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Maximum.
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
