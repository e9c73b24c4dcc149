//! HTML page about one run or several: figures and numbers in one self-contained file.
//!
//! The page of one run shows its activity, weights and times; the page of several runs compares
//! them. All numbers come from run.json and, through `analysis`, from the HDF5 files.

mod headline;
mod many;
mod one;
mod page;
mod stack;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result, shown};
use crate::base::files::Outputs;
use crate::io::analysis::Results;
use crate::io::outcome::RunRecord;
use crate::tools::figure::Figure;

use headline::headline;
use page::Page;

/// Results found in directories.
pub struct Found {
    runs: Vec<RunRecord>,
    /// Errors of the results that cannot be read.
    faults: Vec<Error>,
}

impl Found {
    /// Finds all results in `directories`, at any depth. An entry may also be a result itself, or
    /// the path of a run.json.
    ///
    /// Cost: reads run.json of each result; if there are several, also the headers of their other
    /// files.
    pub fn in_directories(directories: &[PathBuf]) -> Self {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut faults = Vec::new();
        for directory in directories {
            let of_file = directory
                .parent()
                .filter(|_| directory.ends_with("run.json"));
            let directory = match of_file {
                Some(here) if here == Path::new("") => Path::new("."),
                Some(parent) => parent,
                None => directory,
            };
            let before = (found.len(), seen.len());
            let unread = find(directory, &mut found, &mut seen);
            // A directory that adds nothing because it was named twice is no fault.
            if unread.is_empty() && found.len() == before.0 && seen.len() > before.1 {
                let directory = directory.display();
                faults.push(Error::input(format!(
                    "{directory}: holds no result of stdp-hpc: there is no run.json"
                )));
            }
            faults.extend(unread);
        }
        let mut runs = Vec::new();
        for directory in &found {
            match read(directory, found.len() > 1) {
                Ok(run) => runs.push(run),
                Err(error) => faults.push(error),
            }
        }
        Found { runs, faults }
    }

    /// Returns one line per result that is not done or cannot be read.
    fn not_done(&self) -> Vec<String> {
        let runs = self.runs.iter().filter(|run| run.outcome.is_none());
        let runs = runs.map(|run| match &run.error {
            Some(error) if run.status == "unreadable" => error.clone(),
            Some(error) => format!("{}: {}: {error}", run.directory.display(), run.status),
            None => format!("{}: {}", run.directory.display(), run.status),
        });
        runs.chain(lines(self.faults.clone())).collect()
    }
}

/// Table and figure of a scaling series.
pub struct Scaling {
    /// Table in Markdown.
    pub table: String,
    /// Numbers of the table as CSV; times in s, memory in bytes.
    pub csv: String,
    /// Figure: real-time factor by phase; with several runs also time and efficiency over cores.
    pub figure: Figure,
    /// One line per result that is not done or cannot be read; table and figure omit these.
    pub left_out: Vec<String>,
    /// One line per set of runs that computed the same but have different digests.
    pub disagreements: Vec<String>,
}

impl Scaling {
    /// Makes table and figure of all results that are done. They may differ only in size and split
    /// and must have the same number of threads.
    ///
    /// # Errors
    /// Fails if no result is done, or if two do not belong together; the message names both and the
    /// reason.
    pub fn of(found: &Found) -> Result<Self> {
        if found.runs.is_empty() {
            return Err(all_of(found.faults.clone()));
        }
        let left_out = found.not_done();
        if found.runs.iter().all(|run| run.outcome.is_none()) {
            return Err(Error::input(format!(
                "no run is done, and a scaling table needs at least one: {}",
                first_of(&left_out)
            )));
        }
        let series = many::ScalingSeries::new(&found.runs)?;
        Ok(Scaling {
            table: series.markdown(),
            csv: series.csv(),
            figure: series.figure(),
            left_out,
            disagreements: series.disagreements(),
        })
    }

    /// Adds `scaling.md`, `scaling.csv` and `scaling.png` in `directory` to `outputs`.
    ///
    /// # Errors
    /// Fails if `directory` is something else, if `outputs` refuses a file, or if the figure cannot
    /// be drawn.
    pub fn add_to(&self, outputs: &mut Outputs, directory: &Path) -> Result<()> {
        outputs.add_directory("--scaling", directory)?;
        for (name, bytes) in [
            ("scaling.md", self.table.clone().into_bytes()),
            ("scaling.csv", self.csv.clone().into_bytes()),
            ("scaling.png", self.figure.png(Path::new("scaling.png"))?),
        ] {
            outputs.add("--scaling", &directory.join(name), bytes)?;
        }
        Ok(())
    }
}

/// Writes the page of the `found` results to `output`, replacing an existing file.
///
/// Returns what [`add_page`] returns.
///
/// # Errors
/// Fails as [`add_page`] does, or if the file cannot be written.
pub fn write(found: Found, output: &Path) -> Result<Vec<String>> {
    let mut outputs = Outputs::new(true);
    let faults = add_page(&mut outputs, found, output, None)?;
    outputs.write()?;
    Ok(faults)
}

/// Adds the page of the `found` results as file `output` to `outputs`, and its figures as PNG files
/// in the directory `png`.
///
/// Returns one line per item that the page does not show: results that cannot be read and, for a
/// single result, its files that are missing or cannot be read. The page reports them too.
///
/// Cost: reads all files of a single result, see [`figures_of_run`].
///
/// # Errors
/// Fails if no result can be read, if `outputs` refuses a file (`output` before the results are
/// read), or if a figure cannot be drawn.
pub fn add_page(
    outputs: &mut Outputs,
    found: Found,
    output: &Path,
    png: Option<&Path>,
) -> Result<Vec<String>> {
    let Found { runs, faults } = found;
    if runs.is_empty() {
        return Err(all_of(faults));
    }
    outputs.check("-o", output)?;
    let (html, figures, faults) = match &runs[..] {
        [run] => page_of_one(run, faults)?,
        runs => page_of_many(runs, faults),
    };
    if let Some(directory) = png {
        outputs.add_directory("--png", directory)?;
        for figure in &figures {
            let path = directory.join(format!("{}.png", figure.name));
            outputs.add("--png", &path, figure.png(&path)?)?;
        }
    }
    outputs.add("-o", output, html.into_bytes())?;
    Ok(faults)
}

/// Reads run.json of a result. For `one_of_many`, also checks that its HDF5 files belong to the
/// same run, because the page of several runs does not read them.
fn read(directory: &Path, one_of_many: bool) -> Result<RunRecord> {
    let run = RunRecord::read_in_part(directory)?;
    if one_of_many {
        Results::open(directory)?.check_files()?;
    }
    Ok(run)
}

/// Returns one error for results none of which can be read.
fn all_of(faults: Vec<Error>) -> Error {
    Error::input(first_of(&lines(faults)))
}

/// Returns the first of `lines`, which tell why results are of no use, and the number of others.
fn first_of(lines: &[String]) -> String {
    match lines {
        [] => "no result".to_owned(),
        [only] => only.clone(),
        [first, others @ ..] => format!("{first} (and {} others)", others.len()),
    }
}

/// Returns `faults` as lines, without duplicates.
fn lines(faults: Vec<Error>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fault in faults {
        let line = fault.to_string();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Returns the figures of the result in `directory`: those for which the run recorded data.
///
/// ```
/// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
/// # let (directory, _) = small::small_result()?;
/// # let directory = directory.path();
/// let figures = stdp_hpc::tools::report::figures_of_run(directory)?;
/// let names: Vec<_> = figures.iter().map(|figure| figure.name).collect();
/// assert_eq!(names[..3], ["activity", "rates", "cv"]);
/// for figure in &figures {
///     println!("{}: {}", figure.title, figure.caption);
/// }
/// # Ok::<(), stdp_hpc::base::error::Error>(())
/// ```
///
/// Cost: reads at most about 2·10⁸ spikes, and about 10⁸ weights of each of two snapshots (these
/// twice), in blocks; memory 32 bytes per recorded neuron.
///
/// # Errors
/// Fails if a file that the run wrote is missing, cannot be read, belongs to another run, or holds
/// invalid data.
pub fn figures_of_run(directory: &Path) -> Result<Vec<Figure>> {
    let (figures, faults) = one::figures(&RunRecord::read(directory)?, &Results::open(directory)?);
    faults.into_iter().next().map_or(Ok(figures), Err)
}

/// Adds `directory` to `found` if it is a result, otherwise all results below it. A directory in
/// `seen` adds nothing: it was named twice or reached through a link. Returns the errors of the
/// directories that cannot be read.
fn find(directory: &Path, found: &mut Vec<PathBuf>, seen: &mut HashSet<PathBuf>) -> Vec<Error> {
    match entries(directory, seen) {
        Err(error) => {
            let directory = directory.display();
            vec![Error::input(format!(
                "{directory}: cannot be read: {error}"
            ))]
        }
        Ok(None) => Vec::new(),
        Ok(Some(_)) if directory.join("run.json").exists() => {
            found.push(directory.to_owned());
            Vec::new()
        }
        Ok(Some(entries)) => {
            let inner = entries.iter().filter(|path| path.is_dir());
            inner.flat_map(|path| find(path, found, seen)).collect()
        }
    }
}

/// Returns the paths in `directory`, sorted; `None` if it is in `seen`.
fn entries(directory: &Path, seen: &mut HashSet<PathBuf>) -> io::Result<Option<Vec<PathBuf>>> {
    if !seen.insert(fs::canonicalize(directory)?) {
        return Ok(None);
    }
    let entries = fs::read_dir(directory)?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(Some(paths))
}

/// Names of the figures that few readers need; the page folds them away.
const FOLDED: [&str; 1] = ["weights_full"];

/// Page as HTML, its figures, and one line per item that it does not show.
type Written = (String, Vec<Figure>, Vec<String>);

/// Builds the page of one run; `faults` are those of the results left out.
fn page_of_one(run: &RunRecord, mut faults: Vec<Error>) -> Result<Written> {
    let (figures, unread) = one::figures(run, &Results::open(&run.directory)?);
    faults.extend(unread);
    faults.extend(one::never_begun(run));
    let faults = lines(faults);
    let title = name(&run.directory);
    let provenance = &run.provenance;
    let mut page = Page::new(
        &title,
        &format!(
            "{}, {} rank(s) × {} thread(s) on {}, {}, {} ({})",
            run.parameter(["neuron", "model"]).as_str().unwrap_or("?"),
            provenance.ranks,
            provenance.threads,
            provenance.host,
            provenance.date,
            provenance.program,
            provenance.commit
        ),
    );
    match (&run.outcome, &run.error) {
        (Some(outcome), _) => page.headline(&headline(outcome)),
        (None, Some(error)) if run.status == "unreadable" => {
            page.warn(&format!("Results in run.json cannot be read: {error}"));
        }
        (None, Some(error)) if run.status == "interrupted" => {
            page.warn(&format!("Run interrupted: {error}"));
        }
        (None, Some(error)) => page.warn(&format!("Run failed: {error}")),
        (None, None) => page.warn(&format!(
            "Run not finished (status: {}). Figures show the data written so far.",
            run.status
        )),
    }
    for fault in &faults {
        page.warn(&format!("Not shown: {fault}."));
    }
    for figure in &figures {
        page.figure(figure, FOLDED.contains(&figure.name));
    }
    let parameters = "All parameters (config values and units; times in ms)";
    page.folded("parameters", parameters, &run.parameters);
    page.folded("provenance", "Provenance", provenance);
    if let Some(outcome) = &run.outcome {
        page.folded("outcome", "All results in run.json", outcome);
    }
    let mut faults = faults;
    faults.extend(run.error.clone().filter(|_| run.status == "unreadable"));
    Ok((page.html(&title), figures, faults))
}

/// Builds the page of several runs; `faults` are those of the results left out.
fn page_of_many(runs: &[RunRecord], mut faults: Vec<Error>) -> Written {
    let unreadable = |run: &&RunRecord| run.status == "unreadable";
    let in_part = runs.iter().filter(unreadable);
    faults.extend(in_part.filter_map(|run| run.error.clone().map(Error::input)));
    let faults = lines(faults);
    let figures = many::figures(runs);
    let title = format!("{} runs", runs.len());
    let mut page = Page::new(&title, &origins(runs));
    let unfinished = runs
        .iter()
        .filter(|run| run.outcome.is_none() && !unreadable(run));
    let unfinished: Vec<String> = unfinished.map(|run| name(&run.directory)).collect();
    if !unfinished.is_empty() {
        page.warn(&format!(
            "{} of {} runs not finished and not shown in figures: {}.",
            unfinished.len(),
            runs.len(),
            unfinished.join(", ")
        ));
    }
    for fault in &faults {
        page.warn(&format!("Not shown: {fault}."));
    }
    let table = many::table(runs);
    for warning in &table.warnings {
        page.warn(warning);
    }
    for figure in &figures {
        page.figure(figure, false);
    }
    page.table("runs", &table.header, &table.rows);
    for run in runs {
        let title = format!("Parameters of {}", name(&run.directory));
        page.folded("", &title, &run.parameters);
    }
    (page.html(&title), figures, faults)
}

/// Returns the programs with their commits, the hosts and the days of `runs`, each once.
fn origins(runs: &[RunRecord]) -> String {
    let each = |of: &dyn Fn(&RunRecord) -> String| {
        let all: BTreeSet<String> = runs.iter().map(of).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let program =
        |run: &RunRecord| format!("{} ({})", run.provenance.program, run.provenance.commit);
    let day = |run: &RunRecord| run.provenance.date.chars().take(10).collect();
    format!(
        "{} on {}, {}",
        each(&program),
        each(&|run| run.provenance.host.clone()),
        each(&day)
    )
}

/// Returns the last component of the canonical path, as printable text.
fn name(directory: &Path) -> String {
    let whole = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    shown(Path::new(whole.file_name().unwrap_or(whole.as_os_str())))
}
