//! Stand-in for the other ranks of a rehearsal: the spikes that they send and the target-table
//! requests that they make.

use std::cell::Cell;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use crate::base::error::Result;
use crate::base::rng::{Purpose, uniform};
use crate::base::units::{Gid, Steps};
use crate::comm::OtherRanks;
use crate::engine::spikes::{ChunkWriter, asked, need_and_room};
use crate::io::file_network::read_rates;
use crate::model::network::Placement;
use crate::model::neuron::Tics;
use crate::model::params::Params;

use super::listeners::Listeners;
use super::wheel::Wheel;

/// Simulates all ranks except the rehearsed one. The spike times of an `ignore_and_fire` neuron
/// depend only on (seed, gid), so the spikes that the rehearsed rank receives are exact.
/// [`Listeners`] gives the ranks that its own neurons project to.
///
/// Memory and time grow with the number of sources of the rehearsed rank (16 bytes per source) and
/// with the size of the chunks of an exchange.
pub struct Others {
    params: Params,
    place: Placement,
    min_delay: Steps,
    listeners: Listeners,
    /// Rates and phases by gid, if they are read from a file.
    given: Option<(Vec<f64>, Vec<f64>)>,
    /// End of the interval whose spikes are exchanged next.
    interval_end: Steps,
    heard: Option<Heard>,
    used: Rc<Cell<u64>>,
}

/// Sources of the rehearsed rank that live on other ranks, by row.
struct Heard {
    wheel: Wheel,
    /// Rank of the source of each row.
    rank: Vec<u32>,
    writer: Option<ChunkWriter>,
    /// Spikes of the interval as (rank, row, lag); kept until the chunks have enough room.
    spikes: Vec<(u32, u32, u32)>,
    fresh: bool,
}

impl Others {
    /// Creates the stand-in for all ranks except `place.rank`. Keeps `used` set to the number of
    /// bytes that it uses.
    ///
    /// # Errors
    /// Fails if the file of rates cannot be read or is invalid.
    pub fn new(
        params: &Params,
        place: Placement,
        min_delay: Steps,
        listeners: Listeners,
        used: Rc<Cell<u64>>,
    ) -> Result<Self> {
        let read =
            |path: &Path| read_rates(path, place.n, (0..place.n).map(Gid), params.simulation.dt);
        let given = params.neuron.initial.as_deref().map(read).transpose()?;
        Ok(Others {
            params: params.clone(),
            place,
            min_delay,
            listeners,
            given,
            interval_end: min_delay,
            heard: None,
            used,
        })
    }

    /// Returns the period (steps) and the first stamp of neuron `gid`.
    fn schedule(&self, gid: Gid) -> (i32, Steps) {
        let (neuron, seed) = (&self.params.neuron, self.params.simulation.seed);
        let (rate, phase) = match &self.given {
            Some((rates, phases)) => (rates[gid.0 as usize], phases[gid.0 as usize]),
            None => (
                uniform(seed, Purpose::Rate, gid, neuron.rate),
                uniform(seed, Purpose::Phase, gid, neuron.phase),
            ),
        };
        let tics = Tics::of(&self.params.simulation);
        (tics.period(rate), tics.first_stamp(rate, phase))
    }

    /// Registers the sources of the rehearsed rank from its target-table requests.
    fn hear(&mut self, requests: &[Vec<u64>]) {
        let mut heard = self
            .heard
            .take()
            .unwrap_or_else(|| Heard::new(self.min_delay));
        for (rank, list) in (0u32..).zip(requests) {
            for &request in list {
                let (gid, row) = asked(request);
                let played = rank != self.place.rank;
                heard.add(row, rank, played.then(|| self.schedule(gid)));
            }
        }
        self.used.set(heard.used());
        self.heard = Some(heard);
    }
}

impl Heard {
    fn new(interval: Steps) -> Self {
        Heard {
            wheel: Wheel::new(interval),
            rank: Vec::new(),
            writer: None,
            spikes: Vec::new(),
            fresh: false,
        }
    }

    /// Adds the source of row `row`, which lives on `rank`. If `schedule` (period and first stamp)
    /// is given, the wheel generates its spikes.
    fn add(&mut self, row: u32, rank: u32, schedule: Option<(i32, Steps)>) {
        let rows = self.rank.len().max(row as usize + 1);
        self.rank.resize(rows, 0);
        self.rank[row as usize] = rank;
        if let Some((period, first)) = schedule {
            self.wheel.add(row, first, period);
        }
    }

    /// Returns the number of bytes in use.
    fn used(&self) -> u64 {
        self.wheel.used() + size_of_val(&*self.rank) as u64
    }
}

impl OtherRanks for Others {
    fn lists(&mut self, about: &Range<u32>, mut send: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
        self.hear(&send);
        let own = std::mem::take(&mut send[self.place.rank as usize]);
        drop(send);
        let mut lists = self.listeners.requests(about);
        lists[self.place.rank as usize] = own;
        lists
    }

    fn chunks(&mut self, send: &[u32], receive: &mut [u32]) {
        let heard = self.heard.as_mut().expect("the target table comes first");
        let end = self.interval_end;
        if !heard.fresh {
            heard.spikes.clear();
            let start = end.0 - self.min_delay.0;
            let (spikes, rank) = (&mut heard.spikes, &heard.rank);
            heard.wheel.turn(end, |row, stamp| {
                spikes.push((rank[row as usize], row, (stamp.0 - start - 1) as u32));
            });
            heard.fresh = true;
        }
        let ranks = self.place.ranks as usize;
        let writer = heard.writer.get_or_insert_with(|| {
            ChunkWriter::new(ranks, heard.rank.len() as u64, self.min_delay.0 as u32)
        });
        let need = writer.write(&heard.spikes, receive);
        let chunk = send.len() / ranks;
        let own = self.place.rank as usize * chunk..(self.place.rank as usize + 1) * chunk;
        receive[own.clone()].copy_from_slice(&send[own.clone()]);
        let (own_need, room) = need_and_room(&send[own]);
        if need.max(own_need) <= room {
            heard.fresh = false;
            self.interval_end = end + self.min_delay;
        }
    }
}
