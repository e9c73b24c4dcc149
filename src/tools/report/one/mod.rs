//! Figures of one run: activity and weights from its HDF5 files, times from its run.json.

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

/// Returns all figures for which there are data, in page order, and the errors.
///
/// For a failed or running run, the figures show what its files hold. Data that cannot be read are
/// left out and reported as errors.
pub(super) fn figures(record: &RunRecord, results: &Results) -> (Vec<Figure>, Vec<Error>) {
    let mut faults = Vec::new();
    let mut figures = activity::figures(record, results, &mut faults);
    figures.extend(weights::figures(record, results, &mut faults));
    figures.extend(timing::phases(record));
    (figures, faults)
}

/// Returns one error per file that an unfinished run was to write but did not begin.
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
            "{}: not written, because the run ended earlier",
            path.display()
        ))
    };
    missing.map(fault).collect()
}

/// Returns the value, or adds the error to `faults`.
fn noted<T>(value: Result<T>, faults: &mut Vec<Error>) -> Option<T> {
    value.map_err(|error| faults.push(error)).ok()
}

/// Returns whether `file` can be read if the run was to write it: the run is done, or the file
/// exists. A run that ended early may not have begun the file.
fn begun(record: &RunRecord, file: &str) -> bool {
    record.outcome.is_some() || record.directory.join(file).exists()
}

/// Checks that `found`, the number of `what` in `file`, equals the number that the run `had`.
fn check_count(record: &RunRecord, file: &str, what: &str, found: u64, had: u64) -> Result<()> {
    if found == had {
        return Ok(());
    }
    Err(Error::input(format!(
        "{}: contains {} {what}, but run.json in the same directory says {}; check that both \
         files belong to the same run",
        record.directory.join(file).display(),
        grouped(found),
        grouped(had)
    )))
}
