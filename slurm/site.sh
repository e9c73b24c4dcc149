# The site: what a cluster wants to know of a job, for all scripts in slurm/. The one file to edit.
# Source it in the shell that builds and submits, so that sbatch sees the settings and the
# program is built with the modules it runs with; the jobs source it again by themselves:
#     source slurm/site.sh && cargo build --release && sbatch slurm/single.sbatch CONFIG.toml
# shellcheck shell=bash disable=SC2034

# ==== what sbatch asks for; options on its command line win =================
#export SBATCH_ACCOUNT=ACCOUNT
#export SBATCH_PARTITION=PARTITION
#export SBATCH_QOS=QOS
#export SBATCH_CONSTRAINT=FEATURE
export SBATCH_TIMELIMIT=01:00:00

# ==== modules: an MPI and HDF5; to build also Rust and libclang =============
#module load openmpi hdf5 rust llvm

# ==== ranks and threads =====================================================
# How a node is split, unless sbatch was told (--ntasks-per-node=R --cpus-per-task=T).
site_ranks_per_numa_domain=1
site_threads_per_rank=auto          # auto: the cores of the domain, shared among its ranks

# ==== how ranks are started =================================================
# pmix, pmi2, cray_shasta …: srun, by this protocol (srun --mpi=list); mpirun: the one on
# PATH; auto: srun by what the program's MPI speaks, mpirun where Slurm does not speak it.
site_launcher=auto
