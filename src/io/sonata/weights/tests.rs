//! Tests of the content of the weight file. Tests in `tests/` cover files of killed writers.

use hdf5::File;

use super::*;
use crate::base::error::Error;
use crate::base::units::Steps;
use crate::io::sonata::read::{Edge, Edges, read_edges, read_weights_over_time};

const DELAY: Ms = Ms(1.5);

fn layout(compression: u8) -> Layout {
    Layout {
        delay: DELAY,
        compression,
        target_to_source: true,
    }
}

/// Returns 3 × 30,000 synapses of sources 0, 2 and 5 onto targets 0 … 9, in canonical order. The
/// weight identifies synapse and snapshot.
fn synapses(snapshot: u32) -> Vec<Synapse> {
    let synapse = |i: u32| Synapse {
        source: [0, 2, 5][i as usize / 30_000],
        target: i % 30_000 / 3_000,
        weight: f64::from(i) + f64::from(snapshot) / 8.0,
    };
    (0..90_000).map(synapse).collect()
}

fn write(path: &Path, times: &[f64], compression: u8) {
    let mut writer = WeightWriter::create(path, layout(compression), "of a test").unwrap();
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

/// Writes blocks of 7,777 synapses: the edges of a target come from several runs.
#[test]
fn the_index_names_the_edges_of_every_target() {
    for compression in [0, 1] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.h5");
        write(&path, &[0.0], compression);
        let file = File::open(&path).unwrap();
        let index = file.group("edges/E_to_E/indices/target_to_source").unwrap();
        let read = |name: &str| -> Vec<u64> { index.dataset(name).unwrap().read_raw().unwrap() };
        let ranges: Vec<u64> = (0..10)
            .flat_map(|target| [3 * target, 3 * target + 3])
            .collect();
        assert_eq!(read("node_id_to_ranges"), ranges);
        assert_eq!(read("node_id_to_range"), ranges);
        // Each target has 3,000 consecutive edges from each of three sources. Its ranges never
        // meet: the last target of a source differs from the first target of the next.
        let edges = (0..10).flat_map(|target| {
            (0..3).flat_map(move |source| {
                let first = 30_000 * source + 3_000 * target;
                [first, first + 3_000]
            })
        });
        assert!(read("range_to_edge_id").into_iter().eq(edges));
    }
}

#[test]
fn a_network_without_synapses_has_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.h5");
    let mut writer = WeightWriter::create(&path, layout(0), "of a test").unwrap();
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
    let mut writer = WeightWriter::create(&path, layout(0), "of a test").unwrap();
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

fn sampling(followed: Vec<(u32, u32)>) -> Sampling {
    Sampling {
        every: Ms(100.0),
        bins: 3,
        max: 0.75,
        one_in: 7,
        counted: "some",
        followed,
    }
}

/// Returns the i-th sample of two synapses.
fn sample(i: u32) -> Sample {
    let n = u64::from(i);
    Sample {
        at: Ms(100.0 * f64::from(i)),
        zeros: n,
        counts: vec![n + 1, n + 2, n + 3],
        above: n + 4,
        weights: vec![f64::from(i) + 0.1, 0.0],
    }
}

#[test]
fn samples_come_back_through_the_reader_all_or_some() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.h5");
    let mut writer = WeightWriter::create(&path, layout(1), "of a test").unwrap();
    writer
        .begin_samples(&sampling(vec![(3, 4), (5, 0)]))
        .unwrap();
    // More samples than wait for a flush, and more than a chunk of times holds.
    for i in 0..5000 {
        writer.add_sample(sample(i)).unwrap();
    }
    assert!(writer.most_held_back() < 100_000);
    writer.close().unwrap();
    let all = read_weights_over_time(&path, usize::MAX).unwrap().unwrap();
    assert_eq!(all.edges, [0.0, 0.25, 0.5, 0.75]);
    assert_eq!((all.one_in, all.followed), (7, vec![(3, 4), (5, 0)]));
    assert!(all.samples.into_iter().eq((0..5000).map(sample)));
    let some = read_weights_over_time(&path, 7).unwrap().unwrap();
    assert!(
        some.samples
            .into_iter()
            .eq((0..5000).step_by(715).map(sample))
    );
}

#[test]
fn a_file_may_be_without_samples_or_trajectories() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.h5");
    write(&path, &[0.0], 0);
    assert_eq!(read_weights_over_time(&path, 10), Ok(None));
    let path = dir.path().join("weights.h5");
    let mut writer = WeightWriter::create(&path, layout(0), "of a test").unwrap();
    writer.begin_samples(&sampling(Vec::new())).unwrap();
    let one = Sample {
        weights: Vec::new(),
        ..sample(1)
    };
    writer.add_sample(one.clone()).unwrap();
    writer.flush().unwrap();
    let read = read_weights_over_time(&path, 10).unwrap().unwrap();
    assert_eq!((read.samples, read.followed.len()), (vec![one], 0));
    assert!(!File::open(&path).unwrap().link_exists(TRAJECTORIES));
    let file = File::open_rw(&path).unwrap();
    file.unlink("weight_histogram/counts").unwrap();
    file.close().unwrap();
    // Processes started by other tests inherit the lock under which libhdf5 wrote; a copy has none.
    let copy = dir.path().join("copy.h5");
    std::fs::copy(&path, &copy).unwrap();
    let path = copy;
    let missing = read_weights_over_time(&path, 10).unwrap_err();
    let why = "dataset /weight_histogram/counts is missing";
    assert_eq!(missing.to_string(), format!("{}: {why}", path.display()));
}

#[test]
fn the_size_of_samples_is_foretold() {
    let dir = tempfile::tempdir().unwrap();
    for (times, bins, followed) in [
        (1, 150, 100),
        (300, 150, 0),
        (700, 3000, 100),
        (40, 10, 2000),
    ] {
        let size = |samples: bool| {
            let path = dir.path().join(format!("{times}-{samples}.h5"));
            let mut writer = WeightWriter::create(&path, layout(0), "of a test").unwrap();
            if samples {
                let followed = (0..followed as u32).map(|id| (id, id)).collect();
                let sampling = Sampling {
                    bins,
                    ..sampling(followed)
                };
                writer.begin_samples(&sampling).unwrap();
                for i in 0..times as u32 {
                    let weights = vec![0.0; sampling.followed.len()];
                    let counts = vec![0; bins];
                    writer
                        .add_sample(Sample {
                            counts,
                            weights,
                            ..sample(i)
                        })
                        .unwrap();
                }
            }
            writer.begin(Ms(0.0)).unwrap();
            writer.append(&synapses(0)).unwrap();
            writer.end().unwrap();
            writer.close().unwrap();
            std::fs::metadata(&path).unwrap().len()
        };
        let taken = size(true) - size(false);
        let told = Samples {
            times,
            bins,
            followed,
        }
        .file_bytes();
        assert!(
            taken.abs_diff(told) < 8_000 + told / 200,
            "{times}: {told} told, {taken} taken"
        );
    }
}
