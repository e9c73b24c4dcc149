//! Received spikes of the rows of one thread or of the whole rank, and their order.

use crate::base::math::GridExp;
use crate::base::sort::by_radix;
use crate::base::units::{Steps, pack, unpack};
use crate::model::synapse::{Arrival, Sources};

/// Shares of the rows of a rank.
///
/// The rows of a rank are numbered kind by kind, E before I, and in each kind share by share. Within
/// a share they are numbered kind by kind too.
pub struct RowShares {
    /// First row of each share within its kind, and the number of rows, by kind.
    starts: [Vec<u32>; 2],
}

impl RowShares {
    /// Returns the shares of the rows of `sources`, one per share.
    pub fn of<'a>(sources: impl Iterator<Item = &'a Sources>) -> Self {
        let mut starts = [vec![0], vec![0]];
        for sources in sources {
            let rows = [sources.excitatory().len(), sources.inhibitory().len()];
            for (starts, rows) in starts.iter_mut().zip(rows) {
                starts.push(starts[starts.len() - 1] + rows as u32);
            }
        }
        RowShares { starts }
    }

    /// Returns the share of row `row` of the rank, and its number in the share.
    #[inline(always)]
    fn find(&self, row: u32) -> (usize, u32) {
        let [e, i] = &self.starts;
        let all_e = e[e.len() - 1];
        if row < all_e {
            let share = share(e, row);
            (share, row - e[share])
        } else {
            let share = share(i, row - all_e);
            let excitatory = e[share + 1] - e[share];
            (share, row - all_e - i[share] + excitatory)
        }
    }

    /// Appends a packed (lag, row) to the list of the row's share, with the row's number in it.
    #[inline(always)]
    pub fn put(&self, entry: u64, lists: &mut [Vec<u64>]) {
        let (lag, row) = unpack(entry);
        let (share, row) = self.find(row);
        lists[share].push(pack(lag, row));
    }
}

/// Returns the share that `row` is in; share s has the rows `starts[s]..starts[s + 1]`.
#[inline(always)]
fn share(starts: &[u32], row: u32) -> usize {
    let shares = starts.len() - 1;
    let rows = u64::from(starts[shares]);
    // Shares are about equal, so this is nearly always right or next to it.
    let mut share = (u64::from(row) * shares as u64 / rows) as usize;
    while row < starts[share] {
        share -= 1;
    }
    while row >= starts[share + 1] {
        share += 1;
    }
    share
}

/// Sources of a share of the rows, and the spikes that have arrived from them.
pub struct Inbox {
    /// Sources of the rows.
    pub sources: Sources,
    /// Arrivals of the last interval, ordered by (lag, row).
    pub arrivals: Vec<Arrival>,
    /// Working memory for sorting.
    entries: Vec<u64>,
    spare: Vec<u64>,
}

/// Prefetch distance for the state of a source, in received entries.
const PREFETCH_DISTANCE: usize = 16;

impl Inbox {
    /// Creates the inbox of the rows of `sources`.
    pub fn new(sources: Sources) -> Self {
        Inbox {
            sources,
            arrivals: Vec::new(),
            entries: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Replaces the arrivals by those of the packed (lag, row) in `lists`, of the interval that
    /// starts at `start`. `decay_plus` is the decay of K₊.
    pub fn receive<'a>(
        &mut self,
        lists: impl Iterator<Item = &'a [u64]>,
        start: Steps,
        decay_plus: &GridExp,
    ) {
        let Inbox {
            sources,
            arrivals,
            entries,
            spare,
        } = self;
        entries.clear();
        lists.for_each(|list| entries.extend(list));
        by_radix(entries, spare);
        arrivals.clear();
        for (now, &entry) in entries.iter().enumerate() {
            if let Some(&later) = entries.get(now + PREFETCH_DISTANCE) {
                sources.prefetch(unpack(later).1);
            }
            let (lag, row) = unpack(entry);
            let stamp = Steps(start.0 + 1 + lag as i32);
            arrivals.push(sources.arrive(row, stamp, decay_plus));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_share() {
        let sources = [(3, 1), (0, 2), (9, 0), (4, 4)]
            .map(|(e, i)| Sources::new((0..e).collect(), (0..i).collect()));
        let shares = RowShares::of(sources.iter());
        let mut lists = vec![Vec::new(); sources.len()];
        let rows: u32 = sources.iter().map(|of| of.len() as u32).sum();
        (0..rows).for_each(|row| shares.put(pack(5, row), &mut lists));
        for (list, sources) in lists.iter().zip(&sources) {
            let expected: Vec<u64> = (0..sources.len() as u32).map(|row| pack(5, row)).collect();
            assert_eq!(*list, expected);
        }
    }
}
