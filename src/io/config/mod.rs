//! Reading and checking of parameters from TOML or from code. Every error is one line that names
//! the file (or `--set`), the key, its value and the allowed values.
//!
//! `keys` lists every key with default, range, unit and meaning. `documents` derives `--help`,
//! docs/keys.md and configs/default.toml from this list. `overrides` merges `--set` into the TOML.
//! `reading` checks names, types and ranges; `messages` formats the errors. `tables` converts each
//! table into its struct and checks combinations of keys. `range` rejects parameters that lead to
//! numbers that are not finite. [`recorded`] writes and reads the parameters in run.json.

mod documents;
pub(crate) mod keys;
pub(crate) mod messages;
mod overrides;
mod range;
pub(crate) mod reading;
pub mod recorded;
mod tables;

use std::path::Path;

use toml::{Table, Value};

use crate::base::error::Result;
use crate::model::params::Params;

pub use documents::{default_toml, help, reference};
use keys::KEYS;
use reading::Document;

/// Returns checked parameters from the `text` of the config at `path`.
///
/// Reads no file. `path` appears in messages, and its directory is the start of relative paths in
/// the config and in `overrides`. `overrides` have the form `table.key=value`, as for `--set`: the
/// value is TOML, and a bare word is a string. Setting `stimulus.rate` replaces the alternative key
/// `stimulus.eta`. `threads` overrides `simulation.threads`. `ranks` is the factor of
/// `network.N_per_rank`.
///
/// # Errors
/// Fails with [`Error::Input`](crate::base::error::Error::Input) at the first invalid key or value.
pub fn load(
    path: &Path,
    text: &str,
    overrides: &[String],
    threads: Option<usize>,
    ranks: usize,
) -> Result<Params> {
    let document = Document::parse(path, text, overrides, KEYS)?;
    tables::params(&document, threads, ranks)
}

/// Config in code: keys and their values, checked like those of a file.
///
/// ```
/// use stdp_hpc::Config;
///
/// let config = Config::new()
///     .set("network.N", 200)
///     .set("network.K", 20)
///     .set("synapse.delay.E_to_E", 2.0)
///     .set("simulation.T", 100.0);
/// assert_eq!(config.params(1)?.network.N_E, 160);
///
/// let fault = config.set("network.beta", 1.5).params(1).unwrap_err();
/// assert_eq!(
///     fault.to_string(),
///     "config in code: [network] beta = 1.5: must be 0 … 1"
/// );
/// # Ok::<(), stdp_hpc::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    root: Table,
}

impl Config {
    /// Returns an empty config: every key has its default. `network.N` (or `network.N_per_rank`)
    /// and `simulation.T` have none and must be set.
    pub fn new() -> Self {
        Config::default()
    }

    /// Sets the key at the dotted path `key`; replaces an earlier value.
    ///
    /// Panics if the path leads through a key that is not a table.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Err((at, _)) = overrides::insert(&mut self.root, key, value.into()) {
            panic!("Config::set({key:?}): {at} is not a table");
        }
        self
    }

    /// Returns the parameters of a run on `ranks` ranks. Relative paths start in the working
    /// directory.
    ///
    /// # Errors
    /// Fails with [`Error::Input`](crate::base::error::Error::Input) at the first invalid key or
    /// value.
    pub fn params(&self, ranks: usize) -> Result<Params> {
        let (file, dir) = ("config in code".to_owned(), Path::new(""));
        let document = Document::new(KEYS, file, dir, self.root.clone(), Vec::new())?;
        tables::params(&document, None, ranks)
    }
}
