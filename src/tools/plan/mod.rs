//! Estimates memory, file sizes and exchange of a run from its parameters and its numbers of ranks
//! and threads, without building the network.
//!
//! Sizes that depend on the drawn connections are expected values; a rank with thousands of
//! synapses deviates from them by a fraction of a percent. All other sizes are exact. Each type
//! defines the formula for its bytes. [`Plan::new`] takes microseconds, so the smallest machine
//! that fits a network is found by trial.

mod expect;
mod fit;
mod limits;
mod network;
mod table;

pub use expect::{Inputs, Rate, RateSource};
pub use fit::most_ranks;
pub use limits::{Beyond, Limit};

use serde::Serialize;

use crate::base::memory::{ByStructure, Structure};
use crate::base::sizes::total;
use crate::engine::spikes::Exchange;
use crate::io::outcome;
use crate::io::recording::Recorder;
use crate::io::sonata;
use crate::model::params::Params;

use network::{Expected, Share};

/// Resources that a run on R ranks of T threads takes.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// R, number of ranks.
    pub ranks: usize,
    /// T, threads per rank.
    pub threads: usize,
    /// Total number of neurons.
    pub neurons: u64,
    /// Total number of synapses.
    pub synapses: u64,
    /// Mean rates that the estimates use.
    pub rate: Rate,
    /// Memory of rank 0, which writes the files and has at least as many neurons as any other rank.
    pub rank_0: RankMemory,
    /// Memory of any other rank; equal to `rank_0` if there is only one rank.
    pub other_ranks: RankMemory,
    /// Sizes of the output files (bytes).
    pub files: Files,
    /// Volume of the exchange between ranks.
    pub exchange: Volume,
    /// Numeric limits and how much of them is used, the most used first.
    pub limits: Vec<Limit>,
}

/// Memory of a rank (bytes).
#[derive(Clone, Debug, Serialize)]
pub struct RankMemory {
    /// Program with MPI, before it builds anything.
    pub program: u64,
    /// Additional memory of HDF5, MPI and threads once they are used.
    pub libraries: u64,
    /// Memory of each structure.
    pub by_structure: ByStructure<u64>,
    /// Peak of the total.
    pub peak: u64,
}

/// Sizes of the output files (bytes); compression makes them smaller.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Files {
    /// Size of spikes.h5.
    pub spikes: u64,
    /// Size of weights.h5.
    pub weights: u64,
    /// Size of run.json.
    pub run: u64,
}

/// Volume of the exchange per interval, on average over intervals and ranks.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Volume {
    /// Length of an interval (ms).
    pub interval_ms: f64,
    /// Number of intervals in the run, including the warm-up.
    pub intervals: u64,
    /// Spikes emitted by all ranks per interval.
    pub spikes: f64,
    /// Entries that a rank receives per interval.
    pub entries_per_rank: f64,
    /// Bytes per entry.
    pub entry_bytes: u64,
    /// Capacity of a chunk (words) after all growth.
    pub capacity_words: u64,
    /// Bytes of a chunk, the message from one rank to another.
    pub chunk_bytes: u64,
    /// Bytes that a rank sends per interval, and also receives.
    pub bytes_per_rank: u64,
}

impl Plan {
    /// Estimates the resources of a run of `params` on `ranks` ranks that reads `inputs` and fires
    /// at `rate`. `program` is the memory of the program before it builds anything (bytes).
    pub fn new(params: &Params, ranks: usize, inputs: &Inputs, rate: Rate, program: u64) -> Plan {
        let run = outcome::file_bytes(params, ranks);
        Self::trial(params, ranks, inputs, rate, program, run)
    }

    /// Works like [`Plan::new`], with a run.json of `run` bytes. Computing that size takes as long
    /// as everything else.
    fn trial(
        params: &Params,
        ranks: usize,
        inputs: &Inputs,
        rate: Rate,
        program: u64,
        run: u64,
    ) -> Plan {
        let expected = Expected::new(params, ranks, inputs, rate);
        let exchange = expected.volume();
        let (first, other) = (expected.share(0), expected.share(1.min(ranks - 1)));
        let memory =
            |share: &Share, leads| rank_memory(&expected, share, &exchange, leads, program);
        let rank_0 = memory(&first, true);
        let other_ranks = if ranks == 1 {
            rank_0.clone()
        } else {
            memory(&other, false)
        };
        Plan {
            ranks,
            threads: params.simulation.threads,
            neurons: u64::from(params.network.N),
            synapses: expected.synapses(),
            rate,
            rank_0,
            other_ranks,
            files: files(&expected, run),
            limits: limits::all(&expected, &first, &exchange),
            exchange,
        }
    }

    /// Returns the largest peak memory of any rank (bytes).
    pub fn peak(&self) -> u64 {
        self.rank_0.peak.max(self.other_ranks.peak)
    }

    /// Returns the plan as a table for people.
    pub fn table(&self) -> String {
        table::of(self)
    }
}

impl RankMemory {
    /// Returns the memory that the run adds to the program (bytes).
    pub fn grown(&self) -> u64 {
        self.peak.saturating_sub(self.program)
    }
}

fn rank_memory(
    expected: &Expected,
    share: &Share,
    exchange: &Volume,
    leads: bool,
    program: u64,
) -> RankMemory {
    let mut bytes = share.structures(expected);
    let ranks = expected.ranks as u64;
    bytes[Structure::Exchange] = Exchange::bytes(ranks, exchange.capacity_words);
    bytes[Structure::Recording] = recording(expected, share, leads);
    let libraries = libraries(expected);
    // While connecting, only the drafts and the synapses without plastic weights exist.
    let connecting = total([share.while_connecting(expected), bytes[Structure::RowIndex]]);
    let running = total([
        bytes.staying(),
        bytes[Structure::Recording],
        leftovers(expected, leads),
    ]);
    RankMemory {
        program,
        libraries,
        peak: total([program, libraries, connecting.max(running)]),
        by_structure: bytes,
    }
}

/// Returns the bytes of recording: the larger of buffered spikes and a block of a weight snapshot,
/// plus the weight samples. `leads` is true for rank 0.
fn recording(expected: &Expected, share: &Share, leads: bool) -> u64 {
    let samples = expected.params.record.weights_over_time.as_ref();
    total([
        spikes_or_snapshot(expected, share, leads),
        samples.map_or(0, |sampling| share.sampler(expected, sampling)),
        expected
            .samples()
            .filter(|_| leads)
            .map_or(0, |samples| samples.held_back()),
    ])
}

/// Returns the bytes of the buffer of spikes that wait to be written; rank 0 keeps it while it
/// writes a snapshot.
fn leftovers(expected: &Expected, leads: bool) -> u64 {
    let spikes: f64 = expected.recorded_spikes().into_iter().sum();
    match leads && expected.params.record.weights.is_some() {
        true => Recorder::waiting_bytes(spikes as u64),
        false => 0,
    }
}

fn spikes_or_snapshot(expected: &Expected, share: &Share, leads: bool) -> u64 {
    let part = share.neurons() as f64 / f64::from(expected.params.network.N);
    let gathered = |all: f64| if leads { all as u64 } else { 0 };
    let [e, i] = expected.recorded_spikes();
    let most = Recorder::MOST_WAITING as f64;
    let waiting = (e + i).min(most * expected.ranks as f64);
    let flush = Recorder::flush_bytes((waiting * part).min(most) as u64, gathered(waiting));
    let Some(selected) = expected.selected_weights() else {
        return flush;
    };
    let at_once = Recorder::sources_at_once(
        expected.params.network.N_E,
        expected.synapses_of(Structure::PlasticSynapses),
    );
    let block = selected.synapses * (at_once as f64 / selected.sources.max(1.0)).min(1.0);
    flush.max(Recorder::snapshot_bytes(
        (block * part) as u64,
        gathered(block),
    ))
}

/// Resident memory that MPI adds per peer on the same node once they have communicated (bytes).
/// Measured with Open MPI 4.1, which maps a shared-memory mailbox per peer.
const MPI_PER_PEER: u64 = 64 << 10;
/// Maximum number of peers that [`MPI_PER_PEER`] counts; ranks on other nodes have no mailbox.
const PEERS: u64 = 127;
/// Program code pages that the first interval touches, and memory that the allocator retains
/// (bytes).
const CODE: u64 = 1 << 20;
/// Stack and allocator arena per thread (bytes).
const THREAD: u64 = 128 << 10;

fn libraries(expected: &Expected) -> u64 {
    let peers = (expected.ranks as u64 - 1).min(PEERS);
    let threads = expected.params.simulation.threads as u64 - 1;
    let mut bytes = CODE + MPI_PER_PEER * peers + THREAD * threads;
    if !expected.params.files().is_empty() {
        bytes += sonata::LIBRARY;
    }
    bytes
}

fn files(expected: &Expected, run: u64) -> Files {
    let spikes = match expected.params.record.spikes {
        true => sonata::spikes::file_bytes(expected.recorded_spikes().map(|count| count as u64)),
        false => 0,
    };
    let weights = expected.selected_weights().map_or(0, |selected| {
        let samples = expected.samples().map_or(0, |samples| samples.file_bytes());
        let weights = sonata::weights::file_bytes(&selected.content(), selected.snapshots);
        total([weights, samples])
    });
    Files {
        spikes,
        weights,
        run,
    }
}
