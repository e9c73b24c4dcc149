//! Text of error messages: values as written, suggestions for unknown names.

use toml::Value;

use super::keys::Keys;

/// Minimum similarity (Jaro–Winkler, 0 … 1) at which a known name is suggested.
const MIN_LIKENESS: f64 = 0.75;

/// Maximum length of a quoted value (characters).
const QUOTED: usize = 60;

/// Formats a value for a message: on one line, truncated after `QUOTED` characters.
pub(crate) fn quoted(value: &Value) -> String {
    let text = written(value);
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Formats a value as TOML, on one line.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        // `{:?}` writes very large and very small numbers with an exponent.
        Value::Float(x) if x.is_finite() => format!("{x:?}"),
        Value::Array(values) => {
            let short = |value: &Value| Some(value.to_string()).filter(|text| text.len() < 20);
            let number = |value: &Value| short(value).unwrap_or_else(|| written(value));
            let values: Vec<String> = values.iter().map(number).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Table(table) if !table.is_empty() => {
            let value = |(key, value)| format!("{key} = {}", written(value));
            let values: Vec<String> = table.iter().map(value).collect();
            format!("{{ {} }}", values.join(", "))
        }
        other => other.to_string().replace('\n', " "),
    }
}

/// Returns the type of a value with its article, such as "an integer".
pub(super) fn kind(value: &Value) -> String {
    match value.type_str() {
        name @ ("integer" | "array") => format!("an {name}"),
        name => format!("a {name}"),
    }
}

/// Returns a hint for the unknown `name` in the table at `path`: the tables in `keys` with a key of
/// this name, else the most similar name in `known`, else all names in `known`.
pub(crate) fn hint(keys: Keys, path: &str, name: &str, known: &[&str]) -> String {
    let homes: Vec<String> = keys
        .iter()
        .map(|key| key.split())
        .filter(|(home, key)| !home.is_empty() && *key == name)
        .map(|(home, _)| format!("[{home}]"))
        .collect();
    if !homes.is_empty() {
        return format!("it belongs to {}", homes.join(" or "));
    }
    let shown = |known: &str| match path {
        "" => format!("[{known}]"),
        _ => format!("{known:?}"),
    };
    let lower = name.to_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&lower, &known.to_lowercase());
    let nearest = known
        .iter()
        .rev()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|nearest| likeness(nearest) >= MIN_LIKENESS);
    match nearest {
        Some(nearest) => format!("did you mean {}?", shown(nearest)),
        None => {
            let all: Vec<String> = known.iter().map(|known| shown(known)).collect();
            format!("known are {}", all.join(", "))
        }
    }
}

/// Returns a one-line message with the line number for a TOML error in `file`.
pub(super) fn syntax_error(file: &str, text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = 1 + text.bytes().take(start).filter(|b| *b == b'\n').count();
    let mut message = one_line(error);
    if message == "duplicate key" {
        let key = error.span().and_then(|span| text.get(span));
        let key = key.unwrap_or_default().lines().next().unwrap_or_default();
        message = format!("duplicate key {}", quoted(&Value::String(key.to_owned())));
    }
    format!("{file}: line {line}: not valid TOML: {message}")
}

/// Message for an integer outside the range of TOML.
pub(super) const TOO_LARGE: &str =
    "is beyond the integers of TOML, −9223372036854775808 … 9223372036854775807";

/// Returns the message of `error` on one line.
pub(super) fn one_line(error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    let large = message.strip_prefix("invalid type: integer `");
    match large.and_then(|rest| rest.split_once('`')) {
        Some((number, _)) => format!("{number} {TOO_LARGE}"),
        None => message,
    }
}

/// Returns the dotted path of `key` in the table at `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
