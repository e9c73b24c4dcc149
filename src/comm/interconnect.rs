//! Model of the network between ranks: the time of one MPI_Alltoall.
//!
//! A message of m bytes takes α + m/β, with latency α and bandwidth β (Hockney 1994, Parallel
//! Computing 20:389). A rank sends and receives one message at a time. For R ranks and m bytes
//! from each rank to each rank:
//!
//! - pairwise exchange takes R − 1 messages of m bytes: (R − 1)·(α + m/β);
//! - Bruck's algorithm takes ⌈log₂R⌉ messages of R/2 chunks, which are forwarded by other
//!   ranks: ⌈log₂R⌉·α + (R/2)·⌈log₂R⌉·m/β (Bruck et al. 1997, IEEE Trans. Parallel Distrib.
//!   Syst. 8:1143);
//! - MPI libraries choose by message size (Thakur, Rabenseifner & Gropp 2005, Int. J. High
//!   Perform. Comput. Appl. 19:49). The model assumes that they choose the faster of the two.
//!
//! The model treats all ranks alike. Ranks of one node share its port: β is the bandwidth per
//! rank while all ranks send. The model ignores faster messages within a node, links shared by
//! several nodes, and ranks that arrive late.

use serde::{Deserialize, Serialize};

/// Algorithm that MPI_Alltoall is assumed to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// The faster of the other two for the given message size, as MPI libraries choose.
    Best,
    /// Bruck's algorithm: few messages, with several chunks each that other ranks forward.
    Bruck,
    /// Pairwise exchange: one message to every other rank.
    Pairwise,
}

impl Algorithm {
    /// All algorithms with their names in the config.
    pub const NAMED: [(&str, Algorithm); 3] = [
        (Algorithm::Best.name(), Algorithm::Best),
        (Algorithm::Bruck.name(), Algorithm::Bruck),
        (Algorithm::Pairwise.name(), Algorithm::Pairwise),
    ];

    /// Returns the name in the config.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Best => "best",
            Algorithm::Bruck => "bruck",
            Algorithm::Pairwise => "pairwise",
        }
    }
}

/// Parameters of the config section `[interconnect]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InterconnectParams {
    /// Latency per message (µs), ≥ 0.
    pub latency: f64,
    /// Bandwidth per rank while all ranks send and receive (GB/s, 10⁹ bytes/s), > 0.
    pub bandwidth: f64,
    /// Algorithm of the exchange.
    pub algorithm: Algorithm,
}

/// Model of the network, in SI units.
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
    /// Converts from the units of the config.
    pub fn from_params(params: &InterconnectParams) -> Self {
        Interconnect {
            latency: params.latency * 1e-6,
            bandwidth: params.bandwidth * 1e9,
            algorithm: params.algorithm,
        }
    }

    /// Converts to the units of the config.
    pub fn to_params(&self) -> InterconnectParams {
        InterconnectParams {
            latency: self.latency * 1e6,
            bandwidth: self.bandwidth * 1e-9,
            algorithm: self.algorithm,
        }
    }

    /// Returns the time (s) of one MPI_Alltoall of `ranks` ≥ 1 ranks, each of which sends
    /// `bytes_per_peer` to every rank. It is 0 for one rank and grows with both arguments.
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

/// Number of messages and chunks that a rank sends, one after the other.
#[derive(Clone, Copy)]
struct Cost {
    messages: f64,
    /// Total over all messages.
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
    /// Bytes from each rank to each rank.
    pub bytes_per_peer: u64,
    /// Measured time (s), > 0.
    pub seconds: f64,
}

/// Model fitted to measured times, and its deviations from them.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// The fitted model.
    pub interconnect: Interconnect,
    /// Root mean square of the model's relative deviations from the measured times.
    pub rms_error: f64,
    /// Largest absolute value of these deviations.
    pub max_error: f64,
}

/// Smallest 1/β (s/byte) of a fit. It corresponds to 10,000 GB/s, more than memory bandwidth.
const LEAST_SECONDS_PER_BYTE: f64 = 1e-13;

impl Fit {
    /// Fits latency ≥ 0 and bandwidth of `algorithm` to `samples` of `ranks` ≥ 2 ranks by least
    /// squares of the relative deviations. Costs O(samples²).
    ///
    /// The caller must choose the algorithm: times for a single number of ranks do not determine
    /// it, because every algorithm gives a constant and a term proportional to the bytes.
    ///
    /// # Panics
    /// Panics if there are no samples or fewer than two ranks.
    pub fn new(algorithm: Algorithm, ranks: u64, samples: &[Sample]) -> Self {
        assert!(ranks > 1 && !samples.is_empty());
        // Samples below the split use Bruck's algorithm, the larger ones pairwise exchange.
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

    /// Computes the deviations of `interconnect` from `samples`.
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

/// Returns α ≥ 0 (s) and 1/β > 0 (s/byte) that minimize Σ (model/measured − 1)² over `samples`.
fn least_squares<'a>(samples: impl Iterator<Item = (Cost, &'a Sample)>) -> (f64, f64) {
    // Normal equations: sums of x·x, x·y, y·y, x and y, with x = messages/t and y = bytes/t.
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
    // If one variable is out of bounds, the minimum of this convex function is on that bound.
    // A single size gives determinant 0 and does not determine the bandwidth.
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

    /// Returns a network of 2 µs and 25 GB/s, on which 1 KiB takes 40.96 ns.
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
        // Pairwise: 7 messages. Bruck: 3 rounds of 4 chunks.
        assert_near(pairwise.alltoall_seconds(8, 1024), 7.0 * 2.04096e-6);
        assert_near(bruck.alltoall_seconds(8, 1024), 6e-6 + 12.0 * 40.96e-9);
        // 64 bytes take 2.56 ns. Pairwise: 4095 such messages. Bruck: 12 rounds of 2048 chunks.
        assert_near(pairwise.alltoall_seconds(4096, 64), 4095.0 * 2.00256e-6);
        assert_near(bruck.alltoall_seconds(4096, 64), 24e-6 + 24_576.0 * 2.56e-9);
        assert_near(best.alltoall_seconds(4096, 64), 24e-6 + 24_576.0 * 2.56e-9);
        // 1 MiB takes 41.94304 µs: pairwise, which sends each chunk once, is faster.
        assert_near(best.alltoall_seconds(8, 1 << 20), 7.0 * 43.94304e-6);
        // 5 ranks need 3 rounds of 2.5 chunks; 8 ranks need 3 rounds, too.
        assert_near(bruck.alltoall_seconds(5, 1024), 6e-6 + 7.5 * 40.96e-9);
        // Two ranks exchange one message with either algorithm.
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
        // The times are equal at 57·α = (192 − 63)·m/β.
        let turn = (57.0 * 2e-6 * 25e9 / 129.0) as u64;
        for bytes in [0, 1, turn] {
            assert_eq!(of(best, bytes), of(bruck, bytes));
        }
        for bytes in [turn + 1, 1 << 20] {
            assert_eq!(of(best, bytes), of(pairwise, bytes));
        }
    }

    /// Returns the model's times, multiplied by 1 ± `noise` alternately.
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

    /// Fits times that no latency or no bandwidth can explain, and a single sample.
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
