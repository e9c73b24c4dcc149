//! What launchers tell a process in its environment, before MPI does.

use std::process::Command;

/// Variables in which launchers tell the number of processes that they started.
///
/// Open MPI, Hydra (MPICH, Intel), MVAPICH, Slurm's srun; in this order, since mpirun may
/// itself have been started by srun.
pub(super) const LAUNCHERS: [&str; 4] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
];
/// Set by launchers that do not tell the size.
pub(super) const OTHER_SIGNS: [&str; 3] = ["PMIX_RANK", "PMI_RANK", "PALS_RANKID"];

/// Variables in which launchers tell a process its rank.
const RANKS: [&str; 6] = [
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "MV2_COMM_WORLD_RANK",
    "PMIX_RANK",
    "PALS_RANKID",
    "SLURM_PROCID",
];

/// Returns the number that the first of `names` which is set to one has in the environment.
pub(super) fn told(names: &[&'static str]) -> Option<(&'static str, usize)> {
    names.iter().find_map(|&name| {
        let number = std::env::var(name).ok()?.parse().ok()?;
        Some((name, number))
    })
}

/// Returns the rank that a launcher gave this process, without asking MPI; 0 where none did.
pub fn rank_told() -> usize {
    told(&RANKS).map_or(0, |(_, rank)| rank)
}

/// Returns the number of processes that an mpirun started this one among, without asking MPI.
///
/// Ignores the variables of srun: a shell that srun started passes them on to all it runs.
pub fn size_told_by_mpirun() -> Option<usize> {
    let in_step = std::env::var_os("SLURM_STEP_ID").is_some();
    let of_hydra = (!in_step).then_some("PMI_SIZE");
    let names = ["OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"];
    let names: Vec<_> = names.into_iter().chain(of_hydra).collect();
    told(&names).map(|(_, size)| size)
}

/// Takes all that launchers say out of the environment of `command`, which is to be a process of
/// its own or a launcher.
pub fn forget_launcher(command: &mut Command) {
    for name in LAUNCHERS.iter().chain(&OTHER_SIGNS).chain(&RANKS) {
        command.env_remove(name);
    }
}
