//! Reading of results: spikes, rates, connections, weights.
//!
//! [`Results::open`] opens the directory of a result. [`Results`] offers the functions of
//! `model.py` in NEST's example, without Python:
//!
//! - [spikes](Results::spikes) of a population in a window of model time
//! - [rates and irregularity](Results::activity), and the [rate over
//!   time](Results::population_rate)
//! - plastic [weights](Results::weights) at any snapshot: [connections](Weights::connections) of
//!   sub-populations, their [matrix](Weights::matrix) and [histogram](Weights::histogram)
//! - samples of the [weights over time](Results::weights_over_time)
//!
//! Files are read in blocks of 8 MiB per column. Memory grows with the returned data, not with the
//! size of the file.
//!
//! A run that is in progress or was killed can be read up to its last flush. Its recorded time ends
//! with the last spike. Every error is one line that names the file.
//!
//! # Example
//!
//! ```
//! use stdp_hpc::io::analysis::{Population, Results};
//! use stdp_hpc::base::units::Ms;
//! # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
//! # let (directory, _) = small::small_result()?;
//! # let directory = directory.path();
//!
//! let results = Results::open(directory)?;
//! let window = results.window(Some(Ms(50.0)), None)?; // from 50 ms to the end
//! for spike in results.spikes(Population::E, window)? {
//!     let spike = spike?;
//!     let ms = spike.time.to_ms(results.dt()).0;
//!     assert!(ms > 50.0 && spike.neuron < 160);
//! }
//! let activity = results.activity(Population::E, window)?;
//! println!("{:?} spikes/s, CV {:?}", activity.rate(), activity.mean_cv());
//!
//! let weights = results.weights(None)?; // the latest snapshot
//! let histogram = weights.histogram(weights.sources(), weights.targets(), 30, 0.0..150.0)?;
//! println!("{:?} of the weights are 0", histogram.zero_fraction());
//! assert_eq!(histogram.total(), 160 * 16);
//! # Ok::<(), stdp_hpc::base::error::Error>(())
//! ```

mod activity;
mod connectivity;
mod histogram;
mod run;
mod spikes;

pub use activity::{Activity, Rate};
pub use connectivity::{Connections, LARGEST_MATRIX, Matrix, Values, Weights};
pub use histogram::Histogram;
pub use run::{Population, Results, Window};
pub use spikes::Spikes;

pub use crate::io::sonata::read::WeightsOverTime;
pub use crate::io::sonata::read::results::{Connection, Spike};
pub use crate::io::sonata::weights::Sample;
