//! Recorder of spikes and weights: rank 0 writes them to one directory during the run.
//!
//! Spikes stay on their rank until all ranks flush, that is, gather them on rank 0. The flags of
//! the exchange carry the request. Rank 0 requests a flush once per second, and any rank requests
//! one when it holds many spikes. The same flags report a failure of the writer, so all ranks end
//! together.

mod over_time;
mod watched_directory;

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::base::allocator::working_on;
use crate::base::error::{Error, Result};
use crate::base::memory::Structure;
use crate::base::sizes::{product, total};
use crate::base::units::{Gid, Interval, Ms, Steps};
use crate::comm::Comm;
use crate::engine::{Observer, Simulation, Spike};
use crate::io::sonata::spikes::{HELD_BACK, SpikeWriter};
use crate::io::sonata::weights::{Layout, Sampling, Synapse, WeightWriter};
use crate::model::params::WeightRecord;

pub use over_time::Sampler;
pub use watched_directory::WatchedDirectory;

/// Maximum number of recorded spikes that a rank holds before it requests a flush: 512 KiB per
/// rank. Rank 0 receives the spikes of all ranks.
const MAX_WAITING_SPIKES: usize = 1 << 16;
/// Number of gathered spikes per call of the writer.
const PORTION: usize = 1 << 14;
/// Period after which rank 0 requests a flush.
const FLUSH_PERIOD: Duration = Duration::from_secs(1);
/// Number of synapses per gathered block of a snapshot: 16 MiB.
const BLOCK: u64 = 1 << 20;

/// Observer that gathers spikes and weights on rank 0, which writes them.
pub struct Recorder {
    /// Number of recorded neurons, those with the lowest gids.
    n_rec: u32,
    dt: Ms,
    /// Spikes since the last flush, packed as stamp (high 32 bits) and gid (low 32 bits).
    waiting: Vec<u64>,
    flushed: Instant,
    /// Writer of spikes, on rank 0 if spikes are recorded.
    spikes: Option<SpikeWriter>,
    /// Writer of weights, on rank 0 if weights are recorded.
    weights: Option<WeightWriter>,
    /// Directory of the result, on rank 0.
    directory: Option<WatchedDirectory>,
    selection: Option<WeightRecord>,
    /// Sampler of weights, on all ranks once a run that samples weights has begun.
    sampler: Option<Sampler>,
    /// Maximum bytes of a flush of spikes or of a block of a snapshot.
    most_held: u64,
}

impl Recorder {
    /// Creates the files of the result `id` in `directory`, on rank 0.
    ///
    /// # Errors
    /// Fails, on rank 0, if the directory does not exist or a file cannot be created.
    pub fn new(simulation: &Simulation, directory: &Path, id: &str) -> Result<Self> {
        let params = simulation.params();
        let dt = params.simulation.dt;
        let record = &params.record;
        let directory = (simulation.comm().rank() == 0).then_some(directory);
        // The watch starts before the files are created, so they must be in the watched directory.
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
                    delay: simulation.delays().plastic().to_ms(dt),
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
            n_rec: if record.spikes { record.n_rec } else { 0 },
            dt,
            waiting: Vec::new(),
            flushed: Instant::now(),
            spikes,
            weights,
            selection: record.weights.clone(),
            sampler: None,
            most_held: 0,
        })
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

    /// Prepares the sampling of weights, if it is configured. Collective.
    fn begin_samples(&mut self, simulation: &Simulation) -> Result<()> {
        let Some(sampling) = &simulation.params().record.weights_over_time else {
            return Ok(());
        };
        let (sampler, followed) = Sampler::new(simulation, sampling);
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
        let begun = writer.map_or(Ok(()), |writer| writer.begin_samples(&sampling));
        simulation.comm().agree(begun)
    }

    /// Takes the samples that are due in `interval`. All of them hold the present weights.
    /// Collective.
    ///
    /// # Errors
    /// Fails, on the rank of the weight and on rank 0, if a sampled weight is not finite; on rank 0
    /// also if a sample cannot be written.
    fn sample_if_due(&mut self, simulation: &Simulation, interval: Interval) -> Result<()> {
        let Some(sampler) = &self.sampler else {
            return Ok(());
        };
        let times = sampler.due(interval);
        if times.is_empty() {
            return Ok(());
        }
        let mine = sampler.sample(simulation);
        let all = simulation.comm().sum_each(&mine);
        // The engine then checks all weights, and its error names the weight.
        let is_out_of_range = |sample: &Vec<u64>| sampler.is_out_of_range(sample);
        if is_out_of_range(&mine) || self.weights.is_some() && is_out_of_range(&all) {
            return Err(Error::run("a sampled weight is not finite"));
        }
        let Some(writer) = &mut self.weights else {
            return Ok(());
        };
        times
            .iter()
            .try_for_each(|at| writer.add_sample(sampler.complete(&all, at.to_ms(self.dt))))
    }

    /// Returns the times of the snapshots that are due in `interval`.
    fn snapshots_within(&self, interval: Interval) -> Vec<Steps> {
        let due = |at: &Steps| interval.start < *at && *at <= interval.end();
        self.selection
            .iter()
            .flat_map(|s| s.at.iter().copied().filter(due))
            .collect()
    }

    /// Writes the present weights as the snapshot at time `at`. Collective.
    ///
    /// Gathers the synapses of one block of sources at a time. A rank therefore holds at most its
    /// own synapses and one block. Rank 0 sorts each block by (source, target), the order of the
    /// file for every split.
    fn snapshot(&mut self, simulation: &Simulation, at: Steps) -> Result<()> {
        let Some(selection) = self.selection.clone() else {
            return Ok(());
        };
        let comm = simulation.comm();
        let counts = simulation.map_parts(|part| part.synapses.count().0 as u64);
        let mine: u64 = counts.into_iter().sum();
        let all = comm.sum(mine);
        let step = Self::sources_at_once(simulation.params().network.N_E, all) as usize;
        let at = at.to_ms(self.dt);
        let mut result = self
            .weights
            .as_mut()
            .map_or(Ok(()), |writer| writer.begin(at));
        working_on(Structure::Recording.name());
        let mut block = Block::with_room_for(mine.min(BLOCK + BLOCK / 8) as usize);
        for first in (0..selection.sources).step_by(step) {
            let of = first..selection.sources.min(first.saturating_add(step as u32));
            block.fill(simulation, of, selection.targets);
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

    /// Flushes and closes the files. Collective.
    ///
    /// # Errors
    /// Fails, on all ranks, if data cannot be written.
    pub fn close(mut self, comm: &Comm) -> Result<()> {
        let mut result = self.flush(comm);
        if let Some(writer) = self.spikes {
            result = result.and(writer.close());
        }
        if let Some(writer) = self.weights {
            result = result.and(writer.close());
        }
        comm.agree(result)
    }
}

impl Observer for Recorder {
    /// Prepares the sampling, and writes the snapshot and the sample that are due at time 0.
    fn begin(&mut self, simulation: &Simulation) -> Result<()> {
        self.begin_samples(simulation)?;
        let before = Interval {
            start: Steps(-1),
            steps: 1,
        };
        self.interval(simulation, before)
    }

    fn spikes(&mut self, spikes: &[Spike]) {
        let written = spikes.iter().filter(|spike| spike.gid.0 < self.n_rec);
        let key = |spike: &Spike| (spike.stamp.0 as u64) << 32 | u64::from(spike.gid.0);
        self.waiting.extend(written.map(key));
    }

    /// Writes the snapshots and samples that are due.
    fn interval(&mut self, simulation: &Simulation, interval: Interval) -> Result<()> {
        for at in self.snapshots_within(interval) {
            simulation.check_range(at)?;
            self.snapshot(simulation, at)?;
        }
        self.sample_if_due(simulation, interval)
    }

    fn wants_flush(&self) -> bool {
        let overdue = self.directory.is_some() && self.flushed.elapsed() > FLUSH_PERIOD;
        self.waiting.len() > MAX_WAITING_SPIKES || overdue
    }

    /// Gathers the waiting spikes on rank 0, which writes them and the samples to disk.
    fn flush(&mut self, comm: &Comm) -> Result<()> {
        let mut spikes = comm.gather(&self.waiting);
        let gathered = self.spikes.as_ref().map_or(0, |_| spikes.len() as u64);
        self.hold(Self::flush_bytes(self.waiting.len() as u64, gathered));
        self.waiting.clear();
        self.flushed = Instant::now();
        let spikes = self.write_spikes(&mut spikes);
        let samples = self.weights.as_mut().map_or(Ok(()), WeightWriter::flush);
        let directory = self.directory.as_mut();
        let directory = directory.map_or(Ok(()), WatchedDirectory::check);
        // An error of the directory comes first: if it is gone, nothing can be written.
        directory.and(spikes).and(samples)
    }

    /// Writes the snapshot at the end of the run, unless the last interval has written it.
    fn end(&mut self, simulation: &Simulation) -> Result<()> {
        let end = simulation.params().simulation.end();
        let is_taken = self.selection.as_ref().is_none_or(|s| s.at.contains(&end));
        if is_taken {
            return Ok(());
        }
        self.snapshot(simulation, end)
    }
}

/// This rank's synapses from a block of sources.
struct Block {
    /// Source (high 32 bits) and target (low 32 bits) of each synapse.
    keys: Vec<u64>,
    /// Weights (pA).
    weights: Vec<f64>,
}

impl Block {
    /// Returns an empty block with room for `synapses` synapses. Each vector is allocated once;
    /// untouched pages take no memory.
    fn with_room_for(synapses: usize) -> Self {
        let mut block = Block {
            keys: Vec::new(),
            weights: Vec::new(),
        };
        block.keys.reserve_exact(synapses);
        block.weights.reserve_exact(synapses);
        block
    }

    /// Replaces the contents with the synapses from `sources` onto the first `targets` neurons.
    fn fill(&mut self, simulation: &Simulation, sources: Range<u32>, targets: u32) {
        self.keys.clear();
        self.weights.clear();
        simulation.for_each_weight(sources, |source, target, weight| {
            if target.0 < targets {
                self.keys
                    .push(u64::from(source.0) << 32 | u64::from(target.0));
                self.weights.push(weight);
            }
        });
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
    // The sort is stable: synapses of the same pair are in one row and keep its order.
    synapses.sort_by_key(|synapse| (synapse.source, synapse.target));
    synapses
}

/// Memory in bytes.
impl Recorder {
    /// Returns the number of sources per block if `n_e` sources have `synapses` synapses in total.
    pub fn sources_at_once(n_e: u32, synapses: u64) -> u64 {
        let share = product([BLOCK, n_e.into()]).checked_div(synapses);
        share.unwrap_or(BLOCK).clamp(1, u64::from(u32::MAX))
    }

    /// Returns the bytes for a block of a snapshot, with `local` synapses of this rank and
    /// `gathered` synapses on rank 0. Every rank holds its own keys and weights. Rank 0 also holds
    /// the synapses and, one after the other, the gathered keys and weights, the buffer of the sort
    /// and two columns of ids for the file.
    pub fn snapshot_bytes(local: u64, gathered: u64) -> u64 {
        let each = size_of::<Synapse>() as u64 + 8 + 8;
        total([product([8 + 8, local]), product([each, gathered])])
    }

    /// Returns the bytes for a flush, if this rank sends `local` spikes and rank 0 receives
    /// `gathered`. Every rank holds its own keys. Rank 0 also holds those of all ranks and the
    /// spikes that wait for the file.
    pub fn flush_bytes(local: u64, gathered: u64) -> u64 {
        let waiting = (8 + 16) * gathered.min(HELD_BACK as u64);
        total([product([8, local]), product([8, gathered]), waiting])
    }

    /// Returns the bytes of the spikes that wait for the file on rank 0, in a run of `spikes`
    /// spikes: ids and times.
    pub fn waiting_bytes(spikes: u64) -> u64 {
        product([8 + 8, spikes.min(HELD_BACK as u64)])
    }

    /// Maximum number of spikes that a rank holds before it requests a flush.
    pub const MOST_WAITING: u64 = MAX_WAITING_SPIKES as u64;

    /// Returns the maximum number of bytes held so far.
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
