//! Runs as Slurm jobs, one job per run; slurm/job.sh starts the ranks.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, Output};

use crate::base::error::{Error, Result};

use crate::tools::child::{shell_line, shell_word};

use super::{Run, Study, clear, last_words, write};

/// The user's unfinished Slurm jobs: state by id.
#[derive(Default)]
pub(super) struct Queue(HashMap<String, String>);

impl Queue {
    /// Queries Slurm if a run of `study` was ever submitted. Returns an empty queue if squeue is
    /// not installed, as on a machine that results were copied to.
    ///
    /// # Errors
    /// Fails if squeue fails.
    pub(super) fn ask(study: &Study) -> Result<Self> {
        let mut submitted = study.runs.iter().map(|run| id_file(study, run));
        if !submitted.any(|path| path.exists()) {
            return Ok(Queue::default());
        }
        let mut squeue = Command::new("squeue");
        squeue.args(["--noheader", "--me", "--format=%A %T"]);
        let said = match squeue.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Queue::default()),
            output => said("squeue", output)?,
        };
        let jobs = said.lines().filter_map(|line| line.trim().split_once(' '));
        let jobs = jobs.map(|(id, state)| (id.to_owned(), state.to_owned()));
        Ok(Queue(jobs.collect()))
    }

    /// Returns the state of the job of `run`, if there is one.
    pub(super) fn state(&self, study: &Study, run: &Run) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let id = fs::read_to_string(id_file(study, run)).ok()?;
        self.0.get(id.trim()).cloned()
    }
}

/// Submits the runs `to_do` and stops at the first that Slurm rejects. Returns the name of that run
/// and the reason.
///
/// # Errors
/// Fails if the working directory is not the repository, whose folder slurm/ holds the site's
/// settings, if another process works in the directory of a run, or if a file cannot be written or
/// removed.
pub(super) fn submit(
    study: &Study,
    to_do: &[&Run],
    force: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<(String, String)>> {
    if to_do.is_empty() {
        return Ok(Vec::new());
    }
    for name in ["slurm/site.sh", "slurm/job.sh"] {
        if !Path::new(name).exists() {
            return Err(Error::input(format!(
                "--slurm: no {name} here: start the study from the repository"
            )));
        }
    }
    for run in to_do {
        clear(study, run)?;
        let id_file = id_file(study, run);
        let before = id_file.exists().then(|| last_words(&study.log(run)));
        let path = id_file.with_file_name(format!("{}.sbatch", run.name));
        write(&path, &script(study, run, force)?)?;
        // sbatch does not create the folder of a log.
        write(&study.log(run), "")?;
        match sbatch(study, &path) {
            Ok(id) => {
                write(&id_file, &format!("{id}\n"))?;
                let again = before.map_or(String::new(), |why| format!(", failed before: {why}"));
                say(&format!("{}: job {id}{again}", run.name));
            }
            Err(error) => return Ok(vec![(run.name.clone(), error.to_string())]),
        }
    }
    Ok(Vec::new())
}

/// Returns the path of the file that holds the job id of `run`.
fn id_file(study: &Study, run: &Run) -> PathBuf {
    study.out.join("jobs").join(format!("{}.id", run.name))
}

/// Submits the script at `path` with the settings of site.sh and returns the job id.
///
/// Passes the study's options on the command line, because the variables that site.sh exports
/// override options in the script.
fn sbatch(study: &Study, path: &Path) -> Result<String> {
    let mut command = Command::new("bash");
    command
        .args([
            "-c",
            r#"source slurm/site.sh && exec sbatch --parsable "$@""#,
        ])
        .arg("sbatch")
        .args(&study.jobs.options)
        .arg(path);
    let said = said("sbatch", command.output())?;
    // "id" or "id;cluster".
    let id = said.trim().split(';').next().unwrap_or_default();
    Ok(id.to_owned())
}

/// Returns the standard output of the Slurm command `name`.
///
/// # Errors
/// Fails if the command could not be started or failed, with the last line of its standard error.
fn said(name: &str, output: std::io::Result<Output>) -> Result<String> {
    let fault = |what: String| Error::run(format!("{name}: {what}"));
    let output = output.map_err(|error| fault(error.to_string()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.trim().lines().last().unwrap_or("failed");
        return Err(fault(last.to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the job script of `run`.
fn script(study: &Study, run: &Run, force: bool) -> Result<String> {
    let whole = |path: &Path| {
        let path = absolute(path).map_err(|error| Error::run(error.to_string()))?;
        Ok(path.to_string_lossy().into_owned())
    };
    let program = std::env::current_exe().map_err(|error| Error::run(error.to_string()))?;
    let mut options = vec![
        format!("--job-name={}", run.name),
        // Slurm replaces patterns such as %j.
        format!(
            "--output={}",
            shell_word(&whole(&study.log(run))?.replace('%', "%%"))
        ),
        format!("--ntasks={}", run.ranks),
        format!("--cpus-per-task={}", run.threads),
        // The study resubmits interrupted runs, because it first removes their partial results.
        "--no-requeue".to_owned(),
        "--exclusive".to_owned(),
        "--threads-per-core=1".to_owned(),
    ];
    if let Some(most) = study.jobs.ranks_per_node {
        options.push(format!("--nodes={}", run.ranks.div_ceil(most)));
        options.push(format!("--ntasks-per-node={}", most.min(run.ranks)));
    }
    options.extend(study.jobs.options.iter().map(|option| shell_word(option)));
    let mut script = "#!/usr/bin/env bash\n".to_owned();
    for option in options {
        writeln!(script, "#SBATCH {option}").expect("memory");
    }
    let arguments = shell_line(&study.arguments(run, force));
    let [me, here, program] =
        [run.name.clone(), whole(Path::new("."))?, whole(&program)?].map(|word| shell_word(&word));
    write!(
        script,
        "me={me}\n\
         cd {here}\n\
         source slurm/site.sh\n\
         source slurm/job.sh\n\
         program={program}\n\
         find_launcher\n\
         read_split\n\
         launch {} {arguments}\n",
        run.ranks
    )
    .expect("memory");
    Ok(script)
}
