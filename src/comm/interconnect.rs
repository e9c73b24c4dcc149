//! The network between ranks as a model: how long one MPI_Alltoall takes.
//!
//! A message of m bytes takes α + m/β, with latency α and bandwidth β (Hockney 1994, Parallel
//! Computing 20:389), and a rank sends and receives one at a time. Then with R ranks and m
//! bytes from each to each
//!
//! - pairwise exchange takes R − 1 messages of m bytes: (R − 1)·(α + m/β);
//! - Bruck's algorithm takes ⌈log₂R⌉ messages of R/2 chunks, which travel by way of other
//!   ranks: ⌈log₂R⌉·α + (R/2)·⌈log₂R⌉·m/β (Bruck et al. 1997, IEEE Trans. Parallel Distrib.
//!   Syst. 8:1143);
//! - MPI libraries choose by message size (Thakur, Rabenseifner & Gropp 2005, Int. J. High
//!   Perform. Comput. Appl. 19:49), which is taken to be the faster of the two.
//!
//! All ranks are alike: ranks of one node share its port, so β is what is left to one of them
//! while all send; that messages within a node are faster is not modelled, nor are links that
//! several nodes share, nor ranks that come late.

use serde::{Deserialize, Serialize};

/// Algorithm that MPI_Alltoall is assumed to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Whichever of the others is faster for the message at hand, as MPI libraries choose.
    Best,
    /// Few messages, in which chunks travel together by way of other ranks.
    Bruck,
    /// A message to every other rank.
    Pairwise,
}

impl Algorithm {
    /// All, as the config names them.
    pub const NAMED: [(&str, Algorithm); 3] = [
        (Algorithm::Best.name(), Algorithm::Best),
        (Algorithm::Bruck.name(), Algorithm::Bruck),
        (Algorithm::Pairwise.name(), Algorithm::Pairwise),
    ];

    /// As the config names it.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Best => "best",
            Algorithm::Bruck => "bruck",
            Algorithm::Pairwise => "pairwise",
        }
    }
}

/// `[interconnect]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InterconnectParams {
    /// Latency of a message (µs), ≥ 0.
    pub latency: f64,
    /// Bandwidth of a rank that sends and receives while all others do so too
    /// (GB/s, 10⁹ bytes/s), > 0.
    pub bandwidth: f64,
    /// Algorithm of the exchange.
    pub algorithm: Algorithm,
}

/// Latency, bandwidth and algorithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interconnect {
    /// α (s), ≥ 0.
    pub latency: f64,
    /// β (bytes/s), > 0.
    pub bandwidth: f64,
    /// Algorithm of the exchange.
    pub algorithm: Algorithm,
}

impl Interconnect {
    /// That of the config.
    pub fn from_params(params: &InterconnectParams) -> Self {
        Interconnect {
            latency: params.latency * 1e-6,
            bandwidth: params.bandwidth * 1e9,
            algorithm: params.algorithm,
        }
    }

    /// As the config writes it.
    pub fn to_params(&self) -> InterconnectParams {
        InterconnectParams {
            latency: self.latency * 1e6,
            bandwidth: self.bandwidth * 1e-9,
            algorithm: self.algorithm,
        }
    }

    /// Returns the time (s) of one MPI_Alltoall of `ranks` ≥ 1 ranks, each of which sends
    /// `bytes_per_peer` to every rank. 0 for one rank; grows with both.
    pub fn alltoall_seconds(&self, ranks: u64, bytes_per_peer: u64) -> f64 {
        let seconds = |cost: Cost| {
            cost.messages * self.latency + cost.chunks * bytes_per_peer as f64 / self.bandwidth
        };
        match self.algorithm {
            Algorithm::Bruck => seconds(Cost::bruck(ranks)),
            Algorithm::Pairwise => seconds(Cost::pairwise(ranks)),
            Algorithm::Best => seconds(Cost::bruck(ranks)).min(seconds(Cost::pairwise(ranks))),
        }
    }
}

/// Messages and chunks that a rank sends, one after the other.
#[derive(Clone, Copy)]
struct Cost {
    messages: f64,
    /// In all messages together.
    chunks: f64,
}

impl Cost {
    fn pairwise(ranks: u64) -> Self {
        let others = (ranks - 1) as f64;
        Cost {
            messages: others,
            chunks: others,
        }
    }

    fn bruck(ranks: u64) -> Self {
        let rounds = f64::from(u64::BITS - (ranks - 1).leading_zeros());
        Cost {
            messages: rounds,
            chunks: ranks as f64 / 2.0 * rounds,
        }
    }
}

/// One measured MPI_Alltoall.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// From each rank to each.
    pub bytes_per_peer: u64,
    /// Measured time (s), > 0.
    pub seconds: f64,
}

/// A model of measured times, and how far it is from them.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// The model.
    pub interconnect: Interconnect,
    /// Root mean square of the relative deviations of the model from what was measured.
    pub rms_error: f64,
    /// The largest of them, without its sign.
    pub max_error: f64,
}

/// The least bandwidth term (s/byte) of a fit: 10,000 GB/s, more than memory has.
const LEAST_SECONDS_PER_BYTE: f64 = 1e-13;

impl Fit {
    /// The latency and bandwidth at which `algorithm` comes nearest to `samples` of `ranks`
    /// ≥ 2 ranks: least squares of the relative deviations, latency ≥ 0.
    ///
    /// Times of one number of ranks cannot tell which algorithm they come from: each is a
    /// constant and a part proportional to the bytes. So it has to be given.
    ///
    /// Panics without samples. Cost O(samples²).
    pub fn new(algorithm: Algorithm, ranks: u64, samples: &[Sample]) -> Self {
        assert!(ranks > 1 && !samples.is_empty());
        // The shorter messages by Bruck's algorithm, the longer ones pairwise.
        let splits = match algorithm {
            Algorithm::Bruck => samples.len()..=samples.len(),
            Algorithm::Pairwise => 0..=0,
            Algorithm::Best => 0..=samples.len(),
        };
        let mut samples = samples.to_vec();
        samples.sort_by_key(|sample| sample.bytes_per_peer);
        let fits = splits.map(|split| {
            let (short, long) = samples.split_at(split);
            let bruck = short.iter().map(|sample| (Cost::bruck(ranks), sample));
            let pairwise = long.iter().map(|sample| (Cost::pairwise(ranks), sample));
            let (latency, seconds_per_byte) = least_squares(bruck.chain(pairwise));
            let interconnect = Interconnect {
                latency,
                bandwidth: seconds_per_byte.recip(),
                algorithm,
            };
            Fit::of(interconnect, ranks, &samples)
        });
        let best = fits.min_by(|a, b| a.rms_error.total_cmp(&b.rms_error));
        best.expect("one split at least")
    }

    /// `interconnect` and its deviations from `samples`.
    fn of(interconnect: Interconnect, ranks: u64, samples: &[Sample]) -> Self {
        let (mut squares, mut max_error) = (0.0, 0.0f64);
        for sample in samples {
            let model = interconnect.alltoall_seconds(ranks, sample.bytes_per_peer);
            let deviation = model / sample.seconds - 1.0;
            squares += deviation * deviation;
            max_error = max_error.max(deviation.abs());
        }
        Fit {
            interconnect,
            rms_error: (squares / samples.len() as f64).sqrt(),
            max_error,
        }
    }
}

/// α ≥ 0 and 1/β > 0 with the least Σ (model/measured − 1)² over costs and what they took.
fn least_squares<'a>(samples: impl Iterator<Item = (Cost, &'a Sample)>) -> (f64, f64) {
    // Sums over x = messages/t and y = bytes/t of x·x, x·y, y·y, x, y: the normal equations.
    let (mut xx, mut xy, mut yy, mut x1, mut y1) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (cost, sample) in samples {
        let x = cost.messages / sample.seconds;
        let y = cost.chunks * sample.bytes_per_peer as f64 / sample.seconds;
        xx += x * x;
        xy += x * y;
        yy += y * y;
        x1 += x;
        y1 += y;
    }
    let determinant = xx * yy - xy * xy;
    let latency = (x1 * yy - y1 * xy) / determinant;
    let seconds_per_byte = (y1 * xx - x1 * xy) / determinant;
    // The minimum of a convex function with one variable out of bounds lies on that bound.
    // One size alone leaves the determinant 0 and says nothing of bandwidth.
    if determinant <= 1e-12 * xx * yy || seconds_per_byte < LEAST_SECONDS_PER_BYTE {
        let rest = (x1 - LEAST_SECONDS_PER_BYTE * xy) / xx;
        (rest.max(0.0), LEAST_SECONDS_PER_BYTE)
    } else if latency < 0.0 {
        (0.0, (y1 / yy).max(LEAST_SECONDS_PER_BYTE))
    } else {
        (latency, seconds_per_byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 µs and 25 GB/s: 1 KiB takes 40.96 ns.
    fn network(algorithm: Algorithm) -> Interconnect {
        Interconnect::from_params(&InterconnectParams {
            latency: 2.0,
            bandwidth: 25.0,
            algorithm,
        })
    }

    #[track_caller]
    fn assert_near(got: f64, expected: f64) {
        assert!((got / expected - 1.0).abs() < 1e-12, "{got}, {expected}");
    }

    const ALL: [Algorithm; 3] = [Algorithm::Best, Algorithm::Bruck, Algorithm::Pairwise];

    #[test]
    fn times_worked_out_by_hand() {
        let [best, bruck, pairwise] = ALL.map(network);
        // 7 messages; 3 rounds of 4 chunks.
        assert_near(pairwise.alltoall_seconds(8, 1024), 7.0 * 2.04096e-6);
        assert_near(bruck.alltoall_seconds(8, 1024), 6e-6 + 12.0 * 40.96e-9);
        // 64 bytes take 2.56 ns: 4095 messages of those; 12 rounds of 2048 chunks.
        assert_near(pairwise.alltoall_seconds(4096, 64), 4095.0 * 2.00256e-6);
        assert_near(bruck.alltoall_seconds(4096, 64), 24e-6 + 24_576.0 * 2.56e-9);
        assert_near(best.alltoall_seconds(4096, 64), 24e-6 + 24_576.0 * 2.56e-9);
        // 1 MiB takes 41.94304 µs: chunks that travel once are better.
        assert_near(best.alltoall_seconds(8, 1 << 20), 7.0 * 43.94304e-6);
        // 5 ranks need 3 rounds, as 8 do, of 2.5 chunks.
        assert_near(bruck.alltoall_seconds(5, 1024), 6e-6 + 7.5 * 40.96e-9);
        // Two ranks: one message, whichever way.
        for network in [best, bruck, pairwise] {
            assert_eq!(network.alltoall_seconds(1, 1 << 30), 0.0);
            assert_near(network.alltoall_seconds(2, 1024), 2.04096e-6);
        }
    }

    #[test]
    fn times_grow_with_ranks_and_bytes() {
        for network in ALL.map(network) {
            let time = |ranks, bytes| network.alltoall_seconds(ranks, bytes);
            for ranks in (1..300).chain([1 << 16, 1 << 20]) {
                for exponent in 0..24 {
                    let bytes = 1 << exponent;
                    assert!(time(ranks + 1, bytes) > time(ranks, bytes));
                    if ranks > 1 {
                        assert!(time(ranks, bytes + 1) > time(ranks, bytes));
                    }
                }
            }
        }
    }

    #[test]
    fn best_changes_over_once() {
        let [best, bruck, pairwise] = ALL.map(network);
        let of = |network: Interconnect, bytes| network.alltoall_seconds(64, bytes);
        // Where 57·α = (192 − 63)·m/β.
        let turn = (57.0 * 2e-6 * 25e9 / 129.0) as u64;
        for bytes in [0, 1, turn] {
            assert_eq!(of(best, bytes), of(bruck, bytes));
        }
        for bytes in [turn + 1, 1 << 20] {
            assert_eq!(of(best, bytes), of(pairwise, bytes));
        }
    }

    /// Times of the model itself, ± `noise` in turn.
    fn samples(of: Interconnect, ranks: u64, noise: f64) -> Vec<Sample> {
        let sizes = (6..=16).map(|exponent| 1 << exponent);
        sizes
            .enumerate()
            .map(|(i, bytes_per_peer)| Sample {
                bytes_per_peer,
                seconds: of.alltoall_seconds(ranks, bytes_per_peer)
                    * (1.0 + if i % 2 == 0 { noise } else { -noise }),
            })
            .collect()
    }

    #[test]
    fn a_fit_finds_the_model_again() {
        for network in ALL.map(network) {
            for ranks in [2, 3, 8, 64, 1000] {
                let fit = Fit::new(network.algorithm, ranks, &samples(network, ranks, 0.0));
                assert!(
                    (fit.interconnect.latency / 2e-6 - 1.0).abs() < 1e-6,
                    "{fit:?}"
                );
                assert!(
                    (fit.interconnect.bandwidth / 25e9 - 1.0).abs() < 1e-6,
                    "{fit:?}"
                );
                assert!(fit.max_error < 1e-6 && fit.rms_error <= fit.max_error);
            }
        }
    }

    #[test]
    fn a_fit_of_noisy_times_tells_its_error() {
        for network in ALL.map(network) {
            let samples = samples(network, 16, 0.1);
            let fit = Fit::new(network.algorithm, 16, &samples);
            assert!(fit.rms_error > 0.05 && fit.max_error < 0.2, "{fit:?}");
            assert!(
                (fit.interconnect.latency / 2e-6 - 1.0).abs() < 0.2,
                "{fit:?}"
            );
            for sample in samples {
                let model = fit.interconnect.alltoall_seconds(16, sample.bytes_per_peer);
                let deviation = (model / sample.seconds - 1.0).abs();
                assert!(deviation <= fit.max_error);
            }
        }
    }

    /// Times that no latency or no bandwidth would explain, and too few of them.
    #[test]
    fn a_fit_stays_within_bounds() {
        let sample = |bytes_per_peer, seconds| Sample {
            bytes_per_peer,
            seconds,
        };
        let falling = [sample(64, 3e-6), sample(1 << 16, 1e-6)];
        let convex = [sample(64, 1e-9), sample(128, 1e-8), sample(256, 1e-7)];
        for samples in [&falling[..], &convex, &falling[..1]] {
            for algorithm in ALL {
                let fit = Fit::new(algorithm, 4, samples);
                let Interconnect {
                    latency, bandwidth, ..
                } = fit.interconnect;
                assert!(latency >= 0.0 && latency.is_finite(), "{fit:?}");
                assert!(bandwidth > 0.0 && bandwidth.is_finite(), "{fit:?}");
                assert!(fit.rms_error.is_finite());
            }
        }
    }

    #[test]
    fn units_of_the_config() {
        let network = network(Algorithm::Bruck);
        assert_near(network.latency, 2e-6);
        assert_near(network.bandwidth, 25e9);
        let back = network.to_params();
        assert_near(back.latency, 2.0);
        assert_near(back.bandwidth, 25.0);
        assert_eq!(Interconnect::from_params(&back), network);
    }
}
