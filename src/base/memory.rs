//! Memory: bytes per data structure, resident memory of the process, memory left on the machine.

use std::collections::HashMap;
use std::fs;
use std::ops::{Index, IndexMut};
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::error::{Error, Result};
use crate::base::sizes::total;

/// Bytes of a KiB, for tables and figures.
pub const KIB: f64 = 1024.0;
/// Bytes of a MiB, for tables and figures.
pub const MIB: f64 = 1024.0 * KIB;

/// Data structure that a rank's memory is accounted to. Each type reports its bytes twice:
/// `bytes` computes them from sizes alone, `held` counts what is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// Targets and weights of the E→E synapses.
    PlasticSynapses,
    /// Targets of the other synapses, and their weights if they were read from a file.
    StaticSynapses,
    /// Start of each row, per thread.
    RowIndex,
    /// Sources of the rank's synapses, and presynaptic traces.
    Sources,
    /// Target ranks and rows of each local neuron.
    TargetTable,
    /// State variables of the neurons.
    Neurons,
    /// Input that has not arrived yet, per neuron and step.
    RingBuffers,
    /// Counts of the external input, or the external spikes that were supplied.
    ExternalInput,
    /// Postsynaptic spikes and traces.
    SpikeHistory,
    /// Send and receive buffers of the spike exchange.
    Exchange,
    /// Spikes waiting to be written, and the largest block of a snapshot; temporary.
    Recording,
    /// Sorting buffers for connections while rows are built; freed afterwards.
    Construction,
}

impl Structure {
    /// All structures, in the order of [`ByStructure`].
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

    /// Returns the name in run.json.
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

    /// Returns whether it is allocated during part of the run only.
    pub fn passes(self) -> bool {
        matches!(self, Structure::Recording | Structure::Construction)
    }
}

/// One value per structure; in JSON an object with the structures' names as keys.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ByStructure<T>([T; Structure::ALL.len()]);

impl<T: Copy> ByStructure<T> {
    /// Returns all structures with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Structure, T)> + '_ {
        Structure::ALL.into_iter().zip(self.0)
    }

    /// Applies `f` to every value, in order.
    pub fn map<U>(&self, f: impl FnMut(T) -> U) -> ByStructure<U> {
        ByStructure(self.0.map(f))
    }
}

impl ByStructure<u64> {
    /// Returns the bytes of all structures that are held for the whole run.
    pub fn staying(&self) -> u64 {
        let stays = |(structure, bytes): (Structure, u64)| (!structure.passes()).then_some(bytes);
        total(self.iter().filter_map(stays))
    }

    /// Adds `bytes` to the bytes of `structure`; saturates at 2⁶⁴ − 1.
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

/// Returns the bytes that `held` has allocated, including unused capacity.
pub fn allocated_bytes<T>(held: &Vec<T>) -> u64 {
    (held.capacity() * size_of::<T>()) as u64
}

/// Resident memory of a process (bytes).
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// Peak so far.
    pub peak: u64,
    /// Current value.
    pub now: u64,
}

/// Returns the resident memory of this process, from /proc/self/status; 0 if unavailable.
pub fn resident() -> Resident {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Resident {
        peak: kibibytes(&status, "VmHWM:").unwrap_or(0),
        now: kibibytes(&status, "VmRSS:").unwrap_or(0),
    }
}

/// Makes the allocator return blocks of 256 KiB and more to the system as soon as they are freed.
///
/// By default the GNU allocator raises this threshold, up to 32 MiB, when large blocks are freed.
/// It then keeps later blocks and the holes between them. A run would use an unpredictable
/// amount of memory beyond what it holds.
///
/// # Safety
/// No other thread of the process may run yet (`mallopt` is MT-Unsafe).
pub unsafe fn return_what_is_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a number in the allocator. The caller guarantees that no other thread is
    // running, which might allocate.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
    }
}

/// Grows the stack of the calling thread in advance by 512 KiB, the space that it will need.
///
/// A stack grows on use. If it then exceeds the limit on address space (`ulimit -v`), the system
/// kills the process without a message. An allocation that fails later can report the error.
#[inline(never)]
pub fn grow_stack() {
    std::hint::black_box([0u8; 1 << 19]);
}

/// Returns the bytes that this process may still allocate under its own limits (`ulimit -v`,
/// `ulimit -d`); `None` if there are no limits or they are unknown.
pub fn left_to_process() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    left_under_limits(&limits, &status)
}

fn left_under_limits(limits: &str, status: &str) -> Option<u64> {
    let left = |name: &str, used: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        // "unlimited" does not parse as a number.
        let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(limit.saturating_sub(kibibytes(status, used)?))
    };
    let all = [
        left("Max address space", "VmSize:"),
        left("Max data size", "VmData:"),
    ];
    all.into_iter().flatten().min()
}

/// Returns the bytes that all processes of this machine together can still allocate before one of
/// them is killed. This is the minimum of the kernel's MemAvailable and the memory left in the
/// control groups (version 1 or 2) of this process. `None` if unknown.
pub fn available() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = groups
        .lines()
        .flat_map(|line| left_in_groups(line, Path::new("/sys/fs/cgroup")));
    left.chain(kibibytes(&meminfo, "MemAvailable:")).min()
}

/// Returns the field `name` of the /proc file `text`, converted from kB to bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * number)
}

/// Returns the bytes left in the control group named by a `line` of /proc/self/cgroup and in each
/// of its ancestors that has a limit.
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
    // In a container the group itself may not be mounted, but its ancestors are.
    let groups = Path::new(group.trim_start_matches('/')).ancestors();
    let left = groups.filter_map(|group| {
        let group = mount.join(group);
        let (limit, usage) = (number(group.join(limit))?, number(group.join(usage))?);
        // The usage includes cached file pages, which the kernel frees on demand.
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

/// Parses a size such as `64GB`, `1.5 GiB` or `500MB` and returns it in bytes.
///
/// # Errors
/// Fails if the number or the unit is missing, or the size is below 1 byte or at least 2⁶⁴ bytes.
pub fn parse_size(text: &str) -> Result<u64> {
    let size = UNITS.iter().find_map(|(unit, bytes)| {
        let number: f64 = text.trim().strip_suffix(unit)?.trim_end().parse().ok()?;
        let size = number * *bytes as f64;
        (size >= 1.0 && size < u64::MAX as f64).then_some(size as u64)
    });
    size.ok_or_else(|| Error::input("must be a size such as 64GB, 1.5GiB or 500MB".to_owned()))
}

/// Formats a number of bytes with three significant digits and a binary unit: `1.25 GiB`.
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
