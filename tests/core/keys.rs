//! Documents that are written from the table of keys.
//!
//! After a change of src/io/config/keys.rs, `STDP_HPC_WRITE=1 cargo test --release --test core keys::` writes
//! them anew.

use std::fs;
use std::path::Path;

use stdp_hpc::io::config;

#[track_caller]
fn is_written_from_the_keys(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("STDP_HPC_WRITE").is_some() {
        fs::write(&path, text).expect("written");
    }
    let there = fs::read_to_string(&path).expect("read");
    let again = "STDP_HPC_WRITE=1 cargo test --release --test core keys:: writes it anew";
    assert!(
        there == text,
        "{name} is not what src/io/config/keys.rs says: {again}"
    );
}

#[test]
fn reference() {
    is_written_from_the_keys("docs/keys.md", &config::reference());
}

#[test]
fn default_config() {
    is_written_from_the_keys("configs/default.toml", &config::default_toml());
}
