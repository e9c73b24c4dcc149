//! Figures of one run: what it did, read from its files, and how long it took, from its run.json.

mod activity;
mod numbers;
mod timing;
mod weights;

use serde_json::Value;

use crate::base::error::{Error, Result};
use crate::base::units::grouped;
use crate::io::analysis::Results;
use crate::io::outcome::RunRecord;
use crate::tools::figure::Figure;

/// All figures that there are data for, in the order of a page.
///
/// Of a run that has failed or still goes on they show what its files hold. What cannot be read
/// is left out, and comes back as faults.
pub(super) fn figures(record: &RunRecord, results: &Results) -> (Vec<Figure>, Vec<Error>) {
    let mut faults = Vec::new();
    let mut figures = activity::figures(record, results, &mut faults);
    figures.extend(weights::figures(record, results, &mut faults));
    figures.extend(timing::phases(record));
    (figures, faults)
}

/// Files that a run without end was to write and did not come to.
pub(super) fn never_begun(record: &RunRecord) -> Vec<Error> {
    let wanted = |key| {
        !matches!(
            record.parameter(["record", key]),
            Value::Null | Value::Bool(false)
        )
    };
    let files = [
        (activity::FILE, wanted("spikes")),
        (
            weights::FILE,
            wanted("weights") || wanted("weights_over_time"),
        ),
    ];
    let missing = files
        .into_iter()
        .filter(|(file, wanted)| *wanted && !begun(record, file));
    let fault = |(file, _)| {
        let path = record.directory.join(file);
        Error::input(format!(
            "{}: the run did not come to write it",
            path.display()
        ))
    };
    missing.map(fault).collect()
}

/// Takes a value, or leaves its fault to `faults`.
fn noted<T>(value: Result<T>, faults: &mut Vec<Error>) -> Option<T> {
    value.map_err(|error| faults.push(error)).ok()
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
