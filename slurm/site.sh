# Settings of the site for all scripts in slurm/. This is the only file to edit.
# Source it in the shell that builds and submits: sbatch then sees the settings, and the program is
# built with the modules that it runs with. The jobs source it again:
#     source slurm/site.sh && cargo build --release && sbatch slurm/single.sbatch CONFIG.toml
# shellcheck shell=bash disable=SC2034

# ==== options of sbatch; its command line overrides them ====================
#export SBATCH_ACCOUNT=ACCOUNT
#export SBATCH_PARTITION=PARTITION
#export SBATCH_QOS=QOS
#export SBATCH_CONSTRAINT=FEATURE
export SBATCH_TIMELIMIT=01:00:00

# ==== modules: MPI and HDF5; to build also Rust and libclang ================
#module load openmpi hdf5 rust llvm

# ==== ranks and threads =====================================================
# Split of a node, unless options of sbatch set it (--ntasks-per-node=R --cpus-per-task=T).
site_ranks_per_numa_domain=1
site_threads_per_rank=auto          # auto: cores of the domain divided by its ranks

# ==== launcher of the ranks =================================================
# pmix, pmi2, cray_shasta …: srun with this protocol (srun --mpi=list); mpirun: the one on PATH;
# auto: srun with the protocol of the program's MPI, or mpirun if Slurm does not support it.
site_launcher=auto
