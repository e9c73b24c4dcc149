//! The presynaptic side as a rank sees it: which sources it listens to, under which row, and
//! the trace K₊ that all synapses of a source share.

use crate::buffers::SpikeHistory;
use crate::math::GridExp;
use crate::memory::room;
use crate::units::Steps;

/// All sources of a rank, one row each; rows of excitatory sources come first, each kind in
/// ascending order of gid.
pub struct Sources {
    /// Index of the source within its population, by row.
    excitatory: Vec<u32>,
    inhibitory: Vec<u32>,
    /// By excitatory row: stamp of the last spike and K₊ just after it.
    last: Vec<i32>,
    trace: Vec<f64>,
}

/// A presynaptic spike as it reaches the rows of this rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// The row, counted within its kind.
    pub row: u32,
    /// Whether the source is excitatory.
    pub excitatory: bool,
    /// Stamp of the spike.
    pub stamp: i32,
    /// Excitatory: stamp of the source's spike before, 0 if there was none.
    pub last: i32,
    /// Excitatory: K₊ just after that spike, 0 if there was none.
    pub trace: f64,
}

impl Sources {
    /// Rows for these sources (indices within their population, ascending).
    pub fn new(mut excitatory: Vec<u32>, mut inhibitory: Vec<u32>) -> Self {
        excitatory.shrink_to_fit();
        inhibitory.shrink_to_fit();
        let (last, trace) = (vec![0; excitatory.len()], vec![0.0; excitatory.len()]);
        Sources {
            excitatory,
            inhibitory,
            last,
            trace,
        }
    }

    /// Indices of the excitatory sources within E, by row.
    pub fn excitatory(&self) -> &[u32] {
        &self.excitatory
    }

    /// Indices of the inhibitory sources within I, by row.
    pub fn inhibitory(&self) -> &[u32] {
        &self.inhibitory
    }

    /// Rows in all.
    pub fn len(&self) -> usize {
        self.excitatory.len() + self.inhibitory.len()
    }

    /// Whether nothing is listened to.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The arrival of a spike with this stamp, later than all before of the same row, and
    /// the step of K₊ that it makes.
    pub fn arrive(&mut self, row: u32, stamp: Steps, decay_plus: &GridExp) -> Arrival {
        let stamp = stamp.0;
        let Some(index) = (row as usize).checked_sub(self.excitatory.len()) else {
            let (last, trace) = (&mut self.last[row as usize], &mut self.trace[row as usize]);
            let arrival = Arrival {
                row,
                excitatory: true,
                stamp,
                last: *last,
                trace: *trace,
            };
            *trace = *trace * decay_plus.at(stamp - *last) + 1.0;
            *last = stamp;
            return arrival;
        };
        Arrival {
            row: index as u32,
            excitatory: false,
            stamp,
            last: 0,
            trace: 0.0,
        }
    }

    /// Tells which postsynaptic spikes some row still has to see: those in
    /// (t_last − d, t_last − d + `horizon`] of a source that has fired. Later ones no longer
    /// potentiate, and a source that never fired has nothing to potentiate with.
    ///
    /// O(rows), once per pruning.
    pub fn open_windows(&self, delay: Steps, horizon: Steps) -> OpenWindows {
        let fired = self.last.iter().zip(&self.trace);
        let fired = fired.filter_map(|(&last, &trace)| (trace > 0.0).then_some(last));
        let (Some(first), Some(latest)) = (fired.clone().min(), fired.clone().max()) else {
            return OpenWindows::default();
        };
        // Marks instead of a sort: sources may be millions. Windows that begin within a grain
        // are taken for one that begins with it, and lasts so much longer.
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

/// Beginnings of windows that are told apart, at most.
const MARKS: i32 = 1 << 20;
/// Memory, in bytes.
impl Sources {
    /// Of so many rows of each kind.
    pub fn bytes(excitatory: u64, inhibitory: u64) -> u64 {
        (4 + 4 + 8) * excitatory + 4 * inhibitory
    }

    /// As it is.
    pub fn held(&self) -> u64 {
        let gids = room(&self.excitatory) + room(&self.inhibitory);
        gids + room(&self.last) + room(&self.trace)
    }
}

/// See [`Sources::open_windows`].
#[derive(Default)]
pub struct OpenWindows {
    begins: Vec<i32>,
    horizon: i32,
}

impl OpenWindows {
    /// Whether some window holds `stamp`.
    pub fn hold(&self, stamp: Steps) -> bool {
        let before = self.begins.partition_point(|&begin| begin < stamp.0);
        before > 0 && stamp.0.saturating_sub(self.begins[before - 1]) <= self.horizon
    }

    /// Prunes `history`, from which depression will not ask for times before
    /// `oldest_reading`.
    pub fn prune(&self, history: &mut SpikeHistory, oldest_reading: Steps) {
        history.prune(oldest_reading, |stamp| self.hold(stamp));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Ms;

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

        let windows = sources.open_windows(Steps(15), Steps(1000));
        let held = [245, 246, 1245, 1246].map(|stamp| windows.hold(Steps(stamp)));
        assert_eq!(held, [false, true, true, false]);
    }
}
