//! Measures MPI_Alltoall on the given ranks and fits the model of [`interconnect`] to it.
//!
//! [`interconnect`]: crate::comm::interconnect

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::comm::Comm;
use crate::comm::interconnect::{Algorithm, InterconnectParams};
use crate::comm::interconnect::{Fit, Sample};

/// Range of chunk sizes as exponents of 2: 64 B … 64 KiB.
const SIZES: std::ops::RangeInclusive<u32> = 6..=16;
/// Maximum size of a rank's send buffer, and of its receive buffer (bytes).
const MOST_BYTES: u64 = 32 << 20;
/// Target time for the repetitions of one size (s), within the limits of [`REPETITIONS`].
const BUDGET: f64 = 0.2;
/// Minimum and maximum number of repetitions per size.
const REPETITIONS: (usize, usize) = (11, 1001);
/// Repetitions per size before the measurement; they only determine the number of repetitions.
const WARM_UP: usize = 3;
/// Maximum median time per repetition (s); above it no larger size is measured.
const LONG: f64 = 0.1;

/// Measured times and the model fitted to them.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Number of ranks.
    pub ranks: usize,
    /// Number of nodes.
    pub nodes: u64,
    /// Name and version of the MPI library.
    pub library: String,
    /// Results by chunk size, ascending.
    pub sizes: Vec<Size>,
    /// Fitted model, in the units of the config.
    pub interconnect: InterconnectParams,
    /// Root mean square of the model's relative deviations from the medians.
    pub rms_error: f64,
    /// Largest absolute relative deviation.
    pub max_error: f64,
}

/// Measurement of one chunk size.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Size {
    /// Bytes from each rank to each rank.
    pub bytes_per_peer: u64,
    /// Number of measured repetitions.
    pub repetitions: usize,
    /// Median over repetitions of the slowest rank's time (s).
    pub median_seconds: f64,
    /// Time by the model (s).
    pub model_seconds: f64,
}

impl Report {
    /// Measures all sizes and fits `algorithm`. Collective; the result is the same on all ranks.
    ///
    /// Takes a few seconds, and at most 2 × 32 MiB per rank. Omits the largest sizes if they
    /// would exceed this because of many ranks or a slow network.
    ///
    /// # Errors
    /// Fails with [`Error::Input`] on a single rank, which has nothing to measure. Fails with
    /// [`Error::Run`] if so many ranks take part that even the smallest size needs more memory.
    pub fn measure(comm: &Comm, algorithm: Algorithm) -> Result<Self> {
        let ranks = comm.size();
        if ranks == 1 {
            return Err(Error::input(
                "comm-bench: nothing to measure between fewer than two ranks: start it as \
                 mpirun -n R stdp-hpc comm-bench with R ≥ 2",
            ));
        }
        let mut sizes: Vec<Size> = Vec::new();
        for bytes_per_peer in SIZES.map(|exponent| 1u64 << exponent) {
            let last = sizes.last().map_or(0.0, |size| size.median_seconds);
            if bytes_per_peer * ranks as u64 > MOST_BYTES || last > LONG {
                break;
            }
            sizes.push(measure(comm, bytes_per_peer));
        }
        let samples: Vec<Sample> = sizes.iter().map(Size::sample).collect();
        if samples.is_empty() {
            return Err(Error::run(format!(
                "comm-bench: {ranks} ranks are too many to measure within {MOST_BYTES} bytes per rank"
            )));
        }
        let fit = Fit::new(algorithm, ranks as u64, &samples);
        for size in &mut sizes {
            let model = fit.interconnect;
            size.model_seconds = model.alltoall_seconds(ranks as u64, size.bytes_per_peer);
        }
        Ok(Report {
            ranks,
            nodes: comm.sum(u64::from(comm.node().rank() == 0)),
            library: comm.library().unwrap_or_default(),
            sizes,
            interconnect: fit.interconnect.to_params(),
            rms_error: fit.rms_error,
            max_error: fit.max_error,
        })
    }
}

impl Size {
    fn sample(&self) -> Sample {
        Sample {
            bytes_per_peer: self.bytes_per_peer,
            seconds: self.median_seconds,
        }
    }
}

/// Measures one size. The median is taken over repetitions of the slowest rank's time from a
/// barrier to the end of MPI_Alltoall, because a run also waits for the slowest rank. Collective.
fn measure(comm: &Comm, bytes_per_peer: u64) -> Size {
    let words = comm.size() * (bytes_per_peer as usize / size_of::<u32>());
    let send = vec![1u32; words];
    let mut receive = vec![0u32; words];
    let mut once = || {
        comm.barrier();
        let begun = Instant::now();
        comm.all_to_all(&send, &mut receive);
        begun.elapsed().as_secs_f64()
    };
    let warm_up: Vec<f64> = (0..WARM_UP).map(|_| once()).collect();
    let typical = median(comm.max_each(&warm_up));
    let (fewest, most) = REPETITIONS;
    let repetitions = ((BUDGET / typical) as usize).clamp(fewest, most);
    let times: Vec<f64> = (0..repetitions).map(|_| once()).collect();
    Size {
        bytes_per_peer,
        repetitions,
        median_seconds: median(comm.max_each(&times)),
        model_seconds: 0.0,
    }
}

/// Returns the median of `times`, the upper one if their number is even. Panics if empty.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Rounds `x` to four significant digits.
fn rounded(x: f64) -> f64 {
    format!("{x:.3e}").parse().expect("a number")
}

/// Formats a table whose last lines can be pasted into a config.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            ranks,
            nodes,
            library,
            interconnect,
            ..
        } = self;
        writeln!(
            f,
            "MPI_Alltoall, {ranks} ranks on {nodes} node(s), {library}"
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "bytes per peer   repetitions    median (µs)     model (µs)  deviation"
        )?;
        for size in &self.sizes {
            let [median, model] = [size.median_seconds, size.model_seconds].map(|s| s * 1e6);
            writeln!(
                f,
                "{:>14} {:>13} {median:>14.2} {model:>14.2} {:>+8.1} %",
                size.bytes_per_peer,
                size.repetitions,
                (model / median - 1.0) * 100.0
            )?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "The model deviates by {:.1} % (root mean square), {:.1} % at most.",
            self.rms_error * 100.0,
            self.max_error * 100.0
        )?;
        if *nodes == 1 {
            writeln!(
                f,
                "All ranks are on one node: this is its memory, not a network."
            )?;
        }
        writeln!(f, "For the config:")?;
        writeln!(f)?;
        writeln!(f, "[interconnect]")?;
        let [latency, bandwidth] = [interconnect.latency, interconnect.bandwidth].map(rounded);
        writeln!(f, "latency = {latency:?}  # µs")?;
        writeln!(f, "bandwidth = {bandwidth:?}  # GB/s")?;
        writeln!(f, "algorithm = {:?}", interconnect.algorithm.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rank_has_nothing_to_measure() {
        let error = Report::measure(&Comm::Alone, Algorithm::Best).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("nothing to measure"), "{error}");
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0]), 3.0);
        assert_eq!(median(vec![5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 3.0);
    }

    #[test]
    fn four_digits() {
        let numbers = [0.0, 2.0, 1.234_56, 0.000_123_456, 98_765.4];
        let expected = [0.0, 2.0, 1.235, 0.000_123_5, 98_770.0];
        assert_eq!(numbers.map(rounded), expected);
    }
}
