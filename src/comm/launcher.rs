//! Environment variables that MPI launchers set, readable before MPI is initialized.

use std::process::Command;

/// Variables that hold the number of processes that the launcher started.
///
/// They belong to Open MPI, Hydra (MPICH, Intel), MVAPICH and Slurm's srun. The order matters:
/// srun may have started mpirun.
pub(super) const LAUNCHERS: [&str; 4] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
];
/// Variables of launchers that do not set the number of processes.
pub(super) const OTHER_SIGNS: [&str; 3] = ["PMIX_RANK", "PMI_RANK", "PALS_RANKID"];

/// Variables that hold the rank of the process.
const RANKS: [&str; 6] = [
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "MV2_COMM_WORLD_RANK",
    "PMIX_RANK",
    "PALS_RANKID",
    "SLURM_PROCID",
];

/// Returns name and value of the first environment variable among `names` that holds a number.
pub(super) fn told(names: &[&'static str]) -> Option<(&'static str, usize)> {
    names.iter().find_map(|&name| {
        let number = std::env::var(name).ok()?.parse().ok()?;
        Some((name, number))
    })
}

/// Returns the rank that a launcher gave this process, without calling MPI; 0 without a launcher.
pub fn rank_told() -> usize {
    told(&RANKS).map_or(0, |(_, rank)| rank)
}

/// Returns the number of processes that mpirun started together with this one, without calling
/// MPI; `None` without mpirun.
///
/// Ignores the variables of srun: a shell that srun started passes them on to every command.
pub fn size_told_by_mpirun() -> Option<usize> {
    let in_step = std::env::var_os("SLURM_STEP_ID").is_some();
    let of_hydra = (!in_step).then_some("PMI_SIZE");
    let names = ["OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"];
    let names: Vec<_> = names.into_iter().chain(of_hydra).collect();
    told(&names).map(|(_, size)| size)
}

/// Removes all variables of launchers from the environment of `command`, which then runs as a
/// single process or as a launcher.
pub fn forget_launcher(command: &mut Command) {
    for name in LAUNCHERS.iter().chain(&OTHER_SIGNS).chain(&RANKS) {
        command.env_remove(name);
    }
}
