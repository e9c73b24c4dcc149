//! Parameters from TOML or from code, checked: a fault is one line that names file (or `--set`),
//! key, value and what is allowed.
//!
//! `keys` lists every key with default, range, unit and meaning; `documents` writes `--help`,
//! docs/keys.md and configs/default.toml from it. `overrides` merges `--set` into the TOML; `reading`
//! checks names, types and ranges, `messages` words the faults; `tables` makes each table a struct and
//! checks what concerns several keys; `range` refuses what they and a run make infinite. [`recorded`] turns parameters
//! into what run.json holds, and reads run.json again.

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
/// `path` serves messages and as the start of relative paths in the config (also of those
/// given by `overrides`); nothing is read here. `overrides` are `table.key=value`, as
/// `--set` takes them: the value is TOML, a bare word a string; setting `stimulus.rate`
/// replaces the alternative key `stimulus.eta`.
/// `threads` overrides `[simulation] threads`; `ranks` gives `N_per_rank` its meaning.
///
/// # Errors
/// [`Error::Input`](crate::base::error::Error::Input) at the first fault.
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

/// A config in code: keys and their values, checked like those of a file.
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
    /// Returns an empty config: all keys have their defaults, but for those that have none.
    pub fn new() -> Self {
        Config::default()
    }

    /// Gives the key at the dotted path `key` a value, in place of the one it may have.
    ///
    /// Panics where the path leads through a key that is no table.
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
    /// [`Error::Input`](crate::base::error::Error::Input) at the first fault.
    pub fn params(&self, ranks: usize) -> Result<Params> {
        let (file, dir) = ("config in code".to_owned(), Path::new(""));
        let document = Document::new(KEYS, file, dir, self.root.clone(), Vec::new())?;
        tables::params(&document, None, ranks)
    }
}
