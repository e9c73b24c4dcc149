//! The config as written: TOML and `--set` merged, names checked, values read against a rule.
//!
//! A [`Document`] knows every table and key there is; a [`Section`] reads one table of it.
//! Every fault becomes one line: where it was written, the key, the value, what is allowed.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::base::error::{Error, Result};
use crate::base::units::{Ms, Steps};

use super::messages::{hint, join, kind, quoted, syntax_error};
use super::overrides;

/// Tables by their dotted paths, each with its keys between blanks; "" is the file itself. What
/// a table that is not among them holds is free.
pub(crate) type Tables = &'static [(&'static str, &'static str)];

/// Those of a config.
pub(crate) const CONFIG: Tables = &[
    (
        "",
        "network neuron synapse stdp stimulus simulation record interconnect",
    ),
    (
        "network",
        "N N_per_rank K beta allow_autapses allow_multapses edges",
    ),
    (
        "neuron",
        "model E_L C_m tau_m t_ref V_th V_reset tau_syn_ex tau_syn_in I_e V_init initial \
         ignore_and_fire",
    ),
    ("neuron.V_init", "uniform normal"),
    ("neuron.ignore_and_fire", "rate phase"),
    ("synapse", "J_E weight unit_psp g delay"),
    ("synapse.delay", "E_to_E E_to_I I_to_E I_to_I X_to_all"),
    (
        "stdp",
        "alpha lambda mu_plus tau_plus tau_minus weight_precision",
    ),
    ("stimulus", "eta rate spikes"),
    ("simulation", "T presim dt tics_per_step seed threads"),
    (
        "record",
        "spikes n_rec compression weights weights_over_time",
    ),
    ("record.weights", "at targets sources target_to_source"),
    (
        "record.weights_over_time",
        "every bins max one_in trajectories",
    ),
    ("interconnect", "latency bandwidth algorithm"),
];

/// A file with its overrides merged in; all names in it are known ones.
pub(crate) struct Document {
    /// The names.
    tables: Tables,
    /// The file's name, for messages.
    file: String,
    /// Where relative paths in the file start.
    dir: PathBuf,
    /// All tables.
    root: Table,
    /// Dotted paths of the keys that came from `--set`.
    set: Vec<String>,
}

impl Document {
    /// Parses `text`, merges `overrides` (`table.key=value`) into it and checks all names
    /// against those in `tables`.
    pub(crate) fn parse(
        path: &Path,
        text: &str,
        overrides: &[String],
        tables: Tables,
    ) -> Result<Self> {
        let file = path.display().to_string();
        let mut root: Table = text
            .parse()
            .map_err(|e| Error::input(syntax_error(&file, text, &e)))?;
        let set = overrides::apply(&mut root, overrides)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        Self::new(tables, file, dir, root, set)
    }

    /// Takes `root`, of `file` in `dir` with the keys `set`, and checks its names against those in
    /// `tables`.
    pub(super) fn new(
        tables: Tables,
        file: String,
        dir: &Path,
        root: Table,
        set: Vec<String>,
    ) -> Result<Self> {
        let document = Document {
            tables,
            file,
            dir: dir.to_path_buf(),
            root,
            set,
        };
        document.check_names("", &document.root)?;
        Ok(document)
    }

    /// The table at `path`, empty where the config has none.
    pub(crate) fn section(&self, path: &'static str) -> Result<Section<'_>> {
        let value = path.split('.').try_fold(None, |at: Option<&Value>, key| {
            let table = at.map_or(Some(&self.root), Value::as_table)?;
            Some(table.get(key))
        });
        let table = match value.flatten() {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(other) => {
                let (origin, given, kind) = (self.origin(path), quoted(other), kind(other));
                return Err(Error::input(format!(
                    "{origin}: {path} = {given}: must be a table [{path}], not {kind}"
                )));
            }
        };
        Ok(Section {
            document: self,
            path,
            table,
        })
    }

    /// Refuses tables and keys that do not exist, in `table` at `path` and below it.
    fn check_names(&self, path: &str, table: &Table) -> Result<()> {
        let Some((_, known)) = self.tables.iter().find(|(known, _)| *known == path) else {
            return Ok(());
        };
        let known: Vec<&str> = known.split(' ').collect();
        for (key, value) in table {
            let inner = join(path, key);
            if !known.contains(&key.as_str()) {
                let what = match (path, value) {
                    ("", Value::Table(_)) => format!("unknown table [{}]", key.escape_debug()),
                    ("", _) => format!("key {key:?} outside any table"),
                    _ => format!("[{path}] unknown key {key:?}"),
                };
                let hint = hint(self.tables, path, key, &known);
                let origin = self.origin(&inner);
                return Err(Error::input(format!("{origin}: {what}, {hint}")));
            }
            if let Value::Table(inside) = value {
                self.check_names(&inner, inside)?;
            }
        }
        Ok(())
    }

    /// Where the key at `path` was written: the file or `--set`.
    fn origin(&self, path: &str) -> &str {
        let within = |outer: &str, inner: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if self
            .set
            .iter()
            .any(|set| within(set, path) || within(path, set))
        {
            "--set"
        } else {
            &self.file
        }
    }
}

/// What a number must be.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    /// Any finite number.
    Finite,
    /// Finite and ≥ 0.
    NotNegative,
    /// Finite and > 0.
    Positive,
    /// 0 … 1.
    Fraction,
}

impl Bound {
    /// A quantity so bounded; `unit` stands in messages, "" for none.
    pub(super) fn of(self, unit: &'static str) -> Quantity {
        Quantity { bound: self, unit }
    }

    fn admits(self, x: f64) -> bool {
        x.is_finite()
            && match self {
                Bound::Finite => true,
                Bound::NotNegative => x >= 0.0,
                Bound::Positive => x > 0.0,
                Bound::Fraction => (0.0..=1.0).contains(&x),
            }
    }
}

/// A bound and the unit it is in.
#[derive(Clone, Copy)]
pub(super) struct Quantity {
    bound: Bound,
    unit: &'static str,
}

/// What follows "must be" or "must be a number": " > 0 (ms)".
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.bound {
            Bound::Finite => "",
            Bound::NotNegative => " ≥ 0",
            Bound::Positive => " > 0",
            Bound::Fraction => " 0 … 1",
        })?;
        if !self.unit.is_empty() {
            write!(f, " ({})", self.unit)?;
        }
        Ok(())
    }
}

/// One table of a [`Document`].
pub(crate) struct Section<'a> {
    document: &'a Document,
    path: &'static str,
    table: Option<&'a Table>,
}

impl<'a> Section<'a> {
    /// The table under `key`, at `path`: an empty one where `key` is `true` or absent, none
    /// where it is `false`.
    pub(super) fn switched(&self, key: &str, path: &'static str) -> Result<Option<Section<'a>>> {
        let table = match self.get(key) {
            Some(Value::Boolean(false)) => return Ok(None),
            None | Some(Value::Boolean(true)) => None,
            Some(Value::Table(table)) => Some(table),
            Some(_) => {
                let known = self
                    .document
                    .tables
                    .iter()
                    .find(|(known, _)| *known == path);
                let keys = known.map_or("", |(_, keys)| keys).replace(' ', ", ");
                let what = format!("must be true, false or a table {{ {keys} }}");
                return Err(self.fault(key, "", what));
            }
        };
        let document = self.document;
        Ok(Some(Section {
            document,
            path,
            table,
        }))
    }

    /// The value of `key` as written, if it was.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.table?.get(key)
    }

    /// All keys and values as written.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.table.into_iter().flatten()
    }

    /// The fault of a `key`: `what` is allowed. `default` is shown where the key is absent.
    pub(crate) fn fault(
        &self,
        key: &str,
        default: impl fmt::Display,
        what: impl fmt::Display,
    ) -> Error {
        let Section { document, path, .. } = self;
        let origin = document.origin(&join(path, key));
        let given = self
            .get(key)
            .map_or_else(|| format!("{default} (default)"), quoted);
        Error::input(format!("{origin}: [{path}] {key} = {given}: {what}"))
    }

    /// The fault of a value of the wrong type.
    fn wrong_type(&self, key: &str, value: &Value, what: impl fmt::Display) -> Error {
        self.fault(key, "", format!("must be {what}, not {}", kind(value)))
    }

    /// The fault that `key` is there or is not, rather than of its value.
    pub(crate) fn table_fault(&self, key: &str, what: impl fmt::Display) -> Error {
        let Section { document, path, .. } = self;
        let origin = document.origin(&join(path, key));
        Error::input(format!("{origin}: [{path}] {key} {what}"))
    }

    /// Refuses two of `keys` together and returns the one given, if any.
    pub(super) fn only_one<'k>(&self, keys: &[&'k str]) -> Result<Option<&'k str>> {
        let mut given = keys.iter().copied().filter(|key| self.get(key).is_some());
        let first = given.next();
        if let (Some(a), Some(b)) = (first, given.next()) {
            let what = format!("and {b} are both given: only one of them is allowed");
            return Err(self.table_fault(a, what));
        }
        Ok(first)
    }

    /// A number; whole ones may be written as integers.
    pub(super) fn number(&self, key: &str, default: f64, quantity: Quantity) -> Result<f64> {
        let x = match self.get(key) {
            None => default,
            Some(value) => as_number(value)
                .ok_or_else(|| self.wrong_type(key, value, format!("a number{quantity}")))?,
        };
        if quantity.bound.admits(x) {
            return Ok(x);
        }
        let kind = if x.is_finite() {
            ""
        } else {
            " a finite number"
        };
        let what = format!("must be{kind}{quantity}");
        Err(self.fault(key, format!("{default:?}"), what))
    }

    /// Two numbers, `names` says which ("low, high").
    pub(super) fn pair(
        &self,
        key: &str,
        default: [f64; 2],
        names: &str,
        unit: &str,
    ) -> Result<[f64; 2]> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        let numbers: Option<Vec<f64>> = value
            .as_array()
            .and_then(|array| array.iter().map(as_number).collect());
        match numbers.as_deref() {
            Some(&[a, b]) if a.is_finite() && b.is_finite() => Ok([a, b]),
            _ => {
                let what = format!("must be two finite numbers [{names}] ({unit})");
                Err(self.fault(key, "", what))
            }
        }
    }

    /// An integer in `range`.
    pub(crate) fn integer(
        &self,
        key: &str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64> {
        let what = format!("an integer {} … {}", range.start(), range.end());
        match self.get(key) {
            None => Ok(default),
            Some(Value::Integer(n)) if range.contains(n) => Ok(*n),
            Some(Value::Integer(_)) => Err(self.fault(key, default, format!("must be {what}"))),
            Some(value) => Err(self.wrong_type(key, value, what)),
        }
    }

    /// How many of the first `of` things: `"all"` or an integer up to that; absent is all.
    /// `name` is what people call `of`.
    pub(super) fn count(&self, key: &str, of: u32, name: &str) -> Result<u32> {
        let what = format!("\"all\" or an integer 0 … {of} ({name})");
        match self.get(key) {
            None => Ok(of),
            Some(Value::String(all)) if all == "all" => Ok(of),
            Some(Value::Integer(n)) => u32::try_from(*n)
                .ok()
                .filter(|n| *n <= of)
                .ok_or_else(|| self.fault(key, "", format!("must be {what}"))),
            Some(Value::String(_)) => Err(self.fault(key, "", format!("must be {what}"))),
            Some(value) => Err(self.wrong_type(key, value, what)),
        }
    }

    /// `true` or `false`.
    pub(super) fn switch(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Boolean(on)) => Ok(*on),
            Some(value) => Err(self.wrong_type(key, value, "true or false")),
        }
    }

    /// One of the named `choices`, two or more.
    pub(super) fn choice<T: Copy, const N: usize>(
        &self,
        key: &str,
        default: T,
        choices: [(&str, T); N],
    ) -> Result<T> {
        let names = choices.map(|(name, _)| format!("{name:?}"));
        let (last, others) = names.split_last().expect("two or more");
        let what = format!("{} or {last}", others.join(", "));
        match self.get(key) {
            None => Ok(default),
            Some(Value::String(name)) => choices
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, choice)| *choice)
                .ok_or_else(|| self.fault(key, "", format!("must be {what}"))),
            Some(value) => Err(self.wrong_type(key, value, what)),
        }
    }

    /// The path of a file; a relative one starts where the config lies.
    pub(crate) fn file(&self, key: &str) -> Result<Option<PathBuf>> {
        let what = "the path of a file";
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(name)) if !name.is_empty() => Ok(Some(self.document.dir.join(name))),
            Some(Value::String(_)) => Err(self.fault(key, "", format!("must be {what}"))),
            Some(value) => Err(self.wrong_type(key, value, what)),
        }
    }

    /// A time in whole steps of `dt` within `range`; `default` in ms.
    pub(super) fn time(
        &self,
        key: &str,
        default: f64,
        dt: Ms,
        range: RangeInclusive<i32>,
    ) -> Result<Steps> {
        let what = whole_steps(dt, &range);
        let ms = match self.get(key) {
            None => default,
            Some(value) => as_number(value).ok_or_else(|| self.wrong_type(key, value, &what))?,
        };
        within(ms, dt, &range)
            .ok_or_else(|| self.fault(key, format!("{default:?}"), format!("must be {what}")))
    }

    /// Times in whole steps of `dt` within `range`, ascending and each once; none if absent.
    pub(super) fn times(
        &self,
        key: &str,
        dt: Ms,
        range: RangeInclusive<i32>,
    ) -> Result<Vec<Steps>> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let end = Steps(*range.end()).to_ms(dt).0;
        let what = format!(
            "an array of times in ms, each 0 … {end} (presim + T) and a whole number of steps \
             of dt = {} ms",
            dt.0
        );
        let array = value
            .as_array()
            .ok_or_else(|| self.wrong_type(key, value, &what))?;
        let mut times = array
            .iter()
            .map(|item| as_number(item).and_then(|ms| within(ms, dt, &range)))
            .collect::<Option<Vec<Steps>>>()
            .ok_or_else(|| self.fault(key, "", format!("must be {what}")))?;
        times.sort_unstable();
        times.dedup();
        Ok(times)
    }
}

/// `ms` in steps of `dt`, if it is a whole number of them within `range`.
fn within(ms: f64, dt: Ms, range: &RangeInclusive<i32>) -> Option<Steps> {
    Ms(ms).to_steps(dt).filter(|steps| range.contains(&steps.0))
}

/// What a time must be, in words.
fn whole_steps(dt: Ms, range: &RangeInclusive<i32>) -> String {
    let (low, high) = (range.start(), range.end());
    format!(
        "a whole number of steps of dt = {} ms, {low} … {high} of them",
        dt.0
    )
}

/// A float, or an integer where a float is expected.
fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(x) => Some(*x),
        Value::Integer(n) => Some(*n as f64),
        _ => None,
    }
}
