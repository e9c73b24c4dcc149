//! Target table: ranks and rows to which the neurons of a virtual process send spikes.

use crate::base::error::{Error, Result};
use crate::base::memory::allocated_bytes;
use crate::base::sizes::{product, total};
use crate::base::units::{Gid, Lid, pack, unpack};
use crate::comm::Comm;
use crate::model::network::Placement;

/// Target ranks and rows of the neurons of one virtual process.
///
/// The target ranks of a neuron ascend. Each is stored as its distance from the previous rank,
/// which takes one byte if it is below 255.
pub struct TargetTable {
    /// Start of each neuron's entries. Neuron lid has the entries `starts[lid]..starts[lid + 1]`.
    starts: Vec<u32>,
    /// Distance of each entry's rank from the previous rank (for the first entry, from rank 0), or
    /// [`FAR`].
    gaps: Vec<u8>,
    /// Row of each entry on its target rank; if the gap is [`FAR`], the number of ranks to skip.
    rows: Numbers,
    listeners: u64,
}

/// Numbers in as many bytes as the largest needs.
enum Numbers {
    /// Below 2²⁴.
    Three(Vec<[u8; 3]>),
    Four(Vec<u32>),
}

impl Numbers {
    /// Returns an empty list of numbers of at most `most`.
    fn up_to(most: u64) -> Self {
        match most {
            ..0x100_0000 => Numbers::Three(Vec::new()),
            _ => Numbers::Four(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Numbers::Three(numbers) => numbers.len(),
            Numbers::Four(numbers) => numbers.len(),
        }
    }

    fn push(&mut self, number: u32) {
        match self {
            Numbers::Three(numbers) => {
                let [a, b, c, _] = number.to_le_bytes();
                numbers.push([a, b, c]);
            }
            Numbers::Four(numbers) => numbers.push(number),
        }
    }

    #[inline(always)]
    fn get(&self, index: usize) -> u32 {
        match self {
            Numbers::Three(numbers) => {
                let [a, b, c] = numbers[index];
                u32::from_le_bytes([a, b, c, 0])
            }
            Numbers::Four(numbers) => numbers[index],
        }
    }

    fn shrink_to_fit(&mut self) {
        match self {
            Numbers::Three(numbers) => numbers.shrink_to_fit(),
            Numbers::Four(numbers) => numbers.shrink_to_fit(),
        }
    }

    fn held(&self) -> u64 {
        match self {
            Numbers::Three(numbers) => allocated_bytes(numbers),
            Numbers::Four(numbers) => allocated_bytes(numbers),
        }
    }
}

/// Gap that marks a distance of 255 ranks or more; [`TargetTable::rows`] then holds the distance,
/// and the next entry holds the row.
const FAR: u8 = u8::MAX;

/// Row on a target rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TargetRow {
    pub rank: u32,
    pub row: u32,
}

/// Number of neurons per rank whose requests are exchanged together. It keeps the messages small
/// compared with the tables.
const NEURONS_PER_EXCHANGE: u64 = 1024;

/// Packs a request for the spikes of `source`; `row` is its row on the requesting rank.
pub fn request(source: Gid, row: u32) -> u64 {
    pack(source.0, row)
}

/// Unpacks a request into source and row.
pub fn asked(request: u64) -> (Gid, u32) {
    let (source, row) = unpack(request);
    (Gid(source), row)
}

impl TargetTable {
    /// Sends a request to the rank of every source in `sources` (gids of the `rows` rows, ascending
    /// within each population). Returns the tables of this rank's threads, made from the requests of all ranks.
    /// Collective.
    ///
    /// Cost: O(rows + entries of the tables), and O(R) per 1024 neurons of a rank.
    ///
    /// # Errors
    /// Fails if a thread has 2³² entries or more.
    pub fn set_up(
        comm: &Comm,
        place: &Placement,
        rows: usize,
        sources: impl Iterator<Item = Gid>,
    ) -> Result<Vec<TargetTable>> {
        let most = comm.max(rows as u64).max(place.ranks.into());
        let mut sources = (0u32..).zip(sources).peekable();
        let empty = |_| TargetTable::empty(most);
        let mut tables: Vec<_> = (0..place.threads).map(empty).collect();
        let step = NEURONS_PER_EXCHANGE * u64::from(place.ranks);
        let parts = [(0, place.n_e), (place.n_e, place.n)];
        for (first, end) in parts.map(|(first, end)| (u64::from(first), u64::from(end))) {
            for from in (first..end).step_by(step as usize) {
                let about = from as u32..(from + step).min(end) as u32;
                let mut requests = vec![Vec::new(); comm.size()];
                while let Some((row, gid)) = sources.next_if(|(_, gid)| about.contains(&gid.0)) {
                    requests[place.rank_of(gid) as usize].push(request(gid, row));
                }
                let requests = comm.all_to_all_lists(&about, requests);
                let mut told = tables.iter_mut().zip(0..);
                let told = told.try_for_each(|(t, thread)| t.extend(place, thread, &requests));
                comm.agree(told)?;
            }
        }
        for (table, thread) in tables.iter_mut().zip(0..) {
            table.finish(place.count_below(thread, place.n));
        }
        Ok(tables)
    }

    /// Creates an empty table for rows and distances of at most `most`.
    pub(super) fn empty(most: u64) -> Self {
        TargetTable {
            starts: vec![0],
            gaps: Vec::new(),
            rows: Numbers::up_to(most),
            listeners: 0,
        }
    }

    /// Appends the requests of all ranks for neurons of thread `thread`. The lids of these neurons
    /// must exceed those of all earlier calls.
    ///
    /// # Errors
    /// Fails if the table has 2³² entries or more.
    fn extend(&mut self, place: &Placement, thread: u32, requests: &[Vec<u64>]) -> Result<()> {
        let mut here = Vec::new();
        for (rank, list) in (0u32..).zip(requests) {
            here.extend(list.iter().filter_map(|&request| {
                let (gid, row) = asked(request);
                let is_here = place.thread_of(gid) == thread;
                is_here.then(|| (place.lid_of(gid), TargetRow { rank, row }))
            }));
        }
        // The sort is stable, so the ranks of a neuron stay in ascending order.
        here.sort_by_key(|(lid, _)| lid.0);
        for of_one in here.chunk_by(|(one, _), (other, _)| one == other) {
            self.close(of_one[0].0.0 as usize);
            self.push(of_one.iter().map(|(_, target)| *target));
        }
        if self.rows.len() > u32::MAX as usize {
            return Err(Error::run(
                "target table of 2³² entries or more on one thread: use more threads",
            ));
        }
        Ok(())
    }

    /// Sets the start of neuron `lid`, which ends the entries of the neurons before it.
    fn close(&mut self, lid: usize) {
        let end = self.rows.len() as u32;
        self.starts.resize(lid + 1, end);
    }

    pub(super) fn finish(&mut self, neurons: u32) {
        self.close(neurons as usize);
        self.starts.shrink_to_fit();
        self.gaps.shrink_to_fit();
        self.rows.shrink_to_fit();
    }

    /// Appends the targets of the next neuron. Their ranks must ascend.
    pub(super) fn push(&mut self, targets: impl Iterator<Item = TargetRow>) {
        let mut before = 0;
        for TargetRow { rank, row } in targets {
            let gap = rank - before;
            before = rank;
            self.listeners += 1;
            match u8::try_from(gap) {
                Ok(gap) if gap != FAR => {
                    self.gaps.push(gap);
                    self.rows.push(row);
                }
                _ => {
                    self.gaps.extend([FAR, 0]);
                    self.rows.push(gap);
                    self.rows.push(row);
                }
            }
        }
    }

    /// Returns the number of target ranks, summed over the neurons.
    pub fn listeners(&self) -> u64 {
        self.listeners
    }

    /// Returns the targets of neuron `lid`, ranks ascending.
    pub(super) fn of(&self, lid: Lid) -> impl Iterator<Item = TargetRow> + '_ {
        let lid = lid.0 as usize;
        let entries = self.starts[lid] as usize..self.starts[lid + 1] as usize;
        let mut rank = 0;
        entries.filter_map(move |entry| {
            let (gap, row) = (self.gaps[entry], self.rows.get(entry));
            let far = gap == FAR;
            rank += if far { row } else { gap.into() };
            (!far).then_some(TargetRow { rank, row })
        })
    }
}

/// Memory in bytes.
impl TargetTable {
    /// Returns the expected bytes for `neurons` neurons. `listened` is the probability that a
    /// neuron is a source on a given one of `ranks` ranks, which have `rows` rows at most.
    pub fn bytes(neurons: u64, ranks: u64, listened: f64, rows: u64) -> u64 {
        let entries = neurons as f64 * ranks as f64 * listened;
        let far = libm::pow(1.0 - listened, FAR.into());
        let starts = product([4, neurons.saturating_add(1)]);
        let each = match Numbers::up_to(rows.max(ranks)) {
            Numbers::Three(_) => 1.0 + 3.0,
            Numbers::Four(_) => 1.0 + 4.0,
        };
        total([starts, (each * entries * (1.0 + far)) as u64])
    }

    /// Returns the allocated bytes.
    pub fn held(&self) -> u64 {
        allocated_bytes(&self.starts) + allocated_bytes(&self.gaps) + self.rows.held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keep_who_listens() {
        let target = |rank, row| TargetRow { rank, row };
        let neurons = [
            vec![target(0, 5), target(0, 6), target(3, 0)],
            vec![],
            vec![
                target(254, 1),
                target(508, 2),
                target(763, 3),
                target(763, 4),
            ],
            vec![
                target(255, u32::MAX),
                target(4_000_000_000, 7),
                target(u32::MAX, 8),
            ],
        ];
        // The last neuron has numbers that need four bytes.
        for (neurons, most) in [(&neurons[..3], 763), (&neurons[..], u32::MAX)] {
            let mut table = TargetTable::empty(most.into());
            for (lid, targets) in neurons.iter().enumerate() {
                table.close(lid);
                table.push(targets.iter().copied());
            }
            table.finish(5);
            for (lid, targets) in (0..).zip(neurons) {
                assert_eq!(&table.of(Lid(lid)).collect::<Vec<_>>(), targets);
            }
            assert_eq!(table.of(Lid(4)).count(), 0);
            let targets: usize = neurons.iter().map(Vec::len).sum();
            assert_eq!(table.listeners(), targets as u64);
        }
    }
}
