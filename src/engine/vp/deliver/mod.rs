//! Delivery of presynaptic spikes: STDP, then sums in the ring buffers.
//!
//! Both ways give the same numbers. `long` works row by row: a row streams through, and its first
//! lines are all that is waited for. `short` is for rows of few synapses, on many ranks or threads:
//! there every synapse lies elsewhere, and blocks of arrivals wait for memory together.

mod long;
mod short;

use crate::base::simd;
use crate::engine::vp::VirtualProcess;
use crate::model::synapse::{Arrival, RowIndex, Targets};

/// Delivers `arrivals` to the synapses of `vp` in the given order.
pub(super) fn deliver(vp: &mut VirtualProcess, arrivals: &[Arrival]) {
    if vp.has_short_rows() {
        simd::run(short::Deliver { vp, arrivals });
    } else {
        simd::run(long::Deliver { vp, arrivals });
    }
}

/// Returns the index of the rows from the population of the arrival's source.
#[inline(always)]
fn index<'a>(vp: &'a VirtualProcess, arrival: &Arrival) -> &'a RowIndex {
    if arrival.excitatory {
        &vp.ee.rows.index
    } else {
        &vp.ie.rows.index
    }
}

/// Returns the targets of the projections onto E and I from the population of the arrival's source.
#[inline(always)]
fn targets<'a>(vp: &'a VirtualProcess, arrival: &Arrival) -> [&'a Targets; 2] {
    if arrival.excitatory {
        [&vp.ee.rows.targets, &vp.ei.rows.targets]
    } else {
        [&vp.ie.rows.targets, &vp.ii.rows.targets]
    }
}
