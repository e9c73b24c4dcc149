//! HTML page as one file: style and script are embedded, nothing is loaded from elsewhere.

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD as STANDARD, Engine};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::base::error::printable;
use crate::tools::figure::{Figure, Layout, dark_rules};

/// HTML page under construction.
pub(super) struct Page {
    body: String,
}

/// Number in the headline.
pub(super) struct Fact {
    /// Path of the value in run.json, keys joined with dots.
    pub(super) key: &'static str,
    /// Label of the number on the page.
    pub(super) name: &'static str,
    /// Value as in run.json.
    pub(super) value: String,
    /// Formatted value with its unit.
    pub(super) shown: String,
}

impl Page {
    /// Starts a page with a heading and a subtitle.
    pub(super) fn new(title: &str, subtitle: &str) -> Self {
        let (title, subtitle) = (escape(title), escape(subtitle));
        Page {
            body: format!("<h1>{title}</h1>\n<p class=\"subtitle\">{subtitle}</p>\n"),
        }
    }

    fn add(&mut self, html: &str) {
        self.body.push_str(html);
        self.body.push('\n');
    }

    /// Adds a paragraph marked as a warning.
    pub(super) fn warn(&mut self, text: &str) {
        self.add(&format!("<p class=\"warning\">{}</p>", escape(text)));
    }

    /// Adds the key numbers, with path and value in run.json as data attributes.
    pub(super) fn headline(&mut self, facts: &[Fact]) {
        let fact = |fact: &Fact| {
            format!(
                "<div data-key=\"{}\" data-value=\"{}\"><dt>{}</dt><dd>{}</dd></div>\n",
                fact.key,
                escape(&fact.value),
                escape(fact.name),
                escape(&fact.shown)
            )
        };
        let facts: String = facts.iter().map(fact).collect();
        self.add(&format!("<dl id=\"headline\">\n{facts}</dl>"));
    }

    /// Adds a visible table in a scrollable box.
    pub(super) fn table(&mut self, id: &str, header: &[&str], rows: &[impl AsRef<[String]>]) {
        let table = table(id, header, rows);
        self.add(&format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{id}\">{table}</div>"
        ));
    }

    /// Adds a figure in both layouts, with its caption and its data as JSON; collapsed under its
    /// title if `folded`.
    pub(super) fn figure(&mut self, figure: &Figure, folded: bool) {
        let title = escape(&figure.title);
        let mut html = format!("<figure id=\"{}\" class=\"figure\">\n", figure.name);
        if !folded {
            let _ = writeln!(html, "<h2>{title}</h2>");
        }
        for (layout, class) in [(Layout::Wide, "wide"), (Layout::Narrow, "narrow")] {
            let svg = figure.svg(layout);
            let boxes = serde_json::to_string(&svg.boxes).expect("plain numbers");
            let open = format!(
                "<svg class=\"{class}\" role=\"img\" aria-label=\"{title}\" data-boxes=\"{boxes}\""
            );
            let drawn = svg.text.replacen("<svg", &open, 1);
            let _ = writeln!(html, "{}", drawn.trim_end());
        }
        let caption = escape(&figure.caption);
        let data = json(figure);
        let _ = writeln!(html, "<figcaption>{caption}</figcaption>");
        let _ = writeln!(
            html,
            "<script type=\"application/json\" class=\"data\">{data}</script>"
        );
        html.push_str("</figure>");
        if folded {
            html = format!("<details>\n<summary>{title}</summary>\n{html}\n</details>");
        }
        self.add(&html);
    }

    /// Adds all leaves of `value` as a collapsed table, one row per leaf.
    pub(super) fn folded(&mut self, id: &str, title: &str, value: &impl Serialize) {
        let value = serde_json::to_value(value).expect("plain data");
        let mut rows = Vec::new();
        leaves(&value, "", &mut rows);
        let (title, table) = (escape(title), table("", &["key", "value"], &rows));
        self.add(&format!(
            "<details{}>\n<summary>{title}</summary>\n<div class=\"scroll\" tabindex=\"0\">{table}</div>\n</details>",
            attribute(id)
        ));
    }

    /// Returns the complete HTML file.
    pub(super) fn html(self, title: &str) -> String {
        let (style, script) = (include_str!("page.css"), include_str!("page.js"));
        let (dark, body, title) = (dark_rules(), self.body, escape(title));
        let style =
            format!("\n{style}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n");
        let script = format!("\n{script}");
        let policy = policy(&style, &script);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n\
             <style>{style}</style>\n\
             </head>\n<body>\n{body}<div id=\"tip\" hidden></div>\n\
             <script>{script}</script>\n</body>\n</html>\n"
        )
    }
}

/// Appends one row per leaf of nested objects: the keys joined with dots, and the value.
fn leaves(value: &Value, path: &str, rows: &mut Vec<[String; 2]>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(inner, &format!("{path}{dot}{key}"), rows);
            }
        }
        Value::String(text) => rows.push([path.to_owned(), text.clone()]),
        other => rows.push([path.to_owned(), other.to_string()]),
    }
}

fn table(id: &str, header: &[&str], rows: &[impl AsRef<[String]>]) -> String {
    fn row(tag: &str, cells: &[impl AsRef<str>]) -> String {
        let end = tag.split(' ').next().unwrap_or_default();
        let cell = |cell: &_| format!("<{tag}>{}</{end}>", escape(AsRef::<str>::as_ref(cell)));
        let cells: String = cells.iter().map(cell).collect();
        format!("<tr>{cells}</tr>\n")
    }
    let mut html = row("th scope=\"col\"", header);
    html.extend(rows.iter().map(|cells| row("td", cells.as_ref())));
    format!("<table{}>\n{html}</table>", attribute(id))
}

/// Returns the HTML attribute `id`, or nothing if `id` is empty, as HTML allows no empty id.
fn attribute(id: &str) -> String {
    match id {
        "" => String::new(),
        id => format!(" id=\"{id}\""),
    }
}

/// Escapes markup, and characters that are invisible or change the direction of writing.
fn escape(text: &str) -> String {
    let text = printable(text).replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns JSON in which `<` is escaped, so it cannot close the script element that holds it.
fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("plain data");
    text.replace('<', "\\u003c")
}

/// Returns the Content-Security-Policy of a page: it allows the embedded style and script (by their
/// hashes) and `data:` images, and nothing else.
fn policy(style: &str, script: &str) -> String {
    let of = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let (style, script) = (of(style), of(script));
    format!(
        "default-src 'none'; style-src {style}; script-src {script}; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_name_stays_text() {
        let mut page = Page::new("a <b> & \"c\"", "");
        page.folded(
            "p",
            "All",
            &serde_json::json!({"command": ["</script><script>alert(1)"], "a": {"b": 1.5}}),
        );
        let html = page.html("</title>");
        assert!(html.contains("<h1>a &lt;b&gt; &amp; &quot;c&quot;</h1>"));
        assert!(html.contains("<tr><td>a.b</td><td>1.5</td></tr>"));
        assert!(!html.contains("alert(1)\"]</td><script>") && !html.contains("<title></title>"));
        assert_eq!(html.matches("<script>").count(), 1);
        assert_eq!(json(&"</script>"), "\"\\u003c/script>\"");
    }
}
