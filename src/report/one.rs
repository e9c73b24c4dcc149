//! Figures of one run.

use crate::analysis::Results;
use crate::error::Result;
use crate::figure::Figure;
use crate::outcome::RunRecord;

pub(super) fn figures(_run: &RunRecord, _results: &Results) -> Result<Vec<Figure>> {
    Ok(Vec::new())
}
