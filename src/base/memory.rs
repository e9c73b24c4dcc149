//! Memory: what it is counted by, what a process holds, what its machine has left.

use std::collections::HashMap;
use std::fs;
use std::ops::{Index, IndexMut};
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::error::{Error, Result};
use crate::base::sizes::total;

/// What the memory of a rank goes to. Each type states its bytes twice: by a formula (`bytes`)
/// that needs nothing but sizes, and as counted on what is there (`held`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// Targets and weights of the synapses E→E.
    PlasticSynapses,
    /// Targets, and weights where they were read, of the others.
    StaticSynapses,
    /// Where the rows of each thread begin.
    RowIndex,
    /// Who is listened to, and the presynaptic traces.
    Sources,
    /// Who listens to the neurons here.
    TargetTable,
    /// The neurons' state.
    Neurons,
    /// What will arrive.
    RingBuffers,
    /// Counts of the external input, or the spikes that were given.
    ExternalInput,
    /// Postsynaptic spikes and traces.
    SpikeHistory,
    /// The buffers of the exchange.
    Exchange,
    /// Spikes on their way to the file and the largest block of a snapshot, for a time only.
    Recording,
    /// What connections are sorted by while rows are built, gone when they are.
    Construction,
}

impl Structure {
    /// All of them, in the order of [`ByStructure`].
    pub const ALL: [Structure; 12] = [
        Structure::PlasticSynapses,
        Structure::StaticSynapses,
        Structure::RowIndex,
        Structure::Sources,
        Structure::TargetTable,
        Structure::Neurons,
        Structure::RingBuffers,
        Structure::ExternalInput,
        Structure::SpikeHistory,
        Structure::Exchange,
        Structure::Recording,
        Structure::Construction,
    ];

    /// As run.json names it.
    pub fn name(self) -> &'static str {
        match self {
            Structure::PlasticSynapses => "plastic_synapses",
            Structure::StaticSynapses => "static_synapses",
            Structure::RowIndex => "row_index",
            Structure::Sources => "sources",
            Structure::TargetTable => "target_table",
            Structure::Neurons => "neurons",
            Structure::RingBuffers => "ring_buffers",
            Structure::ExternalInput => "external_input",
            Structure::SpikeHistory => "spike_history",
            Structure::Exchange => "exchange",
            Structure::Recording => "recording",
            Structure::Construction => "construction",
        }
    }

    /// Whether it is there for a part of the run only.
    pub fn passes(self) -> bool {
        matches!(self, Structure::Recording | Structure::Construction)
    }
}

/// One value a structure; in JSON an object of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ByStructure<T>([T; Structure::ALL.len()]);

impl<T: Copy> ByStructure<T> {
    /// All structures with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Structure, T)> + '_ {
        Structure::ALL.into_iter().zip(self.0)
    }

    /// `f` of every value, in order.
    pub fn map<U>(&self, f: impl FnMut(T) -> U) -> ByStructure<U> {
        ByStructure(self.0.map(f))
    }
}

impl ByStructure<u64> {
    /// The bytes of all that stays for the whole run.
    pub fn staying(&self) -> u64 {
        let stays = |(structure, bytes): (Structure, u64)| (!structure.passes()).then_some(bytes);
        total(self.iter().filter_map(stays))
    }

    /// Adds `bytes` to what `structure` takes; at most 2⁶⁴ − 1.
    pub fn add(&mut self, structure: Structure, bytes: u64) {
        self[structure] = self[structure].saturating_add(bytes);
    }
}

impl<T> Index<Structure> for ByStructure<T> {
    type Output = T;
    fn index(&self, structure: Structure) -> &T {
        &self.0[structure as usize]
    }
}

impl<T> IndexMut<Structure> for ByStructure<T> {
    fn index_mut(&mut self, structure: Structure) -> &mut T {
        &mut self.0[structure as usize]
    }
}

impl<'de, T: Copy + Default + Deserialize<'de>> Deserialize<'de> for ByStructure<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let named = HashMap::<String, T>::deserialize(deserializer)?;
        let mut values = ByStructure::default();
        for structure in Structure::ALL {
            let missing = || D::Error::missing_field(structure.name());
            values[structure] = *named.get(structure.name()).ok_or_else(missing)?;
        }
        Ok(values)
    }
}

impl<T: Copy + Serialize> Serialize for ByStructure<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.iter()
                .map(|(structure, value)| (structure.name(), value)),
        )
    }
}

/// Returns the bytes that `held` has allocated, filled or not.
pub fn allocated_bytes<T>(held: &Vec<T>) -> u64 {
    (held.capacity() * size_of::<T>()) as u64
}

/// Resident memory of a process (bytes).
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// The most there ever was.
    pub peak: u64,
    /// Now.
    pub now: u64,
}

/// Of this process; 0 where the system does not say.
pub fn resident() -> Resident {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Resident {
        peak: kibibytes(&status, "VmHWM:").unwrap_or(0),
        now: kibibytes(&status, "VmRSS:").unwrap_or(0),
    }
}

/// From now on blocks of 256 KiB and more go back to the system as soon as they are freed.
///
/// The GNU allocator otherwise learns from large blocks that are freed to keep later ones, up
/// to 32 MiB, and the holes between them: a run would take more than it holds, and how much
/// more nobody could foretell.
///
/// # Safety
/// No other thread of the process may run yet (`mallopt` is MT-Unsafe).
pub unsafe fn return_what_is_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a number in the allocator, while no other thread is there that might
    // allocate: the caller's duty.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
    }
}

/// Takes the addresses that the stack of the calling thread is going to need.
///
/// A stack grows when it is used. Where a limit on addresses (`ulimit -v`) is met then, the
/// system kills the process without a word; an allocation that fails later can tell of it.
#[inline(never)]
pub fn grow_stack() {
    std::hint::black_box([0u8; 1 << 19]);
}

/// Bytes that this process may still take under the limits on it alone (`ulimit -v`, `ulimit -d`);
/// `None` where there are none or the system does not say.
pub fn left_to_process() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    left_under_limits(&limits, &status)
}

fn left_under_limits(limits: &str, status: &str) -> Option<u64> {
    let left = |name: &str, used: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        // "unlimited" is no number.
        let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(limit.saturating_sub(kibibytes(status, used)?))
    };
    let all = [
        left("Max address space", "VmSize:"),
        left("Max data size", "VmData:"),
    ];
    all.into_iter().flatten().min()
}

/// Bytes that processes of this machine can still take, together, before one of them is
/// killed: what the kernel says is available, or less where a control group (version 1 or 2)
/// that this process is in allows less. `None` where the system does not say.
pub fn available() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = groups
        .lines()
        .flat_map(|line| left_in_groups(line, Path::new("/sys/fs/cgroup")));
    left.chain(kibibytes(&meminfo, "MemAvailable:")).min()
}

/// The field `name` of /proc's `text`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * number)
}

/// What the control group named by a `line` of /proc/self/cgroup, and those it is in, leave.
fn left_in_groups(line: &str, mount: &Path) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (mount, limit, usage, inactive) = match controllers {
        "" => (
            mount.to_owned(),
            "memory.max",
            "memory.current",
            "inactive_file ",
        ),
        _ if controllers.split(',').any(|name| name == "memory") => (
            mount.join("memory"),
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file ",
        ),
        _ => return Vec::new(),
    };
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    // In a container the group's own path may not be mounted, those above it are.
    let groups = Path::new(group.trim_start_matches('/')).ancestors();
    let left = groups.filter_map(|group| {
        let group = mount.join(group);
        let (limit, usage) = (number(group.join(limit))?, number(group.join(usage))?);
        // Files it has read count as its own until somebody needs the room.
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let mut lines = stat.lines();
        let files = lines.find_map(|line| line.strip_prefix(inactive)?.trim().parse().ok());
        Some(limit.saturating_sub(usage.saturating_sub(files.unwrap_or(0))))
    });
    left.collect()
}

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// `64GB`, `1.5 GiB`, `500MB` as bytes.
///
/// Errors: no positive number, no unit, 2⁶⁴ bytes or more.
pub fn parse_size(text: &str) -> Result<u64> {
    let size = UNITS.iter().find_map(|(unit, bytes)| {
        let number: f64 = text.trim().strip_suffix(unit)?.trim_end().parse().ok()?;
        let size = number * *bytes as f64;
        (size >= 1.0 && size < u64::MAX as f64).then_some(size as u64)
    });
    size.ok_or_else(|| Error::input("must be a size such as 64GB, 1.5GiB or 500MB".to_owned()))
}

/// Bytes for people: `1.25 GiB`.
pub fn show_size(bytes: u64) -> String {
    let unit = UNITS[..4].iter().rev().find(|(_, unit)| bytes >= *unit);
    match unit {
        Some((name, unit)) => {
            let value = bytes as f64 / *unit as f64;
            let digits = if value < 9.995 {
                2
            } else {
                usize::from(value < 99.95)
            };
            format!("{value:.digits$} {name}")
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("64GB", 64_000_000_000),
            ("1.5 GiB", 3 << 29),
            ("500MB", 500_000_000),
            ("12kB", 12_000),
            (" 7B", 7),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "", "64", "GB", "-1GB", "0B", "nanGB", "infGB", "1e30GB", "64gigs", "64 G",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        let shown = [7, 1 << 10, 5 << 19, 1_000_000_000, 123 << 30].map(show_size);
        assert_eq!(shown, ["7 B", "1.00 KiB", "2.50 MiB", "954 MiB", "123 GiB"]);
    }

    #[test]
    fn limits_on_the_process_count() {
        let status = "VmSize:\t    400 kB\nVmData:\t    100 kB\n";
        let limits = |space: &str, data: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max data size             {data}            unlimited            bytes\n\
                 Max address space         {space}           unlimited            bytes\n"
            )
        };
        for (space, data, left) in [
            ("unlimited", "unlimited", None),
            ("1024000", "unlimited", Some(600 << 10)),
            ("1024000", "204800", Some(100 << 10)),
            ("1024", "unlimited", Some(0)),
        ] {
            assert_eq!(left_under_limits(&limits(space, data), status), left);
        }
    }

    #[test]
    fn control_groups_limit_what_is_left() {
        let mount = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = mount.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("memory/job/memory.limit_in_bytes", "1000\n");
        put("memory/job/memory.usage_in_bytes", "700\n");
        put(
            "memory/job/memory.stat",
            "cache 1\ntotal_inactive_file 100\n",
        );
        put("memory/memory.limit_in_bytes", "5000\n");
        put("memory/memory.usage_in_bytes", "4500\n");
        put("slice/memory.max", "max\n");
        put("slice/memory.current", "700\n");
        put("slice/task/memory.max", "2000\n");
        put("slice/task/memory.current", "2100\n");
        let left = |line| left_in_groups(line, mount.path());
        assert_eq!(left("4:memory:/job/step"), [400, 500]);
        assert_eq!(left("4:cpu,memory:/"), [500]);
        assert_eq!(left("0::/slice/task"), [0]);
        assert_eq!(left("3:cpuset:/job"), [0; 0]);
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
