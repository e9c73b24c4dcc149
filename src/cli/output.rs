//! The result directory of a run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::comm::Comm;
use crate::error::{Error, Result};
use crate::outcome::{self, FILES, Provenance, Status};
use crate::params::Params;

/// The result directory, taken before any work is done and given back if nothing came of it.
pub(super) struct Output {
    /// Where the files go.
    pub(super) directory: PathBuf,
    /// Tells the files of this result from those of another; empty but on rank 0.
    pub(super) id: String,
    /// The directories made for it, the innermost first.
    created: Vec<PathBuf>,
}

impl Output {
    /// On rank 0 makes sure that the directory exists, is writable, and holds no result but
    /// one that may be overwritten.
    pub(super) fn claim(
        comm: &Comm,
        out: Option<&Path>,
        config: &Path,
        force: bool,
    ) -> Result<Self> {
        let directory = out.map_or_else(
            || Path::new("results").join(config.file_stem().unwrap_or_default()),
            Path::to_owned,
        );
        let mut output = Output {
            directory,
            id: String::new(),
            created: Vec::new(),
        };
        if comm.rank() == 0 {
            output.id = outcome::new_id()?;
            output.prepare(force)?;
        }
        Ok(output)
    }

    fn prepare(&mut self, force: bool) -> Result<()> {
        let directory = &self.directory;
        let fault = |what: String| Error::input(format!("--out {}: {what}", directory.display()));
        let exists = directory
            .try_exists()
            .map_err(|error| fault(error.to_string()))?;
        if exists && !directory.is_dir() {
            return Err(fault("is not a directory".to_owned()));
        }
        if !exists {
            let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
            let missing = directory.ancestors().take_while(missing);
            self.created = missing.map(Path::to_owned).collect();
            fs::create_dir_all(directory)
                .map_err(|error| fault(format!("cannot create the directory: {error}")))?;
        }
        let empty = fs::read_dir(directory)
            .map_err(|error| fault(format!("cannot read the directory: {error}")))?
            .next()
            .is_none();
        if !empty && !force {
            return Err(fault(
                "exists and is not empty: name another directory, or --force to overwrite a \
                 result there"
                    .to_owned(),
            ));
        }
        if let Some(name) = FILES.iter().find(|name| directory.join(name).is_dir()) {
            return Err(fault(format!("cannot overwrite {name}: is a directory")));
        }
        let probe = directory.join("run.json.new");
        fs::write(&probe, "")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| fault(format!("cannot write there: {error}")))
    }

    /// On rank 0 removes the result that is overwritten: not before all input is known to be
    /// good, and read, since it may be that result.
    pub(super) fn clear(&self, comm: &Comm) -> Result<()> {
        if comm.rank() == 0 {
            outcome::clear(&self.directory)?;
        }
        Ok(())
    }

    /// On rank 0 writes run.json.
    pub(super) fn write(
        &self,
        comm: &Comm,
        provenance: &Provenance,
        params: &Params,
        status: Status,
    ) -> Result<()> {
        if comm.rank() == 0 {
            outcome::write(&self.directory, &self.id, provenance, params, status)?;
        }
        Ok(())
    }
}

impl Drop for Output {
    /// Leaves no empty directory behind where the run ended before it wrote anything.
    fn drop(&mut self) {
        for directory in &self.created {
            // Refused where there is something in it, which is what is wanted.
            let _ = fs::remove_dir(directory);
        }
    }
}
