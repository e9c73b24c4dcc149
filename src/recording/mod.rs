//! What a run leaves behind: spikes and weights, streamed to one directory by rank 0.
//!
//! Spikes wait on their rank until all ranks agree (by the exchange's flags) to gather; rank 0
//! asks for it once a second, any rank as soon as it holds many. A failure of the writer
//! travels by the same flags, so all ranks end together.

mod over_time;
mod watched_directory;

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::allocator::working_on;
use crate::comm::Comm;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::memory::Structure;
use crate::network::Placement;
use crate::neuron::Emission;
use crate::params::{Params, WeightRecord};
use crate::per_thread::PerThread;
use crate::sizes::{product, total};
use crate::sonata::spikes::{HELD_BACK, SpikeWriter};
use crate::sonata::weights::{Layout, Sampling, Synapse, WeightWriter};
use crate::synapse::Sources;
use crate::units::{Gid, Interval, Lid, Ms, Steps};
use crate::vp::VirtualProcess;

pub use over_time::Sampler;
pub use watched_directory::WatchedDirectory;

/// Maximum number of recorded spikes that a rank holds before it requests a flush: 512 KiB per
/// rank, all of which rank 0 receives.
const MAX_WAITING_SPIKES: usize = 1 << 16;
/// Gathered spikes handed to the writer at once.
const PORTION: usize = 1 << 14;
/// Maximum age of a spike that is not flushed.
const FLUSH_PERIOD: Duration = Duration::from_secs(1);
/// Synapses gathered at once when weights are written: 16 MiB.
const BLOCK: u64 = 1 << 20;

/// Collects spikes and writes spikes and weights.
pub struct Recorder {
    /// Spikes later than this are recorded.
    after: Steps,
    /// Spikes of the first so many gids are written.
    n_rec: u32,
    n_e: u32,
    dt: Ms,
    /// stamp << 32 | gid
    waiting: Vec<u64>,
    flushed: Instant,
    /// On rank 0, unless nothing is recorded.
    spikes: Option<SpikeWriter>,
    weights: Option<WeightWriter>,
    /// On rank 0, where there are files.
    directory: Option<WatchedDirectory>,
    selection: Option<WeightRecord>,
    /// On all ranks, where weights are sampled.
    sampler: Option<Sampler>,
    failure: Option<Error>,
    /// Whether this rank has met a number that is not finite.
    out_of_range: bool,
    digest: Digest,
    counts: [u64; 2],
    /// The most bytes that spikes or a block of a snapshot took.
    most_held: u64,
}

impl Recorder {
    /// Opens the files in `directory` on rank 0; without a directory only counts and digests
    /// are kept. `id` is that of the result, `delay` that of the E→E synapses.
    pub fn new(
        comm: &Comm,
        params: &Params,
        directory: Option<&Path>,
        id: &str,
        delay: Steps,
    ) -> Result<Self> {
        let dt = params.simulation.dt;
        let record = &params.record;
        let directory = directory.filter(|_| comm.rank() == 0);
        // Before its files, so that they are known to be in the directory that is watched.
        let watched = directory.map(WatchedDirectory::new).transpose()?;
        let spikes = match directory.filter(|_| record.spikes) {
            Some(dir) => Some(SpikeWriter::create(
                &dir.join("spikes.h5"),
                dt,
                params.network.N_E,
                record.compression,
                id,
            )?),
            None => None,
        };
        let weights = match directory.zip(record.weights.as_ref()) {
            Some((directory, weights)) => {
                let layout = Layout {
                    delay: delay.to_ms(dt),
                    compression: record.compression,
                    target_to_source: weights.target_to_source,
                };
                let path = directory.join("weights.h5");
                Some(WeightWriter::create(&path, layout, id)?)
            }
            None => None,
        };
        Ok(Recorder {
            directory: watched,
            after: params.simulation.presim,
            n_rec: if record.spikes { record.n_rec } else { 0 },
            n_e: params.network.N_E,
            dt,
            waiting: Vec::new(),
            flushed: Instant::now(),
            spikes,
            weights,
            selection: record.weights.clone(),
            sampler: None,
            failure: None,
            out_of_range: false,
            digest: Digest::default(),
            counts: [0; 2],
            most_held: 0,
        })
    }

    /// Notes the spikes of thread `thread` in `interval`.
    pub fn record(
        &mut self,
        place: &Placement,
        thread: u32,
        interval: Interval,
        emissions: &[Emission],
    ) {
        for emission in emissions {
            let stamp = interval.stamp(emission.lag);
            if stamp <= self.after {
                continue;
            }
            let gid = place.gid(thread, emission.lid);
            self.digest.add_spike(gid, stamp);
            self.counts[usize::from(gid.0 >= self.n_e)] += 1;
            if gid.0 < self.n_rec {
                self.waiting.push((stamp.0 as u64) << 32 | u64::from(gid.0));
            }
        }
    }

    /// Whether this rank wants the ranks to gather now.
    pub fn wants_flush(&self) -> bool {
        let overdue = self.directory.is_some() && self.flushed.elapsed() > FLUSH_PERIOD;
        self.waiting.len() > MAX_WAITING_SPIKES || overdue
    }

    /// Returns whether this rank has a reason to end the run.
    pub fn failed(&self) -> bool {
        self.failure.is_some() || self.out_of_range
    }

    /// Has the run end: a number of this rank is not finite.
    pub fn note_out_of_range(&mut self) {
        self.out_of_range = true;
    }

    /// Returns whether a number of this rank was found not to be finite.
    pub fn is_out_of_range(&self) -> bool {
        self.out_of_range
    }

    /// Fails on every rank with what failed on one of them. Collective.
    ///
    /// # Errors
    /// Fails if writing has failed on some rank.
    pub fn check(&mut self, comm: &Comm) -> Result<()> {
        comm.agree(self.failure.take().map_or(Ok(()), Err))
    }

    /// Brings all waiting spikes to rank 0, and with the samples there to disk. Collective; a
    /// failure is kept until [`Recorder::close`].
    pub fn flush(&mut self, comm: &Comm) {
        let mut spikes = comm.gather(&self.waiting);
        let gathered = self.spikes.as_ref().map_or(0, |_| spikes.len() as u64);
        self.hold(Self::flush_bytes(self.waiting.len() as u64, gathered));
        self.waiting.clear();
        self.flushed = Instant::now();
        let spikes = self.write_spikes(&mut spikes);
        let samples = self.weights.as_mut().map_or(Ok(()), WeightWriter::flush);
        let directory = self.directory.as_mut();
        let directory = directory.map_or(Ok(()), WatchedDirectory::check);
        // First the directory: without it, nothing can be written either.
        if let Err(error) = directory.and(spikes).and(samples) {
            self.failure.get_or_insert(error);
        }
    }

    fn write_spikes(&mut self, keys: &mut [u64]) -> Result<()> {
        let Some(writer) = &mut self.spikes else {
            return Ok(());
        };
        keys.sort_unstable();
        let spike = |&key: &u64| (Steps((key >> 32) as i32), Gid(key as u32));
        for keys in keys.chunks(PORTION) {
            let spikes: Vec<(Steps, Gid)> = keys.iter().map(spike).collect();
            writer.append(&spikes)?;
        }
        writer.flush()
    }

    /// Makes ready to sample the weights as the run goes, where that is asked for. Collective.
    pub fn begin_samples(
        &mut self,
        comm: &Comm,
        place: &Placement,
        params: &Params,
        sources: &Sources,
        vps: &PerThread<VirtualProcess>,
    ) -> Result<()> {
        let Some(sampling) = &params.record.weights_over_time else {
            return Ok(());
        };
        let (sampler, followed) = Sampler::new(comm, place, params, sampling, sources, vps);
        self.sampler = Some(sampler);
        let sampling = Sampling {
            every: sampling.every.to_ms(self.dt),
            bins: sampling.bins as usize,
            max: sampling.max,
            one_in: sampling.one_in,
            counted: over_time::COUNTED,
            followed,
        };
        let writer = self.weights.as_mut();
        comm.agree(writer.map_or(Ok(()), |writer| writer.begin_samples(&sampling)))
    }

    /// Who samples the weights, if they are sampled.
    pub fn sampler(&self) -> Option<&Sampler> {
        self.sampler.as_ref()
    }

    /// Takes the sample that the threads of this rank bring `parts` of, as that of each of the
    /// times `at`. Collective; a failure is kept until [`Recorder::close`].
    pub fn add_sample(&mut self, comm: &Comm, at: &[Steps], parts: Vec<Vec<u64>>) {
        let mine = parts.into_iter().reduce(|mut sum, part| {
            sum.iter_mut()
                .zip(part)
                .for_each(|(sum, part)| *sum += part);
            sum
        });
        let mine = mine.expect("a thread");
        let out_of_range = |sample: &[u64]| {
            let sampler = self.sampler.as_ref();
            sampler.is_some_and(|sampler| sampler.is_out_of_range(sample))
        };
        self.out_of_range |= out_of_range(&mine);
        let all = comm.sum_each(&mine);
        if comm.rank() == 0 && out_of_range(&all) {
            return;
        }
        let (Some(sampler), Some(writer)) = (&self.sampler, &mut self.weights) else {
            return;
        };
        for &at in at {
            if let Err(error) = writer.add_sample(sampler.complete(&all, at.to_ms(self.dt))) {
                self.failure.get_or_insert(error);
            }
        }
    }

    /// Whether a snapshot is due in `interval`, and of which times.
    pub fn snapshots_within(&self, interval: Interval) -> Vec<Steps> {
        let due = |at: &Steps| interval.start < *at && *at <= interval.end();
        self.selection
            .iter()
            .flat_map(|s| s.at.iter().copied().filter(due))
            .collect()
    }

    /// Writes the weights as they stand, as those of time `at`. Collective.
    ///
    /// Block by block of sources, so that no rank ever holds more than its own synapses and a
    /// block; rank 0 sorts by (source, target), the order of the file for every split.
    pub fn snapshot(
        &mut self,
        comm: &Comm,
        place: &Placement,
        sources: &Sources,
        vps: &mut PerThread<VirtualProcess>,
        at: Steps,
    ) -> Result<()> {
        let Some(selection) = self.selection.clone() else {
            return Ok(());
        };
        let mine: u64 = vps.iter_mut().map(|vp| vp.ee.rows.len() as u64).sum();
        let all = comm.sum(mine);
        let step = Self::sources_at_once(self.n_e, all) as usize;
        let at = at.to_ms(self.dt);
        let mut result = self
            .weights
            .as_mut()
            .map_or(Ok(()), |writer| writer.begin(at));
        working_on(Structure::Recording.name());
        let mut block = Block::with_room_for(mine.min(BLOCK + BLOCK / 8) as usize);
        for first in (0..selection.sources).step_by(step) {
            let of = first..selection.sources.min(first.saturating_add(step as u32));
            block.fill(place, sources, vps, of, selection.targets);
            let (keys, weights) = (comm.gather(&block.keys), comm.gather(&block.weights));
            let [local, gathered] = [&block.keys, &keys].map(|keys| keys.len() as u64);
            self.hold(Self::snapshot_bytes(local, gathered));
            if let Some(writer) = &mut self.weights {
                result = result.and_then(|()| writer.append(&sorted(keys, weights)));
            }
        }
        if let Some(writer) = &mut self.weights {
            result = result.and_then(|()| writer.end());
        }
        working_on("");
        comm.agree(result)
    }

    /// Digest of all spikes recorded here, and how many E and I neurons fired.
    pub fn spikes(&self) -> (Digest, [u64; 2]) {
        (self.digest, self.counts)
    }

    /// Writes what is left and closes the files. Collective.
    pub fn close(mut self, comm: &Comm) -> Result<()> {
        self.flush(comm);
        let mut result = self.failure.map_or(Ok(()), Err);
        if let Some(writer) = self.spikes {
            result = result.and(writer.close());
        }
        if let Some(writer) = self.weights {
            result = result.and(writer.close());
        }
        comm.agree(result)
    }
}

/// Synapses of a block of sources that live on this rank.
struct Block {
    /// source << 32 | target
    keys: Vec<u64>,
    /// In pA.
    weights: Vec<f64>,
}

impl Block {
    /// Returns an empty block. One allocation each, of which only what is filled takes memory.
    fn with_room_for(synapses: usize) -> Self {
        let mut block = Block {
            keys: Vec::new(),
            weights: Vec::new(),
        };
        block.keys.reserve_exact(synapses);
        block.weights.reserve_exact(synapses);
        block
    }

    /// Takes the synapses from `block` onto the first `targets` targets in place of those before.
    fn fill(
        &mut self,
        place: &Placement,
        sources: &Sources,
        vps: &mut PerThread<VirtualProcess>,
        block: Range<u32>,
        targets: u32,
    ) {
        self.keys.clear();
        self.weights.clear();
        let mut add = |source: u32, target: u32, weight: f64| {
            if target < targets {
                self.keys.push(u64::from(source) << 32 | u64::from(target));
                self.weights.push(weight);
            }
        };
        for (vp, thread) in vps.iter_mut().zip(0..) {
            for_each_weight(place, sources, thread, vp, block.clone(), &mut add);
        }
    }
}

/// Returns gathered synapses in the order of the file: by source, then by target.
fn sorted(keys: Vec<u64>, weights: Vec<f64>) -> Vec<Synapse> {
    let synapses = keys.into_iter().zip(weights);
    let mut synapses: Vec<Synapse> = synapses
        .map(|(key, weight)| Synapse {
            source: (key >> 32) as u32,
            target: key as u32,
            weight,
        })
        .collect();
    // Stable: synapses of one pair live in one row and keep its order.
    synapses.sort_by_key(|synapse| (synapse.source, synapse.target));
    synapses
}

/// Memory, in bytes.
impl Recorder {
    /// Sources whose synapses are gathered at once, of `n_e` with `synapses` in all.
    pub fn sources_at_once(n_e: u32, synapses: u64) -> u64 {
        let share = product([BLOCK, n_e.into()]).checked_div(synapses);
        share.unwrap_or(BLOCK).clamp(1, u64::from(u32::MAX))
    }

    /// Of a block of a snapshot with `local` synapses of this rank, `gathered` on rank 0:
    /// keys and weights here; there those of all, then synapses, and with them what sorts them,
    /// or two columns of ids for the file.
    pub fn snapshot_bytes(local: u64, gathered: u64) -> u64 {
        let each = size_of::<Synapse>() as u64 + 8 + 8;
        total([product([8 + 8, local]), product([each, gathered])])
    }

    /// Of a flush of `local` spikes of this rank, `gathered` on rank 0: keys here; there keys,
    /// and those spikes that wait for the file.
    pub fn flush_bytes(local: u64, gathered: u64) -> u64 {
        let waiting = (8 + 16) * gathered.min(HELD_BACK as u64);
        total([product([8, local]), product([8, gathered]), waiting])
    }

    /// Of the spikes that wait for the file on rank 0, of so many in the whole run: ids and times.
    pub fn waiting_bytes(spikes: u64) -> u64 {
        product([8 + 8, spikes.min(HELD_BACK as u64)])
    }

    /// Most spikes that wait on a rank.
    pub const MOST_WAITING: u64 = MAX_WAITING_SPIKES as u64;

    /// The most held at once so far.
    pub fn held(&self) -> u64 {
        let sampler = self.sampler.as_ref().map_or(0, Sampler::held);
        let waiting = self
            .weights
            .as_ref()
            .map_or(0, WeightWriter::most_held_back);
        self.most_held + sampler + waiting
    }

    fn hold(&mut self, bytes: u64) {
        self.most_held = self.most_held.max(bytes);
    }
}

/// Calls `each` with source, target (indices in E) and weight (pA) of every plastic synapse
/// of thread `thread` whose source is in `block`.
pub fn for_each_weight(
    place: &Placement,
    sources: &Sources,
    thread: u32,
    vp: &VirtualProcess,
    block: Range<u32>,
    mut each: impl FnMut(u32, u32, f64),
) {
    let gids = sources.excitatory();
    for row in gids.below(block.start)..gids.below(block.end) {
        let source = gids.get(row);
        for index in vp.ee.rows.range(row as u32) {
            let lid = Lid(vp.ee.rows.targets.get(index) as u32);
            each(source, place.gid(thread, lid).0, vp.ee.weights.get(index));
        }
    }
}
