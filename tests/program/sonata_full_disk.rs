//! A full disk ends a run with the operating system's words, and what was flushed before stays.
//!
//! Needs the right to mount; elsewhere it says that it was skipped.

use std::path::Path;
use std::process::Command;

use stdp_hpc::base::error::{Error, Result};
use stdp_hpc::base::units::{Gid, Ms, Steps};
use stdp_hpc::io::sonata::spikes::SpikeWriter;
use stdp_hpc::io::sonata::weights::{Layout, Synapse, WeightWriter};

/// A file system of 300 kB, gone with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not permitted.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=300k", "tmpfs"])
            .arg(dir.path())
            .output();
        mount
            .is_ok_and(|done| done.status.success())
            .then(|| Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// Writes `blocks` times 1000 spikes, each block flushed; how many were, and how it ended.
fn write_spikes(path: &Path, blocks: i32) -> (usize, Result<()>) {
    let mut writer = SpikeWriter::create(path, Ms(0.1), 1, 0, "of a test").unwrap();
    for block in 0..blocks {
        let time = |i| Steps(1 + block * 1000 + i);
        let spikes: Vec<_> = (0..1000).map(|i| (time(i), Gid(0))).collect();
        let flushed = writer.append(&spikes).and_then(|()| writer.flush());
        if flushed.is_err() {
            return (1000 * block as usize, flushed);
        }
    }
    (1000 * blocks as usize, writer.close())
}

fn write_weights(path: &Path) -> Result<()> {
    let synapse = Synapse {
        source: 0,
        target: 0,
        weight: 1.0,
    };
    let layout = Layout {
        delay: Ms(1.5),
        compression: 0,
        target_to_source: true,
    };
    let mut writer = WeightWriter::create(path, layout, "of a test")?;
    writer.begin(Ms(0.0))?;
    for _ in 0..100 {
        writer.append(&[synapse; 1000])?;
    }
    writer.end()?;
    writer.close()
}

#[test]
fn a_full_disk_is_a_failure_of_the_run_and_spares_what_was_flushed() {
    // One for each file: a writer that failed keeps its file open, and so its space.
    let (Some(disk), Some(another)) = (SmallDisk::mount(), SmallDisk::mount()) else {
        eprintln!("skipped: mounting a small file system is not permitted here");
        return;
    };
    let full = |path: &Path| {
        let cause = "cannot be written: No space left on device";
        Error::Run(format!("{}: {cause}", path.display()))
    };

    let weights = disk.path().join("weights.h5");
    assert_eq!(write_weights(&weights), Err(full(&weights)));

    let spikes = another.path().join("spikes.h5");
    let (flushed, ended) = write_spikes(&spikes, 1000);
    assert_eq!(ended, Err(full(&spikes)));
    assert!(flushed > 8000, "{flushed}");
    let file = hdf5::File::open(&spikes).unwrap();
    let times = file.dataset("spikes/E/timestamps").unwrap();
    let times = times.read_slice_1d::<f64, _>(..flushed).unwrap();
    let expected = (1..).map(|step| Steps(step).to_ms(Ms(0.1)).0);
    assert!(times.iter().copied().eq(expected.take(flushed)));
}
