//! Console output: progress during a run and a summary table at its end. Only rank 0 prints.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stderr, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::base::error::{Result, printable, shown};
use crate::base::units::{Interval, grouped};
use crate::comm::{Comm, Spread};
use crate::engine::{Observer, Simulation};
use crate::io::outcome::{Outcome, Phases, Provenance, WallTime};
use crate::model::params::{Params, Stimulus};

/// Amount of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Progress, warnings and the summary table.
    Normal,
    /// Also the parameters of the network, and details of exchange and events.
    Verbose,
}

/// Progress display on standard error: a bar on a terminal, elsewhere a line every 10 s.
pub struct Watcher {
    bar: Option<ProgressBar>,
    lines: bool,
    begun: Option<(Instant, f64)>,
    shown: Instant,
    /// Average number of neurons per rank, for the mean rate.
    neurons: f64,
    presim: f64,
}

/// Minimum time between two redraws of the bar.
const REDRAW: Duration = Duration::from_millis(200);
/// Minimum time between two lines if there is no terminal.
const LINE: Duration = Duration::from_secs(10);

impl Watcher {
    /// Creates the display for a run of `params`. It prints only on rank 0, and nothing if quiet.
    pub fn new(comm: &Comm, params: &Params, verbosity: Verbosity) -> Self {
        let talks = comm.rank() == 0 && verbosity > Verbosity::Quiet;
        let terminal = std::io::stderr().is_terminal();
        let template = "{prefix} [{bar:30}] {msg}";
        let bar = (talks && terminal).then(|| {
            let style = ProgressStyle::with_template(template).expect("a constant");
            ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr())
                .with_style(style.progress_chars("=> "))
                .with_prefix("simulate")
        });
        let dt = params.simulation.dt;
        Watcher {
            bar,
            lines: talks && !terminal,
            begun: None,
            shown: Instant::now(),
            neurons: f64::from(params.network.N) / comm.size() as f64,
            presim: params.simulation.presim.to_ms(dt).0,
        }
    }

    /// Shows the progress of the run, at most once per [`REDRAW`] or [`LINE`].
    fn show(&mut self, simulation: &Simulation, interval: Interval) {
        let now = || interval.end().to_ms(simulation.params().simulation.dt);
        let Some((begun, from)) = self.begun else {
            self.shown = Instant::now();
            self.begun = Some((self.shown, now().0));
            return;
        };
        let pause = if self.bar.is_some() { REDRAW } else { LINE };
        if !(self.lines || self.bar.is_some()) || self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let (now, end) = (now(), simulation.end());
        let factor = begun.elapsed().as_secs_f64() * 1000.0 / (now.0 - from);
        let left = Duration::from_secs_f64(((end.0 - now.0) / 1000.0 * factor).clamp(0.0, 1e9));
        let recorded = now.0 - self.presim;
        let rate = if recorded > 0.0 {
            let spikes: u64 = simulation.emitted().counts.iter().sum();
            format!(
                "{:.2} spikes/s",
                spikes as f64 / self.neurons / recorded * 1000.0
            )
        } else {
            "warming up".to_owned()
        };
        let message = format!(
            "{} of {} ms, real-time factor {factor:.3}, {rate}, {} left",
            now.0,
            end.0,
            humantime::format_duration(Duration::from_secs(left.as_secs()))
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position((now.0 / end.0 * 1000.0) as u64);
                bar.set_message(message);
            }
            None => {
                // The run continues even if standard error is closed.
                let _ = writeln!(stderr(), "simulate: {message}");
            }
        }
    }

    /// Removes the bar from the terminal.
    pub fn close(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Watcher {
    fn interval(&mut self, simulation: &Simulation, interval: Interval) -> Result<()> {
        self.show(simulation, interval);
        Ok(())
    }
}

/// Prints a warning on standard error; the run continues.
pub fn warn(what: &str) {
    // The warning is lost if standard error is closed.
    let _ = writeln!(stderr(), "warning: {}", printable(what));
}

/// Prints the parameters of the network on standard error, for [`Verbosity::Verbose`].
pub fn announce(provenance: &Provenance, params: &Params) {
    let (network, synapse) = (&params.network, &params.synapse);
    let dt = params.simulation.dt;
    eprintln!(
        "build: {} E and {} I neurons ({}) on {} rank(s) x {} thread(s), {}, {}",
        grouped(network.N_E),
        grouped(network.N_I),
        params.neuron.model.name(),
        provenance.ranks,
        provenance.threads,
        match &network.edges {
            Some(path) => format!("edges of {}", shown(path)),
            None => format!("in-degree {} E + {} I", network.K_E, network.K_I),
        },
        provenance.instruction_set
    );
    eprintln!(
        "weights: E {} pA, I {} pA, X {} pA",
        synapse.I_E, synapse.I_I, synapse.I_X
    );
    match &params.stimulus {
        Stimulus::Poisson { rate, .. } => eprintln!("input: Poisson, {rate} spikes/s per neuron"),
        Stimulus::Spikes(path) => eprintln!("input: spikes of {}", shown(path)),
    }
    eprintln!(
        "time: {} ms after {} ms of warm-up, dt = {} ms, seed {}",
        params.simulation.T.to_ms(dt).0,
        params.simulation.presim.to_ms(dt).0,
        dt.0,
        params.simulation.seed
    );
}

/// Prints the summary table on standard output.
pub fn print(
    provenance: &Provenance,
    params: &Params,
    outcome: &Outcome,
    directory: &Path,
    verbosity: Verbosity,
) {
    let Outcome {
        counts,
        rates,
        weights,
        wall_time: wall,
        memory,
        ..
    } = outcome;
    let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), |r| format!("{r:.3}"));
    let mut table = String::new();
    let mut line = |name: &str, text: String| {
        writeln!(table, "{name:<18} {text}").expect("memory takes it");
    };
    line(
        "network",
        format!(
            "{} {} neurons, {} plastic and {} static synapses",
            grouped(counts.neurons),
            params.neuron.model.name(),
            grouped(counts.synapses_plastic),
            grouped(counts.synapses_static)
        ),
    );
    line(
        "split",
        format!(
            "{} rank(s) x {} thread(s)",
            provenance.ranks, provenance.threads
        ),
    );
    line(
        "rates",
        format!("E {} spikes/s, I {} spikes/s", rate(rates.E), rate(rates.I)),
    );
    line(
        "E->E weights",
        match (weights.mean, weights.sd, weights.zero_fraction) {
            (Some(mean), Some(sd), Some(zeros)) => {
                let percent = 100.0 * zeros;
                format!("mean {mean:.4} pA, SD {sd:.4} pA, {percent:.1} % at zero")
            }
            _ => "-".to_owned(),
        },
    );
    line(
        "construction",
        format!(
            "create {}, connect {}, prepare {}",
            seconds(wall.construction_create),
            seconds(wall.construction_connect),
            seconds(wall.communicate_prepare)
        ),
    );
    line(
        "simulate",
        format!("{}: {}", seconds(wall.simulate), phases(wall)),
    );
    if provenance.ranks * provenance.threads > 1 {
        line("balance", balance(outcome));
    }
    line(
        "real-time factor",
        format!(
            "{:.3} ({} ms model time)",
            outcome.real_time_factor, outcome.model_time_ms
        ),
    );
    let per_synapse = memory
        .per_synapse
        .map_or(String::new(), |b| format!(", {b:.1} bytes per synapse"));
    line(
        "memory",
        format!("{} per rank{per_synapse}", mebibytes(memory.peak_per_rank)),
    );
    if verbosity == Verbosity::Verbose {
        let exchange = &outcome.exchange;
        line(
            "exchange",
            format!(
                "{} intervals, entries of {} bytes, {} received on rank 0, chunks grown {} and \
                 shrunk {} times, {} words at most",
                grouped(exchange.intervals),
                exchange.entry_bytes,
                grouped(exchange.received_entries),
                exchange.grown,
                exchange.shrunk,
                exchange.peak_words
            ),
        );
        line(
            "events",
            format!("{} synaptic events", grouped(counts.synaptic_events)),
        );
    }
    line(
        "digest",
        format!(
            "spikes {}, weights {}",
            outcome.digest.spikes, outcome.digest.weights
        ),
    );
    line("written", shown(directory));
    // All files are written: a closed standard output (`| head -1`) is not an error.
    let _ = stdout().write_all(table.as_bytes());
}

/// Formats the time of each phase of the loop.
fn phases(wall: &WallTime) -> String {
    let times = Phases::<Spread>::NAMES.into_iter().zip(wall.phases.named());
    let times = times.map(|(name, time)| format!("{name} {}", seconds(time)));
    times.collect::<Vec<_>>().join(", ")
}

/// Formats the load balance in percent of the loop's time.
fn balance(outcome: &Outcome) -> String {
    let (balance, wall) = (&outcome.balance, &outcome.wall_time);
    let percent = |part: f64| format!("{:.0} %", 100.0 * part / wall.simulate.mean);
    format!(
        "slowest rank {}, {:.0} % above the mean; waiting for ranks {}, for threads {}, \
         transfer {}: {}",
        balance.slowest_rank,
        100.0 * balance.imbalance,
        percent(balance.communicate_wait.mean),
        percent(wall.phases.synchronize.mean),
        percent(balance.communicate_transfer.mean),
        balance.advice
    )
}

/// Formats one number if all ranks agree at the printed precision, else minimum/mean/maximum.
fn spread(spread: Spread, unit: &str, digits: usize) -> String {
    let [min, mean, max] =
        [spread.min, spread.mean, spread.max].map(|value| format!("{value:.digits$}"));
    if min == max {
        format!("{max} {unit}")
    } else {
        format!("{min}/{mean}/{max} {unit}")
    }
}

fn seconds(value: Spread) -> String {
    spread(value, "s", 3)
}

fn mebibytes(value: Spread) -> String {
    let scale = |bytes: f64| bytes / f64::from(1 << 20);
    let value = Spread {
        min: scale(value.min),
        mean: scale(value.mean),
        max: scale(value.max),
    };
    spread(value, "MiB", 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            seconds(Spread {
                min: 1.0,
                mean: 1.0,
                max: 1.0
            }),
            "1.000 s"
        );
        assert_eq!(
            seconds(Spread {
                min: 1.0,
                mean: 1.5,
                max: 2.0
            }),
            "1.000/1.500/2.000 s"
        );
    }
}
