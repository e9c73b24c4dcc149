//! Tables as text: Markdown for people, CSV for programs.

use crate::base::error::printable;

/// Returns a Markdown table with right-aligned columns; cells are safe to show in a terminal.
pub(super) fn markdown(header: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let shown = |cells: &Vec<String>| cells.iter().map(|cell| printable(cell)).collect::<Vec<_>>();
    let rows: String = rows.iter().map(|cells| line(&shown(cells))).collect();
    format!("{}|{}\n{rows}", line(header), "---:|".repeat(header.len()))
}

/// Returns a CSV table (RFC 4180 with line feeds): a line of names, then one line per row.
pub(super) fn csv(names: &[String], rows: &[Vec<String>]) -> String {
    let quoted = |cell: &String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(quoted).collect();
        cells.join(",") + "\n"
    };
    let rows: String = rows.iter().map(|cells| line(cells)).collect();
    line(names) + &rows
}

/// Returns `value` with three significant digits; values of 1000 and more as whole numbers.
pub(super) fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.abs().log10().floor();
    if exponent < -4.0 {
        return format!("{value:.2e}");
    }
    let decimals = (2.0 - exponent).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned<const N: usize>(cells: [&str; N]) -> Vec<String> {
        cells.map(str::to_owned).into()
    }

    #[test]
    fn tables_have_a_line_per_row() {
        let (names, rows) = (owned(["a", "b"]), [owned(["1", "x, \"y\""])]);
        assert_eq!(csv(&names, &rows), "a,b\n1,\"x, \"\"y\"\"\"\n");
        assert_eq!(
            markdown(&names, &rows),
            "| a | b |\n|---:|---:|\n| 1 | x, \"y\" |\n"
        );
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        for (value, text) in [
            (0.0, "0"),
            (12_345.6, "12346"),
            (999.6, "1000"),
            (100.0, "100"),
            (9.996, "10"),
            (0.25, "0.25"),
            (0.012_34, "0.0123"),
            (0.000_012_34, "1.23e-5"),
        ] {
            assert_eq!(significant(value), text);
        }
    }
}
