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
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use crate::base::error::{Error, Result};

use super::job::RANK;
use super::launcher::{LAUNCHERS, OTHER_SIGNS, told};

/// The ranks of this run, or those of them on one node; one rank without MPI when no launcher
/// started it, or one of many whose others are played.
pub struct Comm {
    mpi: Option<Mpi>,
    others: Option<RefCell<Box<dyn Others>>>,
    rank: usize,
    size: usize,
    /// The most elements that one call to MPI moves.
    most: usize,
}

/// MPI counts elements, and those before a rank's part, as C's `int`.
pub const MPI_MOST: usize = i32::MAX as usize;

/// Plays all ranks but one, so that one process can rehearse that one. What is reduced or
/// gathered over ranks is then this rank's own.
pub trait Others {
    /// Given what this rank sends about these gids, one list for each rank, what each sends
    /// here: the exchange of the target table.
    fn lists(&mut self, about: &Range<u32>, send: Vec<Vec<u64>>) -> Vec<Vec<u64>>;
    /// Given the chunks this rank sends, those it receives: the exchange of spikes.
    fn chunks(&mut self, send: &[u32], receive: &mut [u32]);
}

struct Mpi {
    ranks: SimpleCommunicator,
    /// Finalizes MPI when the last of its owners is dropped.
    universe: Rc<Universe>,
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
    /// One rank, no MPI.
    pub fn alone() -> Self {
        Comm {
            mpi: None,
            others: None,
            rank: 0,
            size: 1,
            most: MPI_MOST,
        }
    }

    /// Rank `rank` of `size`, `others` playing the rest.
    pub fn among(others: Box<dyn Others>, rank: usize, size: usize) -> Self {
        Comm {
            mpi: None,
            others: Some(RefCell::new(others)),
            rank,
            size,
            most: MPI_MOST,
        }
    }

    /// The same ranks, whose collectives move at most `most` elements a call, for tests: what
    /// is more goes in pieces, as it does beyond [`MPI_MOST`].
    pub fn in_pieces_of(self, most: usize) -> Self {
        Comm { most, ..self }
    }

    /// The ranks that the launcher started.
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
            return Ok(Comm::alone());
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
        Ok(Comm {
            mpi: Some(Mpi {
                ranks: world,
                universe: Rc::new(universe),
            }),
            others: None,
            rank,
            size,
            most: MPI_MOST,
        })
    }

    /// The ranks on the node of this one (those that can share memory), in the order they have
    /// here: its `size` is how many they are, its `rank` this one's place among them.
    /// Collective.
    pub fn node(&self) -> Comm {
        let Some(mpi) = &self.mpi else {
            return Comm::alone();
        };
        let ranks = mpi.ranks.split_shared(self.rank as i32);
        Comm {
            rank: ranks.rank() as usize,
            size: ranks.size() as usize,
            mpi: Some(Mpi {
                ranks,
                universe: Rc::clone(&mpi.universe),
            }),
            others: None,
            most: self.most,
        }
    }

    /// Waits until all ranks have come here.
    pub fn barrier(&self) {
        if let Some(mpi) = &self.mpi {
            mpi.ranks.barrier();
        }
    }

    /// Keeps MPI running beyond this communicator's end. MPI_Finalize waits for all ranks, so
    /// what one says before it gives up its hold is said before any other can exit, and have
    /// the launcher kill it.
    pub fn hold(&self) -> Hold {
        Hold {
            _universe: self.mpi.as_ref().map(|mpi| Rc::clone(&mpi.universe)),
        }
    }

    /// This rank, 0 … size − 1.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many ranks there are, ≥ 1.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Sends the r-th of `size` equal chunks of `send` to rank r; `receive` holds the chunks
    /// that the others sent here, in rank order. One MPI_Alltoall.
    ///
    /// Panics unless both are whole chunks of the same, addressable, length.
    pub fn all_to_all<T: Word>(&self, send: &[T], receive: &mut [T]) {
        assert!(send.len() == receive.len() && send.len().is_multiple_of(self.size));
        assert!(send.len() <= MPI_MOST, "callers keep to MPI's counts");
        match &self.mpi {
            None => receive.copy_from_slice(send),
            Some(mpi) => mpi.ranks.all_to_all_into(send, receive),
        }
    }

    /// [`Comm::all_to_all`] of the chunks that carry spikes.
    pub fn all_to_all_chunks(&self, send: &[u32], receive: &mut [u32]) {
        match &self.others {
            None => self.all_to_all(send, receive),
            Some(others) => others.borrow_mut().chunks(send, receive),
        }
    }

    /// Sends `send[r]`, which is about the neurons `about`, to rank r; returns what every rank
    /// sent here.
    ///
    /// In rounds of at most 2²⁸ elements on a rank, so any length will do.
    pub fn all_to_all_lists(&self, about: &Range<u32>, mut send: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
        assert_eq!(send.len(), self.size);
        if let Some(others) = &self.others {
            return others.borrow_mut().lists(about, send);
        }
        let Some(mpi) = &self.mpi else { return send };
        let lengths: Vec<u64> = send.iter().map(|list| list.len() as u64).collect();
        let mut expected = vec![0u64; self.size];
        self.all_to_all(&lengths, &mut expected);
        let mut received: Vec<Vec<u64>> = expected
            .iter()
            .map(|&n| Vec::with_capacity(n as usize))
            .collect();
        let share = self.share(1 << 28);
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let rounds = self.max(longest.div_ceil(share as u64));
        for _ in 0..rounds {
            let part = |left: usize| left.min(share) as i32;
            let counts: Vec<i32> = send.iter().map(|list| part(list.len())).collect();
            let packed: Vec<u64> = send
                .iter_mut()
                .flat_map(|list| list.drain(..list.len().min(share)).collect::<Vec<u64>>())
                .collect();
            let coming: Vec<i32> = expected
                .iter()
                .zip(&received)
                .map(|(&n, have)| part(n as usize - have.len()))
                .collect();
            let mut unpacked = vec![0u64; coming.iter().sum::<i32>() as usize];
            mpi.ranks.all_to_all_varcount_into(
                &Partition::new(&packed[..], &counts[..], starts(&counts)),
                &mut PartitionMut::new(&mut unpacked[..], &coming[..], starts(&coming)),
            );
            let mut rest = &unpacked[..];
            for (list, &n) in received.iter_mut().zip(&coming) {
                let (head, tail) = rest.split_at(n as usize);
                list.extend_from_slice(head);
                rest = tail;
            }
        }
        received
    }

    /// Brings every rank's `mine` to rank 0, concatenated in rank order; empty elsewhere.
    ///
    /// In rounds of at most 2³¹ − 1 elements on rank 0, so any length will do.
    pub fn gather<T: Word>(&self, mine: &[T]) -> Vec<T> {
        let Some(mpi) = &self.mpi else {
            return mine.to_vec();
        };
        let root = mpi.ranks.process_at_rank(0);
        let share = self.share(self.most);
        let rounds = self.max(mine.len().div_ceil(share) as u64);
        let length = mine.len() as u64;
        // A rank that has sent all sends nothing in the rounds that are left.
        let mut pieces = mine.chunks(share).chain(std::iter::repeat(&[][..]));
        let mut next_piece = || pieces.next().expect("endless");
        if self.rank != 0 {
            root.gather_into(&length);
            (0..rounds).for_each(|_| root.gather_varcount_into(next_piece()));
            return Vec::new();
        }
        let mut lengths = vec![0u64; self.size];
        root.gather_into_root(&length, &mut lengths[..]);
        let mut gathered = Gathered::new(lengths, share);
        for round in 0..rounds as usize {
            let counts = gathered.counts(round);
            let mut piece = vec![T::default(); counts.iter().map(|&n| n as usize).sum()];
            let displacements = starts(&counts);
            root.gather_varcount_into_root(
                next_piece(),
                &mut PartitionMut::new(&mut piece[..], &counts[..], displacements),
            );
            if rounds == 1 {
                return piece;
            }
            gathered.place(round, &counts, &piece);
        }
        gathered.all
    }

    /// How much each rank sends in a round if all together send at most `most`.
    fn share(&self, most: usize) -> usize {
        (most.min(self.most) / self.size).max(1)
    }

    /// The largest `mine` of all ranks.
    pub fn max(&self, mine: u64) -> u64 {
        self.reduce(mine, SystemOperation::max())
    }

    /// The wrapping sum of `mine` over all ranks.
    pub fn sum(&self, mine: u64) -> u64 {
        self.reduce(mine, SystemOperation::sum())
    }

    fn reduce(&self, mine: u64, operation: SystemOperation) -> u64 {
        let Some(mpi) = &self.mpi else { return mine };
        let mut all = 0;
        mpi.ranks.all_reduce_into(&mine, &mut all, operation);
        all
    }

    /// The wrapping sums of all ranks on rank 0, element by element; all have equally many.
    /// Empty elsewhere.
    pub fn sum_each(&self, mine: &[u64]) -> Vec<u64> {
        let Some(mpi) = &self.mpi else {
            return mine.to_vec();
        };
        let root = mpi.ranks.process_at_rank(0);
        if self.rank != 0 {
            for mine in mine.chunks(self.most) {
                root.reduce_into(mine, SystemOperation::sum());
            }
            return Vec::new();
        }
        let mut sums = vec![0; mine.len()];
        for (mine, sums) in mine.chunks(self.most).zip(sums.chunks_mut(self.most)) {
            root.reduce_into_root(mine, sums, SystemOperation::sum());
        }
        sums
    }

    /// The largest of all ranks, element by element; all have equally many.
    pub fn max_each<T: Word>(&self, mine: &[T]) -> Vec<T> {
        let mut largest = mine.to_vec();
        if let Some(mpi) = &self.mpi {
            for (mine, largest) in mine.chunks(self.most).zip(largest.chunks_mut(self.most)) {
                mpi.ranks
                    .all_reduce_into(mine, largest, SystemOperation::max());
            }
        }
        largest
    }

    /// Minimum, mean and maximum of `mine` over all ranks.
    pub fn spread(&self, mine: f64) -> Spread {
        let Some(mpi) = &self.mpi else {
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
            mean: sum / self.size as f64,
            max,
        }
    }

    /// The sum of `mine` over all ranks, up to rounding in the order MPI adds.
    pub fn total(&self, mine: f64) -> f64 {
        let Some(mpi) = &self.mpi else { return mine };
        let mut sum = 0.0;
        mpi.ranks
            .all_reduce_into(&mine, &mut sum, SystemOperation::sum());
        sum
    }

    /// Name and version of the MPI library, where one is in use.
    pub fn library(&self) -> Option<String> {
        let version = self
            .mpi
            .as_ref()
            .and(mpi::environment::library_version().ok())?;
        Some(
            version
                .split([',', '\n'])
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        )
    }

    /// Gives all ranks the `bytes` of rank `root`.
    pub fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) {
        let Some(mpi) = &self.mpi else { return };
        let root = mpi.ranks.process_at_rank(root as i32);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        for piece in bytes.chunks_mut(self.most) {
            root.broadcast_into(piece);
        }
    }

    /// Ok where all ranks are, else the error of the lowest rank that has one, everywhere.
    ///
    /// Called before ranks go on to the next collective: a lone early return is a deadlock.
    pub fn agree<T>(&self, mine: Result<T>) -> Result<T> {
        let failed = if mine.is_err() {
            self.size - self.rank
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
        self.broadcast(self.size - worst, &mut message);
        let text = String::from_utf8_lossy(&message[1..]);
        Err(Error::of_exit_code(message[0], text.into_owned()))
    }
}

/// What rank 0 has got of all ranks, `share` elements of each in a round.
struct Gathered<T> {
    lengths: Vec<u64>,
    share: usize,
    all: Vec<T>,
}

impl<T: Word> Gathered<T> {
    fn new(lengths: Vec<u64>, share: usize) -> Self {
        Gathered {
            lengths,
            share,
            all: Vec::new(),
        }
    }

    /// How much of each rank comes in `round`.
    fn counts(&self, round: usize) -> Vec<i32> {
        let before = (round * self.share) as u64;
        let left = self.lengths.iter().map(|n| n.saturating_sub(before));
        left.map(|left| left.min(self.share as u64) as i32)
            .collect()
    }

    /// Puts what came in `round` where it belongs.
    fn place(&mut self, round: usize, counts: &[i32], piece: &[T]) {
        let total: u64 = self.lengths.iter().sum();
        self.all.resize(total as usize, T::default());
        let (mut first, mut rest) = (round * self.share, piece);
        for (&length, &count) in self.lengths.iter().zip(counts) {
            let (head, tail) = rest.split_at(count as usize);
            if count > 0 {
                self.all[first..first + head.len()].copy_from_slice(head);
            }
            first += length as usize;
            rest = tail;
        }
    }
}

fn starts(counts: &[i32]) -> Vec<i32> {
    let mut next = 0;
    counts
        .iter()
        .map(|&n| {
            next += n;
            next - n
        })
        .collect()
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
        let comm = Comm::alone();
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
