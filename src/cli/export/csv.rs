//! Output of a table to standard output or to a file, compressed if its name ends in .gz.

use std::fmt::Arguments;
use std::io::{self, BufWriter, ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::base::error::{Error, Result};
use crate::base::files;

/// Size of the output buffer (bytes).
const BUFFER: usize = 1 << 16;

/// Destination of a table.
pub(super) enum Destination {
    Stdout,
    File { path: PathBuf, compressed: bool },
}

/// Writer of the lines of a table.
pub(super) struct Csv<'a>(&'a mut dyn Write);

/// Reason why a table is incomplete.
pub(super) enum Stop {
    /// The result cannot be read.
    Unread(Error),
    /// The table cannot be written.
    Unwritten(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Unread(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Unwritten(error)
    }
}

impl Csv<'_> {
    /// Writes a line and its line break: `csv.row(format_args!(…))`.
    pub(super) fn row(&mut self, row: Arguments) -> std::result::Result<(), Stop> {
        self.0.write_fmt(row)?;
        Ok(self.0.write_all(b"\n")?)
    }
}

impl Destination {
    /// Returns the file at `path` as destination, or standard output without a path.
    ///
    /// # Errors
    /// Fails if the file exists and `force` is not set. Fails if its name does not end in .csv or
    /// .csv.gz: a typing error then cannot replace another kind of file.
    pub(super) fn new(path: Option<&Path>, force: bool) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Destination::Stdout);
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let compressed = name.ends_with(".csv.gz");
        if !(compressed || name.ends_with(".csv")) {
            let must = "must end in .csv or .csv.gz";
            return Err(Error::input(format!("-o {}: {must}", path.display())));
        }
        files::refuse_existing("-o", path, force)?;
        Ok(Destination::File {
            path: path.to_owned(),
            compressed,
        })
    }

    /// Writes the table that `fill` produces. Replaces a file only when the table is complete.
    ///
    /// # Errors
    /// Fails if `fill` fails or the file cannot be written. A closed standard output (`| head`) is
    /// not an error.
    pub(super) fn write(
        &self,
        fill: impl FnOnce(&mut Csv) -> std::result::Result<(), Stop>,
    ) -> Result<()> {
        let (written, name) = match self {
            Destination::Stdout => {
                let mut out = BufWriter::with_capacity(BUFFER, stdout().lock());
                let filled = fill(&mut Csv(&mut out));
                let written = filled.and_then(|()| Ok(out.flush()?));
                match written {
                    Err(Stop::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => {
                        return Ok(());
                    }
                    written => (written, "standard output".to_owned()),
                }
            }
            Destination::File { path, compressed } => {
                (replace(path, *compressed, fill), path.display().to_string())
            }
        };
        written.map_err(|stop| match stop {
            Stop::Unread(error) => error,
            Stop::Unwritten(error) => Error::run(format!("{name}: cannot be written: {error}")),
        })
    }
}

/// Writes a table to a draft in the directory of `path` and renames it to `path`.
fn replace(
    path: &Path,
    compressed: bool,
    fill: impl FnOnce(&mut Csv) -> std::result::Result<(), Stop>,
) -> std::result::Result<(), Stop> {
    let draft = files::draft(path).map_err(|error| {
        let path = path.display();
        Error::input(format!("-o {path}: cannot be written: {error}"))
    })?;
    if compressed {
        let encoder = GzEncoder::new(draft.as_file(), Compression::fast());
        let mut out = BufWriter::with_capacity(BUFFER, encoder);
        fill(&mut Csv(&mut out))?;
        let encoder = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        encoder.finish()?;
    } else {
        let mut out = BufWriter::with_capacity(BUFFER, draft.as_file());
        fill(&mut Csv(&mut out))?;
        out.flush()?;
    }
    draft.persist(path).map_err(io::Error::from)?;
    Ok(())
}
