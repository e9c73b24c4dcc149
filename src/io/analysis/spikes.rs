//! Stream of spikes.

use std::ops::Range;

use super::run::{Population, Results, Window};
use crate::base::error::Result;
use crate::io::sonata::read::results::{Spike, SpikeTable};

/// Number of rows per read; a block takes about 40 MiB.
pub(super) const BLOCK: usize = 1 << 20;

/// Stream of the spikes of a population in a window, ordered by time, then by neuron.
///
/// Memory: one block of 2²⁰ spikes, independent of the size of the file.
pub struct Spikes {
    table: SpikeTable,
    left: Range<usize>,
    block: std::vec::IntoIter<Spike>,
}

impl Results {
    /// Returns a stream of the spikes of `population` in `window`.
    ///
    /// ```
    /// # use stdp_hpc::{analysis::{Population, Results}, Ms};
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, [excitatory, _]) = small::small_result()?;
    /// # let directory = directory.path();
    /// let results = Results::open(directory)?;
    /// let all = results.spikes(Population::E, results.window(None, None)?)?;
    /// assert_eq!(all.len() as u64, excitatory);
    /// let early = results.window(None, Some(Ms(20.0)))?;
    /// let early: Vec<_> = results.spikes(Population::E, early)?.collect::<Result<_, _>>()?;
    /// assert!(early.iter().all(|spike| spike.time.to_ms(results.dt()) <= Ms(20.0)));
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// Cost: O(log spikes) to find the first spike, O(1) per spike.
    ///
    /// # Errors
    /// Fails if `spikes.h5` cannot be read or was not written by stdp-hpc. The stream fails, and
    /// ends, at an invalid value.
    pub fn spikes(&self, population: Population, window: Window) -> Result<Spikes> {
        let table = self.spike_table(population)?;
        Ok(Spikes {
            left: table.rows(window.after, window.until)?,
            table,
            block: Vec::new().into_iter(),
        })
    }
}

impl Iterator for Spikes {
    type Item = Result<Spike>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(spike) = self.block.next() {
            return Some(Ok(spike));
        }
        let rows = next_block(&mut self.left)?;
        match self.table.read(rows) {
            Ok(block) => self.block = block.into_iter(),
            Err(error) => {
                self.left.start = self.left.end;
                return Some(Err(error));
            }
        }
        self.block.next().map(Ok)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left.len() + self.block.len();
        (left, Some(left))
    }
}

/// The length is the number of spikes left. Fewer follow if one cannot be read.
impl ExactSizeIterator for Spikes {}

/// Removes the next block of at most [`BLOCK`] rows from `left`; returns `None` if no rows are
/// left.
pub(super) fn next_block(left: &mut Range<usize>) -> Option<Range<usize>> {
    let end = left.end.min(left.start + BLOCK);
    let block = left.start..end;
    left.start = end;
    (!block.is_empty()).then_some(block)
}
