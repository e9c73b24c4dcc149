//! Messages between ranks: target table, entry format, collocation, exchange, resizing of chunks.
//!
//! # The protocol
//!
//! Once per interval, every rank sends one chunk to every rank by MPI_Alltoall. All chunks have the
//! same length, `2 + capacity` words of 32 bits:
//!
//! | word | bits | meaning |
//! |---|---|---|
//! | 0 | 31…28 | flags of the sender, see [`Flags`] |
//! | 0 | 27…0 | words needed by the fullest chunk of the sender |
//! | 1 | 31…0 | words needed by this chunk; if more than `capacity`, the chunk is truncated |
//! | 2… | | entries: one per spike and row of the receiver |
//!
//! An entry is `lag · rows + row` in one word. The row is the receiver's, so the receiver needs no
//! lookup; `rows` is the largest number of rows of a rank. If such numbers may exceed 32 bits, all
//! ranks use the wide form of two words: row, then lag.
//!
//! Every rank receives word 0 of all ranks, so all ranks know the largest need. If it exceeds
//! `capacity`, all ranks grow their chunks to the same size and repeat the exchange. If the need
//! stays below a quarter of the capacity during a window of [`WINDOW`] intervals, all ranks shrink
//! their chunks to the same size.
//!
//! A receiver delivers in ascending order of (lag, row), and rows ascend by gid. The order in which
//! weights are added therefore does not depend on the split.

mod inbox;
mod targets;

pub use inbox::{Inbox, RowShares};
use targets::TargetRow;
pub use targets::{TargetTable, asked, request};

use std::ops::Range;

use crate::base::error::{Error, Result};
use crate::base::memory::allocated_bytes;
use crate::base::sizes::{product, total, whole};
use crate::base::units::pack;
use crate::comm::{Comm, MPI_MOST};
use crate::model::neuron::Emission;

/// Format of an entry, the same on all ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// One word: lag · rows + row.
    Narrow {
        rows: u64,
        /// ⌈2⁶⁴ / rows⌉; the product with a word has its lag in the high 64 bits (Granlund &
        /// Montgomery 1994, PLDI; the error is below 2³² · rows / 2⁶⁴ ≤ 1 / rows for all 32-bit
        /// words).
        reciprocal: u64,
    },
    /// Two words: row, lag.
    Wide,
}

impl Entry {
    /// Returns the format for at most `rows` rows on any rank and `lags` lags.
    fn fitting(rows: u64, lags: u32) -> Self {
        // One row needs no row number, and has no reciprocal of 64 bits.
        let rows = rows.max(2);
        if Self::values(rows, lags) <= 1 << 32 {
            Entry::Narrow {
                rows,
                reciprocal: u64::MAX / rows + 1,
            }
        } else {
            Entry::Wide
        }
    }

    /// Returns the number of different entries.
    fn values(rows: u64, lags: u32) -> u64 {
        product([rows, lags.into()])
    }

    fn words(self) -> usize {
        match self {
            Entry::Narrow { .. } => 1,
            Entry::Wide => 2,
        }
    }

    fn write(self, row: u32, lag: u32, words: &mut [u32]) {
        match self {
            Entry::Narrow { rows, .. } => {
                words[0] = (u64::from(lag) * rows + u64::from(row)) as u32;
            }
            Entry::Wide => words.copy_from_slice(&[row, lag]),
        }
    }

    /// Returns (lag, row) packed into one word. These words sort in the order of delivery.
    fn read(self, words: &[u32]) -> u64 {
        match self {
            Entry::Narrow { rows, reciprocal } => narrow(words[0], rows, reciprocal),
            Entry::Wide => pack(words[1], words[0]),
        }
    }
}

/// Returns (lag, row) of a narrow entry, packed.
#[inline(always)]
fn narrow(word: u32, rows: u64, reciprocal: u64) -> u64 {
    let word = u64::from(word);
    let lag = ((u128::from(word) * u128::from(reciprocal)) >> 64) as u64;
    pack(lag as u32, word.wrapping_sub(lag.wrapping_mul(rows)) as u32)
}

/// Flags that ranks exchange with the spikes. A flag is set after the exchange if any rank set it
/// before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Failure of this rank. All ranks then end the run together.
    pub failed: bool,
    /// Request that the observers of all ranks flush after this exchange.
    pub flush: bool,
    /// Receipt of a signal to end the run.
    pub interrupted: bool,
}

const FAILED: u32 = 1 << 31;
const FLUSH: u32 = 1 << 30;
const INTERRUPTED: u32 = 1 << 29;
const NEED: u32 = (1 << 28) - 1;
const HEADER: usize = 2;
/// Smallest capacity (words). With its header, a chunk then has the size of a cache line, 64 bytes.
const MIN_CAPACITY: usize = 14;
/// Length of a window (intervals). Chunks shrink at its end if the need stayed low throughout.
pub const WINDOW: u32 = 256;

/// Writer of the chunks that the rank of a dry run receives from the played ranks.
pub struct ChunkWriter {
    entry: Entry,
    needs: Vec<usize>,
}

impl ChunkWriter {
    /// Returns a writer for at most `rows` rows on any of `ranks` ranks, and intervals of `lags`
    /// steps.
    pub fn new(ranks: usize, rows: u64, lags: u32) -> Self {
        ChunkWriter {
            entry: Entry::fitting(rows, lags),
            needs: vec![0; ranks],
        }
    }

    /// Writes chunks with `spikes` (sender, row, lag) to `receive`. Returns the number of words
    /// needed by the fullest chunk.
    ///
    /// Entries that do not fit are counted but not written. Both header words hold the need of the
    /// chunk itself; no flag is set.
    pub fn write(&mut self, spikes: &[(u32, u32, u32)], receive: &mut [u32]) -> usize {
        let chunk = receive.len() / self.needs.len();
        let words = self.entry.words();
        self.needs.fill(0);
        for &(sender, row, lag) in spikes {
            let need = &mut self.needs[sender as usize];
            if *need + words <= chunk - HEADER {
                let start = sender as usize * chunk + HEADER + *need;
                self.entry
                    .write(row, lag, &mut receive[start..start + words]);
            }
            *need += words;
        }
        for (chunk, &need) in receive.chunks_exact_mut(chunk).zip(&self.needs) {
            chunk[..HEADER].fill(need.min(NEED as usize) as u32);
        }
        self.needs.iter().copied().max().unwrap_or(0)
    }
}

/// Returns the need of the sender's fullest chunk, from the header of `chunk`, and the capacity of
/// a chunk (both in words).
pub fn need_and_room(chunk: &[u32]) -> (usize, usize) {
    ((chunk[0] & NEED) as usize, chunk.len() - HEADER)
}

/// Buffers of the exchange. All chunks have the same capacity.
pub struct Exchange {
    entry: Entry,
    ranks: usize,
    /// Capacity of a chunk (words), without its header.
    capacity: usize,
    send: Vec<u32>,
    receive: Vec<u32>,
    /// Number of words needed by the chunk to each rank.
    needs: Vec<usize>,
    /// Largest need of a chunk of any rank since the window began (words).
    peak: usize,
    /// Number of intervals since the window began.
    age: u32,
    statistics: ExchangeStatistics,
}

/// Statistics of the exchange, for run.json.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExchangeStatistics {
    /// Number of exchanges, without repetitions.
    pub intervals: u64,
    /// Number of exchanges that were repeated with larger chunks.
    pub grown: u64,
    /// Number of times that chunks shrank.
    pub shrunk: u64,
    /// Largest number of words of entries in a chunk.
    pub peak_words: usize,
    /// Capacity of a chunk at the end (words).
    pub capacity_words: usize,
    /// Size of an entry (bytes).
    pub entry_bytes: usize,
    /// Number of entries received by this rank.
    pub received_entries: u64,
}

/// Entry on its way to the send buffer.
#[derive(Clone, Copy, Debug)]
pub struct Addressed {
    target: TargetRow,
    lag: u32,
}

/// Chunks for some of the ranks.
pub struct SendPart<'a> {
    entry: Entry,
    /// First rank.
    first: usize,
    /// Capacity of a chunk (words), without its header.
    capacity: usize,
    needs: &'a mut [usize],
    send: &'a mut [u32],
}

impl SendPart<'_> {
    /// Writes `entries`, which are for these ranks.
    pub fn write(&mut self, entries: &[Addressed]) {
        for entry in entries {
            self.put(entry.target, entry.lag);
        }
    }

    /// Writes an entry to the chunk of its rank. If it does not fit, it is counted but not written.
    #[inline(always)]
    fn put(&mut self, target: TargetRow, lag: u32) {
        let words = self.entry.words();
        let rank = target.rank as usize - self.first;
        let need = &mut self.needs[rank];
        if *need + words <= self.capacity {
            let chunk = rank * (HEADER + self.capacity) + HEADER;
            let place = &mut self.send[chunk + *need..][..words];
            self.entry.write(target.row, lag, place);
        }
        *need += words;
    }
}

impl Exchange {
    /// Allocates buffers for this rank's `rows` rows and intervals of `lags` steps. Collective.
    pub fn new(comm: &Comm, rows: usize, lags: u32) -> Self {
        let rows = comm.max(rows as u64);
        let entry = Entry::fitting(rows, lags);
        let mut exchange = Exchange {
            entry,
            ranks: comm.size(),
            capacity: 0,
            send: Vec::new(),
            receive: Vec::new(),
            needs: vec![0; comm.size()],
            peak: 0,
            age: 0,
            statistics: ExchangeStatistics {
                entry_bytes: 4 * entry.words(),
                ..Default::default()
            },
        };
        exchange.resize(MIN_CAPACITY);
        exchange
    }

    /// Sets the capacity to `capacity` words and zeroes both buffers.
    fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        let words = self.ranks * (HEADER + self.capacity);
        for buffer in [&mut self.send, &mut self.receive] {
            buffer.clear();
            buffer.resize(words, 0);
            buffer.shrink_to_fit();
        }
        self.statistics.capacity_words = self.capacity;
    }

    /// Writes one entry per spike and target row to the chunk for the target's rank. `emissions` has
    /// one item per virtual process.
    pub fn collocate<'a>(
        &mut self,
        emissions: impl Iterator<Item = (&'a [Emission], &'a TargetTable)>,
    ) {
        let all = self.parts(1).pop();
        let mut all = all.expect("one part");
        for (emissions, table) in emissions {
            for emission in emissions {
                for target in table.of(emission.lid) {
                    all.put(target, emission.lag);
                }
            }
        }
    }

    /// Replaces the contents of `lists` by one entry per spike and target row; list p is for the
    /// ranks of part p of [`Exchange::parts`].
    pub fn address(
        &self,
        emissions: &[Emission],
        table: &TargetTable,
        lists: &mut [Vec<Addressed>],
    ) {
        lists.iter_mut().for_each(Vec::clear);
        let parts = lists.len();
        for emission in emissions {
            // Target ranks ascend.
            let (mut part, mut end) = (0, self.part(0, parts).end);
            for target in table.of(emission.lid) {
                while target.rank as usize >= end {
                    part += 1;
                    end = self.part(part, parts).end;
                }
                let lag = emission.lag;
                lists[part].push(Addressed { target, lag });
            }
        }
    }

    /// Returns the send buffer in `parts` parts of equally many ranks, empty.
    pub fn parts(&mut self, parts: usize) -> Vec<SendPart<'_>> {
        let chunk = HEADER + self.capacity;
        let ranks: Vec<_> = (0..parts).map(|part| self.part(part, parts)).collect();
        self.needs.fill(0);
        let (mut needs, mut send) = (&mut self.needs[..], &mut self.send[..]);
        let part = |ranks: Range<usize>| {
            let here;
            (here, needs) = std::mem::take(&mut needs).split_at_mut(ranks.len());
            let chunks;
            (chunks, send) = std::mem::take(&mut send).split_at_mut(ranks.len() * chunk);
            SendPart {
                entry: self.entry,
                first: ranks.start,
                capacity: self.capacity,
                needs: here,
                send: chunks,
            }
        };
        ranks.into_iter().map(part).collect()
    }

    /// Returns the ranks of one of `parts` parts.
    fn part(&self, part: usize, parts: usize) -> Range<usize> {
        part * self.ranks / parts..(part + 1) * self.ranks / parts
    }

    /// Sends the collocated chunks and receives those of all ranks. Returns the combined flags of
    /// all ranks. Returns `None` if a chunk of any rank was too small; all ranks have then grown
    /// their chunks and must collocate and exchange again. Collective.
    ///
    /// # Errors
    /// Fails, on all ranks, if a chunk needs more words than its header can hold, or if the chunks
    /// of a rank have more words than MPI can count.
    pub fn exchange(&mut self, comm: &Comm, flags: Flags) -> Result<Option<Flags>> {
        // A need that the header cannot hold is sent as 2²⁸ − 1, which `check_size` rejects.
        let told = |need: usize| need.min(NEED as usize);
        let need = told(self.needs.iter().copied().max().unwrap_or(0));
        let bits = [
            (flags.failed, FAILED),
            (flags.flush, FLUSH),
            (flags.interrupted, INTERRUPTED),
        ];
        let set = bits.iter().filter(|(flag, _)| *flag).map(|(_, bit)| bit);
        let head = set.fold(need as u32, |head, bit| head | bit);
        let chunk = HEADER + self.capacity;
        for (chunk, &need) in self.send.chunks_exact_mut(chunk).zip(&self.needs) {
            chunk[0] = head;
            chunk[1] = told(need) as u32;
        }
        comm.all_to_all_chunks(&self.send, &mut self.receive);
        let (mut set, mut need) = (0, 0);
        for head in self.receive.iter().step_by(chunk) {
            set |= head;
            need = need.max(head & NEED);
        }
        let need = need as usize;
        if need > self.capacity || need == NEED as usize {
            self.check_size(need)?;
            self.statistics.grown += 1;
            self.resize(Self::grown(self.capacity as u64, need as u64) as usize);
            return Ok(None);
        }
        let flags = Flags {
            failed: set & FAILED != 0,
            flush: set & FLUSH != 0,
            interrupted: set & INTERRUPTED != 0,
        };
        self.statistics.intervals += 1;
        self.statistics.peak_words = self.statistics.peak_words.max(need);
        self.peak = self.peak.max(need);
        Ok(Some(flags))
    }

    /// Fails if chunks grown for a need of `need` words cannot be exchanged.
    fn check_size(&self, need: usize) -> Result<()> {
        let grown = Self::grown(self.capacity as u64, need as u64) as usize;
        let words = self.ranks.saturating_mul(HEADER + grown);
        let (what, most) = if need >= NEED as usize {
            ("words for one rank", NEED as usize - 1)
        } else if words > MPI_MOST {
            ("words in the exchange of a rank", MPI_MOST)
        } else {
            return Ok(());
        };
        Err(Error::run(format!(
            "the spikes of one interval need more than {most} {what}: use other numbers of ranks \
             and threads, shorter delays or lower rates"
        )))
    }

    /// Appends the entries received from `ranks`, as packed (lag, row), to the lists of the threads
    /// that have the rows: one list for each share in `shares`, with the row counted in it.
    pub fn read(&self, ranks: Range<usize>, shares: &RowShares, lists: &mut [Vec<u64>]) {
        let length = HEADER + self.capacity;
        let chunks = self.receive[ranks.start * length..ranks.end * length].chunks_exact(length);
        let words = chunks.map(|chunk| &chunk[HEADER..][..chunk[1] as usize]);
        match (self.entry, lists) {
            // On many ranks most chunks hold no entry or one: words as such are read faster than
            // as slices of one word.
            (Entry::Narrow { rows, reciprocal }, [all]) => {
                for words in words {
                    all.extend(words.iter().map(|&word| narrow(word, rows, reciprocal)));
                }
            }
            (Entry::Narrow { rows, reciprocal }, lists) => {
                for &word in words.flatten() {
                    shares.put(narrow(word, rows, reciprocal), lists);
                }
            }
            (Entry::Wide, lists) => {
                for entry in words.flat_map(|words| words.chunks_exact(2)) {
                    shares.put(self.entry.read(entry), lists);
                }
            }
        }
    }

    /// Ends an interval in which `entries` entries were received. Shrinks the chunks at the end of a
    /// window of low traffic.
    pub fn end_interval(&mut self, entries: usize) {
        self.statistics.received_entries += entries as u64;
        self.age += 1;
        if self.age == WINDOW {
            if 4 * self.peak.max(MIN_CAPACITY) < self.capacity {
                self.statistics.shrunk += 1;
                self.resize(Self::grown(0, self.peak as u64) as usize);
            }
            (self.peak, self.age) = (0, 0);
        }
    }

    /// Returns the statistics so far.
    pub fn statistics(&self) -> ExchangeStatistics {
        self.statistics
    }
}

/// Memory in bytes, and the sizes that determine it.
impl Exchange {
    /// Returns the bytes of both buffers and of the list of needs, for `ranks` ranks and chunks of
    /// `capacity` words.
    pub fn bytes(ranks: u64, capacity: u64) -> u64 {
        let needs = product([size_of::<usize>() as u64, ranks]);
        total([product([2, ranks, Self::chunk_bytes(capacity)]), needs])
    }

    /// Returns the bytes of a chunk of `capacity` words, including its header.
    pub fn chunk_bytes(capacity: u64) -> u64 {
        product([4, capacity.saturating_add(HEADER as u64)])
    }

    /// Returns the allocated bytes.
    pub fn held(&self) -> u64 {
        allocated_bytes(&self.send) + allocated_bytes(&self.receive) + allocated_bytes(&self.needs)
    }

    /// Returns the capacity (words) after a need of `need` words: the present capacity if it
    /// suffices, else 1.5 times the need, rounded up to an even number.
    pub fn grown(capacity: u64, need: u64) -> u64 {
        if need > capacity.max(MIN_CAPACITY as u64) {
            whole(need.saturating_add(need / 2), 2)
        } else {
            capacity.max(MIN_CAPACITY as u64)
        }
    }

    /// Returns the number of different entries, and the words of one, for `rows` rows on a rank and
    /// `lags` lags. If their number exceeds 2³², an entry takes two words.
    pub fn entries(rows: u64, lags: u32) -> (u64, u64) {
        let values = Entry::values(rows, lags);
        (values, Entry::fitting(rows, lags).words() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Lid;
    use crate::model::synapse::Sources;

    #[test]
    fn entries_keep_row_and_lag() {
        for (rows, lags, words) in [
            (1, 1, 1),
            (10_000, 12, 1),
            (1 << 28, 16, 1),
            ((1 << 28) + 1, 16, 2),
            (1 << 32, 1, 1),
            (u32::MAX.into(), 1, 1),
            (286_331_153, 15, 1),
            (1, 70_000, 1),
            (61_356_675, 70, 1),
            (61_356_676, 70, 2),
        ] {
            let entry = Entry::fitting(rows, lags);
            assert_eq!(entry.words(), words, "{rows} rows, {lags} lags");
            let mut buffer = vec![0; words];
            for row in [0, rows / 2, rows - 1].map(|row| row as u32) {
                for lag in [0, lags / 2, lags - 1] {
                    entry.write(row, lag, &mut buffer);
                    assert_eq!(entry.read(&buffer), pack(lag, row), "{rows}: {row}, {lag}");
                }
            }
        }
    }

    fn table(rows: u32) -> TargetTable {
        let mut table = TargetTable::empty(rows.into());
        table.push((0..rows).map(|row| TargetRow { rank: 0, row }));
        table.finish(1);
        table
    }

    fn send(exchange: &mut Exchange, table: &TargetTable, spikes: &[Emission]) -> Vec<u64> {
        let comm = Comm::Alone;
        loop {
            exchange.collocate([(spikes, table)].into_iter());
            let exchanged = exchange.exchange(&comm, Flags::default());
            if exchanged.expect("few spikes").is_some() {
                break;
            }
        }
        let rows = Sources::new((0..300).collect(), Vec::new());
        let mut received = [Vec::new()];
        exchange.read(0..1, &RowShares::of([&rows].into_iter()), &mut received);
        let [mut received] = received;
        exchange.end_interval(received.len());
        received.sort();
        received
    }

    #[test]
    fn overflow_grows_and_silence_shrinks() {
        for (rows, wide) in [(1000, false), (1 << 31, true)] {
            let mut exchange = Exchange::new(&Comm::Alone, rows, 12);
            assert_eq!(exchange.entry == Entry::Wide, wide);
            let table = table(300);
            let spike = |lag| Emission { lag, lid: Lid(0) };
            let received = send(&mut exchange, &table, &[spike(7), spike(3)]);
            let expected: Vec<u64> = [3, 7]
                .iter()
                .flat_map(|&lag| (0..300).map(move |row| pack(lag, row)))
                .collect();
            assert_eq!(received, expected);
            let grown = exchange.statistics();
            assert_eq!((grown.grown, grown.shrunk), (1, 0));
            for _ in 0..2 * WINDOW {
                assert!(send(&mut exchange, &table, &[]).is_empty());
            }
            assert_eq!(exchange.statistics().shrunk, 1);
            assert_eq!(exchange.statistics().capacity_words, MIN_CAPACITY);
            assert_eq!(send(&mut exchange, &table, &[spike(1)]).len(), 300);
        }
    }
}
