//! The split never shows: same config and seed, same spikes and weights, bit for bit, for
//! every number of ranks and threads, under real mpirun.

use std::collections::BTreeSet;
use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use stdp_hpc::base::rng::{below, unit};

use crate::common::{
    Desk, LIMIT, RunResult, assert_same_content, command_on, mpirun, read_run, start, text,
};

/// Sizes that no split divides, a warm-up and an end that are no whole intervals, snapshots
/// before, at and between exchanges.
fn config(model: &str, delay: &str, precision: &str) -> String {
    format!(
        r#"
[network]
N = 2501
K = 251
[neuron]
model = "{model}"
[neuron.ignore_and_fire]
rate = [5.0, 60.0]
[synapse]
delay = {delay}
[stdp]
weight_precision = "{precision}"
[stimulus]
eta = 3.0
[simulation]
T = 301.0
presim = 20.5
seed = 12
[record]
weights = {{ at = [0.0, 20.5, 100.125] }}
weights_over_time = {{ every = 20.125, one_in = 3 }}
"#
    )
}

const ALIKE: &str = "1.5";
const DIFFERENT: &str =
    "{ E_to_E = 1.5, E_to_I = 2.0, I_to_E = 1.0, I_to_I = 0.75, X_to_all = 0.5 }";

/// Ranks × threads.
const SPLITS: [(usize, usize); 6] = [(1, 1), (1, 3), (2, 2), (3, 1), (4, 2), (5, 1)];

/// What of run.json must not depend on the split.
const SAME: [&str; 4] = ["digest", "counts", "rates", "delay"];

#[track_caller]
fn assert_same(one: &RunResult, other: &RunResult) {
    for key in SAME {
        assert_eq!(one.run[key], other.run[key], "{key}");
    }
    assert_same_content(&one.content(), &other.content());
}

fn no_split_shows(model: &str, delay: &str, precision: &str) {
    let desk = Desk::new();
    let config = desk.config("net", &config(model, delay, precision));
    let [first, others @ ..] = SPLITS.map(|(ranks, threads)| {
        let result = desk.result(&config, ranks, threads, &[]);
        let split = ["ranks", "threads"].map(|key| result.count(&["provenance", key]));
        assert_eq!(split, [ranks as u64, threads as u64], "really split so");
        result
    });
    assert_lively(&first);
    assert_digests(&first);
    for other in others {
        assert_same(&first, &other);
    }
    for (ranks, threads) in [(1, 3), (2, 2)] {
        assert_same(&first, &by_source(&desk, &config, ranks, threads));
    }
}

/// A run whose threads hold synapses by source, as they do on many threads of many ranks.
fn by_source(desk: &Desk, config: &Path, ranks: usize, threads: usize) -> RunResult {
    let mut command = command_on(ranks);
    command.env("STDP_HPC_HOLDER", "source");
    let threads = threads.to_string();
    let arguments = [text(config), "--threads", &threads, "--quiet"];
    desk.result_of(command, &arguments).0
}

#[test]
fn who_holds_synapses_is_source_or_target() {
    let desk = Desk::new();
    let config = desk.config("net", &config("ignore_and_fire", ALIKE, "f64"));
    let mut command = command_on(1);
    command.env("STDP_HPC_HOLDER", "sources");
    let out = desk.path().join("out");
    command.args([text(&config), "--out", text(&out)]);
    let message = "stdp-hpc: STDP_HPC_HOLDER = \"sources\": must be \"source\" or \"target\"\n";
    assert!(
        start(command)
            .wait(LIMIT)
            .expect(2)
            .stderr
            .ends_with(message)
    );
}

/// A network in which something happens: many spikes, most weights moved, several synapses
/// of a pair.
fn assert_lively(result: &RunResult) {
    assert!(result.count(&["counts", "spikes_E"]) > 3000);
    assert!(result.count(&["counts", "spikes_I"]) > 500);
    let weights = result.weights();
    assert_eq!(weights.len(), 400_000);
    let values: BTreeSet<u64> = weights.iter().map(|synapse| synapse.2.to_bits()).collect();
    assert!(values.len() > 1000, "{} different weights", values.len());
    let pairs: BTreeSet<(u64, u64)> = weights
        .iter()
        .map(|synapse| (synapse.0, synapse.1))
        .collect();
    assert!(pairs.len() < weights.len() - 10_000);
    let before = result.weights_named("syn_weight_at_20.5ms");
    let moved = before.iter().zip(&weights).filter(|(a, b)| a != b).count();
    assert!(moved > 100_000, "{moved} weights moved after the warm-up");
}

/// SplitMix64's finalizer.
fn mix(mut x: u64) -> u64 {
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)] {
        x = (x ^ (x >> shift)).wrapping_mul(factor);
    }
    x ^ (x >> 31)
}

fn sum(hashes: impl Iterator<Item = u64>) -> String {
    format!("{:016x}", hashes.fold(0, u64::wrapping_add))
}

/// run.json's digests are those of what the files hold, and the spikes are in order.
fn assert_digests(result: &RunResult) {
    let dt = 0.125;
    let n_e = result.count(&["parameters", "network", "N_E"]);
    let mut hashes = Vec::new();
    for (population, first) in [("E", 0), ("I", n_e)] {
        let (ids, times) = result.spikes(population);
        let stamps: Vec<u64> = times
            .iter()
            .map(|time| (time / dt).round() as u64)
            .collect();
        let spikes: Vec<(u64, u64)> = stamps.into_iter().zip(ids).collect();
        assert!(spikes.is_sorted(), "by time, then by id");
        let count = result.count(&["counts", &format!("spikes_{population}")]);
        assert_eq!(spikes.len() as u64, count);
        hashes.extend(
            spikes
                .iter()
                .map(|(stamp, id)| mix(mix((first + id) << 32 | stamp).wrapping_add(1))),
        );
    }
    let weights = result.weights();
    let ids: Vec<(u64, u64)> = weights
        .iter()
        .map(|synapse| (synapse.0, synapse.1))
        .collect();
    assert!(ids.is_sorted(), "by source, then by target");
    assert_eq!(
        weights.len() as u64,
        result.count(&["counts", "synapses_plastic"])
    );
    let of_weights = weights
        .iter()
        .map(|&(source, target, weight)| mix(mix(source << 32 | target) ^ weight.to_bits()));
    let expected = [sum(hashes.into_iter()), sum(of_weights)];
    assert_eq!(result.digests(), [&expected[0][..], &expected[1][..]]);
}

#[test]
fn integrate_and_fire() {
    no_split_shows("iaf_psc_alpha", ALIKE, "f64");
}

#[test]
fn integrate_and_fire_with_different_delays() {
    no_split_shows("iaf_psc_alpha", DIFFERENT, "f64");
}

#[test]
fn integrate_and_fire_in_single_precision() {
    no_split_shows("iaf_psc_alpha", DIFFERENT, "f32");
}

#[test]
fn ignore_and_fire() {
    no_split_shows("ignore_and_fire", ALIKE, "f64");
}

#[test]
fn ignore_and_fire_in_single_precision_with_different_delays() {
    no_split_shows("ignore_and_fire", DIFFERENT, "f32");
}

/// Recurrent input matters in these networks: without it other spikes come out. Otherwise
/// equal spikes would say little about delivery.
#[test]
fn recurrent_input_and_plasticity_matter() {
    let desk = Desk::new();
    let config = desk.config("net", &config("iaf_psc_alpha", DIFFERENT, "f64"));
    let full = desk.result(&config, 1, 1, &[]);
    for change in ["network.K=0", "stdp.lambda=0", "stdp.lambda=19.9"] {
        let changed = desk.result(&config, 1, 1, &[change]);
        assert_ne!(full.digests()[0], changed.digests()[0], "{change}");
    }
}

#[test]
fn another_seed_gives_another_network() {
    let desk = Desk::new();
    for model in ["iaf_psc_alpha", "ignore_and_fire"] {
        let config = desk.config(model, &config(model, ALIKE, "f64"));
        let one = desk.result(&config, 1, 2, &[]);
        let other = desk.result(&config, 1, 2, &["simulation.seed=13"]);
        for (one, other) in one.digests().iter().zip(other.digests()) {
            assert_ne!(*one, other);
        }
    }
}

/// A warm-up hides its spikes, those at its very end included, and changes nothing else.
#[test]
fn a_warm_up_hides_spikes_only() {
    let desk = Desk::new();
    let config = desk.config("net", &config("ignore_and_fire", DIFFERENT, "f64"));
    let warm = desk.result(&config, 2, 1, &[]);
    let sets = ["simulation.presim=0", "simulation.T=321.5"];
    let whole = desk.result(&config, 1, 1, &sets);
    assert_eq!(warm.digests()[1], whole.digests()[1]);
    for population in ["E", "I"] {
        let (ids, times) = whole.spikes(population);
        let hidden = times.partition_point(|&time| time <= 20.5);
        assert!(times[..hidden].contains(&20.5) && times[hidden] == 20.625);
        let rest = (ids[hidden..].to_vec(), times[hidden..].to_vec());
        assert_eq!(warm.spikes(population), rest, "{population}");
    }
}

/// Every way of drawing connections, with sparse rows too: there they are sorted, not counted.
#[test]
fn every_way_of_drawing() {
    let desk = Desk::new();
    let config = desk.config("net", &config("iaf_psc_alpha", ALIKE, "f64"));
    let mut digests = BTreeSet::new();
    for sets in [
        ["network.allow_multapses=false", "network.K=251"],
        ["network.allow_autapses=true", "network.K=251"],
        ["network.allow_multapses=false", "network.K=11"],
        ["network.allow_multapses=true", "network.K=11"],
    ] {
        let sets = [sets[0], sets[1], "simulation.T=101"];
        let [one, other] =
            [(1, 1), (3, 2)].map(|(ranks, threads)| desk.result(&config, ranks, threads, &sets));
        assert_same(&one, &other);
        assert_digests(&one);
        digests.insert(one.digests()[1].to_owned());
    }
    assert_eq!(digests.len(), 4, "four different networks");
}

/// Under mpirun on one rank MPI is there, and changes nothing.
#[test]
fn one_rank_with_and_without_mpirun() {
    let desk = Desk::new();
    let config = desk.config("net", &config("iaf_psc_alpha", DIFFERENT, "f64"));
    let sets = ["simulation.T=101"];
    let alone = desk.result(&config, 1, 1, &sets);
    assert!(alone.run["provenance"]["mpi"].is_null());
    let out = desk.path().join("one");
    let arguments = [text(&config), "--out", text(&out), "--set", sets[0]];
    mpirun(1, &arguments).expect(0);
    let one = read_run(&out);
    assert_eq!(one["digest"], alone.run["digest"]);
    assert!(one["provenance"]["mpi"].is_string());
}

/// Weights that all arrive at the same step are added in an order that does not depend on the
/// split. Here they are so large and cancel so well that rounding alone decides who fires.
#[test]
fn rounding_does_not_show_either() {
    const SOURCES: u64 = 40;
    const TARGETS: u64 = 160;
    let desk = Desk::new();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut edges = Vec::new();
    for target in 0..TARGETS {
        let mut weights: Vec<f64> = (0..SOURCES / 2)
            .map(|_| 1e20 * (0.1 + unit(&mut rng)))
            .flat_map(|large| [large, -large])
            .collect();
        for last in (1..weights.len()).rev() {
            weights.swap(last, below(&mut rng, last as u32 + 1) as usize);
        }
        edges.extend(
            (0..SOURCES)
                .zip(weights)
                .map(|(source, weight)| (source, target, weight)),
        );
    }
    let network = desk.path().join("network.h5");
    let file = hdf5::File::create(&network).expect("created");
    write_edges(&file, "E_to_E", &[(0, 0, 1.0)]);
    write_edges(&file, "E_to_I", &edges);
    write_edges(&file, "I_to_E", &[(0, 0, -1.0)]);
    write_edges(&file, "I_to_I", &[(0, 1, -1.0)]);
    drop(file);
    // All sources are driven at the same step, so they all fire at one step.
    let input = desk.path().join("input.h5");
    let file = hdf5::File::create(&input).expect("created");
    write(
        &file,
        "spikes/X/node_ids",
        &(0..SOURCES).collect::<Vec<_>>(),
    );
    write(&file, "spikes/X/timestamps", &[1.0; SOURCES as usize]);
    write(&file, "initial/V_m", &[0.0; (SOURCES + TARGETS) as usize]);
    drop(file);
    let config = desk.config(
        "rounding",
        &format!(
            r#"
[network]
edges = "{}"
N = {}
beta = 0.2
[neuron]
model = "iaf_psc_alpha"
initial = "{input}"
[synapse]
weight = 1e5
[stimulus]
spikes = "{input}"
[simulation]
T = 10.0
"#,
            text(&network),
            SOURCES + TARGETS,
            input = text(&input)
        ),
    );
    let [first, others @ ..] =
        SPLITS.map(|(ranks, threads)| desk.result(&config, ranks, threads, &[]));
    assert!(first.count(&["counts", "spikes_E"]) >= SOURCES);
    let fired: BTreeSet<u64> = first.spikes("I").0.into_iter().collect();
    let share = fired.len() as f64 / TARGETS as f64;
    assert!(0.2 < share && share < 0.8, "rounding decides: {share} fire");
    for other in others {
        assert_same(&first, &other);
    }
}

fn write<T: hdf5::H5Type>(file: &hdf5::File, path: &str, values: &[T]) {
    let new = file.new_dataset_builder().with_data(values);
    new.create(path).expect("written");
}

/// Edges of a delay of 1.5 ms: source, target, weight.
fn write_edges(file: &hdf5::File, projection: &str, edges: &[(u64, u64, f64)]) {
    let path = |name: &str| format!("edges/{projection}/{name}");
    let ids = |id: fn(&(u64, u64, f64)) -> u64| edges.iter().map(id).collect::<Vec<u64>>();
    write(file, &path("source_node_id"), &ids(|edge| edge.0));
    write(file, &path("target_node_id"), &ids(|edge| edge.1));
    let weights: Vec<f64> = edges.iter().map(|edge| edge.2).collect();
    write(file, &path("0/syn_weight"), &weights);
    write(file, &path("0/delay"), &vec![1.5; edges.len()]);
}
