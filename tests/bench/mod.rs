//! A small network and its files, good until a test spoils them.

#![allow(dead_code, reason = "every test program uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use hdf5::{File, Group, H5Type};

use crate::common::{Desk, Ended, run, text};

/// Eight excitatory and two inhibitory neurons.
const CONFIG: &str = r#"
[network]
N = 10
K = 5
[neuron]
model = "iaf_psc_alpha"
[simulation]
T = 20.0
"#;

/// A config, a result directory that does not exist, and files beside them.
pub struct Bench {
    pub desk: Desk,
    pub config: PathBuf,
    pub out: PathBuf,
}

impl Bench {
    pub fn new() -> Self {
        let desk = Desk::new();
        let config = desk.config("small", CONFIG);
        let out = desk.path().join("new/result");
        Bench { desk, config, out }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.desk.path().join(name)
    }

    pub fn run(&self, ranks: usize, arguments: &[&str]) -> Ended {
        let mut all = vec![text(&self.config), "--out", text(&self.out)];
        all.extend(arguments);
        run(ranks, &all)
    }

    /// Expects the program, given these arguments besides, to refuse with exactly `message`.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str], message: &str) {
        assert_refused(&self.run(1, arguments), message);
        assert!(!self.path("new").exists(), "a directory was left behind");
    }

    /// Expects the HDF5 file that `key` names, made by `fill`, to be refused with `message`.
    #[track_caller]
    pub fn refuses_file(&self, key: &str, fill: impl FnOnce(&File), message: &str) {
        let path = self.path("input.h5");
        write(&path, fill);
        let message = format!("{}: {message}", path.display());
        let set = format!("{key}={}", path.display());
        let model = match key {
            "neuron.initial" => "neuron.model=ignore_and_fire",
            _ => "neuron.model=iaf_psc_alpha",
        };
        self.refuses(&["--set", &set, "--set", model], &message);
    }
}

#[track_caller]
pub fn assert_refused(ended: &Ended, message: &str) {
    assert_eq!(ended.stderr, format!("stdp-hpc: {message}\n"));
    assert_eq!((ended.code, &ended.stdout[..]), (Some(2), ""), "{message}");
}

/// Writes an HDF5 file. A copy is what stays: children started meanwhile by other tests
/// inherit the lock of an open file.
pub fn write(path: &Path, fill: impl FnOnce(&File)) {
    let draft = path.with_extension("draft");
    let file = File::create(&draft).expect("created");
    fill(&file);
    file.close().expect("closed");
    fs::copy(&draft, path).expect("copied");
    fs::remove_file(draft).expect("removed");
}

/// Creates the dataset `name`, or replaces it.
pub fn put<T: H5Type>(at: &Group, name: &str, values: &[T]) {
    if at.link_exists(name) {
        at.unlink(name).expect("unlinked");
    }
    let new = at.new_dataset_builder().with_data(values);
    new.create(name).expect("dataset");
}

/// A good network: of every projection two edges.
pub fn network(file: &File) {
    for name in ["E_to_E", "E_to_I", "I_to_E", "I_to_I"] {
        let group = file.create_group(&format!("edges/{name}")).expect("group");
        put(&group, "source_node_id", &[0_u64, 1]);
        put(&group, "target_node_id", &[1_u64, 0]);
        put(&group, "0/syn_weight", &[30.0, 31.0]);
        put(&group, "0/delay", &[1.5, 1.5]);
    }
}

/// Good external spikes.
pub fn spikes(file: &File) {
    let group = file.create_group("spikes/X").expect("group");
    put(&group, "node_ids", &[0_u64, 9, 3]);
    put(&group, "timestamps", &[0.125, 0.125, 1.0]);
}

/// A good initial state for both models.
pub fn initial(file: &File) {
    let group = file.create_group("initial").expect("group");
    put(&group, "V_m", &[3.0; 10]);
    put(&group, "rate", &[40.0; 10]);
    put(&group, "phase", &[1.0; 10]);
}
