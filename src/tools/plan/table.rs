//! Formats a plan as a table for people.

use std::fmt::Write as _;

use crate::base::memory::{Structure, show_size};

use super::limits::Beyond;
use super::{Plan, RateSource};

/// Appends a line: its name, the bytes of rank 0 and of the other ranks, and a remark.
fn line(table: &mut String, name: &str, bytes: [u64; 2], what: &str) {
    let [first, other] = bytes.map(show_size);
    let text = format!("{name:<20} {first:>11} {other:>11}  {what}");
    writeln!(table, "{}", text.trim_end()).expect("memory takes it");
}

pub(super) fn of(plan: &Plan) -> String {
    let mut table = String::new();
    memory(&mut table, plan);
    let mut say = |name: &str, text: String| {
        writeln!(table, "{name:<20} {text}").expect("memory takes it");
    };
    let files = &plan.files;
    say(
        "files",
        format!(
            "spikes.h5 {}, weights.h5 {}, run.json {}",
            show_size(files.spikes),
            show_size(files.weights),
            show_size(files.run)
        ),
    );
    let exchange = &plan.exchange;
    say(
        "exchange",
        format!(
            "every {} ms {:.1} spikes make {:.1} entries of {} bytes per rank",
            exchange.interval_ms, exchange.spikes, exchange.entries_per_rank, exchange.entry_bytes
        ),
    );
    say(
        "",
        format!(
            "in {} chunk(s) of {} bytes, {} per rank; {} intervals",
            plan.ranks,
            exchange.chunk_bytes,
            show_size(exchange.bytes_per_rank),
            exchange.intervals
        ),
    );
    say("rates", rate(plan));
    for (place, limit) in plan
        .limits
        .iter()
        .filter(|limit| limit.share() >= 0.001)
        .enumerate()
    {
        let beyond = match (limit.beyond, limit.used > limit.most) {
            (Beyond::Refused, true) => ": too many",
            (Beyond::Wider, true) => ": twice the bytes are used",
            _ => "",
        };
        say(
            if place == 0 { "nearest limits" } else { "" },
            format!(
                "{:.1} % of {} ({}{beyond})",
                100.0 * limit.share(),
                limit.most,
                limit.what
            ),
        );
    }
    table
}

fn memory(table: &mut String, plan: &Plan) {
    writeln!(
        table,
        "{:<20} {:>11} {:>11}  {} neurons, {} synapses on {} rank(s) x {} thread(s)",
        "memory per rank",
        "rank 0",
        "others",
        plan.neurons,
        plan.synapses,
        plan.ranks,
        plan.threads
    )
    .expect("memory takes it");
    let both = [&plan.rank_0, &plan.other_ranks];
    for structure in Structure::ALL {
        let bytes = both.map(|rank| rank.by_structure[structure]);
        let name = structure.name().replace('_', " ");
        let what = if structure.passes() { "temporary" } else { "" };
        line(table, &name, bytes, what);
    }
    line(
        table,
        "program",
        both.map(|rank| rank.program),
        "before construction",
    );
    line(
        table,
        "libraries",
        both.map(|rank| rank.libraries),
        "added by HDF5, MPI and threads",
    );
    line(
        table,
        "peak",
        both.map(|rank| rank.peak),
        "largest at any time",
    );
}

fn rate(plan: &Plan) -> String {
    let source = match plan.rate.source {
        RateSource::Parameters => "determined by the parameters",
        RateSource::Given => "as given",
        RateSource::Assumed => "assumed, known only after a run; --rate sets it",
    };
    let [e, i] = plan.rate.recorded;
    format!("E {e:.3} spikes/s, I {i:.3} spikes/s, {source}")
}
