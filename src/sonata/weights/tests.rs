//! What is in the weight file; what a killed writer leaves is tested in `tests/`.

use super::*;
use crate::error::Error;
use crate::sonata::read::{Edge, Edges, read_edges};
use crate::units::Steps;

const DELAY: Ms = Ms(1.5);

/// 3 × 30,000 synapses of sources 0, 2 and 5 onto targets 0 … 9, in canonical order; the weight
/// tells synapse and snapshot.
fn synapses(snapshot: u32) -> Vec<Synapse> {
    let synapse = |i: u32| Synapse {
        source: [0, 2, 5][i as usize / 30_000],
        target: i % 30_000 / 3_000,
        weight: f64::from(i) + f64::from(snapshot) / 8.0,
    };
    (0..90_000).map(synapse).collect()
}

fn write(path: &Path, times: &[f64], compression: u8) {
    let mut writer = WeightWriter::create(path, DELAY, compression).unwrap();
    for (snapshot, &time) in (0..).zip(times) {
        writer.begin(Ms(time)).unwrap();
        for block in synapses(snapshot).chunks(7_777) {
            writer.append(block).unwrap();
        }
        writer.end().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn the_latest_weights_come_back_through_the_reader() {
    for compression in [0, 1] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.h5");
        write(&path, &[0.0, 1000.5], compression);
        let read = read_edges(&path, Projection::EE, 6, 10, Ms(0.1), |_| true).unwrap();
        let edge = |synapse: Synapse| Edge {
            source: synapse.source,
            target: synapse.target,
            weight: synapse.weight,
        };
        let expected = Edges {
            edges: synapses(1).into_iter().map(edge).collect(),
            delay: Some(Steps(15)),
        };
        assert!(read == expected);
    }
}

#[test]
fn every_snapshot_stays_under_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.h5");
    let times = [0.0, 0.125, 1000.5];
    write(&path, &times, 0);
    let group = File::open(&path).unwrap().group("edges/E_to_E/0").unwrap();
    let names = [
        "delay",
        "syn_weight",
        "syn_weight_at_0.125ms",
        "syn_weight_at_0ms",
        "syn_weight_at_1000.5ms",
    ];
    let mut found = group.member_names().unwrap();
    found.sort();
    assert_eq!(found, names);
    for (snapshot, time) in (0..).zip(times) {
        let dataset = group.dataset(&format!("syn_weight_at_{time}ms")).unwrap();
        let weights: Vec<f64> = dataset.read_raw().unwrap();
        assert!(synapses(snapshot).iter().map(|s| s.weight).eq(weights));
        let at: f64 = dataset.attr("time_ms").unwrap().read_scalar().unwrap();
        assert_eq!(at, time);
    }
}

#[test]
fn the_index_names_the_edges_of_every_source() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.h5");
    write(&path, &[0.0], 0);
    let edges = File::open(&path).unwrap().group("edges/E_to_E").unwrap();
    let index = edges.group("indices/source_to_target").unwrap();
    let read = |name: &str| -> Vec<u64> { index.dataset(name).unwrap().read_raw().unwrap() };
    let ranges = [[0, 1], [1, 1], [1, 2], [2, 2], [2, 2], [2, 3]];
    assert_eq!(read("node_id_to_ranges"), ranges.concat());
    assert_eq!(read("node_id_to_range"), ranges.concat());
    let of_sources = [[0, 30_000], [30_000, 60_000], [60_000, 90_000]];
    assert_eq!(read("range_to_edge_id"), of_sources.concat());
    let places: Vec<u64> = edges
        .dataset("edge_group_index")
        .unwrap()
        .read_raw()
        .unwrap();
    assert!(places.into_iter().eq(0..90_000));
}

#[test]
fn a_network_without_synapses_has_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.h5");
    let mut writer = WeightWriter::create(&path, DELAY, 0).unwrap();
    writer.begin(Ms(0.0)).unwrap();
    writer.end().unwrap();
    writer.close().unwrap();
    let read = read_edges(&path, Projection::EE, 6, 10, Ms(0.1), |_| true).unwrap();
    assert_eq!((read.edges.len(), read.delay), (0, None));
}

#[test]
fn snapshots_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.h5");
    let refused = |why: &str| Err(Error::Run(format!("{}: {why}", path.display())));
    let mut writer = WeightWriter::create(&path, DELAY, 0).unwrap();
    writer.begin(Ms(0.5)).unwrap();
    writer.append(&synapses(0)[..10]).unwrap();
    writer.end().unwrap();
    let why = "holds the weights at 0.5 ms already";
    assert_eq!(writer.begin(Ms(0.5)), refused(why));
    writer.begin(Ms(1.0)).unwrap();
    writer.append(&synapses(1)[..9]).unwrap();
    let why = "9 synapses at 1 ms, but 10 in the first snapshot";
    assert_eq!(writer.end(), refused(why));
}
