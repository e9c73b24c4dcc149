//! Figures of one run: what it did, read from its files, and how long it took, from its run.json.

mod activity;
mod numbers;
mod timing;
mod weights;

use crate::analysis::Results;
use crate::error::{Error, Result};
use crate::figure::Figure;
use crate::outcome::RunRecord;
use crate::units::grouped;

/// All figures that there are data for, in the order of a page.
///
/// Of a run that has failed or still goes on they show what its files hold.
pub(super) fn figures(record: &RunRecord, results: &Results) -> Result<Vec<Figure>> {
    let mut figures = activity::figures(record, results)?;
    figures.extend(weights::figures(record, results)?);
    figures.extend(timing::phases(record));
    Ok(figures)
}

/// Whether there is anything to read in `file` if the run was to write it: a run that ended
/// early may not have come to it, one that is done has.
fn begun(record: &RunRecord, file: &str) -> bool {
    record.outcome.is_some() || record.directory.join(file).exists()
}

/// Checks that `file` holds as many `what` as its run had.
fn check_count(record: &RunRecord, file: &str, what: &str, found: u64, had: u64) -> Result<()> {
    if found == had {
        return Ok(());
    }
    Err(Error::input(format!(
        "{}: holds {} {what}: must be {}, as run.json beside it says; are both of one run?",
        record.directory.join(file).display(),
        grouped(found),
        grouped(had)
    )))
}
