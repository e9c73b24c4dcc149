//! Limits of numbers that are stored in 32 bits or fewer, and how much of them a run uses.

use serde::Serialize;

use crate::base::sizes::product;

use super::Volume;
use super::network::{Expected, Share};

/// Numeric limit and its use by a run.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// Name of the counted quantity.
    pub what: &'static str,
    /// Number that the run needs.
    pub used: u64,
    /// Maximum number allowed.
    pub most: u64,
    /// Consequence of exceeding the limit.
    pub beyond: Beyond,
}

/// Consequence of exceeding a [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// Refusal or failure of the run.
    Refused,
    /// Use of a wider format, which takes twice the bytes.
    Wider,
}

impl Limit {
    /// Returns the used fraction of the limit; above 1 the limit is exceeded.
    pub fn share(&self) -> f64 {
        self.used as f64 / self.most as f64
    }

    /// Returns whether the run exceeds the limit and would therefore be refused or fail.
    pub fn is_broken(&self) -> bool {
        self.beyond == Beyond::Refused && self.used > self.most
    }
}

/// Returns all limits, the most used first.
pub(super) fn all(expected: &Expected, share: &Share, exchange: &Volume) -> Vec<Limit> {
    let limit = |what, used, most, beyond| Limit {
        what,
        used,
        most,
        beyond,
    };
    const ALL_32: u64 = u32::MAX as u64;
    let simulation = &expected.params.simulation;
    let (ranks, threads) = (expected.ranks as u64, simulation.threads as u64);
    let words = product([ranks, exchange.chunk_bytes / 4]);
    let steps = simulation.end().0 as u64;
    let most_steps = (i32::MAX - (1 << 20)) as u64;
    let mut limits = vec![
        limit(
            "neurons",
            u64::from(expected.params.network.N),
            ALL_32,
            Beyond::Refused,
        ),
        limit(
            "synapses of a projection on a thread",
            share.most_synapses(expected),
            ALL_32,
            Beyond::Refused,
        ),
        limit(
            "entries of the target table of a thread",
            share.most_targets(expected),
            ALL_32,
            Beyond::Refused,
        ),
        limit(
            "targets of a population, in 2 bytes",
            share.most_targets_stored(),
            1 << 16,
            Beyond::Wider,
        ),
        limit(
            "values of an entry, of one word",
            expected.entry().0,
            1 << 32,
            Beyond::Wider,
        ),
        limit(
            "words of the exchange of a rank",
            words,
            i32::MAX as u64,
            Beyond::Refused,
        ),
        limit("threads of a rank", threads, 1024, Beyond::Refused),
        limit(
            "virtual processes",
            product([ranks, threads]),
            ALL_32,
            Beyond::Refused,
        ),
        limit("time steps", steps, most_steps, Beyond::Refused),
    ];
    limits.sort_by(|a, b| b.share().total_cmp(&a.share()));
    limits
}
