//! Load balance: times of the ranks, and advice derived from them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::comm::{Comm, Spread};
use crate::engine::{CpuTime, Laps, Phase, Timers};

/// Times, memory and digests of one rank.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RankRecord {
    /// Index of the rank.
    pub rank: usize,
    /// Digests of the spikes of its neurons and of its plastic weights.
    pub digest: super::Digests,
    /// Peak resident memory (bytes).
    pub peak_memory: u64,
    /// Wall time of the loop after the warm-up (s).
    pub simulate: f64,
    /// Wall times of the phases of the loop (s).
    pub phases: Phases<PhaseRecord>,
    /// Part of `communicate` that this rank waited for other ranks (s), estimated from samples.
    pub communicate_wait: f64,
}

/// Wall times of one phase on one rank (s).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PhaseRecord {
    /// Sum over the intervals after the warm-up.
    pub total: f64,
    /// Standard deviation over the intervals.
    pub sd: f64,
    /// Maximum over the intervals.
    pub max: f64,
}

/// One value per phase of the loop, with NEST's names where NEST has them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Phases<T> {
    /// Delivery of spikes to synapses and ring buffers.
    pub deliver: T,
    /// Update of neurons.
    pub update: T,
    /// Wait for the other threads of the rank.
    pub synchronize: T,
    /// Writing of spikes to the send buffer.
    pub collocate: T,
    /// Exchange, including the wait for other ranks.
    pub communicate: T,
    /// Sorting of received spikes for delivery.
    pub receive: T,
    /// Calls of the observers, including writes to disk.
    pub record: T,
}

impl<T> Phases<T> {
    /// Phase of each field.
    const ALL: Phases<Phase> = Phases {
        deliver: Phase::Deliver,
        update: Phase::Update,
        synchronize: Phase::Synchronize,
        collocate: Phase::Collocate,
        communicate: Phase::Communicate,
        receive: Phase::Receive,
        record: Phase::Record,
    };

    /// Names in the order of tables, computation first.
    pub const NAMES: [&'static str; 7] = [
        "update",
        "deliver",
        "synchronize",
        "collocate",
        "communicate",
        "receive",
        "record",
    ];

    /// Returns the values in the order of [`NAMES`](Self::NAMES).
    pub fn named(self) -> [T; 7] {
        [
            self.update,
            self.deliver,
            self.synchronize,
            self.collocate,
            self.communicate,
            self.receive,
            self.record,
        ]
    }

    /// Returns the results of `of` for each value.
    pub fn map<U>(self, mut of: impl FnMut(T) -> U) -> Phases<U> {
        Phases {
            deliver: of(self.deliver),
            update: of(self.update),
            synchronize: of(self.synchronize),
            collocate: of(self.collocate),
            communicate: of(self.communicate),
            receive: of(self.receive),
            record: of(self.record),
        }
    }
}

impl Phases<f64> {
    /// Returns the total time of each phase on this rank (s).
    pub fn of(timers: &Timers) -> Self {
        Self::ALL.map(|phase| timers.of(phase).total)
    }

    /// Returns the CPU time of each phase on this rank; 0 for the wait for other threads, which
    /// spins.
    pub fn cpu(timers: &Timers) -> Phases<CpuTime> {
        Self::ALL.map(|phase| timers.cpu(phase))
    }

    /// Returns the part of `whole` (s) that no phase accounts for.
    pub fn rest(self, whole: f64) -> f64 {
        whole - self.named().iter().sum::<f64>()
    }
}

/// Returns the fraction of the exchange time that this rank waited for others, estimated from the
/// sampled exchanges; 0 without samples.
fn waiting(timers: &Timers) -> f64 {
    let [wait, transfer] =
        [Phase::SampledWait, Phase::SampledTransfer].map(|phase| timers.of(phase).total);
    if wait + transfer > 0.0 {
        wait / (wait + transfer)
    } else {
        0.0
    }
}

/// Maximum number of rank records in run.json; with more ranks, every k-th is kept.
const MOST_RECORDS: usize = 1024;

/// Returns the number of rank records of a run on `ranks` ranks, at most [`MOST_RECORDS`].
pub(super) fn records(ranks: usize) -> usize {
    ranks.div_ceil(ranks.div_ceil(MOST_RECORDS))
}

impl RankRecord {
    /// Number of times in a record: the loop, the wait, and three per phase.
    const TIMES: usize = 2 + 3 * 7;

    /// Returns the records of the ranks on rank 0, and an empty list on all other ranks.
    /// Collective.
    pub fn gather(
        comm: &Comm,
        timers: &Timers,
        [spikes, weights]: [Digest; 2],
        peak_memory: u64,
    ) -> Vec<RankRecord> {
        let stride = comm.size().div_ceil(MOST_RECORDS);
        let (mut whole, mut times) = (Vec::new(), Vec::new());
        if comm.rank().is_multiple_of(stride) {
            whole.extend([comm.rank() as u64, spikes.0, weights.0, peak_memory]);
            let communicate = timers.of(Phase::Communicate).total;
            times.extend([timers.simulate, waiting(timers) * communicate]);
            Phases::<Phase>::ALL.map(|phase| {
                let laps: &Laps = timers.of(phase);
                times.extend([laps.total, laps.sd(), laps.longest]);
            });
        }
        let (whole, times) = (comm.gather(&whole), comm.gather(&times));
        let ranks = whole.chunks(4).zip(times.chunks(Self::TIMES));
        ranks
            .map(|(whole, times)| {
                let mut phases = times[2..].chunks(3).map(|lap| PhaseRecord {
                    total: lap[0],
                    sd: lap[1],
                    max: lap[2],
                });
                RankRecord {
                    rank: whole[0] as usize,
                    digest: super::Digests {
                        spikes: Digest(whole[1]),
                        weights: Digest(whole[2]),
                    },
                    peak_memory: whole[3],
                    simulate: times[0],
                    phases: Phases::<Phase>::ALL.map(|_| phases.next().expect("one a phase")),
                    communicate_wait: times[1],
                }
            })
            .collect()
    }
}

/// Load balance over all ranks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Balance {
    /// Rank with the most work. Work is the time of the loop without `communicate` and
    /// `synchronize`.
    pub slowest_rank: usize,
    /// Work per rank (s).
    pub work: Spread,
    /// Work of the slowest rank divided by the mean, minus 1.
    pub imbalance: f64,
    /// Time that a rank waits for other ranks in the exchange (s), estimated from samples.
    pub communicate_wait: Spread,
    /// Time of the exchange without the wait for other ranks (s).
    pub communicate_transfer: Spread,
    /// Advice on what to try first.
    pub advice: Cow<'static, str>,
}

impl Balance {
    /// Returns the load balance from the times of all ranks. Collective.
    pub fn new(comm: &Comm, timers: &Timers, threads: usize) -> Self {
        let phases = Phases::of(timers);
        let wait = waiting(timers) * phases.communicate;
        let mine = timers.simulate - phases.communicate - phases.synchronize;
        let work = comm.spread(mine);
        // Chooses the lowest rank among those with the most work.
        let slowest = if mine == work.max {
            comm.size() - comm.rank()
        } else {
            0
        };
        let slowest_rank = comm.size() - comm.max(slowest as u64) as usize;
        let imbalance = if work.mean > 0.0 {
            work.max / work.mean - 1.0
        } else {
            0.0
        };
        let transfer = comm.spread(phases.communicate - wait);
        let share = |seconds: f64| comm.spread(seconds / timers.simulate).mean;
        let advice = advise(&Shares {
            imbalance,
            transfer: share(phases.communicate - wait),
            synchronize: share(phases.synchronize),
            record: share(phases.record),
            threads,
        });
        Balance {
            slowest_rank,
            work,
            imbalance,
            communicate_wait: comm.spread(wait),
            communicate_transfer: transfer,
            advice: advice.into(),
        }
    }
}

/// Imbalance, and fractions of the simulate phase averaged over the ranks.
struct Shares {
    imbalance: f64,
    transfer: f64,
    synchronize: f64,
    record: f64,
    threads: usize,
}

/// Returns advice on what to try first, chosen by the largest cost.
fn advise(shares: &Shares) -> &'static str {
    const NOTABLE: f64 = 0.1;
    let &Shares {
        imbalance,
        transfer,
        synchronize,
        record,
        threads,
    } = shares;
    let most = imbalance.max(transfer).max(synchronize).max(record);
    if most < NOTABLE {
        "nothing stands out"
    } else if most == imbalance {
        // Round-robin placement gives all ranks the same work, apart from chance.
        "one rank is slow though all have alike work: see what else runs there, and bind ranks to cores"
    } else if most == synchronize {
        "threads wait for each other: bind them to cores, or use fewer threads and more ranks"
    } else if most == record {
        "recording costs time: record fewer spikes (record.n_rec) or faster storage"
    } else if threads == 1 {
        "transfer costs time: use fewer ranks of more threads"
    } else {
        "transfer costs time: use fewer ranks, or a larger network"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Steps;
    use std::time::Duration;

    #[test]
    fn waiting_is_told_from_samples() {
        let mut timers = Timers::start(Steps(0), 1);
        assert_eq!(waiting(&timers), 0.0);
        timers.book(Phase::SampledWait, Duration::from_millis(3));
        timers.book(Phase::SampledTransfer, Duration::from_millis(1));
        timers.book(Phase::Communicate, Duration::from_millis(40));
        timers.begin_interval(false);
        assert_eq!(waiting(&timers), 0.75);
        timers.simulate = 0.1;
        let records = RankRecord::gather(&Comm::Alone, &timers, [Digest(1), Digest(2)], 3);
        let [record] = &records[..] else {
            panic!("one rank, one record")
        };
        assert!((record.communicate_wait - 0.03).abs() < 1e-12);
        assert_eq!(
            (record.phases.communicate.total, record.peak_memory),
            (0.04, 3)
        );
        let balance = Balance::new(&Comm::Alone, &timers, 1);
        assert_eq!((balance.slowest_rank, balance.imbalance), (0, 0.0));
        assert!((balance.communicate_transfer.max - 0.01).abs() < 1e-12);
        // Transfer takes a tenth of the time.
        assert!(balance.advice.starts_with("transfer"), "{}", balance.advice);
    }

    #[test]
    fn advice_follows_the_largest_share() {
        let none = Shares {
            imbalance: 0.05,
            transfer: 0.05,
            synchronize: 0.05,
            record: 0.05,
            threads: 4,
        };
        assert_eq!(advise(&none), "nothing stands out");
        let with = |change: fn(&mut Shares)| {
            let mut shares = Shares { ..none };
            change(&mut shares);
            advise(&shares)
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(with(|s| s.imbalance = 0.5), "one");
        assert_eq!(with(|s| s.transfer = 0.5), "transfer");
        assert_eq!(with(|s| s.synchronize = 0.5), "threads");
        assert_eq!(with(|s| s.record = 0.5), "recording");
    }
}
