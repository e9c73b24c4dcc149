//! Figures of one run.
