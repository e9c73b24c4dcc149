//! Tests of reading: written data, the reference files and every error message.

use hdf5::H5Type;
use hdf5::types::{FixedAscii, VarLenAscii, VarLenUnicode};

use super::*;

const DT: Ms = Ms(0.1);

/// Writes a file with `fill` and returns it with its temporary directory, which is removed on drop.
fn file(fill: impl FnOnce(&Group)) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.h5");
    let file = File::create(&path).unwrap();
    fill(&file);
    file.close().unwrap();
    (dir, path)
}

/// Creates or replaces the dataset `name`.
fn put<T: H5Type>(group: &Group, name: &str, values: &[T]) {
    if group.link_exists(name) {
        group.unlink(name).unwrap();
    }
    let new = group.new_dataset_builder().with_data(values);
    new.create(name).unwrap();
}

/// Writes three E-to-E edges among five excitatory neurons.
fn network(file: &Group) {
    let population = file.create_group("edges/E_to_E").unwrap();
    put(&population, "source_node_id", &[4_u64, 0, 2]);
    put(&population, "target_node_id", &[0_u64, 1, 1]);
    put(&population, "edge_group_id", &[0_u64; 3]);
    put(&population, "edge_group_index", &[0_u64, 1, 2]);
    put(&population, "0/syn_weight", &[30.0, 0.0, 31.5]);
    put(&population, "0/delay", &[1.5; 3]);
}

fn read_network(path: &Path) -> Result<Edges> {
    read_edges(path, Projection::EE, 5, 3, DT, |_| true)
}

/// Writes five spikes of three neurons.
fn spikes(file: &Group) {
    let group = file.create_group("spikes/X").unwrap();
    put(&group, "node_ids", &[0_u64, 2, 1, 0, 2]);
    put(&group, "timestamps", &[0.1, 0.1, 0.3, 999.9, 1000.0]);
}

fn read_input(path: &Path) -> Result<Vec<(Steps, Gid)>> {
    read_spikes(path, 3, DT, |_| true)
}

fn read_potentials(path: &Path) -> Result<Vec<f64>> {
    read_initial(path, "V_m", 3, (0..3).map(Gid))
}

/// Checks that `read` fails on a file made by `fill` with `message` after the file name.
#[track_caller]
fn refused<T: std::fmt::Debug>(
    read: impl FnOnce(&Path) -> Result<T>,
    fill: impl FnOnce(&Group),
    message: &str,
) {
    let (_dir, path) = file(fill);
    let expected = Error::Input(format!("{}: {message}", path.display()));
    assert_eq!(read(&path).map(|_| "read").unwrap_err(), expected);
}

/// Calls [`refused`] for the network with one dataset replaced.
#[track_caller]
fn refused_edges<T: H5Type>(name: &str, values: &[T], message: &str) {
    let fill = |file: &Group| {
        network(file);
        put(file, &format!("edges/E_to_E/{name}"), values);
    };
    refused(read_network, fill, &format!("/edges/E_to_E/{message}"));
}

/// Calls [`refused`] for the spikes with one dataset replaced.
#[track_caller]
fn refused_spikes<T: H5Type>(name: &str, values: &[T], message: &str) {
    let fill = |file: &Group| {
        spikes(file);
        put(file, &format!("spikes/X/{name}"), values);
    };
    refused(read_input, fill, &format!("/spikes/X/{message}"));
}

fn edge(source: u32, target: u32, weight: f64) -> Edge {
    Edge {
        source,
        target,
        weight,
    }
}

#[test]
fn edges_come_in_the_order_of_the_file_as_far_as_kept() {
    let (_dir, path) = file(network);
    let all = vec![edge(4, 0, 30.0), edge(0, 1, 0.0), edge(2, 1, 31.5)];
    let delay = Some(Steps(15));
    let kept = read_edges(&path, Projection::EE, 5, 3, DT, |target| target == 1);
    let edges = all[1..].to_vec();
    assert_eq!(kept, Ok(Edges { edges, delay }));
    assert_eq!(read_network(&path), Ok(Edges { edges: all, delay }));
}

#[test]
fn any_integer_and_floating_point_type_will_do() {
    let (_dir, path) = file(|file| {
        network(file);
        let population = file.group("edges/E_to_E").unwrap();
        put(&population, "source_node_id", &[4_i32, 0, 2]);
        put(&population, "target_node_id", &[0_i64, 1, 1]);
        put(&population, "edge_group_id", &[0_u32; 3]);
        put(&population, "0/syn_weight", &[0.1_f32; 3]);
        put(&population, "0/delay", &[12.3_f32; 3]);
    });
    let read = read_network(&path).unwrap();
    assert_eq!(read.delay, Some(Steps(123)));
    assert_eq!(read.edges[2], edge(2, 1, f64::from(0.1_f32)));
}

#[test]
fn a_projection_without_edges_has_no_delay() {
    let (_dir, path) = file(|file| {
        let population = file.create_group("edges/I_to_I").unwrap();
        for name in [
            "source_node_id",
            "target_node_id",
            "0/syn_weight",
            "0/delay",
        ] {
            put::<f64>(&population, name, &[]);
        }
    });
    let read = read_edges(&path, Projection::II, 0, 0, DT, |_| true).unwrap();
    assert_eq!((read.edges, read.delay), (vec![], None));
}

#[test]
fn inhibitory_weights_may_be_negative() {
    let (_dir, path) = file(|file| {
        network(file);
        put(file, "edges/E_to_E/0/syn_weight", &[-1.0; 3]);
        file.group("edges")
            .unwrap()
            .relink("E_to_E", "I_to_E")
            .unwrap();
    });
    let read = read_edges(&path, Projection::IE, 5, 3, DT, |_| true).unwrap();
    assert!(read.edges.iter().all(|edge| edge.weight == -1.0));
}

#[test]
fn spikes_come_in_the_order_of_the_file_as_far_as_kept() {
    for single_precision in [false, true] {
        let (_dir, path) = file(|file| {
            spikes(file);
            if single_precision {
                let times = [0.1_f32, 0.1, 0.3, 999.9, 1000.0];
                put(file, "spikes/X/timestamps", &times);
            }
        });
        let kept = read_spikes(&path, 3, DT, |gid| gid != Gid(2));
        let expected = [(1, 0), (3, 1), (9999, 0)].map(|(step, gid)| (Steps(step), Gid(gid)));
        assert_eq!(kept, Ok(expected.to_vec()));
    }
}

#[test]
fn units_may_be_any_kind_of_string_that_says_ms() {
    fn with_units<T: H5Type>(units: T) -> impl FnOnce(&Group) {
        move |file| {
            spikes(file);
            let times = file.dataset("spikes/X/timestamps").unwrap();
            let attribute = times.new_attr::<T>().create("units").unwrap();
            attribute.write_scalar(&units).unwrap();
        }
    }
    let ascii = FixedAscii::<2>::from_ascii(b"ms").unwrap();
    let (_dir, path) = file(with_units(ascii));
    assert_eq!(read_input(&path).unwrap().len(), 5);
    let (_dir, path) = file(with_units("ms".parse::<VarLenUnicode>().unwrap()));
    assert_eq!(read_input(&path).unwrap().len(), 5);
    let message = "/spikes/X/timestamps@units = \"s\": must be \"ms\"";
    let seconds = VarLenAscii::from_ascii(b"s").unwrap();
    refused(read_input, with_units(seconds), message);
    let message = "/spikes/X/timestamps cannot be read: attribute: must be a string";
    refused(read_input, with_units(1.0), message);
}

#[test]
fn initial_values_are_picked_by_gid() {
    let n = BLOCK_AND_A_BIT;
    let values: Vec<f64> = (0..n).map(f64::from).collect();
    let (_dir, path) = file(|file| put(file, "initial/rate", &values));
    let gids = [0, 7, n - 2, n - 1];
    let read = read_initial(&path, "rate", n, gids.map(Gid).into_iter());
    assert_eq!(read, Ok(gids.map(f64::from).to_vec()));
}

/// Number of entries that takes two blocks to read.
const BLOCK_AND_A_BIT: u32 = (1 << 20) + 9;

#[test]
fn places_in_messages_count_across_blocks() {
    let mut values = vec![0.0; BLOCK_AND_A_BIT as usize];
    values[1_048_580] = f64::INFINITY;
    let read = |path: &Path| read_initial(path, "V_m", BLOCK_AND_A_BIT, [Gid(0)].into_iter());
    let fill = |file: &Group| put(file, "initial/V_m", &values);
    refused(read, fill, "/initial/V_m[1048580] = inf: must be finite");
}

#[test]
fn ids_out_of_range_are_named() {
    let must = "must be 0 … 4 (population E)";
    let value = "source_node_id[1] = 5: ";
    refused_edges("source_node_id", &[0_u64, 5, 0], &format!("{value}{must}"));
    let value = "source_node_id[2] = -1: ";
    refused_edges("source_node_id", &[0_i32, 4, -1], &format!("{value}{must}"));
    let value = "source_node_id[0] = 18446744073709551615: ";
    refused_edges(
        "source_node_id",
        &[u64::MAX, 4, 1],
        &format!("{value}{must}"),
    );
    let message = "target_node_id[0] = 3: must be 0 … 2 (population E)";
    refused_edges("target_node_id", &[3_u64, 0, 0], message);
    let message = "node_ids[4] = 3: must be 0 … 2 (population X)";
    refused_spikes("node_ids", &[0_u64, 0, 0, 0, 3], message);
    let empty = |path: &Path| read_edges(path, Projection::EE, 0, 3, DT, |_| true);
    let message = "/edges/E_to_E/source_node_id[0] = 4: must not occur (population E is empty)";
    refused(empty, network, message);
}

#[test]
fn bad_weights_are_named() {
    let message = "0/syn_weight[1] = NaN: must be finite";
    refused_edges("0/syn_weight", &[1.0, f64::NAN, 1.0], message);
    let message = "0/syn_weight[2] = -0.5: must not be negative, being plastic";
    refused_edges("0/syn_weight", &[1.0, 1.0, -0.5], message);
    let message = "0/syn_weight: must be floating-point numbers";
    refused_edges("0/syn_weight", &[1_i64; 3], message);
}

#[test]
fn bad_delays_are_named() {
    let must = "must be a whole number of steps of 0.1 ms, at least 1";
    for (delay, value) in [
        (0.0, "0"),
        (-1.5, "-1.5"),
        (0.25, "0.25"),
        (f64::NAN, "NaN"),
    ] {
        let message = format!("0/delay[1] = {value}: {must}");
        refused_edges("0/delay", &[1.5, delay, 1.5], &message);
    }
    let message = "0/delay[2] = 2: must be 1.5 ms, the projection's first delay, for all its edges";
    refused_edges("0/delay", &[1.5, 1.5, 2.0], message);
}

#[test]
fn other_edge_groups_are_refused() {
    let message = "edge_group_id[1] = 1: must be 0, the only group read here";
    refused_edges("edge_group_id", &[0_u64, 1, 0], message);
    let message = "edge_group_index[1] = 2: must be 1, the edge's own place";
    refused_edges("edge_group_index", &[0_u64, 2, 1], message);
}

#[test]
fn bad_times_are_named() {
    let must = "must be a whole number of steps of 0.1 ms, at least 1";
    for (time, value) in [(0.0, "0"), (0.15, "0.15"), (f64::INFINITY, "inf")] {
        let message = format!("timestamps[3] = {value}: {must}");
        refused_spikes("timestamps", &[0.1, 0.1, 0.2, time, 0.3], &message);
    }
}

#[test]
fn shapes_and_types_are_checked() {
    let message = "target_node_id has 2 entries: must be 3, as /edges/E_to_E/source_node_id has";
    refused_edges("target_node_id", &[0_u64, 0], message);
    refused_edges(
        "source_node_id",
        &[0.0; 3],
        "source_node_id: must be integers",
    );
    let message = "timestamps has 1 entries: must be 5, as /spikes/X/node_ids has";
    refused_spikes("timestamps", &[0.1], message);
    let flat = |file: &Group| {
        let new = file.new_dataset::<f64>().shape((3, 1));
        new.create("initial/V_m").unwrap();
    };
    refused(
        read_potentials,
        flat,
        "/initial/V_m has 2 dimensions: must be 1",
    );
    let short = |file: &Group| put(file, "initial/V_m", &[0.0; 2]);
    let message = "/initial/V_m has 2 entries: must be 3, one per neuron";
    refused(read_potentials, short, message);
}

#[test]
fn what_is_missing_is_named() {
    refused(read_network, |_| (), "group /edges is missing");
    let other = |file: &Group| drop(file.create_group("edges/E_to_I").unwrap());
    refused(read_network, other, "group /edges/E_to_E is missing");
    for name in [
        "source_node_id",
        "target_node_id",
        "0/syn_weight",
        "0/delay",
    ] {
        let fill = |file: &Group| {
            network(file);
            file.unlink(&format!("edges/E_to_E/{name}")).unwrap();
        };
        let message = format!("dataset /edges/E_to_E/{name} is missing");
        refused(read_network, fill, &message);
    }
    let no_group = |file: &Group| put(file, "edges", &[0.0]);
    let message = "/edges is no group: not a group";
    refused(read_network, no_group, message);
    let no_dataset = |file: &Group| drop(file.create_group("initial/V_m").unwrap());
    let message = "/initial/V_m is no dataset: not a dataset";
    refused(read_potentials, no_dataset, message);
}

#[test]
fn files_that_are_none_are_named() {
    let (dir, path) = file(network);
    let fault = |path: &Path, why: &str| Error::Input(format!("{}: {why}", path.display()));

    let missing = dir.path().join("none.h5");
    let why = "cannot be opened: No such file or directory";
    assert_eq!(read_network(&missing), Err(fault(&missing, why)));

    let text = dir.path().join("text.h5");
    std::fs::write(&text, "no HDF5").unwrap();
    let why = "cannot be opened as an HDF5 file: file signature not found";
    assert_eq!(read_network(&text), Err(fault(&text, why)));

    let cut = dir.path().join("cut.h5");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let why = format!(
        "cannot be opened as an HDF5 file: truncated file: eof = {}, sblock->base_addr = 0, stored_eof = {}",
        bytes.len() / 2,
        bytes.len()
    );
    assert_eq!(read_network(&cut), Err(fault(&cut, &why)));
}

#[test]
fn the_reference_networks_are_read() {
    for name in ["iaf_1250", "ignore_1250"] {
        let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
        let path = reference.join(format!("{name}_network.h5"));
        let weight = 31.777_369_685_680_57;
        let projections = [
            (Projection::EE, 1000, 1000, 100_000, weight),
            (Projection::EI, 1000, 250, 25_000, weight),
            (Projection::IE, 250, 1000, 25_000, -10.0 * weight),
            (Projection::II, 250, 250, 6_250, -10.0 * weight),
        ];
        for (projection, n_source, n_target, n, weight) in projections {
            let dt = Ms(0.125);
            let read = read_edges(&path, projection, n_source, n_target, dt, |_| true).unwrap();
            assert_eq!((read.edges.len(), read.delay), (n, Some(Steps(12))));
            let near = |edge: &Edge| (edge.weight - weight).abs() < 1e-9;
            assert!(read.edges.iter().all(near));
        }
        let path = reference.join(format!("{name}_input.h5"));
        let kept = read_spikes(&path, 1250, Ms(0.125), |gid| gid.0 % 2 == 0).unwrap();
        assert!(kept.len() > 1_000_000 && kept.is_sorted());
        let potentials = read_initial(&path, "V_m", 1250, (0..1250).map(Gid)).unwrap();
        assert!(potentials.iter().all(|v| (0.0..20.0).contains(v)));
    }
}
