//! Counts the cores that ranks may use and warns if threads outnumber them.
//!
//! A *core* is the unit that the system schedules threads on: a hardware thread if a physical core
//! has several. A process may be restricted to some cores of the machine by the launcher's
//! binding, a cpuset, or a CPU-time quota of its control group.

use std::thread::available_parallelism;

use crate::comm::Comm;

/// Cores that one process may use.
struct Allowed {
    /// Distinct core numbers on this node.
    cores: Vec<u32>,
    /// Number of cores that the process may use at the same time; fewer if a quota limits it.
    count: usize,
}

impl Allowed {
    fn here() -> Self {
        let count = available_parallelism().map_or(1, usize::from);
        let cores = std::fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|status| listed(&status))
            // If the system does not list the cores, assume that all ranks of a node share them.
            .unwrap_or_else(|| (0..count as u32).collect());
        Allowed { cores, count }
    }

    /// Returns the number of cores that all ranks of `node` together may use; valid on the node's
    /// rank 0 only. Collective.
    fn together(&self, node: &Comm) -> usize {
        let mut cores = node.gather(&self.cores);
        cores.sort_unstable();
        cores.dedup();
        // All ranks of a job on a node are in one control group and share its quota.
        let limited = self.count < self.cores.len();
        let quota = if limited { self.count as f64 } else { f64::MAX };
        (cores.len() as f64).min(node.spread(quota).min) as usize
    }
}

/// Returns the cores of `Cpus_allowed_list` in /proc/PID/status, such as "0-3,8".
fn listed(status: &str) -> Option<Vec<u32>> {
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

/// Number of threads of one rank, or of all ranks on a node, and the cores available to them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Load {
    /// The lowest of the ranks.
    rank: u64,
    /// Number of ranks: one, or all ranks of a node.
    ranks: u64,
    threads: u64,
    cores: u64,
}

impl Load {
    fn threads_per_core(&self) -> f64 {
        self.threads as f64 / self.cores as f64
    }
}

/// Returns a warning on rank 0 if threads outnumber cores, on one rank or on all ranks of a node
/// together. Reports the worst case if there are several. Runs give the same result, but take
/// longer than with fewer threads. Collective; costs a few small messages.
pub fn shortage(comm: &Comm, threads: usize) -> Option<String> {
    let (mine, node) = (Allowed::here(), comm.node());
    let load = |ranks: usize, cores: usize| Load {
        rank: comm.rank() as u64,
        ranks: ranks as u64,
        threads: (ranks * threads) as u64,
        cores: cores as u64,
    };
    let together = mine.together(&node);
    let mut loads = vec![load(1, mine.count)];
    if node.rank() == 0 && node.size() > 1 {
        loads.push(load(node.size(), together));
    }
    let short = worst(&loads).map(|l| [l.rank, l.ranks, l.threads, l.cores]);
    let all = comm.gather(short.as_ref().map_or(&[], |words| &words[..]));
    let loads = all.chunks_exact(4).map(|words| Load {
        rank: words[0],
        ranks: words[1],
        threads: words[2],
        cores: words[3],
    });
    worst(&loads.collect::<Vec<_>>()).map(|load| message(&load) + advice(comm))
}

/// Returns advice to append to the warning, for Open MPI only.
///
/// Open MPI detects ranks that share cores, but not threads, and not at all under srun. A waiting
/// rank then keeps its core busy until the system preempts it. Two ranks of three threads on one
/// core took 27 times as long.
fn advice(comm: &Comm) -> &'static str {
    let library = comm.library().unwrap_or_default();
    let yields = ["OMPI_MCA_mpi_yield_when_idle", "OMPI_MCA_mpi_oversubscribe"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| value != "0"));
    if library.starts_with("Open MPI") && !yields {
        "; at the least export OMPI_MCA_mpi_yield_when_idle=1"
    } else {
        ""
    }
}

/// Returns the load with the most threads per core among those above one thread per core. Ties go
/// to the load with more ranks, then to the first.
fn worst(loads: &[Load]) -> Option<Load> {
    let severity = |load: &Load| (load.threads_per_core(), load.ranks);
    let short = loads.iter().copied().filter(|l| l.threads > l.cores);
    short.reduce(|a, b| if severity(&b) > severity(&a) { b } else { a })
}

fn message(load: &Load) -> String {
    let Load {
        rank,
        ranks,
        threads,
        cores,
    } = load;
    let plural = if *cores == 1 { "" } else { "s" };
    let (who, less) = if *ranks == 1 {
        (format!("rank {rank} has"), "--threads")
    } else {
        (
            format!("the {ranks} ranks on the node of rank {rank} have"),
            "mpirun -n, --threads",
        )
    };
    format!(
        "{who} {threads} threads but may use {cores} core{plural}: expect a slowdown; \
         use fewer ({less}) or more cores (mpirun --bind-to none, srun --cpus-per-task)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores() {
        let listed = |list: &str| {
            super::listed(&format!(
                "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{list}\nMems_allowed:\t1\n"
            ))
        };
        assert_eq!(listed("0"), Some(vec![0]));
        assert_eq!(listed("0-3,8,10-11"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(listed("none"), None);
        assert_eq!(super::listed("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_may_use_something() {
        let here = Allowed::here();
        assert!(here.count >= 1 && here.cores.len() >= here.count);
        assert_eq!(here.together(&Comm::Alone), here.count);
    }

    #[test]
    fn threads_up_to_the_cores_are_fine() {
        let comm = Comm::Alone;
        let count = Allowed::here().count;
        assert_eq!(shortage(&comm, count), None);
        let message = shortage(&comm, count + 1).expect("one too many");
        let numbers = format!("rank 0 has {} threads but may use {count} core", count + 1);
        assert!(message.starts_with(&numbers), "{message}");
    }

    /// Rank 2 alone is bound to one core; the node of rank 4 is crowded as a whole.
    #[test]
    fn the_worst_is_told() {
        let load = |rank, ranks, threads, cores| Load {
            rank,
            ranks,
            threads,
            cores,
        };
        let (fine, bound) = (load(0, 4, 8, 8), load(2, 1, 4, 1));
        let (node, rank) = (load(4, 4, 16, 2), load(5, 1, 16, 2));
        assert_eq!(worst(&[fine]), None);
        assert_eq!(worst(&[fine, bound]), Some(bound));
        assert_eq!(worst(&[bound, rank, node, fine]), Some(node));
        assert!(message(&bound).starts_with("rank 2 has 4 threads but may use 1 core: "));
        let start = "the 4 ranks on the node of rank 4 have 16 threads but may use 2 cores: ";
        assert!(message(&node).starts_with(start));
    }
}
