//! Collectives of an MPI communicator, split into rounds because MPI's counts are C's `int`.

use std::rc::Rc;

use mpi::collective::SystemOperation;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::communicator::Word;

/// Ranks of an MPI communicator.
pub struct MpiRanks {
    pub(super) ranks: SimpleCommunicator,
    /// Finalizes MPI when the last of its owners is dropped.
    pub(super) universe: Rc<Universe>,
    pub(super) rank: usize,
    pub(super) size: usize,
    /// Maximum number of elements in an MPI call.
    pub(super) most: usize,
}

impl MpiRanks {
    pub(super) fn new(ranks: SimpleCommunicator, universe: Rc<Universe>, most: usize) -> Self {
        MpiRanks {
            rank: ranks.rank() as usize,
            size: ranks.size() as usize,
            ranks,
            universe,
            most,
        }
    }

    /// Returns the ranks on this rank's node; see [`Comm::node`](super::Comm::node).
    pub(super) fn on_this_node(&self) -> Self {
        let ranks = self.ranks.split_shared(self.rank as i32);
        MpiRanks::new(ranks, Rc::clone(&self.universe), self.most)
    }

    /// Reduces `mine` over all ranks and returns the result on all ranks.
    pub(super) fn reduce(&self, mine: u64, operation: SystemOperation) -> u64 {
        let mut all = 0;
        self.ranks.all_reduce_into(&mine, &mut all, operation);
        all
    }

    /// Implements [`Comm::all_to_all_lists`](super::Comm::all_to_all_lists).
    pub(super) fn all_to_all_lists(&self, mut send: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
        let lengths: Vec<u64> = send.iter().map(|list| list.len() as u64).collect();
        let mut expected = vec![0u64; self.size];
        self.ranks.all_to_all_into(&lengths, &mut expected);
        let mut received: Vec<Vec<u64>> = expected
            .iter()
            .map(|&n| Vec::with_capacity(n as usize))
            .collect();
        let share = self.share(1 << 28);
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let rounds = self.reduce(longest.div_ceil(share as u64), SystemOperation::max());
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
            self.ranks.all_to_all_varcount_into(
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

    /// Implements [`Comm::gather`](super::Comm::gather).
    pub(super) fn gather<T: Word>(&self, mine: &[T]) -> Vec<T> {
        let root = self.ranks.process_at_rank(0);
        let share = self.share(self.most);
        let rounds = self.reduce(mine.len().div_ceil(share) as u64, SystemOperation::max());
        let length = mine.len() as u64;
        // A rank that has sent all its elements sends empty pieces in the remaining rounds.
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

    /// Returns the number of elements per rank and round if all ranks together send at most `most`.
    fn share(&self, most: usize) -> usize {
        (most.min(self.most) / self.size).max(1)
    }
}

/// Data of all ranks on rank 0, received in rounds of `share` elements per rank.
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

    /// Returns the number of elements that each rank sends in `round`.
    fn counts(&self, round: usize) -> Vec<i32> {
        let before = (round * self.share) as u64;
        let left = self.lengths.iter().map(|n| n.saturating_sub(before));
        left.map(|left| left.min(self.share as u64) as i32)
            .collect()
    }

    /// Copies the `piece` received in `round` to its position in `all`.
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

/// Returns the displacement of each rank's elements: the sum of the preceding counts.
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
