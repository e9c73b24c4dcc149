//! Sources of a rank: the neurons that project to it, their rows, and the trace K₊ that all
//! synapses of a source share.

use std::collections::HashMap;

use crate::base::math::GridExp;
use crate::base::memory::allocated_bytes;
use crate::base::pages;
use crate::base::simd;
use crate::base::sizes::{product, total};
use crate::base::units::Steps;
use crate::model::buffers::SpikeHistory;

use super::Ids;

/// All sources of a rank, one row each. Rows of excitatory sources come first; within each kind,
/// gids ascend.
pub struct Sources {
    /// Index of each excitatory source within its population, by row.
    excitatory: Ids,
    inhibitory: Ids,
    /// Stamp of the last spike by excitatory row; 0 if there was none.
    last: Vec<i32>,
    traces: Traces,
}

/// K₊ just after the last spike of every row that has fired.
///
/// After a pause of 37 τ₊, K₊ is 1 to the last bit. With millions of sources that rarely fire, only
/// the other values are stored.
enum Traces {
    /// Traces of all rows.
    Each(Vec<f64>),
    /// Traces that are not 1, by row.
    NotOne(HashMap<u32, f64>),
}

/// Minimum ratio of rows to non-unit traces for [`Traces::NotOne`]. A map entry takes about three
/// times the 8 bytes that the map saves per unit trace.
const MIN_ROWS_PER_TRACE: usize = 16;

impl Traces {
    /// Returns the trace of row `row`, which has fired.
    #[inline]
    fn get(&self, row: u32) -> f64 {
        match self {
            Traces::Each(traces) => traces[row as usize],
            Traces::NotOne(traces) if traces.is_empty() => 1.0,
            Traces::NotOne(traces) => traces.get(&row).copied().unwrap_or(1.0),
        }
    }

    /// Sets the trace of row `row`. Switches to [`Traces::Each`] if too many of the `rows` traces
    /// are not 1.
    #[inline]
    fn set(&mut self, row: u32, trace: f64, rows: usize) {
        match self {
            Traces::Each(traces) => traces[row as usize] = trace,
            Traces::NotOne(traces) => {
                if trace != 1.0 {
                    traces.insert(row, trace);
                    if MIN_ROWS_PER_TRACE * traces.len() > rows {
                        self.keep_each(rows);
                    }
                } else if !traces.is_empty() {
                    traces.remove(&row);
                }
            }
        }
    }

    #[cold]
    fn keep_each(&mut self, rows: usize) {
        let each = (0..rows as u32).map(|row| self.get(row)).collect();
        *self = Traces::Each(each);
    }
}

/// Presynaptic spike as it reaches the rows of this rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// Row, counted within its kind (excitatory or inhibitory).
    pub row: u32,
    /// True if the source is excitatory.
    pub excitatory: bool,
    /// Stamp of the spike.
    pub stamp: i32,
    /// Stamp of the source's previous spike, 0 if there was none; 0 for inhibitory sources.
    pub last: i32,
    /// K₊ just after the previous spike, 0 if there was none; 0 for inhibitory sources.
    pub trace: f64,
}

impl Sources {
    /// Creates one row per source. Sources are indices within their population, ascending.
    pub fn new(excitatory: Vec<u32>, inhibitory: Vec<u32>) -> Self {
        Sources {
            last: pages::filled(0, excitatory.len()),
            excitatory: Ids::new(excitatory),
            inhibitory: Ids::new(inhibitory),
            traces: Traces::NotOne(HashMap::new()),
        }
    }

    /// Returns the indices of the excitatory sources within E, by row.
    pub fn excitatory(&self) -> &Ids {
        &self.excitatory
    }

    /// Returns the indices of the inhibitory sources within I, by row.
    pub fn inhibitory(&self) -> &Ids {
        &self.inhibitory
    }

    /// Returns the number of rows, excitatory and inhibitory.
    pub fn len(&self) -> usize {
        self.excitatory.len() + self.inhibitory.len()
    }

    /// Returns whether the rank has no sources.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Prefetches the data that [`Sources::arrive`] reads for row `row`.
    #[inline]
    pub fn prefetch(&self, row: u32) {
        simd::prefetch(&self.last, row as usize);
        if let Traces::Each(traces) = &self.traces {
            simd::prefetch(traces, row as usize);
        }
    }

    /// Returns the arrival of a spike of row `row` with this stamp, and advances the row's K₊ to
    /// just after it. The stamp must be later than all earlier stamps of the row. Inhibitory rows
    /// have no K₊.
    pub fn arrive(&mut self, row: u32, stamp: Steps, decay_plus: &GridExp) -> Arrival {
        let stamp = stamp.0;
        let rows = self.excitatory.len();
        let Some(index) = (row as usize).checked_sub(rows) else {
            let last = std::mem::replace(&mut self.last[row as usize], stamp);
            let trace = if last > 0 { self.traces.get(row) } else { 0.0 };
            let next = trace * decay_plus.at(stamp - last) + 1.0;
            self.traces.set(row, next, rows);
            return Arrival {
                row,
                excitatory: true,
                stamp,
                last,
                trace,
            };
        };
        Arrival {
            row: index as u32,
            excitatory: false,
            stamp,
            last: 0,
            trace: 0.0,
        }
    }

    /// Returns the windows of postsynaptic spikes that some row of `all` has yet to process:
    /// (t_last − d, t_last − d + `horizon`] for each source that has fired. Later spikes no longer
    /// potentiate, and a source that never fired has nothing to potentiate with.
    ///
    /// O(rows), once per pruning.
    pub fn open_windows(all: &[&Sources], delay: Steps, horizon: Steps) -> OpenWindows {
        let last = all.iter().flat_map(|sources| sources.last.iter().copied());
        let fired = last.filter(|&last| last > 0);
        let (Some(first), Some(latest)) = (fired.clone().min(), fired.clone().max()) else {
            return OpenWindows::default();
        };
        // Marks replace a sort, because sources may number millions. All windows that begin within
        // one grain are merged into one that begins at its start and lasts one grain longer.
        let grain = (latest - first) / MARKS + 1;
        let mut marks = vec![false; ((latest - first) / grain + 1) as usize];
        fired.for_each(|last| marks[((last - first) / grain) as usize] = true);
        let begins = (0..).zip(marks).filter(|(_, marked)| *marked);
        OpenWindows {
            begins: begins.map(|(k, _)| first + k * grain - delay.0).collect(),
            horizon: horizon.0.saturating_add(grain - 1),
        }
    }
}

/// Maximum number of distinct window starts.
const MARKS: i32 = 1 << 20;
/// Memory, in bytes.
impl Sources {
    /// Returns the bytes for `rows` rows of each kind, from populations of `sizes` neurons.
    /// `not_one` is the fraction of spikes after which K₊ is not 1.
    pub fn bytes(rows: [u64; 2], sizes: [u64; 2], not_one: f64) -> u64 {
        let ids = [0, 1].map(|kind| Ids::bytes(rows[kind], sizes[kind]));
        let each = not_one * MIN_ROWS_PER_TRACE as f64 > 1.0;
        let last_and_trace = if each { 4 + 8 } else { 4 };
        total(ids.into_iter().chain([product([last_and_trace, rows[0]])]))
    }

    /// Returns the bytes held now.
    pub fn held(&self) -> u64 {
        let traces = match &self.traces {
            Traces::Each(traces) => allocated_bytes(traces),
            // A key (4 bytes), a value (8), padding (4) and a control byte of the map.
            Traces::NotOne(traces) => 17 * traces.capacity() as u64,
        };
        self.excitatory.held() + self.inhibitory.held() + allocated_bytes(&self.last) + traces
    }
}

/// Open windows of presynaptic spikes, see [`Sources::open_windows`].
#[derive(Default)]
pub struct OpenWindows {
    begins: Vec<i32>,
    horizon: i32,
}

impl OpenWindows {
    /// Returns whether some window holds `stamp`.
    pub fn hold(&self, stamp: Steps) -> bool {
        let before = self.begins.partition_point(|&begin| begin < stamp.0);
        before > 0 && stamp.0.saturating_sub(self.begins[before - 1]) <= self.horizon
    }

    /// Prunes `history`, in which depression will not read times before `oldest_reading`.
    pub fn prune(&self, history: &mut SpikeHistory, oldest_reading: Steps) {
        history.prune(oldest_reading, |stamp| self.hold(stamp));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Ms;

    #[test]
    fn traces_and_windows() {
        let decay = GridExp::new(Ms(0.1), 15.0, Steps(100_000));
        let mut sources = Sources::new(vec![3, 9], vec![4]);
        let first = sources.arrive(1, Steps(100), &decay);
        assert_eq!((first.last, first.trace, first.excitatory), (0, 0.0, true));
        let second = sources.arrive(1, Steps(250), &decay);
        assert_eq!((second.last, second.trace), (100, 1.0));
        let third = sources.arrive(1, Steps(260), &decay);
        assert!((third.trace - (libm::exp(-1.0) + 1.0)).abs() < 1e-15);
        let inhibitory = sources.arrive(2, Steps(260), &decay);
        assert_eq!((inhibitory.row, inhibitory.excitatory), (0, false));

        let windows = Sources::open_windows(&[&sources], Steps(15), Steps(1000));
        let held = [245, 246, 1245, 1246].map(|stamp| windows.hold(Steps(stamp)));
        assert_eq!(held, [false, true, true, false]);
    }

    /// Compares stored traces with a plain list. Some rows fire so often that in the end all traces
    /// are kept.
    #[test]
    fn traces_are_the_same_however_they_are_kept() {
        let decay = GridExp::new(Ms(0.1), 15.0, Steps(1_000_000));
        let rows = 64;
        let mut sources = Sources::new((0..rows).collect(), Vec::new());
        let mut plain = vec![(0, 0.0); rows as usize];
        // Row r fires every 9000 + r steps, after which its trace is 1. Later every fourth row
        // fires every 50 steps.
        for step in 1..60_000i32 {
            for row in 0..rows {
                let often = step > 30_000 && row % 4 == 0;
                let period = if often { 50 } else { 9000 + row as i32 };
                if step % period != 0 {
                    continue;
                }
                let arrival = sources.arrive(row, Steps(step), &decay);
                let (last, trace) = &mut plain[row as usize];
                assert_eq!((arrival.last, arrival.trace), (*last, *trace), "row {row}");
                *trace = *trace * decay.at(step - *last) + 1.0;
                *last = step;
            }
            assert!(step > 30_000 || matches!(sources.traces, Traces::NotOne(_)));
        }
        assert!(matches!(sources.traces, Traces::Each(_)));
    }
}
