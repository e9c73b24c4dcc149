//! Export of the synapses at one time as SONATA edges, with an index by source and one by target.

use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::units::Ms;
use crate::io::analysis::Results;
use crate::io::sonata::weights::{Layout, Synapse, WeightWriter};

use super::Synapses;

/// Synapses written at once: 16 MiB, of which the index by target sorts 8 MiB.
const BLOCK: usize = 1 << 20;

/// Returns the path of the file to write, with links resolved.
///
/// # Errors
/// Fails if `path` is missing or does not end in .h5, or if the file exists and `force` is not set.
pub(super) fn destination(path: Option<&Path>, force: bool) -> Result<PathBuf> {
    let Some(path) = path else {
        return Err(Error::input("export DIR edges: must have -o FILE.h5"));
    };
    if path.extension().is_none_or(|ending| ending != "h5") {
        let path = path.display();
        return Err(Error::input(format!("-o {path}: must end in .h5")));
    }
    files::refuse_existing("-o", path, force)?;
    Ok(path.canonicalize().unwrap_or(path.to_owned()))
}

/// Writes the file, which appears only when it is complete.
///
/// Cost: memory for one block; in addition to the file, temporarily 8 bytes of disk space per
/// synapse.
///
/// # Errors
/// Fails if the result cannot be read or has no weights at that time, or if the file cannot be
/// written. Fails if `path` is a file of the result itself, because that file holds more.
pub(super) fn write(path: &Path, results: &Results, synapses: &Synapses) -> Result<()> {
    let own = ["weights.h5", "spikes.h5"].map(|name| results.directory().join(name).canonicalize());
    if own.into_iter().flatten().any(|own| own == path) {
        let path = path.display();
        let what = "is a file of the result itself: name another one";
        return Err(Error::input(format!("-o {path}: {what}")));
    }
    let weights = synapses.weights(results)?;
    let [sources, targets] = synapses.ranges(&weights, u32::MAX);
    let mut connections = weights.connections(sources, targets)?.peekable();
    let delay = match connections.peek() {
        Some(Ok(first)) => first.delay,
        _ => Ms(0.0), // no synapse uses it
    };
    let layout = Layout {
        delay,
        compression: 0,
        target_to_source: true,
    };
    let mut writer = WeightWriter::replace(path, layout, results.id())?;
    writer.begin(weights.at())?;
    let mut block = Vec::with_capacity(BLOCK.min(weights.synapses()));
    for connection in connections {
        let connection = connection?;
        block.push(Synapse {
            source: connection.source,
            target: connection.target,
            weight: connection.weight,
        });
        if block.len() == BLOCK {
            writer.append(&block)?;
            block.clear();
        }
    }
    writer.append(&block)?;
    writer.end()?;
    writer.close()
}
