# Sourced by run.sh and test.sh: what Open MPI needs in containers and on small machines.
# Environment variables rather than flags, so that an mpirun started further down (by the
# tests) has them too; other MPIs do not look at them. What the caller has set stands.
# shellcheck shell=bash

# Root is the only user in many containers.
if [[ $(id -u) == 0 ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# With one or two ranks mpirun would bind each rank to one core, all its threads with it.
# (The second name of each is Open MPI 5's.) On big machines set your own, or use slurm/.
export OMPI_MCA_hwloc_base_binding_policy="${OMPI_MCA_hwloc_base_binding_policy-none}"
export PRTE_MCA_hwloc_default_binding_policy="${PRTE_MCA_hwloc_default_binding_policy-none}"

# More ranks than cores are not an error.
mpi_env_allow_crowding() {
  export OMPI_MCA_rmaps_base_oversubscribe="${OMPI_MCA_rmaps_base_oversubscribe-1}"
  export PRTE_MCA_rmaps_default_mapping_policy="${PRTE_MCA_rmaps_default_mapping_policy-:oversubscribe}"
}

# Threads and ranks share cores: whoever waits in MPI lets the others work.
mpi_env_yield() {
  export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle-1}"
}

# The launcher that belongs to $MPICC (mpicc.mpich → mpirun.mpich, /opt/x/bin/mpicc → /opt/x/bin/mpirun):
# the wrong one silently starts so many jobs of one rank.
if [[ -z ${MPIRUN-} ]]; then
  MPIRUN=mpirun
  if [[ ${MPICC-} == *mpicc* ]] && command -v "${MPICC%mpicc*}mpirun${MPICC##*mpicc}" >/dev/null; then
    MPIRUN="${MPICC%mpicc*}mpirun${MPICC##*mpicc}"
  elif ! command -v mpirun >/dev/null; then
    MPIRUN=mpiexec
  fi
fi
export MPIRUN
