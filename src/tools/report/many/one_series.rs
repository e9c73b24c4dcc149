//! Scaling series: runs on growing numbers of ranks, as a table and a figure.

use serde_json::Value;

use crate::base::error::{Error, Result, printable};
use crate::base::memory::MIB;
use crate::base::units::grouped;
use crate::comm::Spread;
use crate::io::config::recorded::shown;
use crate::io::outcome::{Phases, RunRecord, WallTime};
use crate::tools::figure::Figure;
use crate::tools::text_table::{csv, markdown, significant};

use super::Run;
use super::bars;
use super::scaling::{self, Kind};
use super::series::{disagreements, may_scale};

/// Runs of one program and configuration on different numbers of ranks, ascending, all with the
/// same number of threads.
pub(in crate::tools::report) struct ScalingSeries<'a> {
    runs: Vec<Run<'a>>,
    /// Kind of scaling; `None` for a single run.
    kind: Option<Kind>,
    /// Efficiency of each run relative to the first.
    efficiency: Vec<f64>,
}

impl<'a> ScalingSeries<'a> {
    /// Makes a series of those of `records` that are done.
    ///
    /// # Errors
    /// Fails if no run is done, or if two runs differ in more than size and split, have the same
    /// number of ranks, or have the same number of neurons neither in total nor per core.
    pub(in crate::tools::report) fn new(records: &'a [RunRecord]) -> Result<Self> {
        let mut runs = Run::done(records);
        runs.sort_by_key(Run::ranks);
        let Some(first) = runs.first() else {
            return Err(Error::input(
                "no finished run: a scaling table needs at least one",
            ));
        };
        for run in &runs[1..] {
            belong(first, run)?;
        }
        for pair in runs.windows(2) {
            if pair[0].ranks() == pair[1].ranks() {
                let why = format!("both have {} rank(s)", pair[0].ranks());
                return Err(stranger(&pair[0], &pair[1], &why));
            }
        }
        let kind = kind_of(&runs)?;
        let efficiency = match kind {
            None => vec![1.0],
            Some(kind) => scaling::efficiency(&runs, kind),
        };
        Ok(ScalingSeries {
            runs,
            kind,
            efficiency,
        })
    }

    /// Returns one line per set of runs that computed the same but have different digests.
    pub(in crate::tools::report) fn disagreements(&self) -> Vec<String> {
        disagreements(&self.runs)
    }

    /// Returns the table in Markdown, followed by a paragraph on what it shows.
    pub(in crate::tools::report) fn markdown(&self) -> String {
        let kind = self.kind.map(Kind::name);
        let mut header = vec!["ranks", "threads", "neurons", "synapses"];
        header.extend(["construction (s)", "simulate (s)"]);
        let mut header: Vec<String> = header.into_iter().map(str::to_owned).collect();
        header.extend(Phases::<f64>::NAMES.map(|phase| format!("{phase} (s)")));
        header.push("real-time factor".to_owned());
        header.push(kind.map_or("efficiency".to_owned(), |kind| {
            format!("efficiency ({kind})")
        }));
        header
            .extend(["memory per rank (MiB)", "spike digest", "weight digest"].map(str::to_owned));
        let each = self.runs.iter().zip(&self.efficiency);
        let rows: Vec<_> = each.map(|(run, &of)| cells(run, of)).collect();
        let first = &self.runs[0];
        let title = match kind {
            Some("weak") => "Weak scaling",
            Some(_) => "Strong scaling",
            None => "Single run",
        };
        format!(
            "{}\n{title}, {} ms model time, commit {}, {}. Triples: minimum / mean / maximum \
             over ranks (one number if equal as shown). Construction: sum of the maxima of its \
             phases over ranks. Efficiency: relative to {} rank(s).\n",
            markdown(&header, &rows),
            first.outcome.model_time_ms,
            printable(&first.record.provenance.commit),
            printable(&day(first)),
            first.ranks(),
        )
    }

    /// Returns the numbers as CSV: one line per run, times in s, memory in bytes.
    pub(in crate::tools::report) fn csv(&self) -> String {
        let spreads = |name: &str| ["min", "mean", "max"].map(|of| format!("{name}_{of}"));
        let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let mut names: Vec<String> = named(&["ranks", "threads", "neurons", "synapses"]);
        names.extend(["model_time_ms", "construction"].map(str::to_owned));
        names.extend(
            TIMED
                .into_iter()
                .chain(Phases::<f64>::NAMES)
                .flat_map(spreads),
        );
        names.extend(["real_time_factor", "efficiency"].map(str::to_owned));
        names.extend(spreads("peak_per_rank"));
        names.extend(["digest_spikes", "digest_weights", "scaling"].map(str::to_owned));
        names.extend(["commit", "date", "directory"].map(str::to_owned));
        let kind = self.kind.map_or("", Kind::name);
        let each = self.runs.iter().zip(&self.efficiency);
        let rows: Vec<_> = each.map(|(run, &of)| fields(run, of, kind)).collect();
        csv(&names, &rows)
    }

    /// Returns the figure: the real-time factor by phase; for several runs also time and efficiency
    /// over cores.
    pub(in crate::tools::report) fn figure(&self) -> Figure {
        let [phases, _] = bars::figures(&self.runs);
        let mut figure = Figure {
            name: "scaling",
            title: "Scaling".into(),
            ..phases
        };
        let series = [self.runs.clone()];
        let over_cores = self
            .kind
            .and_then(|kind| scaling::over_cores(&series, kind));
        figure
            .rows
            .extend(over_cores.into_iter().flat_map(|over| over.rows));
        figure
    }
}

/// Names of the timed stages in run.json; the CSV lists the phases of `simulate` after them.
const TIMED: [&str; 4] = [
    "construction_create",
    "construction_connect",
    "communicate_prepare",
    "simulate",
];

/// Returns the times of [`TIMED`] (s).
fn timed(wall: &WallTime) -> [Spread; 4] {
    [
        wall.construction_create,
        wall.construction_connect,
        wall.communicate_prepare,
        wall.simulate,
    ]
}

/// Returns the sum of the stages before the loop, each on its slowest rank (s).
fn construction(wall: &WallTime) -> f64 {
    timed(wall)[..3].iter().map(|seconds| seconds.max).sum()
}

/// Returns the day of the run, as YYYY-MM-DD.
fn day(run: &Run) -> String {
    run.record.provenance.date.chars().take(10).collect()
}

/// Returns the cells of `run` in the Markdown table.
fn cells(run: &Run, efficiency: f64) -> Vec<String> {
    let outcome = run.outcome;
    let mut cells = vec![run.ranks().to_string(), run.threads().to_string()];
    cells.extend([grouped(run.neurons()), grouped(outcome.counts.synapses())]);
    cells.push(significant(construction(&outcome.wall_time)));
    cells.push(spread(outcome.wall_time.simulate, 1.0));
    let phases = outcome.wall_time.phases.named();
    cells.extend(phases.map(|seconds| spread(seconds, 1.0)));
    cells.push(significant(outcome.real_time_factor));
    cells.push(format!("{:.1}%", 100.0 * efficiency));
    cells.push(spread(outcome.memory.peak_per_rank, 1.0 / MIB));
    cells.push(outcome.digest.spikes.to_string());
    cells.push(outcome.digest.weights.to_string());
    cells
}

/// Returns minimum / mean / maximum, or one number if their displayed digits are equal.
fn spread(of: Spread, scale: f64) -> String {
    let shown = [of.min, of.mean, of.max].map(|value| significant(scale * value));
    match shown.iter().all(|text| *text == shown[0]) {
        true => shown[0].clone(),
        false => shown.join(" / "),
    }
}

/// Returns the fields of `run` in the CSV.
fn fields(run: &Run, efficiency: f64, kind: &str) -> Vec<String> {
    let (outcome, provenance) = (run.outcome, &run.record.provenance);
    let spreads = |of: Spread| [of.min, of.mean, of.max].map(|value| value.to_string());
    let mut fields = vec![run.ranks().to_string(), run.threads().to_string()];
    fields.extend([run.neurons(), outcome.counts.synapses()].map(|count| count.to_string()));
    fields.push(outcome.model_time_ms.to_string());
    fields.push(construction(&outcome.wall_time).to_string());
    let phases = outcome.wall_time.phases.named();
    fields.extend(
        timed(&outcome.wall_time)
            .into_iter()
            .chain(phases)
            .flat_map(spreads),
    );
    fields.extend([outcome.real_time_factor, efficiency].map(|value| value.to_string()));
    fields.extend(spreads(outcome.memory.peak_per_rank));
    fields.push(outcome.digest.spikes.to_string());
    fields.push(outcome.digest.weights.to_string());
    fields.push(kind.to_owned());
    fields.push(provenance.commit.to_string());
    fields.push(provenance.date.clone());
    fields.push(run.record.directory.display().to_string());
    fields
}

/// Fails unless both runs have the same commit, threads and configuration, except for what scaling
/// changes.
fn belong(one: &Run, other: &Run) -> Result<()> {
    let [here, there] = [one, other].map(|run| &run.record.provenance);
    let threads = [here, there].map(|of| of.threads.to_string());
    let commits = [here, there].map(|of| of.commit.to_string());
    for (what, [here, there]) in [("commit", commits), ("threads", threads)] {
        if here != there {
            let why = format!("{what} is {there}, not {here}");
            return Err(stranger(one, other, &why));
        }
    }
    match difference("", &one.record.parameters, &other.record.parameters) {
        None => Ok(()),
        Some(why) => Err(stranger(one, other, &why)),
    }
}

fn stranger(one: &Run, other: &Run, why: &str) -> Error {
    let [one, other] = [one, other].map(|run| run.record.directory.display());
    Error::input(format!(
        "{other} and {one} are not one scaling series: {why}"
    ))
}

/// Returns the first difference between two values at `path` (a JSON pointer) that a scaling series
/// must not have.
fn difference(path: &str, here: &Value, there: &Value) -> Option<String> {
    if may_scale(path) || here == there {
        return None;
    }
    let (Value::Object(of_here), Value::Object(of_there)) = (here, there) else {
        let key = path.trim_start_matches('/').replace('/', ".");
        let [here, there] = [here, there].map(|value| shown(path, value));
        return Some(format!("{key} is {there}, not {here}"));
    };
    let keys = of_here.keys().chain(of_there.keys());
    let mut differences =
        keys.filter_map(|key| difference(&format!("{path}/{key}"), &here[key], &there[key]));
    differences.next()
}

/// Returns the kind of scaling; `None` for a single run.
///
/// # Errors
/// Fails if the runs have equal numbers of neurons neither in total nor per core.
fn kind_of(runs: &[Run]) -> Result<Option<Kind>> {
    let [first, others @ .., last] = runs else {
        return Ok(None);
    };
    let constant = |kind: &Kind| runs.iter().all(|run| kind.work(run) == kind.work(first));
    if let Some(kind) = [Kind::Strong, Kind::Weak].into_iter().find(constant) {
        return Ok(Some(kind));
    }
    let odd = |run: &&Run| Kind::Weak.work(run) != Kind::Weak.work(first);
    let odd = others.iter().find(odd).unwrap_or(last);
    let why = format!(
        "{} neurons on {} ranks and {} on {}; the number of neurons must be equal in total or \
         per rank",
        odd.neurons(),
        odd.ranks(),
        first.neurons(),
        first.ranks()
    );
    Err(stranger(first, odd, &why))
}
