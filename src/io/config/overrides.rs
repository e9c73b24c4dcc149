//! Merging of `--set table.key=value` into a config, and removal of the keys that it replaces.

use toml::{Table, Value};

use crate::base::error::{Error, Result};

use super::keys::{KEYS, find};
use super::messages::{TOO_LARGE, join, one_line, quoted};

/// Removes from `root` the keys that `overrides` (`table.key=value`) replace, then sets theirs.
/// Returns the dotted paths that were set.
pub(super) fn apply(root: &mut Table, overrides: &[String]) -> Result<Vec<String>> {
    let parsed = overrides
        .iter()
        .map(|text| parse(text))
        .collect::<Result<Vec<_>>>()?;
    for (path, _) in &parsed {
        for other in find(KEYS, path).map_or(&[][..], |key| key.replaces) {
            remove(root, other);
        }
    }
    let mut set = Vec::new();
    for (path, value) in parsed {
        insert(root, &path, value).map_err(|(at, old)| {
            let old = quoted(&old);
            Error::input(format!(
                "--set: {path}: {at} = {old} is not a table, set the whole of it"
            ))
        })?;
        set.push(path);
    }
    Ok(set)
}

/// Parses `table.key=value` into a dotted path and a value; a bare word is a string.
fn parse(text: &str) -> Result<(String, Value)> {
    let malformed = || Error::input(format!("--set {text:?}: must be table.key=value"));
    let (path, value) = text.split_once('=').ok_or_else(malformed)?;
    let (path, value) = (path.trim(), value.trim());
    if !path.contains('.') || path.split('.').any(str::is_empty) {
        return Err(malformed());
    }
    let value = match value.parse::<Value>() {
        Ok(value) => value,
        Err(_) if is_integer(value) => {
            return Err(Error::input(format!("--set {text:?}: {value} {TOO_LARGE}")));
        }
        Err(_) if !value.starts_with(['"', '\'', '[', '{']) => Value::String(value.to_owned()),
        Err(error) => {
            let what = format!("--set {text:?}: not a TOML value: {}", one_line(&error));
            return Err(Error::input(what));
        }
    };
    Ok((path.to_owned(), value))
}

/// Returns whether `text` is an integer of any size. Such text is an error if it exceeds TOML's
/// range, not a string such as the name of a file.
fn is_integer(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let plain = |c: char| c.is_ascii_digit() || c == '_';
    let hexadecimal = |digits: &str| {
        let digit = |c: char| c.is_ascii_hexdigit() || c == '_';
        !digits.is_empty() && digits.chars().all(digit)
    };
    !digits.is_empty() && digits.chars().all(plain)
        || digits.strip_prefix("0x").is_some_and(hexadecimal)
}

/// Removes the key at dotted `path` from `root`, if it exists.
fn remove(root: &mut Table, path: &str) {
    match path.split_once('.') {
        None => {
            root.remove(path);
        }
        Some((first, rest)) => {
            if let Some(Value::Table(inner)) = root.get_mut(first) {
                remove(inner, rest);
            }
        }
    }
}

/// Sets `value` at dotted `path` under `root`; creates missing tables.
///
/// # Errors
/// Fails if a key on the way is not a table; returns its path and value.
pub(super) fn insert(
    root: &mut Table,
    path: &str,
    value: Value,
) -> std::result::Result<(), (String, Value)> {
    let Some((first, rest)) = path.split_once('.') else {
        root.insert(path.to_owned(), value);
        return Ok(());
    };
    let inner = root
        .entry(first)
        .or_insert_with(|| Value::Table(Table::new()));
    match inner {
        Value::Table(table) => {
            insert(table, rest, value).map_err(|(at, old)| (join(first, &at), old))
        }
        other => Err((first.to_owned(), other.clone())),
    }
}
