# Settings of Open MPI for containers and small machines; run.sh and test.sh source this file.
# Environment variables also reach an mpirun that a test starts; flags would not. Other MPIs ignore
# them. Values that the caller has set remain.
# shellcheck shell=bash

# Root is the only user in many containers.
if [[ $(id -u) == 0 ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# With one or two ranks, mpirun would bind each rank and all its threads to one core. (The second
# variable of each pair is for Open MPI 5.) On large machines set your own binding, or use slurm/.
export OMPI_MCA_hwloc_base_binding_policy="${OMPI_MCA_hwloc_base_binding_policy-none}"
export PRTE_MCA_hwloc_default_binding_policy="${PRTE_MCA_hwloc_default_binding_policy-none}"

# Allows more ranks than cores.
mpi_env_allow_crowding() {
  export OMPI_MCA_rmaps_base_oversubscribe="${OMPI_MCA_rmaps_base_oversubscribe-1}"
  export PRTE_MCA_rmaps_default_mapping_policy="${PRTE_MCA_rmaps_default_mapping_policy-:oversubscribe}"
}

# Makes a rank that waits in MPI yield its core, if threads and ranks share cores.
mpi_env_yield() {
  export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle-1}"
}

# Sets MPIRUN to the launcher of $MPICC (mpicc.mpich → mpirun.mpich, /opt/x/bin/mpicc →
# /opt/x/bin/mpirun): the launcher of another MPI silently starts R jobs of one rank.
if [[ -z ${MPIRUN-} ]]; then
  MPIRUN=mpirun
  if [[ ${MPICC-} == *mpicc* ]] && command -v "${MPICC%mpicc*}mpirun${MPICC##*mpicc}" >/dev/null; then
    MPIRUN="${MPICC%mpicc*}mpirun${MPICC##*mpicc}"
  elif ! command -v mpirun >/dev/null; then
    MPIRUN=mpiexec
  fi
fi
export MPIRUN
