//! Regression by evidence: writers are killed at random moments, and what they had flushed by
//! then must be there. One test to a binary: children inherit the locks of open HDF5 files.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use hdf5::File;
use stdp_hpc::sonata::read::read_weights_over_time;
use stdp_hpc::sonata::spikes::SpikeWriter;
use stdp_hpc::sonata::weights::{Sample, Sampling, Synapse, WeightWriter};
use stdp_hpc::units::{Gid, Ms, Steps};

/// Where the writer that is to be killed writes to; set for the child process only.
const KILL_PATH: &str = "STDP_HPC_TEST_KILL_PATH";

/// Spikes a flush.
const SPIKES: usize = 1400;

/// The i-th spike of an endless train: six neurons in turn, the last two of them inhibitory.
fn spike(i: usize) -> (Steps, Gid) {
    (Steps(1 + i as i32 / 3), Gid(i as u32 % 3 * 2))
}

/// The synapses of the k-th snapshot.
fn synapses(k: usize) -> Vec<Synapse> {
    let synapse = |i: u32| Synapse {
        source: i / 100,
        target: i % 100,
        weight: (k as u32 * 100_000 + i).into(),
    };
    (0..20_000).map(synapse).collect()
}

/// Samples a snapshot.
const SAMPLES: usize = 20;

const BINS: usize = 150;

/// The i-th sample.
fn sample(i: usize) -> Sample {
    Sample {
        at: Ms(i as f64),
        zeros: i as u64,
        counts: (i..i + BINS).map(|count| count as u64).collect(),
        above: 2 * i as u64,
        weights: (i..i + 100).map(|weight| weight as f64).collect(),
    }
}

/// The child process of the test below, endless once it is told where to write; nothing to
/// do when it is called among the others.
#[test]
fn write_until_killed() {
    let Some(path) = std::env::var_os(KILL_PATH) else {
        return;
    };
    let path = Path::new(&path);
    if path.ends_with("weights.h5") {
        write_snapshots(path)
    } else {
        write_spikes(path, 4 * u8::from(path.ends_with("packed.h5")))
    }
}

fn write_spikes(path: &Path, compression: u8) {
    let mut writer = SpikeWriter::create(path, Ms(0.125), 4, compression, "of a test").unwrap();
    for n in (0..).step_by(SPIKES) {
        let spikes: Vec<_> = (n..n + SPIKES).map(spike).collect();
        writer.append(&spikes).unwrap();
        writer.flush().unwrap();
        println!("safe {}", n + SPIKES);
    }
}

fn write_snapshots(path: &Path) {
    let mut writer = WeightWriter::create(path, Ms(1.5), 0, "of a test").unwrap();
    let followed = (0..100).map(|id| (id, id)).collect();
    let sampling = Sampling {
        every: Ms(1.0),
        bins: BINS,
        max: 150.0,
        one_in: 1,
        counted: "all",
        followed,
    };
    writer.begin_samples(&sampling).unwrap();
    for k in 0.. {
        for i in 0..SAMPLES {
            writer.add_sample(sample(k * SAMPLES + i)).unwrap();
        }
        writer.flush().unwrap();
        writer.begin(Ms(k as f64)).unwrap();
        for block in synapses(k).chunks(3000) {
            writer.append(block).unwrap();
        }
        writer.end().unwrap();
        println!("safe {}", k + 1);
    }
}

/// Kills a writer to `path` after about `life` and returns how much it had reported safe.
fn kill(path: &Path, life: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "write_until_killed", "--nocapture"])
        .env(KILL_PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut safe = lines
        .map_while(|line| line.ok())
        .filter_map(|line| Some(line.strip_prefix("safe ")?.parse().unwrap()));
    let first = safe.next().expect("the child reports once");
    sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    safe.last().unwrap_or(first)
}

/// What stood in the file when the writer had reported `safe` spikes.
fn check_spikes(path: &Path, safe: usize) -> Result<(), Box<dyn Error>> {
    let file = File::open(path)?;
    for (population, offset) in [("E", 0), ("I", 4)] {
        let (times, ids): (Vec<f64>, Vec<u64>) = (0..safe)
            .map(spike)
            .filter(|(_, gid)| (gid.0 >= 4) == (offset == 4))
            .map(|(time, gid)| (time.to_ms(Ms(0.125)).0, u64::from(gid.0) - offset))
            .unzip();
        let group = file.group(&format!("spikes/{population}"))?;
        let found_ids: Vec<u64> = group.dataset("node_ids")?.read_raw()?;
        let found_times: Vec<f64> = group.dataset("timestamps")?.read_raw()?;
        // A flush cut short may have lengthened one of the two already; what was flushed
        // before it stands in both.
        assert!(found_ids.starts_with(&ids), "{population}");
        assert!(found_times.starts_with(&times), "{population}");
    }
    Ok(())
}

/// What stood in the file when the writer had reported `safe` snapshots.
fn check_snapshots(path: &Path, safe: usize) -> Result<(), Box<dyn Error>> {
    let file = File::open(path)?;
    let edges = file.group("edges/E_to_E")?;
    let sources: Vec<u64> = edges.dataset("source_node_id")?.read_raw()?;
    let read = |name: &str| -> hdf5::Result<Vec<f64>> { edges.dataset(name)?.read_raw() };
    let weights = |k| -> Vec<f64> { synapses(k).iter().map(|synapse| synapse.weight).collect() };
    assert_eq!(sources.len(), 20_000);
    for k in 0..safe {
        assert!(
            read(&format!("0/syn_weight_at_{k}ms"))? == weights(k),
            "{k}"
        );
    }
    let over_time = read_weights_over_time(path, usize::MAX)?;
    let samples = over_time.expect("samples were begun").samples;
    assert!(samples.len() >= safe * SAMPLES, "{} samples", samples.len());
    let flushed = samples[..safe * SAMPLES].iter().cloned();
    assert!(flushed.eq((0..safe * SAMPLES).map(sample)));
    let latest = read("0/syn_weight")?;
    assert!(latest == weights(safe - 1) || latest == weights(safe));
    Ok(())
}

/// Where the tree that finds a dataset's chunks grows by a node, a kill within some microseconds
/// leaves a dataset that HDF5 cannot read: some one in a thousand of these, for the writers here do
/// nothing but flush. That none holds anything else than was flushed has no exception.
#[test]
fn a_killed_writer_leaves_everything_up_to_its_last_flush() {
    let mut torn = Vec::new();
    for trial in 0..24_u64 {
        let name = ["spikes.h5", "packed.h5", "weights.h5"][trial as usize % 3];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let safe = kill(&path, Duration::from_micros(5_000 + trial * 1_717));
        let check = match name {
            "weights.h5" => check_snapshots,
            _ => check_spikes,
        };
        torn.extend(check(&path, safe).err());
    }
    assert!(torn.len() <= 1, "{torn:?}");
}
