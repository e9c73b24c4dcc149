//! Reading of a config: merges TOML and `--set`, checks the names, reads and checks the values.
//!
//! A [`Document`] holds all tables and knows all keys; a [`Section`] reads one table.
//! Every error is one line: origin (file or `--set`), key, value and allowed values.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::base::error::{Error, Result};
use crate::base::units::{Ms, Steps};

use super::keys::{Key, Keys, Kind, find, names_in};
use super::messages::{hint, join, kind, quoted, syntax_error};
use super::overrides;

/// Config file with its overrides merged; all names in it are known.
pub(crate) struct Document {
    /// Known tables and keys.
    keys: Keys,
    /// Name of the file, for messages.
    file: String,
    /// Directory from which relative paths in the file start.
    dir: PathBuf,
    /// All tables as written.
    root: Table,
    /// Dotted paths of the keys given with `--set`.
    set: Vec<String>,
}

impl Document {
    /// Parses `text`, merges `overrides` (`table.key=value`) into it and checks all names
    /// against `keys`.
    pub(crate) fn parse(path: &Path, text: &str, overrides: &[String], keys: Keys) -> Result<Self> {
        let file = path.display().to_string();
        let mut root: Table = text
            .parse()
            .map_err(|e| Error::input(syntax_error(&file, text, &e)))?;
        let set = overrides::apply(&mut root, overrides)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        Self::new(keys, file, dir, root, set)
    }

    /// Creates a document from the tables in `root` and checks all names against `keys`. `set`
    /// holds the dotted paths given with `--set`.
    pub(super) fn new(
        keys: Keys,
        file: String,
        dir: &Path,
        root: Table,
        set: Vec<String>,
    ) -> Result<Self> {
        let document = Document {
            keys,
            file,
            dir: dir.to_path_buf(),
            root,
            set,
        };
        document.check_names("", &document.root)?;
        Ok(document)
    }

    /// Returns the table at `path`; it is empty if the config lacks it.
    ///
    /// # Errors
    /// Fails if the value at `path` is not a table.
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

    /// Rejects unknown tables and keys in `table` at `path` and in the tables below it.
    fn check_names(&self, path: &str, table: &Table) -> Result<()> {
        if find(self.keys, path).is_some_and(|key| key.kind == Kind::AnyTable) {
            return Ok(());
        }
        let known: Vec<&str> = names_in(self.keys, path).collect();
        for (key, value) in table {
            let inner = join(path, key);
            if !known.contains(&key.as_str()) {
                let what = match (path, value) {
                    ("", Value::Table(_)) => format!("unknown table [{}]", key.escape_debug()),
                    ("", _) => format!("key {key:?} outside any table"),
                    _ => format!("[{path}] unknown key {key:?}"),
                };
                let hint = hint(self.keys, path, key, &known);
                let origin = self.origin(&inner);
                return Err(Error::input(format!("{origin}: {what}, {hint}")));
            }
            // A table in place of a value is refused when that value is read.
            if let (Value::Table(inside), true) = (value, holds_table(self.keys, &inner)) {
                self.check_names(&inner, inside)?;
            }
        }
        Ok(())
    }

    /// Returns the origin of the key at `path` for messages: the file's name or `--set`.
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

/// Returns whether the value at `path` may be a table.
fn holds_table(keys: Keys, path: &str) -> bool {
    find(keys, path).is_some_and(|key| key.kind == Kind::AnyTable)
        || names_in(keys, path).next().is_some()
}

/// Allowed range of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// Any finite number.
    Finite,
    /// Finite and ≥ 0.
    NotNegative,
    /// Finite and > 0.
    Positive,
    /// From 0 to 1, inclusive.
    Fraction,
}

impl Bound {
    /// Returns the range in words; empty for any finite number.
    pub(super) fn words(self) -> &'static str {
        match self {
            Bound::Finite => "",
            Bound::NotNegative => "≥ 0",
            Bound::Positive => "> 0",
            Bound::Fraction => "0 … 1",
        }
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

/// Allowed range of a number, with its unit.
#[derive(Clone, Copy)]
struct Quantity {
    bound: Bound,
    unit: &'static str,
}

/// Formats the text that follows "must be" or "must be a number": " > 0 (ms)".
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bound != Bound::Finite {
            write!(f, " {}", self.bound.words())?;
        }
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
    /// Returns the entry of `key` in the list of keys. Panics if the list lacks it.
    pub(super) fn known(&self, key: &str) -> &'static Key {
        let path = join(self.path, key);
        find(self.document.keys, &path).unwrap_or_else(|| panic!("no key {path}"))
    }

    /// Returns the table under `key`: an empty one if `key` is `true` or absent, `None` if it is
    /// `false`.
    pub(super) fn switched(&self, key: &str) -> Result<Option<Section<'a>>> {
        let path = self.known(key).path;
        let table = match self.get(key) {
            Some(Value::Boolean(false)) => return Ok(None),
            None | Some(Value::Boolean(true)) => None,
            Some(Value::Table(table)) => Some(table),
            Some(_) => {
                let keys: Vec<&str> = names_in(self.document.keys, path).collect();
                let keys = keys.join(", ");
                let what = format!("must be true, false or a table {{ {keys} }}");
                return Err(self.fault(key, what));
            }
        };
        let document = self.document;
        Ok(Some(Section {
            document,
            path,
            table,
        }))
    }

    /// Returns the value of `key` as written; `None` if it is absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.table?.get(key)
    }

    /// Returns the value of `key` as written, else its default; `None` if it has neither.
    fn value(&self, key: &str) -> Option<Cow<'a, Value>> {
        match (self.get(key), self.known(key).default) {
            (Some(value), _) => Some(Cow::Borrowed(value)),
            (None, "") => None,
            (None, default) => Some(Cow::Owned(default.parse().expect("a default is TOML"))),
        }
    }

    /// Returns the default of `key` as a `T`. Panics if it has none of that type.
    pub(super) fn default<T: DeserializeOwned>(&self, key: &str) -> T {
        let default: Value = self.known(key).default.parse().expect("a default is TOML");
        default.try_into().expect("a default of this type")
    }

    /// Returns all keys and values as written.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.table.into_iter().flatten()
    }

    /// Returns the error for the value of `key`, or for its default if the key is absent. `what`
    /// states the allowed values.
    pub(crate) fn fault(&self, key: &str, what: impl fmt::Display) -> Error {
        let Section { document, path, .. } = self;
        let origin = document.origin(&join(path, key));
        let default = || format!("{} (default)", self.known(key).default);
        let given = self.get(key).map_or_else(default, quoted);
        Error::input(format!("{origin}: [{path}] {key} = {given}: {what}"))
    }

    /// Returns the error for a value of the wrong type; `what` states the allowed values.
    fn wrong_type(&self, key: &str, value: &Value, what: impl fmt::Display) -> Error {
        self.fault(key, format!("must be {what}, not {}", kind(value)))
    }

    /// Returns the error for a missing or forbidden `key`; it shows no value.
    pub(crate) fn table_fault(&self, key: &str, what: impl fmt::Display) -> Error {
        let Section { document, path, .. } = self;
        let origin = document.origin(&join(path, key));
        Error::input(format!("{origin}: [{path}] {key} {what}"))
    }

    /// Returns the one of `keys` that is given, if any.
    ///
    /// # Errors
    /// Fails if two of them are given.
    pub(super) fn only_one<'k>(&self, keys: &[&'k str]) -> Result<Option<&'k str>> {
        let mut given = keys.iter().copied().filter(|key| self.get(key).is_some());
        let first = given.next();
        if let (Some(a), Some(b)) = (first, given.next()) {
            let what = format!("and {b} are both given: only one of them is allowed");
            return Err(self.table_fault(a, what));
        }
        Ok(first)
    }

    /// Returns the number at `key`; accepts integers too.
    pub(super) fn number(&self, key: &str) -> Result<f64> {
        let known = self.known(key);
        let Kind::Number(bound) = known.kind else {
            panic!("{} is no number", known.path);
        };
        let unit = known.unit;
        let quantity = Quantity { bound, unit };
        let value = self.value(key).expect("given, or has a default");
        let x = as_number(&value)
            .ok_or_else(|| self.wrong_type(key, &value, format!("a number{quantity}")))?;
        if bound.admits(x) {
            return Ok(x);
        }
        let kind = if x.is_finite() {
            ""
        } else {
            " a finite number"
        };
        Err(self.fault(key, format!("must be{kind}{quantity}")))
    }

    /// Returns the two finite numbers at `key`.
    pub(super) fn pair(&self, key: &str) -> Result<[f64; 2]> {
        let known = self.known(key);
        let Kind::Pair(names) = known.kind else {
            panic!("{} is no pair", known.path);
        };
        let value = self.value(key).expect("given, or has a default");
        let numbers: Option<Vec<f64>> = value
            .as_array()
            .and_then(|array| array.iter().map(as_number).collect());
        match numbers.as_deref() {
            Some(&[a, b]) if a.is_finite() && b.is_finite() => Ok([a, b]),
            _ => {
                let what = format!("must be two finite numbers [{names}] ({})", known.unit);
                Err(self.fault(key, what))
            }
        }
    }

    /// Returns the integer at `key`, within the key's range.
    pub(crate) fn integer(&self, key: &str) -> Result<i64> {
        let known = self.known(key);
        let Kind::Integer(low, high) = known.kind else {
            panic!("{} is no integer", known.path);
        };
        let value = self.value(key).expect("given, or has a default");
        self.check_integer(key, &value, low..=high)
    }

    /// Returns the integer at `key`, within `range`; `default` if the key is absent.
    pub(super) fn integer_in(
        &self,
        key: &str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => self.check_integer(key, value, range),
        }
    }

    /// Returns `value`, that of `key`, as an integer within `range`.
    fn check_integer(&self, key: &str, value: &Value, range: RangeInclusive<i64>) -> Result<i64> {
        let what = format!("an integer {} … {}", range.start(), range.end());
        match value {
            Value::Integer(n) if range.contains(n) => Ok(*n),
            Value::Integer(_) => Err(self.fault(key, format!("must be {what}"))),
            value => Err(self.wrong_type(key, value, what)),
        }
    }

    /// Returns the count at `key`, 0 … `of`; `of` if the key is absent or `"all"`.
    pub(super) fn count(&self, key: &str, of: u32) -> Result<u32> {
        let known = self.known(key);
        let Kind::Count(name) = known.kind else {
            panic!("{} is no count", known.path);
        };
        let what = format!("\"all\" or an integer 0 … {of} ({name})");
        match self.get(key) {
            None => Ok(of),
            Some(Value::String(all)) if all == "all" => Ok(of),
            Some(Value::Integer(n)) => u32::try_from(*n)
                .ok()
                .filter(|n| *n <= of)
                .ok_or_else(|| self.fault(key, format!("must be {what}"))),
            Some(Value::String(_)) => Err(self.fault(key, format!("must be {what}"))),
            Some(value) => Err(self.wrong_type(key, value, what)),
        }
    }

    /// Returns the Boolean at `key`.
    pub(super) fn switch(&self, key: &str) -> Result<bool> {
        let value = self.value(key).expect("a switch has a default");
        value
            .as_bool()
            .ok_or_else(|| self.wrong_type(key, &value, "true or false"))
    }

    /// Returns the word at `key`, which the key must allow, as the `T` of that name.
    pub(super) fn choice<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let known = self.known(key);
        let Kind::Choice(words) = known.kind else {
            panic!("{} is no choice", known.path);
        };
        let what = alternatives(words);
        let value = self.value(key).expect("a choice has a default");
        match value.as_str() {
            Some(word) if words.contains(&word) => {
                Ok(value.into_owned().try_into().expect("a known word"))
            }
            Some(_) => Err(self.fault(key, format!("must be {what}"))),
            None => Err(self.wrong_type(key, &value, what)),
        }
    }

    /// Returns the path at `key`, if given. A relative path starts in the config's directory.
    pub(crate) fn file(&self, key: &str) -> Result<Option<PathBuf>> {
        let what = "the path of a file";
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(name)) if !name.is_empty() => Ok(Some(self.document.dir.join(name))),
            Some(Value::String(_)) => Err(self.fault(key, format!("must be {what}"))),
            Some(value) => Err(self.wrong_type(key, value, what)),
        }
    }

    /// Returns the time at `key` in whole steps of `dt`, within the key's range.
    pub(super) fn time(&self, key: &str, dt: Ms) -> Result<Steps> {
        let known = self.known(key);
        let Kind::Time(low, high) = known.kind else {
            panic!("{} is no time", known.path);
        };
        self.time_in(key, dt, low..=high)
    }

    /// Returns the time at `key` in whole steps of `dt`, within `range`.
    pub(super) fn time_in(&self, key: &str, dt: Ms, range: RangeInclusive<i32>) -> Result<Steps> {
        let what = whole_steps(dt, &range);
        let value = self.value(key).expect("given, or has a default");
        let ms = as_number(&value).ok_or_else(|| self.wrong_type(key, &value, &what))?;
        within(ms, dt, &range).ok_or_else(|| self.fault(key, format!("must be {what}")))
    }

    /// Returns the times at `key` in whole steps of `dt`, within `range`, ascending and without
    /// duplicates; empty if the key is absent.
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
            .ok_or_else(|| self.fault(key, format!("must be {what}")))?;
        times.sort_unstable();
        times.dedup();
        Ok(times)
    }
}

/// Returns `words`, two or more, in quotes and with "or" before the last.
pub(super) fn alternatives(words: &[&str]) -> String {
    let names: Vec<String> = words.iter().map(|name| format!("{name:?}")).collect();
    let (last, others) = names.split_last().expect("two or more");
    format!("{} or {last}", others.join(", "))
}

/// Returns `ms` in steps of `dt`; `None` unless it is a whole number of steps within `range`.
fn within(ms: f64, dt: Ms, range: &RangeInclusive<i32>) -> Option<Steps> {
    Ms(ms).to_steps(dt).filter(|steps| range.contains(&steps.0))
}

/// Returns the description of an allowed time, for messages.
fn whole_steps(dt: Ms, range: &RangeInclusive<i32>) -> String {
    let (low, high) = (range.start(), range.end());
    format!(
        "a whole number of steps of dt = {} ms, {low} … {high} of them",
        dt.0
    )
}

/// Returns a float or an integer as a double; `None` for other types.
fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(x) => Some(*x),
        Value::Integer(n) => Some(*n as f64),
        _ => None,
    }
}
