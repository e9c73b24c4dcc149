//! `report --scaling`: table, CSV and figure of runs on several numbers of ranks; results that are
//! not done, do not belong, or have other digests than they must.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Desk, Ended, run, text};

const CONFIG: &str = "[network]\nN = 120\nK = 20\n[simulation]\nT = 30.0\n\
                      [neuron.ignore_and_fire]\nrate = [20.0, 60.0]\n";

/// Results of one network on one and on two ranks, in a folder.
struct Series {
    desk: Desk,
}

impl Series {
    fn new() -> Self {
        let desk = Desk::new();
        let config = desk.config("net", CONFIG);
        for ranks in [1, 2] {
            let out = desk.path().join(format!("series/ranks-{ranks}"));
            let ended = run(ranks, &[text(&config), "--out", text(&out), "--quiet"]);
            ended.expect(0);
        }
        Series { desk }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.desk.path().join(name)
    }

    /// Reports the series, with the files in `out`.
    fn report(&self, out: &str, more: &[&str]) -> Ended {
        let (series, out) = (self.at("series"), self.at(out));
        let arguments = ["report", text(&series), "--scaling", text(&out)];
        run(1, &[&arguments[..], more].concat())
    }

    /// Replaces `from` in the run.json on `ranks` ranks.
    fn change(&self, ranks: usize, from: &str, to: &str) {
        let path = self.at(&format!("series/ranks-{ranks}/run.json"));
        let before = fs::read_to_string(&path).expect("read");
        assert!(before.contains(from), "{from}");
        fs::write(&path, before.replacen(from, to, 1)).expect("written");
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("read").file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

#[test]
fn one_command_makes_table_figure_and_page() {
    let series = Series::new();
    let ended = series.report("out", &[]).expect(0);
    assert_eq!(ended.stderr, "");
    let out = series.at("out");
    assert_eq!(
        names(&out),
        ["report.html", "scaling.csv", "scaling.md", "scaling.png"]
    );
    let table = fs::read_to_string(out.join("scaling.md")).expect("read");
    assert_eq!(ended.stdout, table);
    for start in [
        "| ranks | threads |",
        "\n| 1 | 1 | 120 |",
        "\n| 2 | 1 | 120 |",
    ] {
        assert!(table.contains(start), "{start} is not in {table}");
    }
    assert!(table.contains("efficiency (strong)"), "{table}");

    // Nothing is overwritten, unless asked for; what was written is not taken for a run.
    let inside = series.report("series", &[]).expect(0);
    assert_eq!(inside.stdout, table);
    let refused = series.report("series", &[]).expect(2).stderr;
    assert!(refused.contains("scaling.md: exists"), "{refused}");
    let again = series.report("series", &["--force"]).expect(0);
    assert_eq!(again.stdout, table);
}

#[test]
fn results_that_are_not_done_are_left_out_and_named() {
    let series = Series::new();
    let path = series.at("series/ranks-2/run.json");
    let whole = fs::read_to_string(&path).expect("read");
    let half = &whole[..whole.len() / 2];
    let failed = whole.replacen("\"done\"", "\"failed\", \"error\": \"disk full\"", 1);
    let newer = whole.replacen("\"format\": 2", "\"format\": 3", 1);
    for (nth, (content, why)) in [
        ("", "run.json: is not of a run"),
        (half, "run.json: is not of a run"),
        (&failed, "ranks-2: failed: disk full"),
        (&newer, "run.json: has format 3"),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(&path, content).expect("written");
        let ended = series.report(&format!("out{nth}"), &[]).expect(1);
        assert!(ended.stdout.contains("\n| 1 | 1 |") && !ended.stdout.contains("\n| 2 |"));
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("warning: left out: "), "{lines:?}");
        assert!(lines[0].contains(why), "{why} is not in {lines:?}");
        assert_eq!(lines[1], "stdp-hpc: the table leaves out 1 result(s)");
    }
}

#[test]
fn a_series_without_a_run_that_is_done_says_why() {
    let series = Series::new();
    for ranks in [1, 2] {
        series.change(ranks, "\"done\"", "\"failed\", \"error\": \"disk full\"");
    }
    let refused = series.report("out", &[]).expect(2).stderr;
    let why = "ranks-1: failed: disk full (and 1 others)\n";
    assert!(refused.ends_with(why), "{refused}");
    assert!(!series.at("out").exists());
}

#[test]
fn no_file_is_written_unless_all_can_be() {
    let series = Series::new();
    let page = text(&series.at("page.html")).to_owned();
    let figures = text(&series.at("figures")).to_owned();
    fs::create_dir(&figures).expect("created");
    let taken = format!("{figures}/strong_scaling.png");
    for (existing, options) in [(&page, ["-o", &page]), (&taken, ["--png", &figures])] {
        fs::write(existing, "precious").expect("written");
        let refused = series.report("out", &options).expect(2).stderr;
        assert!(
            refused.ends_with("exists: name another file, or --force to overwrite it\n"),
            "{refused}"
        );
        assert!(!series.at("out").exists() && !series.at("report.html").exists());
        assert_eq!(fs::read_to_string(existing).expect("read"), "precious");
    }
    let out = text(&series.at("out2")).to_owned();
    let refused = series
        .report("out2", &["-o", &format!("{out}/scaling.md")])
        .expect(2);
    let why = "scaling.md: --scaling writes this file too: name another\n";
    assert!(refused.stderr.ends_with(why), "{}", refused.stderr);
    assert!(!series.at("out2").exists());
    // Figures of the page and of the series have different names.
    series.report("out2", &["--png", &out]).expect(0);
}

/// Opening a pipe would wait for a writer, and escape sequences would reach the terminal.
#[test]
fn a_run_json_that_no_run_wrote_does_no_harm() {
    let series = Series::new();
    let commit = fs::read_to_string(series.at("series/ranks-1/run.json")).expect("read");
    let commit: serde_json::Value = serde_json::from_str(&commit).expect("JSON");
    let commit = commit["provenance"]["commit"].as_str().expect("a commit");
    for ranks in [1, 2] {
        series.change(ranks, commit, "\\u001b[31mred");
    }
    let table = series.report("out", &[]).expect(0).stdout;
    assert!(
        table.contains("commit \\u{1b}[31mred") && !table.contains('\u{1b}'),
        "{table}"
    );
    let path = series.at("series/ranks-2/run.json");
    fs::remove_file(&path).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo starts").success());
    let said = series.report("pipe", &[]).expect(1).stderr;
    assert!(said.contains("run.json: must be a regular file"), "{said}");
}

#[test]
fn digests_that_differ_fail_the_report() {
    let series = Series::new();
    let run = fs::read_to_string(series.at("series/ranks-2/run.json")).expect("read");
    let run: serde_json::Value = serde_json::from_str(&run).expect("JSON");
    let digest = run["digest"]["spikes"].as_str().expect("a digest");
    series.change(2, digest, "0000000000000000");
    let ended = series.report("out", &[]).expect(1);
    assert!(ended.stdout.contains("| 0000000000000000 |"));
    let told = "warning: digests of spikes differ but must be equal: ";
    assert!(ended.stderr.starts_with(told), "{}", ended.stderr);
    let end = "stdp-hpc: digests differ that must be equal\n";
    assert!(ended.stderr.ends_with(end), "{}", ended.stderr);
}

#[test]
fn runs_that_make_no_series_leave_no_file() {
    let series = Series::new();
    series.change(2, "\"K\": 20", "\"K\": 21");
    let refused = series.report("out", &[]).expect(2);
    let why = "ranks-1 are not one scaling series: network.K is 21, not 20\n";
    assert!(refused.stderr.ends_with(why), "{}", refused.stderr);
    assert!(refused.stdout.is_empty() && !series.at("out").exists());

    let nothing = series.at("nothing");
    fs::create_dir(&nothing).expect("created");
    let arguments = ["report", text(&nothing), "--scaling", text(&nothing)];
    let refused = run(1, &arguments).expect(2).stderr;
    assert!(refused.contains("holds no result"), "{refused}");
    assert!(names(&nothing).is_empty());
}
