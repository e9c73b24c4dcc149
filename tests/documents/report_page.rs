//! The page that `stdp-hpc report` writes: faults end with one line, and a headless Chromium sees
//! what the files hold (tests/report_page, which a Python runs that STDP_HPC_PYTHON names).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, Desk, Ended, LIMIT, RunResult, command_alone, program, start, text};

/// As configs/small.toml, shorter.
const SMALL: &str = "
[network]
N = 2500
K = 250
[neuron]
model = \"iaf_psc_alpha\"
[simulation]
T = 2000.0
[record]
weights = { at = [0.0, 1000.0, 2000.0] }
";

const OF_ONE: [&str; 9] = [
    "activity",
    "rates",
    "cv",
    "weights",
    "weights_full",
    "matrices",
    "weights_over_time",
    "trajectories",
    "phases",
];

const OF_SEVERAL: [&str; 5] = [
    "network_size",
    "weak_scaling",
    "strong_scaling",
    "real_time_factor",
    "memory",
];

/// `stdp-hpc report` with these arguments.
fn report(arguments: &[&str]) -> Ended {
    common::run(1, &[&["report"], arguments].concat())
}

/// Runs tests/report_page on a page, where a Python that can is named.
fn assert_browser_shows(page: &Path, figures: &[&str], arguments: &[&str]) {
    let Some(python) = std::env::var_os("STDP_HPC_PYTHON") else {
        eprintln!("note: not opened in a browser, STDP_HPC_PYTHON is not set");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report_page");
    let mut command = Command::new(python);
    command.arg("-B").arg(script).arg(page);
    command
        .args(["--figures", &figures.join(",")])
        .args(arguments);
    start(command).wait(LIMIT).expect(0);
}

#[test]
fn the_page_of_a_run_shows_in_a_browser_what_the_files_hold() {
    let desk = Desk::new();
    let config = desk.config("small", SMALL);
    let result = desk.result(&config, 2, 1, &[]);
    let (page, png) = (desk.path().join("page.html"), desk.path().join("png"));
    let (page_text, png_text) = (text(&page), text(&png));
    report(&[text(result.path()), "-o", page_text, "--png", png_text]).expect(0);
    let of = ["--of", text(result.path()), "--png", png_text];
    assert_browser_shows(&page, &OF_ONE, &of);
}

#[test]
fn the_page_of_several_runs_shows_them_in_a_browser() {
    let desk = Desk::new();
    let config = desk.config("small", SMALL);
    let run = |ranks: usize, sets: &[&str]| {
        let short = ["simulation.T=200", "network.K=100", "record.weights=false"];
        desk.result(&config, ranks, 1, &[&short, sets].concat())
    };
    let results = [
        run(1, &["network.N=1250"]),
        run(1, &[]),
        run(2, &[]),
        run(1, &["neuron.model=\"ignore_and_fire\""]),
    ];
    let page = desk.path().join("page.html");
    let mut arguments: Vec<&str> = results.iter().map(|result| text(result.path())).collect();
    arguments.extend(["-o", text(&page)]);
    report(&arguments).expect(0);
    let of = results.iter().map(|result| text(result.path()));
    let of: Vec<&str> = std::iter::once("--of").chain(of).collect();
    assert_browser_shows(&page, &OF_SEVERAL, &of);
}

/// A small result, and what is tried on it.
struct Trial {
    desk: Desk,
    result: RunResult,
}

impl Trial {
    fn new() -> Self {
        let desk = Desk::new();
        let config = desk.config("small", SMALL);
        let short = [
            "network.N=250",
            "network.K=20",
            "simulation.T=20",
            "record.weights={ at = [0.0, 20.0] }",
        ];
        let result = desk.result(&config, 1, 1, &short);
        Trial { desk, result }
    }

    /// Where its page goes.
    fn page(&self) -> PathBuf {
        self.desk.path().join("page.html")
    }

    /// A report of `directory` must end with 2 and one line that begins with `message`, and
    /// leave nothing.
    #[track_caller]
    fn refuses(&self, directory: &Path, message: &str) {
        let (page, png) = (self.page(), self.desk.path().join("png"));
        let arguments = [text(directory), "-o", text(&page), "--png", text(&png)];
        self.ends(report(&arguments).expect(2), message);
        assert!(!png.exists(), "figures of a page that there is not");
    }

    #[track_caller]
    fn ends(&self, ended: Ended, message: &str) {
        let line = ended.stderr.strip_prefix("stdp-hpc: ").expect("a message");
        let one = line.trim_end().lines().count() == 1;
        assert!(one && line.starts_with(message), "{message}\n{line}");
        assert!(!self.page().exists(), "a page all the same");
        assert_eq!(drafts(self.desk.path()), [] as [PathBuf; 0]);
    }
}

impl Trial {
    /// Expects a page with so many figures that names what it lacks, as standard error does.
    #[track_caller]
    fn leaves_out(&self, directory: &Path, what: &str, figures: usize) {
        let ended = report(&[text(directory), "-o", text(&self.page())]).expect(0);
        let said = ended.stderr.strip_prefix("warning: not shown: ");
        let said = said.unwrap_or_else(|| panic!("{ended:?}")).trim_end();
        assert!(said.starts_with(what) && !said.contains('\n'), "{said}");
        let page = fs::read_to_string(self.page()).expect("a page");
        assert_eq!(page.matches("<figure ").count(), figures, "{what}");
        let said = said
            .replace('&', "&amp;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        assert!(page.contains(&said), "{said} is not on the page");
        fs::remove_file(self.page()).expect("removed");
    }
}

/// Files that are neither a result's nor whole pages nor figures.
fn drafts(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("directory");
    let paths = entries.map(|entry| entry.expect("entry").path());
    let known = ["toml", "h5", "json", "html", "png"];
    paths
        .filter(|path| path.is_file())
        .filter(|path| {
            !known
                .iter()
                .any(|end| path.extension() == Some(end.as_ref()))
        })
        .collect()
}

#[test]
fn results_that_are_missing_foreign_or_cut_are_named() {
    let trial = Trial::new();
    let directory = trial.result.path();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let foreign = fs::read(reference.join("iaf_1250_input.h5")).expect("reference");
    for (name, figures) in [("spikes.h5", 4), ("weights.h5", 3)] {
        let path = directory.join(name);
        let good = fs::read(&path).expect("file");
        for bytes in [
            &good[..good.len() / 2],
            &good[..100],
            b"E,1,0.5\n",
            b"",
            &foreign,
        ] {
            fs::write(&path, bytes).expect("written");
            trial.leaves_out(directory, &format!("{}: ", path.display()), figures);
        }
        fs::remove_file(&path).expect("removed");
        trial.leaves_out(
            directory,
            &format!("{}: cannot be opened", path.display()),
            figures,
        );
        fs::write(&path, good).expect("written");
    }
    let run = directory.join("run.json");
    let good = fs::read(&run).expect("file");
    for bytes in [
        &b"{\"status\": \"done\"}\n"[..],
        b"",
        &good[..good.len() / 2],
    ] {
        fs::write(&run, bytes).expect("written");
        let what = format!("{}: is not of a run of stdp-hpc", run.display());
        trial.refuses(directory, &what);
    }
    // A number that JSON has no word for: the rest is shown.
    let text = String::from_utf8(good).expect("UTF-8");
    let key = "\"real_time_factor\": ";
    let (head, tail) = text.split_once(key).expect("a number");
    let (_, tail) = tail.split_once(',').expect("more");
    fs::write(&run, format!("{head}{key}null,{tail}")).expect("written");
    let what = format!("{}: is not of a run of stdp-hpc: ", run.display());
    trial.leaves_out(directory, &what, 5);
    fs::remove_file(&run).expect("removed");
    let what = format!("{}: holds no result", directory.display());
    trial.refuses(directory, &what);
    let nowhere = trial.desk.path().join("nowhere");
    let what = format!("{}: cannot be read", nowhere.display());
    trial.refuses(&nowhere, &what);
}

#[test]
fn a_result_counts_once_whatever_links_lead_to_it() {
    let trial = Trial::new();
    let (desk, page) = (trial.desk.path(), trial.page());
    let folder = desk.join("folder");
    fs::create_dir(&folder).expect("a directory");
    // Two links to itself: paths without end that double at every step.
    for link in ["itself", "again"] {
        symlink(&folder, folder.join(link)).expect("a link");
    }
    let what = format!("{}: holds no result", folder.display());
    trial.refuses(&folder, &what);
    symlink(trial.result.path(), folder.join("latest")).expect("a link");
    let (folder, result) = (text(&folder), text(trial.result.path()));
    report(&[folder, result, result, "-o", text(&page)]).expect(0);
    let html = fs::read_to_string(&page).expect("a page");
    let figure = |name: &str| html.contains(&format!("<figure id=\"{name}\""));
    assert!(
        figure("activity") && !figure("memory"),
        "not that of one run"
    );
}

#[test]
fn what_is_there_already_is_kept_without_force() {
    let trial = Trial::new();
    let (result, page) = (text(trial.result.path()), trial.page());
    let page_text = text(&page);
    fs::write(&page, "mine").expect("written");
    let ended = report(&[result, "-o", page_text]).expect(2);
    assert_eq!(
        ended.stderr,
        format!(
            "stdp-hpc: -o {page_text}: exists: name another file, or --force to overwrite it\n"
        )
    );
    assert_eq!(fs::read(&page).expect("page"), b"mine");
    report(&[result, "-o", page_text, "--force"]).expect(0);
    let first = fs::read_to_string(&page).expect("page");
    assert!(first.starts_with("<!DOCTYPE html>"), "{first}");

    let png = trial.desk.path().join("png");
    let figure = png.join("phases.png");
    fs::create_dir(&png).expect("created");
    fs::write(&figure, "mine").expect("written");
    fs::remove_file(&page).expect("removed");
    let ended = report(&[result, "-o", page_text, "--png", text(&png)]).expect(2);
    trial.ends(ended, &format!("--png {}: exists", figure.display()));
    assert_eq!(fs::read(&figure).expect("figure"), b"mine");
    assert_eq!(fs::read_dir(&png).expect("directory").count(), 1);
}

#[test]
fn where_nothing_can_be_written_nothing_is_left() {
    let trial = Trial::new();
    let result = text(trial.result.path());
    let nowhere = trial.desk.path().join("nowhere/page.html");
    let ended = report(&[result, "-o", text(&nowhere)]).expect(2);
    trial.ends(ended, &format!("-o {}: there is no dir", nowhere.display()));
    let config = trial.desk.path().join("small.toml");
    let ended = report(&[result, "-o", text(&trial.page()), "--png", text(&config)]).expect(2);
    trial.ends(ended, &format!("--png {}: is not a dir", config.display()));
    let ended = report(&[result, "-o", result]).expect(2);
    trial.ends(ended, &format!("-o {result}: is a directory"));

    // As on a full disk: no file beyond 4 KiB.
    let mut limited = command_alone(Path::new("/bin/bash"));
    let small = "ulimit -f 4; exec \"$0\" report \"$@\"";
    limited.args(["-c", small]).arg(program());
    limited.args([result, "-o", text(&trial.page())]);
    let ended = start(limited).wait(LIMIT).expect(1);
    trial.ends(ended, &format!("{}: cannot write", trial.page().display()));
}
