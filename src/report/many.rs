//! Figures of several runs beside each other.

use super::page::Rows;
use crate::error::Result;
use crate::figure::Figure;
use crate::outcome::RunRecord;

pub(super) fn figures(_runs: &[RunRecord]) -> Result<Vec<Figure>> {
    Ok(Vec::new())
}

pub(super) fn warnings(_runs: &[RunRecord]) -> Vec<String> {
    Vec::new()
}

pub(super) fn table(_runs: &[RunRecord]) -> Rows {
    Vec::new()
}
