//! A page that shows what runs did: figures and numbers, one HTML file and nothing beside it.

mod many;
mod one;

use std::path::Path;

use crate::analysis::Results;
use crate::error::Result;
use crate::figure::Figure;
use crate::outcome::RunRecord;

/// The figures of the run that left its result in `directory`, those that it has data for.
///
/// ```
/// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
/// # let (directory, _) = small::small_result()?;
/// # let directory = directory.path();
/// let figures = stdp_hpc::report::figures_of_run(directory)?;
/// let names: Vec<_> = figures.iter().map(|figure| figure.name).collect();
/// assert_eq!(names[..3], ["activity", "rates", "cv"]);
/// for figure in &figures {
///     println!("{}: {}", figure.title, figure.caption);
/// }
/// # Ok::<(), stdp_hpc::error::Error>(())
/// ```
///
/// Cost: reads at most some 2·10⁸ spikes and 10⁸ weights of each of two snapshots, in blocks;
/// memory 32 bytes a recorded neuron.
///
/// # Errors
/// If a file that the run wrote is missing or cannot be read, is not of this run, or holds what
/// it must not.
pub fn figures_of_run(directory: &Path) -> Result<Vec<Figure>> {
    one::figures(&RunRecord::read(directory)?, &Results::open(directory)?)
}
