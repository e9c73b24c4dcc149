//! Expands a study into its runs: every combination of values, checked and named.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;
use toml::Value;

use crate::base::error::{Error, Result};
use crate::base::files;
use crate::io::config;
use crate::io::config::recorded::shown;
use crate::io::outcome::RunRecord;
use crate::tools::plan::most_ranks;

use super::spec::{Setting, Spec};

/// Maximum number of runs of a study; a larger number is taken for a mistake.
const MOST_RUNS: usize = 10_000;

/// Maximum length of a run's name (bytes). File systems allow 255, and file names append a suffix
/// to the run's name.
const LONGEST_NAME: usize = 200;

/// Run of a study.
pub struct Run {
    /// Name of its directory, log and job. It is unique in the study and depends only on the names
    /// of the axes and the values of the run.
    pub name: String,
    /// Settings that differ from the study's config, in the form of `--set`.
    pub overrides: Vec<String>,
    /// R, number of ranks.
    pub ranks: usize,
    /// T, threads per rank.
    pub threads: usize,
    /// Parameters in the form of run.json.
    parameters: Json,
}

/// Returns all runs of `spec`, read from the study file `file`, with the config at `config`.
///
/// # Errors
/// Fails if the config cannot be read, a run is invalid, two runs have the same name, a name is too
/// long, or there are too many runs.
pub(super) fn expand(file: &Path, spec: &Spec, config: &Path) -> Result<Vec<Run>> {
    let fault = |what: String| Error::input(format!("{}: {what}", file.display()));
    let lengths = spec.axes.iter().map(Vec::len);
    let count = lengths.fold(spec.repeats, usize::saturating_mul);
    if count > MOST_RUNS {
        return Err(fault(format!(
            "{count} runs: must be at most {MOST_RUNS}, every combination of [axes] is one"
        )));
    }
    let text =
        files::read_text(config).map_err(|error| fault(format!("[study] config: {error}")))?;
    let mut runs = Vec::new();
    let mut names = BTreeSet::new();
    for point in points(spec) {
        let name = name(&point);
        for repeat in 1..=spec.repeats {
            let name = match repeat {
                1 => name.clone(),
                _ => format!("{name}_repeat{repeat}"),
            };
            if name.len() > LONGEST_NAME {
                return Err(fault(format!(
                    "a run is named {name}: must have at most {LONGEST_NAME} characters, values \
                     of [axes] are part of it"
                )));
            }
            if !names.insert(name.clone()) {
                return Err(fault(format!(
                    "two runs are named {name}: values must differ, and not in marks alone"
                )));
            }
            let settings = spec.set.iter().chain(point.iter().copied());
            let run = Run::new(name, settings, (config, &text));
            runs.push(run.map_err(fault)?);
        }
    }
    Ok(runs)
}

/// Returns every combination of the axes' points; the last axis varies fastest.
fn points(spec: &Spec) -> Vec<Vec<&Setting>> {
    let mut points = vec![Vec::new()];
    for axis in &spec.axes {
        let longer = |point: &Vec<_>| {
            let point = point.clone();
            axis.iter()
                .map(move |settings| point.iter().copied().chain(settings).collect())
        };
        points = points.iter().flat_map(longer).collect();
    }
    points
}

/// Returns the settings of a point as a file name, such as `iaf_psc_alpha_N1250_ranks2`.
fn name(point: &[&Setting]) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let parts = point.iter().map(|(key, value)| {
        let short = last(key);
        let alike = point.iter().filter(|(other, _)| last(other) == short);
        let key = match key.as_str() {
            "neuron.model" => "",
            _ if alike.count() > 1 => key,
            _ => &short,
        };
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Float(x) => x.to_string(),
            other => other.to_string(),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        let words = value.split(|c| !plain(c)).filter(|word| !word.is_empty());
        format!("{key}{}", words.collect::<Vec<_>>().join("-"))
    });
    let name = parts.collect::<Vec<_>>().join("_");
    if name.is_empty() {
        "run".to_owned()
    } else {
        name
    }
}

impl Run {
    /// Creates the run of a config, given by its path and text, with these settings.
    fn new<'a>(
        name: String,
        settings: impl Iterator<Item = &'a Setting>,
        (config, text): (&Path, &str),
    ) -> std::result::Result<Self, String> {
        let (mut ranks, mut threads) = (1, None);
        let mut overrides = Vec::new();
        for (key, value) in settings {
            match key.as_str() {
                "ranks" => ranks = count(key, value, most_ranks(1))?,
                "threads" => threads = Some(count(key, value, most_ranks(1))?),
                _ => overrides.push(format!("{key}={value}")),
            }
        }
        let params = config::load(config, text, &overrides, threads, ranks).map_err(|error| {
            let error = error.to_string();
            // The setting comes from the study file, not from the command line.
            format!("run {name}: {}", error.trim_start_matches("--set: "))
        })?;
        let threads = params.simulation.threads;
        count("ranks", &Value::Integer(ranks as i64), most_ranks(threads))?;
        Ok(Run {
            name,
            overrides,
            ranks,
            threads,
            parameters: params.recorded().parameters,
        })
    }

    /// Returns the first difference between the run of `record` and this one, as a key with both
    /// values, or `None` if they agree.
    pub(super) fn differs(&self, record: &RunRecord) -> Option<String> {
        let ranks = record.provenance.ranks;
        if ranks != self.ranks {
            return Some(format!(
                "ranks = {ranks} there, {} in the study",
                self.ranks
            ));
        }
        difference("", &record.parameters, &self.parameters)
    }
}

/// Returns `value` as a number of ranks or threads, 1 … `most`, or a message.
fn count(key: &str, value: &Value, most: u64) -> std::result::Result<usize, String> {
    let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
    number
        .filter(|n| (1..=most).contains(n))
        .map(|n| n as usize)
        .ok_or_else(|| format!("{key} = {value}: must be an integer 1 … {most}"))
}

/// Returns the first key whose values differ, with both values.
fn difference(path: &str, there: &Json, here: &Json) -> Option<String> {
    if there == here {
        return None;
    }
    let (Some(a), Some(b)) = (there.as_object(), here.as_object()) else {
        let pointer = format!("/{}", path.replace('.', "/"));
        let [there, here] = [there, here].map(|value| shown(&pointer, value));
        return Some(format!("{path} = {there} there, {here} in the study"));
    };
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    // Runs do not use `interconnect`; only estimates do.
    let keys = keys.into_iter().filter(|key| *key != "interconnect");
    let mut differences = keys.filter_map(|key| {
        let path = match path {
            "" => key.clone(),
            _ => format!("{path}.{key}"),
        };
        let [there, here] = [a, b].map(|of| of.get(key).unwrap_or(&Json::Null));
        difference(&path, there, here)
    });
    differences.next()
}
