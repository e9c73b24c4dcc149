//! Tests of the content of the spike file. Tests in `tests/` cover files of killed writers.

use std::path::Path;

use hdf5::types::{TypeDescriptor, VarLenUnicode};

use hdf5::File;

use super::*;
use crate::base::error::Error;

const DT: Ms = Ms(0.125);
const N_E: u32 = 4;

/// Returns ids and times of one population as stored in the file.
fn contents(path: &Path, population: &str) -> (Vec<u64>, Vec<f64>) {
    let file = File::open(path).expect("the file opens");
    let group = file
        .group(&format!("spikes/{population}"))
        .expect(population);
    let ids = group.dataset("node_ids").and_then(|ids| ids.read_raw());
    let times = group
        .dataset("timestamps")
        .and_then(|times| times.read_raw());
    (ids.expect("node_ids"), times.expect("timestamps"))
}

/// Returns the i-th spike of an endless train: three neurons in turn, three spikes per step.
fn spike(i: usize) -> (Steps, Gid) {
    (Steps(1 + i as i32 / 3), Gid(i as u32 % 3 * 2))
}

/// Returns the expected contents of `/spikes/E` and `/spikes/I` after the first `n` spikes of the
/// train.
fn expected(n: usize) -> [(Vec<u64>, Vec<f64>); 2] {
    let mut populations = [(vec![], vec![]), (vec![], vec![])];
    for (time, gid) in (0..n).map(spike) {
        let inhibitory = gid.0 >= N_E;
        let (ids, times) = &mut populations[usize::from(inhibitory)];
        ids.push(u64::from(gid.0 - if inhibitory { N_E } else { 0 }));
        times.push(time.to_ms(DT).0);
    }
    populations
}

fn write(path: &Path, n: usize, compression: u8) {
    let mut writer = SpikeWriter::create(path, DT, N_E, compression, "of a test").unwrap();
    let spikes: Vec<_> = (0..n).map(spike).collect();
    for block in spikes.chunks(999) {
        writer.append(block).unwrap();
    }
    writer.close().unwrap();
}

/// Covers chunk indexes of more than one node: 700,001 spikes fill more chunks of E than a node has
/// children.
#[test]
fn spikes_come_back_as_they_were_written() {
    for (n, compression) in [(0, 0), (1, 0), (700_001, 0), (700_001, 4)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spikes.h5");
        write(&path, n, compression);
        let [excitatory, inhibitory] = expected(n);
        assert!(contents(&path, "E") == excitatory, "E, {n} spikes");
        assert!(contents(&path, "I") == inhibitory, "I, {n} spikes");
    }
}

#[test]
fn attributes_are_those_of_sonata() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spikes.h5");
    write(&path, 10, 0);
    let file = File::open(&path).unwrap();
    let magic: u32 = file.attr("magic").unwrap().read_scalar().unwrap();
    assert_eq!(magic, 0x0A7A);
    let version: Vec<u32> = file.attr("version").unwrap().read_raw().unwrap();
    assert_eq!(version, [0, 1]);
    let sorting = file.group("spikes/I").unwrap().attr("sorting").unwrap();
    let TypeDescriptor::Enum(kinds) = sorting.dtype().unwrap().to_descriptor().unwrap() else {
        panic!("sorting is no enumeration");
    };
    let kinds: Vec<_> = kinds
        .members
        .iter()
        .map(|kind| (&kind.name[..], kind.value))
        .collect();
    assert_eq!(kinds, [("none", 0), ("by_id", 1), ("by_time", 2)]);
    let times = file.dataset("spikes/E/timestamps").unwrap();
    let units: VarLenUnicode = times.attr("units").unwrap().read_scalar().unwrap();
    assert_eq!(&units[..], "ms");
}

#[test]
fn small_runs_make_small_files_and_compression_makes_them_smaller() {
    let dir = tempfile::tempdir().unwrap();
    let size = |name: &str, n: usize, compression: u8| {
        let path = dir.path().join(name);
        write(&path, n, compression);
        path.metadata().unwrap().len()
    };
    assert!(size("few.h5", 100, 0) < 160_000);
    std::fs::write(dir.path().join("packed.h5.new"), "left by a killed run").unwrap();
    assert!(size("packed.h5", 100_000, 4) * 4 < size("plain.h5", 100_000, 0));
    assert!(!dir.path().join("packed.h5.new").exists());
}

#[test]
fn an_existing_file_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spikes.h5");
    std::fs::write(&path, "precious").unwrap();
    let error = SpikeWriter::create(&path, DT, N_E, 0, "of a test")
        .err()
        .unwrap();
    let message = format!("{}: cannot be written: File exists", path.display());
    assert_eq!(error, Error::Run(message));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}
