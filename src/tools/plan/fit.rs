//! Checks whether a run fits the machine; searches for the smallest machine that fits a network and
//! for the largest network that fits a machine.

use crate::base::memory::show_size;
use crate::model::params::Params;

use super::{Inputs, Limit, Plan};

/// Returns the maximum number of ranks of `threads` threads: numbers of virtual processes have 32
/// bits.
pub fn most_ranks(threads: usize) -> u64 {
    u64::from(u32::MAX) / threads as u64
}

impl Plan {
    /// Returns one line that explains why the run of `params` and `inputs` does not fit `room`
    /// bytes per rank and what would fit, or `None` if it fits. `whose` names the source of `room`
    /// in the message.
    pub fn why_not(
        &self,
        params: &Params,
        inputs: &Inputs,
        room: u64,
        whose: &str,
    ) -> Option<String> {
        if let Some(limit) = self.limits.iter().find(|limit| limit.is_broken()) {
            let (what, used, most) = (limit.what, limit.used, limit.most);
            return Some(format!(
                "does not fit: {used} {what}, must be at most {most}"
            ));
        }
        (self.peak() > room).then(|| {
            format!(
                "does not fit: needs {} per rank, has {} ({whose}); {}",
                show_size(self.peak()),
                show_size(room),
                self.remedy(params, inputs, room)
            )
        })
    }

    /// Returns a message on what would fit `room` bytes per rank: more ranks, or fewer neurons per
    /// rank if `N_per_rank` is set, because more ranks then change little.
    fn remedy(&self, params: &Params, inputs: &Inputs, room: u64) -> String {
        let fits = |params: &Params, ranks: u64| {
            let (rate, program) = (self.rate, self.rank_0.program);
            let plan = Plan::trial(params, ranks as usize, inputs, rate, program, 0);
            plan.peak() <= room && !plan.limits.iter().any(Limit::is_broken)
        };
        if let Some(each) = params.network.N_per_rank {
            let smaller = |each: u64| {
                let params =
                    params.with_neurons(each as u32 * self.ranks as u32, Some(each as u32));
                fits(&params, self.ranks as u64)
            };
            return match largest_that_fits(u64::from(each), smaller) {
                Some(most) => {
                    format!("more ranks change little with N_per_rank; N_per_rank = {most} fits")
                }
                None => "no N_per_rank fits".to_owned(),
            };
        }
        let most = most_ranks(self.threads);
        match smallest_that_fits(self.ranks as u64 + 1, most, |ranks| fits(params, ranks)) {
            Some(ranks) => format!("{ranks} ranks with this much memory each are enough"),
            None => "no number of ranks with this much memory each is enough".to_owned(),
        }
    }
}

/// Returns the smallest number in `from` … `most` that `fits`, or `None` if none does. Assumes that
/// all larger numbers fit as well. Doubles until a number fits, then bisects: O(log result) trials.
fn smallest_that_fits(from: u64, most: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (from, from);
    while high > most || !fits(high) {
        if high >= most {
            return None;
        }
        low = high.saturating_add(1);
        high = most.min(high.saturating_mul(2));
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// Returns the largest number in 1 … `most` that `fits`, or `None` if none does. Assumes that all
/// smaller numbers fit as well.
fn largest_that_fits(most: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = high - (high - low) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    (low > 0).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_find_the_edge() {
        for edge in [3, 4, 5, 7, 100, 12_345] {
            assert_eq!(smallest_that_fits(3, 1 << 20, |n| n >= edge), Some(edge));
            assert_eq!(largest_that_fits(20_000, |n| n <= edge), Some(edge));
        }
        assert_eq!(smallest_that_fits(1, 1000, |_| false), None);
        assert_eq!(smallest_that_fits(1, 1000, |n| n >= 1000), Some(1000));
        assert_eq!(smallest_that_fits(1001, 1000, |_| true), None);
        assert_eq!(largest_that_fits(1000, |_| false), None);
        assert_eq!(largest_that_fits(1000, |_| true), Some(1000));
    }
}
