//! Estimated sizes of the network's data structures on one rank.

use crate::base::memory::{ByStructure, Structure};
use crate::base::sizes::{product, total};
use crate::base::units::Steps;
use crate::engine::PRUNE_EVERY;
use crate::engine::delivery::events::EventBuffer;
use crate::engine::spikes::{Exchange, TargetTable};
use crate::io::file_network::FileNetwork;
use crate::io::recording::Sampler;
use crate::io::sonata::weights;
use crate::model::buffers::{RingBuffer, SpikeHistory};
use crate::model::network::Placement;
use crate::model::neuron::{self, Neurons};
use crate::model::params::{Delays, NeuronModel, Params, Stimulus, WeightSampling};
use crate::model::stimulus::Input;
use crate::model::synapse::{
    Holder, Owners, PlasticProjection, RowBuilder, RowIndex, Rows, Sources, StaticProjection,
};

use super::Volume;
use super::expect::{Inputs, Rate, distinct, largest_of};

/// Expected sizes of the whole network.
pub(super) struct Expected<'a> {
    pub params: &'a Params,
    pub ranks: usize,
    inputs: &'a Inputs,
    rate: Rate,
    /// Expected numbers of sources in E and in I of a rank of mean size.
    rows: [f64; 2],
}

/// Sizes of one rank.
pub(super) struct Share {
    /// Groups of threads with equal sizes. There are at most three groups, so the cost of the
    /// formulas below does not depend on the number of threads.
    threads: Vec<Alike>,
    /// Expected numbers of sources in E and in I.
    pub rows: [u64; 2],
    holder: Holder,
}

/// Group of threads that hold the same numbers of neurons.
struct Alike {
    threads: u64,
    /// Excitatory and inhibitory neurons per thread.
    neurons: [u64; 2],
}

/// Returns the threads of the rank of `place`, grouped by their numbers of neurons. The number of E
/// neurons, and of all neurons, never increases with the thread index and differs by at most one
/// between threads; binary search finds the ends of the groups.
fn alike(place: &Placement) -> Vec<Alike> {
    let neurons = |thread| {
        let e = place.count_below(thread, place.n_e);
        [e, place.count_below(thread, place.n) - e].map(u64::from)
    };
    let mut kinds = Vec::new();
    let mut begin = 0;
    while begin < place.threads {
        let here = neurons(begin);
        let (mut end, mut other) = (begin + 1, place.threads);
        while end < other {
            let middle = end + (other - end) / 2;
            if neurons(middle) == here {
                end = middle + 1;
            } else {
                other = middle;
            }
        }
        kinds.push(Alike {
            threads: u64::from(end - begin),
            neurons: here,
        });
        begin = end;
    }
    kinds
}

/// Selection of weights that are written to the file.
pub(super) struct Selected {
    pub synapses: f64,
    pub sources: f64,
    pub targets: f64,
    pub snapshots: u64,
    pub target_to_source: bool,
}

impl Selected {
    /// Returns the expected content of the file if the synapses are spread randomly over sources
    /// and targets.
    pub fn content(&self) -> weights::Content {
        let hit = |among: f64| -among * libm::expm1(-self.synapses / among.max(1.0));
        weights::Content {
            synapses: self.synapses as u64,
            sources: self.sources as u64,
            occurring: hit(self.sources) as u64,
            targets: self.targets as u64,
            pairs: hit(self.sources * self.targets) as u64,
            target_to_source: self.target_to_source,
        }
    }
}

/// Index of the excitatory population.
const E: usize = 0;
/// Index of the inhibitory population.
const I: usize = 1;

impl<'a> Expected<'a> {
    pub fn new(params: &'a Params, ranks: usize, inputs: &'a Inputs, rate: Rate) -> Self {
        let mut expected = Expected {
            params,
            ranks,
            inputs,
            rate,
            rows: [0.0; 2],
        };
        let mean = expected.sizes().map(|size| size / ranks as f64);
        expected.rows = [E, I].map(|from| expected.rows(from, mean));
        expected
    }

    fn sizes(&self) -> [f64; 2] {
        let network = &self.params.network;
        [f64::from(network.N_E), f64::from(network.N_I)]
    }

    /// Returns the mean in-degree of the projection `from` → `onto`.
    fn in_degree(&self, from: usize, onto: usize) -> f64 {
        let network = &self.params.network;
        match self.inputs.edges {
            Some(edges) => edges[2 * from + onto] as f64 / self.sizes()[onto].max(1.0),
            None => f64::from([network.K_E, network.K_I][from]),
        }
    }

    /// Returns the expected number of sources in `from` of a rank with the given numbers of
    /// excitatory and inhibitory `neurons`.
    fn rows(&self, from: usize, neurons: [f64; 2]) -> f64 {
        let network = &self.params.network;
        let multapses = network.allow_multapses || network.edges.is_some();
        let pool = self.sizes()[from];
        let drawn = |onto: usize| {
            let own = !network.allow_autapses && network.edges.is_none() && onto == from;
            let candidates = pool - f64::from(u8::from(own));
            let k = self.in_degree(from, onto);
            distinct(candidates, neurons[onto], k, multapses) / candidates.max(1.0)
        };
        pool * (1.0 - (1.0 - drawn(E)) * (1.0 - drawn(I)))
    }

    /// Returns the total number of synapses.
    pub fn synapses(&self) -> u64 {
        let fixed = self.synapses_of(Structure::StaticSynapses);
        total([self.synapses_of(Structure::PlasticSynapses), fixed])
    }

    /// Returns the number of plastic synapses, or of static synapses for any other `kind`.
    pub fn synapses_of(&self, kind: Structure) -> u64 {
        let of = |from, onto| (self.in_degree(from, onto) * self.sizes()[onto]).round() as u64;
        match kind {
            Structure::PlasticSynapses => of(E, E),
            _ => total([of(E, I), of(I, E), of(I, I)]),
        }
    }

    /// Returns the expected numbers of recorded spikes of E and of I.
    pub fn recorded_spikes(&self) -> [f64; 2] {
        let record = &self.params.record;
        let network = &self.params.network;
        let neurons = if record.spikes { record.n_rec } else { 0 };
        let e = neurons.min(network.N_E);
        let seconds = self.seconds(self.params.simulation.T);
        [
            f64::from(e) * self.rate.recorded[E] * seconds,
            f64::from(neurons - e) * self.rate.recorded[I] * seconds,
        ]
    }

    fn seconds(&self, time: Steps) -> f64 {
        time.to_ms(self.params.simulation.dt).0 / 1000.0
    }

    /// Returns the model time including the warm-up (s).
    fn whole_time(&self) -> f64 {
        let simulation = &self.params.simulation;
        self.seconds(simulation.end())
    }

    /// Returns the selection of weights that are written, if any.
    pub fn selected_weights(&self) -> Option<Selected> {
        let selection = self.params.record.weights.as_ref()?;
        let [n_e, _] = self.sizes();
        let simulation = &self.params.simulation;
        let end = simulation.end();
        let at_end = u64::from(selection.at.last() != Some(&end));
        let all = self.synapses_of(Structure::PlasticSynapses) as f64;
        let part = |selected: u32| f64::from(selected) / n_e.max(1.0);
        Some(Selected {
            synapses: all * part(selection.targets) * part(selection.sources),
            sources: f64::from(selection.sources),
            targets: f64::from(selection.targets),
            snapshots: selection.at.len() as u64 + at_end,
            target_to_source: selection.target_to_source,
        })
    }

    /// Returns the weight samples that are written during the run, if any.
    pub fn samples(&self) -> Option<weights::Samples> {
        let sampling = self.params.record.weights_over_time.as_ref()?;
        let simulation = &self.params.simulation;
        let end = simulation.end().0;
        let plastic = self.synapses_of(Structure::PlasticSynapses) > 0;
        Some(weights::Samples {
            times: (end / sampling.every.0 + 1) as u64,
            bins: sampling.bins as usize,
            followed: if plastic {
                sampling.trajectories as usize
            } else {
                0
            },
        })
    }

    /// Returns the delays of the recurrent projections.
    fn delays(&self) -> Delays {
        self.inputs.delays.unwrap_or(self.params.synapse.delay)
    }

    /// Returns the number of different entries and of words per entry.
    pub fn entry(&self) -> (u64, u64) {
        let rows = self.share(0).rows;
        Exchange::entries(total(rows), self.delays().min().0 as u32)
    }

    pub fn volume(&self) -> Volume {
        let interval = self.delays().min();
        let seconds = self.seconds(interval);
        let fire = |which: usize| self.sizes()[which] * self.rate.overall[which] * seconds;
        let listened = |which: usize| self.rows[which] / self.sizes()[which].max(1.0);
        let entries = fire(E) * listened(E) + fire(I) * listened(I);
        let intervals = (self.whole_time() / seconds).ceil();
        let (_, words) = self.entry();
        let ranks = self.ranks as f64;
        // Chunks grow to 1.5 times the first one that did not fit, then with the largest of all.
        let chunks = ranks * ranks;
        let first = product([words, largest_of(entries / ranks, chunks)]);
        let largest = product([words, largest_of(entries / ranks, chunks * intervals)]);
        let capacity = Exchange::grown(Exchange::grown(0, first), largest);
        let chunk_bytes = Exchange::chunk_bytes(capacity);
        Volume {
            interval_ms: interval.to_ms(self.params.simulation.dt).0,
            intervals: intervals as u64,
            spikes: fire(E) + fire(I),
            entries_per_rank: entries,
            entry_bytes: 4 * words,
            capacity_words: capacity,
            chunk_bytes,
            bytes_per_rank: product([self.ranks as u64, chunk_bytes]),
        }
    }

    /// Returns the sizes of rank `rank`.
    pub fn share(&self, rank: usize) -> Share {
        let place = Placement::new(self.params, self.ranks, rank);
        let threads = alike(&place);
        let of = |which: usize| move |kind: &Alike| kind.threads * kind.neurons[which];
        let neurons = [E, I].map(|which| threads.iter().map(of(which)).sum::<u64>());
        let rows = [E, I].map(|from| self.rows(from, neurons.map(|n| n as f64)).round() as u64);
        let sizes = self.sizes();
        let from_e = [E, I].map(|onto| self.in_degree(E, onto) * sizes[onto]);
        let in_degree = from_e.iter().sum::<f64>() / sizes.iter().sum::<f64>().max(1.0);
        // What it refuses, a run refuses too.
        let holder = Holder::of(&place, in_degree).unwrap_or(Holder::OfTarget);
        Share {
            threads,
            rows,
            holder,
        }
    }

    /// Returns the fraction of sources that fire again before the trace of their last spike has
    /// decayed below 2⁻⁵³, where adding it to 1 has no effect.
    fn not_one(&self) -> f64 {
        let (neuron, rate) = (&self.params.neuron, self.rate.overall[E]);
        let pause = 53.0 * std::f64::consts::LN_2 * self.params.stdp.tau_plus / 1000.0;
        match neuron.model {
            NeuronModel::IgnoreAndFire => {
                let [slow, fast] = neuron.rate;
                let often = ((fast - (1.0 / pause).max(slow)) / (fast - slow)).clamp(0.0, 1.0);
                if slow == fast {
                    f64::from(u8::from(fast * pause > 1.0))
                } else {
                    often
                }
            }
            NeuronModel::IafPscAlpha => -libm::expm1(-rate * pause),
        }
    }

    /// Returns the expected number of spikes that the history of an excitatory neuron keeps in
    /// addition to the latest two. The history keeps all spikes since the last spike of the source
    /// that has been silent longest, as of the previous pruning.
    fn older_spikes(&self) -> f64 {
        let (neuron, rate) = (&self.params.neuron, self.rate.overall[E]);
        if rate <= 0.0 {
            return 0.0;
        }
        let silence = match neuron.model {
            NeuronModel::IgnoreAndFire => 1.0 / neuron.rate[0],
            // Expected maximum of `rows[E]` exponentially distributed intervals.
            NeuronModel::IafPscAlpha => libm::log(self.rows[E].max(1.0)) / rate,
        };
        let pruning = f64::from(PRUNE_EVERY) * self.seconds(self.delays().min());
        let kept = (silence + pruning).min(self.whole_time());
        (rate * kept - 2.0).max(0.0)
    }
}

impl Share {
    /// Returns the number of neurons of the rank.
    pub fn neurons(&self) -> u64 {
        self.sum(|neurons| neurons.iter().sum())
    }

    /// Returns the sum over the threads of `of`, a function of the neurons of one thread.
    fn sum(&self, of: impl Fn(&[u64; 2]) -> u64) -> u64 {
        let kinds = self.threads.iter();
        total(kinds.map(|kind| product([kind.threads, of(&kind.neurons)])))
    }

    /// Returns the maximum over the threads of `of`, a function of the neurons of one thread.
    fn most(&self, of: impl Fn(&[u64; 2]) -> u64) -> u64 {
        let kinds = self.threads.iter();
        kinds.map(|kind| of(&kind.neurons)).max().unwrap_or(0)
    }

    /// Returns the number of bytes of the structures that sample weights.
    pub fn sampler(&self, expected: &Expected, sampling: &WeightSampling) -> u64 {
        let synapses = self.sum(|thread| synapses(expected, thread, E, E));
        let threads = self.threads.iter().map(|kind| kind.threads).sum();
        Sampler::bytes(sampling, self.rows[E], synapses, threads)
    }

    /// Returns a bound on the stored targets of the larger population.
    pub fn most_targets_stored(&self) -> u64 {
        self.most(|thread| self.end(E, thread).max(self.end(I, thread)))
    }

    /// Returns the maximum over the threads of the number of synapses in the largest projection.
    pub fn most_synapses(&self, expected: &Expected) -> u64 {
        self.most(|thread| {
            let projections = [(E, E), (E, I), (I, E), (I, I)].into_iter();
            let synapses = projections.map(|(from, onto)| synapses(expected, thread, from, onto));
            synapses.max().unwrap_or(0)
        })
    }

    /// Returns the maximum over the threads of the number of target-table entries.
    pub fn most_targets(&self, expected: &Expected) -> u64 {
        self.most(|thread| {
            let of = |which: usize| thread[which] as f64 * listened(expected, which);
            (expected.ranks as f64 * (of(E) + of(I))) as u64
        })
    }

    /// Returns a bound on the stored targets of a thread's synapses onto population `onto`, if threads
    /// have `thread` neurons.
    fn end(&self, onto: usize, thread: &[u64; 2]) -> u64 {
        let owners = match self.holder {
            Holder::OfTarget => Owners::one(0),
            Holder::OfSource => {
                Owners::all(self.threads.iter().map(|kind| kind.threads as u32).sum())
            }
        };
        owners.end(thread[onto])
    }

    /// Returns the bytes of the events of an interval on their way between threads.
    fn events(&self, expected: &Expected) -> u64 {
        let seconds = expected.seconds(expected.delays().min());
        let of = |from: usize| {
            let synapses = self.sum(|thread| {
                let onto = [E, I].map(|onto| synapses(expected, thread, from, onto));
                total(onto)
            });
            synapses as f64 * expected.rate.overall[from] * seconds
        };
        EventBuffer::bytes(of(E) + of(I))
    }

    /// Returns the bytes of the structures whose size depends on neurons and synapses.
    pub fn structures(&self, expected: &Expected) -> ByStructure<u64> {
        let params = expected.params;
        let read = expected.inputs.edges.is_some();
        let slots = expected.delays().max().0 as u64;
        let channels = neuron::channels(&params.neuron) as u64;
        let mut bytes = ByStructure::default();
        let all = self.threads.iter().map(|kind| kind.threads).sum::<u64>();
        for Alike { threads, neurons } in &self.threads {
            let [e, i] = *neurons;
            let count = |from, onto| synapses(expected, neurons, from, onto);
            let ends = [E, I].map(|onto| self.end(onto, neurons));
            let precision = params.stdp.weight_precision;
            let mut add = |structure, each: u64| bytes.add(structure, product([*threads, each]));
            add(
                Structure::PlasticSynapses,
                PlasticProjection::bytes(count(E, E), ends[E], precision),
            );
            for (from, onto) in [(E, I), (I, E), (I, I)] {
                let each = StaticProjection::bytes(count(from, onto), ends[onto], read);
                add(Structure::StaticSynapses, each);
            }
            for from in [E, I] {
                let synapses = [count(from, E), count(from, I)];
                let rows = match self.holder {
                    Holder::OfTarget => self.rows[from],
                    Holder::OfSource => self.rows[from] / all,
                };
                add(Structure::RowIndex, RowIndex::bytes(rows, synapses));
            }
            let events = match self.holder {
                Holder::OfTarget => 0,
                Holder::OfSource => self.events(expected) / all,
            };
            let ring = RingBuffer::bytes(e + i, channels, slots);
            let history = SpikeHistory::bytes(e, expected.older_spikes());
            add(Structure::TargetTable, target_table(expected, neurons));
            add(Structure::Neurons, Neurons::bytes(&params.neuron, e + i));
            add(Structure::RingBuffers, total([ring, events]));
            add(Structure::ExternalInput, external_input(expected, e + i));
            add(Structure::SpikeHistory, history);
            add(
                Structure::Construction,
                drafts(expected, neurons, self.holder),
            );
        }
        bytes[Structure::Sources] = Sources::bytes(
            self.rows,
            expected.sizes().map(|size| size as u64),
            expected.not_one(),
        );
        bytes
    }

    /// Returns the number of bytes of drafts, targets and weights while the rows are built, without
    /// the row index. Weights count only if they are read from a file.
    pub fn while_connecting(&self, expected: &Expected) -> u64 {
        let weight = if expected.inputs.edges.is_some() {
            8
        } else {
            0
        };
        self.sum(|thread| {
            let placed = [(E, E), (E, I), (I, E), (I, I)].map(|(from, onto)| {
                let synapses = synapses(expected, thread, from, onto);
                let targets = Rows::target_bytes(synapses, self.end(onto, thread));
                total([targets, product([weight, synapses])])
            });
            total(
                placed
                    .into_iter()
                    .chain([drafts(expected, thread, self.holder)]),
            )
        })
    }
}

/// Returns the expected number of synapses of the projection `from` → `onto` on a thread with these
/// neurons.
fn synapses(expected: &Expected, thread: &[u64; 2], from: usize, onto: usize) -> u64 {
    (thread[onto] as f64 * expected.in_degree(from, onto)).round() as u64
}

/// Returns the number of bytes of the target table of a thread.
fn target_table(expected: &Expected, thread: &[u64; 2]) -> u64 {
    let of = |which: usize| {
        TargetTable::bytes(
            thread[which],
            expected.ranks as u64,
            listened(expected, which),
            expected.rows.iter().sum::<f64>() as u64,
        )
    };
    total([of(E), of(I)])
}

/// Returns the probability that a rank has a row for a given neuron.
fn listened(expected: &Expected, which: usize) -> f64 {
    expected.rows[which] / expected.sizes()[which].max(1.0)
}

fn drafts(expected: &Expected, thread: &[u64; 2], holder: Holder) -> u64 {
    let read = expected.inputs.edges.is_some();
    let synapses = [E, I].map(|from| [E, I].map(|onto| synapses(expected, thread, from, onto)));
    let edges = if read {
        FileNetwork::bytes(total(synapses.map(total)))
    } else {
        0
    };
    let sizes = expected.sizes().map(|size| size as u64);
    total([edges, RowBuilder::bytes(synapses, sizes, read, holder)])
}

fn external_input(expected: &Expected, neurons: u64) -> u64 {
    let params = expected.params;
    match &params.stimulus {
        Stimulus::Poisson { mean_per_step, .. } => Input::poisson_bytes(*mean_per_step, neurons),
        Stimulus::Spikes(_) => {
            let part = neurons as f64 / f64::from(params.network.N);
            let spikes = expected.inputs.spikes.unwrap_or(0) as f64 * part;
            let steps = params.simulation.end().0;
            Input::given_bytes(spikes.round() as u64, steps as u64, neurons)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_all_kinds_are_counted() {
        for (n, n_e, ranks, threads) in [
            (500, 400, 1, 1024),
            (12_500, 10_000, 3, 7),
            (1, 1, 5, 4),
            (1000, 0, 2, 64),
            (4_294_967_295, 3_000_000_001, 77, 1024),
        ] {
            for rank in [0, 1, ranks - 1] {
                let place = Placement {
                    n,
                    n_e,
                    ranks,
                    threads,
                    rank: rank.min(ranks - 1),
                };
                let kinds = alike(&place);
                assert!(kinds.len() <= 3);
                let each = kinds
                    .iter()
                    .flat_map(|kind| (0..kind.threads).map(|_| kind.neurons));
                let one_by_one = (0..threads).map(|thread| {
                    let e = place.count_below(thread, n_e);
                    [e, place.count_below(thread, n) - e].map(u64::from)
                });
                assert!(each.eq(one_by_one));
            }
        }
    }
}
