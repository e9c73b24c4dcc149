//! Tables of rehearsals with several numbers of ranks: Markdown for people, CSV for programs.

use crate::base::error::printable;
use crate::base::memory::{KIB, MIB};
use crate::base::units::grouped;
use crate::tools::text_table::{self, significant};

use super::Rehearsed;
use super::crossover;
use super::scaled::{MemoryPart, Scaled, measured};

/// Returns a Markdown table of times, memory and exchange, followed by the crossovers and by a note
/// on which numbers are exact, drawn, measured or modelled.
pub(super) fn markdown(series: &[Scaled], found: &[Rehearsed]) -> String {
    let mut header = vec!["ranks".to_owned()];
    header.extend(measured().map(|(_, phase)| format!("{phase} (s/s)")));
    header.extend(["other (s/s)", "measured in all (s/s)"].map(str::to_owned));
    header.extend(["*network, modelled (s/s)*", "memory per rank (MiB)"].map(str::to_owned));
    header.extend(MemoryPart::ALL.map(|part| format!("{} (MiB)", part.name())));
    header.extend(["at most (MiB)", "bytes per plastic synapse"].map(str::to_owned));
    header.extend(
        [
            "sent per interval and rank (KiB)",
            "received per interval (spikes)",
        ]
        .map(str::to_owned),
    );
    let rows: Vec<_> = series.iter().map(cells).collect();
    let (first, last) = (series[0].0, series[series.len() - 1].0);
    let origin = &found[found.len() - 1];
    let synapses = (last.counts.synapses_plastic + last.counts.synapses_static) as f64;
    format!(
        "{}{}\n\
         One rank of R, of {} thread(s), rehearsed by {}{}; s/s are \
         seconds per second of model time. Commit {}, {}, {} cores, {}. {} ranks hold about {:.1e} \
         synapses.\n\n\
         Exact, for they are what that rank would hold and do: synapses, received spikes, memory of all \
         structures but two. Drawn from its exact distribution: the target table. Exchange (memory and \
         bytes sent): chunks as long as this rank's spikes to receive need; the fullest chunk between \
         any two ranks may need more. Measured on this machine: times of phases, memory at most. \
         Modelled from `[interconnect]`, never measured: the network.\n",
        text_table::markdown(&header, &rows),
        crossover::lines(series),
        first.threads,
        code(&format!("stdp-hpc {}", origin.command)),
        match series.len() {
            1 => "",
            _ => ", and so for the other R",
        },
        first.commit,
        origin.machine.cpu,
        origin.machine.cores,
        origin.machine.date.get(..10).unwrap_or_default(),
        grouped(last.ranks),
        synapses * last.ranks as f64,
    )
}

/// Returns `text` as one line of code in Markdown: its fence is longer than any in the text.
fn code(text: &str) -> String {
    let runs = text.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(1 + runs.max().unwrap_or(0));
    let pad = if fence.len() > 1 { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", printable(text))
}

fn cells(one: &Scaled) -> Vec<String> {
    let memory = &one.0.memory;
    let mut cells = vec![grouped(one.0.ranks)];
    cells.extend(measured().map(|(nth, _)| significant(one.phase(nth))));
    cells.extend([one.rest(), one.simulate()].map(significant));
    cells.push(format!("*{}*", significant(one.network())));
    cells.push(significant(memory.staying as f64 / MIB));
    cells.extend(MemoryPart::ALL.map(|part| significant(one.memory(part) / MIB)));
    cells.push(significant(memory.grown as f64 / MIB));
    cells.push(significant(memory.per_plastic_synapse.unwrap_or(0.0)));
    cells.extend([one.sent() / KIB, one.received()].map(significant));
    cells
}

/// Returns the numbers as CSV with one line per R. Times are in seconds per second of model time,
/// memory and the volume sent in bytes.
pub(super) fn csv(series: &[Scaled]) -> String {
    let mut names = vec!["ranks", "rank", "threads", "model_time_ms", "neurons"];
    names.extend([
        "synapses_plastic",
        "synapses_static",
        "rows",
        "target_table_entries_drawn",
    ]);
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.extend(measured().map(|(_, phase)| format!("{phase}_measured")));
    names.extend(["other_measured", "simulate_measured", "network_modelled"].map(str::to_owned));
    names.extend(MemoryPart::ALL.map(|part| format!("memory_{}", part.name().replace(' ', "_"))));
    names.extend(["memory_staying", "memory_at_most_measured"].map(str::to_owned));
    names.extend(["bytes_per_plastic_synapse", "sent_per_interval"].map(str::to_owned));
    names.extend(
        [
            "received_spikes_per_interval",
            "digest_spikes",
            "digest_weights",
        ]
        .map(str::to_owned),
    );
    let rows: Vec<_> = series.iter().map(fields).collect();
    text_table::csv(&names, &rows)
}

fn fields(one: &Scaled) -> Vec<String> {
    let (of, counts, memory) = (one.0, &one.0.counts, &one.0.memory);
    let mut fields = [of.ranks, of.rank, of.threads]
        .map(|number| number.to_string())
        .to_vec();
    fields.push(of.model_time_ms.to_string());
    fields.extend(
        [
            counts.neurons,
            counts.synapses_plastic,
            counts.synapses_static,
            counts.rows,
            counts.target_table,
        ]
        .map(|count| count.to_string()),
    );
    fields.extend(measured().map(|(nth, _)| one.phase(nth).to_string()));
    fields.extend([one.rest(), one.simulate(), one.network()].map(|time| time.to_string()));
    fields.extend(MemoryPart::ALL.map(|part| one.memory(part).to_string()));
    fields.extend([memory.staying, memory.grown].map(|bytes| bytes.to_string()));
    let per_plastic = memory.per_plastic_synapse;
    fields.push(per_plastic.map_or(String::new(), |bytes| bytes.to_string()));
    fields.extend([one.sent(), one.received()].map(|volume| volume.to_string()));
    fields.extend([of.digest.spikes, of.digest.weights].map(|digest| digest.to_string()));
    fields
}
