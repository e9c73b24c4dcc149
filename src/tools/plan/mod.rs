//! What a run would take, from its parameters and the split alone: nothing is built.
//!
//! Sizes that the draw decides (who listens to whom) are expected values, of which a rank of
//! thousands of synapses deviates by a fraction of a percent; all others are exact. Bytes come
//! from the formula that stands beside each type. [`Plan::new`] costs microseconds, so the
//! smallest machine that a network fits is found by trying.

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

/// What a run of R ranks of T threads would take.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// R
    pub ranks: usize,
    /// T
    pub threads: usize,
    /// Neurons in all.
    pub neurons: u64,
    /// Synapses in all.
    pub synapses: u64,
    /// Mean rate it was reckoned with.
    pub rate: Rate,
    /// Memory of rank 0, which also writes the files; of all ranks it has the most neurons.
    pub rank_0: RankMemory,
    /// Memory of any other rank; of rank 0 where there is none.
    pub other_ranks: RankMemory,
    /// The files.
    pub files: Files,
    /// What crosses ranks.
    pub exchange: Volume,
    /// Numeric limits and how far they are used, the nearest first.
    pub limits: Vec<Limit>,
}

/// Bytes of a rank.
#[derive(Clone, Debug, Serialize)]
pub struct RankMemory {
    /// The program before it builds anything, with MPI.
    pub program: u64,
    /// What HDF5, MPI and threads take once they are used.
    pub libraries: u64,
    /// The structures.
    pub by_structure: ByStructure<u64>,
    /// All at once, at the worst moment.
    pub peak: u64,
}

/// Bytes of each file; with compression on they become smaller.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Files {
    /// spikes.h5
    pub spikes: u64,
    /// weights.h5
    pub weights: u64,
    /// run.json
    pub run: u64,
}

/// What the exchange of one interval carries, in the mean over intervals and ranks.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Volume {
    /// Length of an interval (ms).
    pub interval_ms: f64,
    /// How many there are.
    pub intervals: u64,
    /// Spikes of all ranks.
    pub spikes: f64,
    /// Entries that a rank receives.
    pub entries_per_rank: f64,
    /// Bytes of an entry.
    pub entry_bytes: u64,
    /// Words that a chunk will have room for once it has grown.
    pub capacity_words: u64,
    /// Bytes of a chunk, what one rank sends another.
    pub chunk_bytes: u64,
    /// Bytes that a rank sends, and receives.
    pub bytes_per_rank: u64,
}

impl Plan {
    /// Of a run of `params` on `ranks` ranks that reads `inputs` and fires at `rate`, by a
    /// program that holds `program` bytes before it builds anything.
    pub fn new(params: &Params, ranks: usize, inputs: &Inputs, rate: Rate, program: u64) -> Plan {
        let run = outcome::file_bytes(params, ranks);
        Self::trial(params, ranks, inputs, rate, program, run)
    }

    /// The same with a run.json of `run` bytes, which take as long to find as all else.
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

    /// The most that any rank takes (bytes).
    pub fn peak(&self) -> u64 {
        self.rank_0.peak.max(self.other_ranks.peak)
    }

    /// The table for people.
    pub fn table(&self) -> String {
        table::of(self)
    }
}

impl RankMemory {
    /// What the run takes beyond the program before it.
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
    // Connecting, there are synapses without plastic weights, and the drafts, and nothing else.
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

/// The most that spikes on their way or a block of a snapshot take, and what samples do.
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

/// The room of spikes that wait for the file, which rank 0 keeps while it writes a snapshot.
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

/// Resident memory of code and data of MPI, once it has talked to one more rank of the same
/// node: measured with Open MPI 4.1, which maps a mailbox of shared memory for each.
const MPI_PER_PEER: u64 = 64 << 10;
/// Ranks on a node beyond which that is not counted: those of other nodes have none.
const PEERS: u64 = 127;
/// Pages of the program's own code that the first interval touches, and allocation's leftovers.
const CODE: u64 = 1 << 20;
/// Stack and allocator's arena of a thread.
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
