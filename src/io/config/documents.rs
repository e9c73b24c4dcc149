//! Documents derived from the list of keys: `--help`, docs/keys.md and configs/default.toml.

use super::keys::{KEYS, Key, Kind};
use super::reading::alternatives;

/// Maximum line length of `--help` (characters).
const HELP_WIDTH: usize = 80;
/// Maximum line length of configs/default.toml (characters).
const TOML_WIDTH: usize = 100;

/// Returns the end of `--help`: all keys and the exit codes.
pub fn help() -> String {
    let mut text = String::from(
        "Keys of CONFIG, table by table: key, default, meaning. A dash: there is no\n\
         default. Numbers are finite; times in ms are whole numbers of steps of dt,\n\
         except the time constants tau_*. Relative paths start in the folder of CONFIG.\n\
         configs/default.toml and docs/keys.md list the same keys.\n",
    );
    for key in listed() {
        let (table, name) = key.split();
        if key.is_heading() {
            text += &format!("\n[{}]\n", key.path);
            continue;
        }
        let indent = if is_inner(table) { "    " } else { "  " };
        let default = match key.default {
            "" => "-",
            default => default,
        };
        let head = format!("{:<22}{default}", format!("{indent}{name}"));
        text += &wrapped(&head, &meaning(key), 36, "", HELP_WIDTH);
    }
    text + "\nExit codes: 0 done; 1 the run failed; 2 invalid input, nothing was run; 75 a\n\
            signal (INT, TERM, HUP, USR1) ended the run, what was recorded is written.\n"
}

/// Returns docs/keys.md: all keys as tables in Markdown.
pub fn reference() -> String {
    let mut text = String::from(
        "# Keys of a config\n\nA config is a TOML file. `network.N` (or `network.N_per_rank`) and \
         `simulation.T` have no default and must be given; every other key has the value of the \
         published example. `--set table.key=value` replaces the value of the file. Numbers are \
         finite. Times in ms are whole numbers of steps of `dt`, except the time constants `tau_*`. \
         Relative paths start in the folder of the config.\n\nThis file is written from \
         `src/io/config/keys.rs`, as are `--help` and [configs/default.toml](../configs/default.toml).\n",
    );
    for key in listed() {
        let (table, name) = key.split();
        if key.is_heading() {
            text += &format!(
                "\n## `[{}]`\n\n{}.\n\n| key | default | unit | allowed | meaning |\n|---|---|---|---|---|\n",
                key.path,
                capitalized(key.help)
            );
            continue;
        }
        let outer = match is_inner(table) {
            true => table.rsplit('.').next().unwrap_or_default().to_owned() + ".",
            false => String::new(),
        };
        let code = |text: &str| match text {
            "" => String::new(),
            text => format!("`{text}`"),
        };
        text += &format!(
            "| `{outer}{name}` | {} | {} | {} | {} |\n",
            code(key.default),
            key.unit,
            allowed(key),
            key.help
        );
    }
    text
}

/// Returns configs/default.toml: the config of the published example, with every key.
pub fn default_toml() -> String {
    let mut text = String::from(
        "# NEST's scalable two-population STDP network at the size of the published example\n\
         # (Brunel 2000; Morrison, Aertsen & Diesmann 2007): 12,500 neurons, 15.6 million synapses.\n\
         # The neurons fire on their own and ignore their input, which makes the run a benchmark.\n\
         #\n\
         # This file has every key, with its default where there is one (recorded weights are fewer).\n\
         # Keys in comments are alternatives. Numbers are finite; times in ms are whole numbers of\n\
         # steps of dt, except the time constants tau_*. Relative paths start in this folder.\n\
         # Written from src/io/config/keys.rs; docs/keys.md has the same as tables.\n",
    );
    for key in listed() {
        let (_, name) = key.split();
        if key.is_heading() || key.kind == Kind::Switched {
            text += "\n";
            text += &wrapped(&format!("[{}]", key.path), key.help, 27, "# ", TOML_WIDTH);
            continue;
        }
        let value = match key.example {
            "" => key.default,
            example => example,
        };
        let comment = if key.alternative { "# " } else { "" };
        let head = format!("{comment}{name} = {value}");
        text += &wrapped(&head, &meaning(key), 27, "# ", TOML_WIDTH);
    }
    text
}

/// Returns the keys and tables that documents list.
fn listed() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.listed)
}

/// Returns whether `true` or `false` may replace the table at `path`.
fn is_inner(path: &str) -> bool {
    KEYS.iter()
        .any(|key| key.path == path && key.kind == Kind::Switched)
}

/// Returns `head`, followed from `column` on by `text` in lines of at most `width` characters. Each
/// line of `text` starts with `mark`.
fn wrapped(head: &str, text: &str, column: usize, mark: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    // A long head leaves less room for text in the first line.
    let length = head.chars().count();
    let mut left = width - column.max(length + 2) - mark.len();
    for word in text.split(' ') {
        let line = lines.last_mut().expect("one at least");
        let needed = word.chars().count() + usize::from(!line.is_empty());
        if needed > left {
            lines.push(word.to_owned());
            left = (width - column - mark.len()).saturating_sub(word.chars().count());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        left -= needed;
    }
    let pad = column.saturating_sub(length).max(2);
    let mut all = format!("{head}{}{mark}{}\n", " ".repeat(pad), lines[0]);
    for line in &lines[1..] {
        all += &format!("{}{mark}{line}\n", " ".repeat(column));
    }
    all.replace(UNDIVIDED, " ")
}

/// Returns the meaning of `key` with its unit and allowed values. No line breaks within the latter.
fn meaning(key: &Key) -> String {
    let mut text = key.help.to_owned();
    if !key.unit.is_empty() {
        text += &format!(" ({})", key.unit);
    }
    // The meaning of a switch implies true or false.
    if !matches!(key.kind, Kind::Switch | Kind::Switched) && !allowed(key).is_empty() {
        text += &format!(", {}", allowed(key).replace(' ', UNDIVIDED));
    }
    text
}

/// Placeholder for a space at which lines do not break.
const UNDIVIDED: &str = "\u{a0}";

/// Returns the allowed values of `key`, unless its meaning states them.
fn allowed(key: &Key) -> String {
    if !key.allowed.is_empty() {
        return key.allowed.to_owned();
    }
    match key.kind {
        Kind::Number(bound) => bound.words().to_owned(),
        Kind::Integer(low, high) => format!("{low} … {}", power(high)),
        Kind::Time(0, high) if high > super::keys::MAX_DELAY => "≥ 0".to_owned(),
        Kind::Time(_, high) if high > super::keys::MAX_DELAY => "> 0".to_owned(),
        Kind::Time(low, high) => format!("{low} … {} steps", power(high.into())),
        Kind::Choice(words) => alternatives(words),
        Kind::Switch | Kind::Switched => "true or false".to_owned(),
        Kind::Count(of) => format!("\"all\" or 0 … {of}"),
        Kind::Pair(_) | Kind::Times | Kind::File | Kind::Table | Kind::AnyTable => String::new(),
    }
}

/// Formats an integer. Powers of two from 2^20 on, and integers one less, are written as powers.
fn power(n: i64) -> String {
    const LARGE: i64 = 1 << 20;
    let exponent = |n: i64| (n.count_ones() == 1).then(|| n.trailing_zeros());
    match (n, n.checked_add(1)) {
        (n, _) if n < LARGE => n.to_string(),
        (_, None) => "2^63 - 1".to_owned(),
        (n, Some(next)) => match (exponent(n), exponent(next)) {
            (Some(k), _) => format!("2^{k}"),
            (_, Some(k)) => format!("2^{k} - 1"),
            _ => n.to_string(),
        },
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use toml::{Table, Value};

    use super::super::load;
    use super::*;

    fn params(text: &str) -> serde_json::Value {
        let params = load(Path::new("x.toml"), text, &[], None, 1);
        serde_json::to_value(params.unwrap_or_else(|error| panic!("{error}"))).expect("JSON")
    }

    /// Checks that the listed defaults are those in use. Some depend on the network's size.
    #[test]
    fn a_config_with_all_defaults_is_one_with_none() {
        const LEAST: &str = "network.N = 5000\nsimulation.T = 100.0";
        let mut root: Table = LEAST.parse().expect("TOML");
        let plain = |key: &&Key| key.kind != Kind::Switched && !key.default.is_empty();
        for key in listed().filter(plain) {
            let (path, name) = key.split();
            let mut table = &mut root;
            for name in path.split('.') {
                let inner = table.entry(name).or_insert_with(|| Table::new().into());
                table = inner.as_table_mut().expect("a table");
            }
            let default: Value = key.default.parse().expect("TOML");
            table.insert(name.to_owned(), default);
        }
        assert_eq!(params(&root.to_string()), params(LEAST));
    }

    #[test]
    fn large_numbers_are_powers() {
        for (n, text) in [
            (1024, "1024"),
            (10_000, "10000"),
            (1 << 20, "2^20"),
            (u32::MAX.into(), "2^32 - 1"),
            (i64::MAX, "2^63 - 1"),
        ] {
            assert_eq!(power(n), text);
        }
    }
}
