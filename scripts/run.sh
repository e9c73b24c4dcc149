#!/usr/bin/env bash
# Builds the simulator if needed and runs it; see `run.sh --help`.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: run.sh [-n R] [--] CONFIG.toml [ARGUMENT…]

Sets up (scripts/setup.sh), builds (cargo build --release) and runs stdp-hpc with the
arguments given, in the directory you call it from. The exit code is the program's.

  -n R     run under mpirun on R ranks; without it one process, and no mpirun
  --       what follows is the program's, so `run.sh -- --help` shows its help
  --help   this text

Environment:
  MPICC             the compiler of the MPI to build with (mpicc.mpich, /opt/x/bin/mpicc);
                    cargo does not notice a change: give each MPI its own CARGO_TARGET_DIR
  MPIRUN            its launcher; else the one that belongs to MPICC, else mpirun
  CARGO_TARGET_DIR  where the build lies; else target/ of the repository

Examples:
  run.sh configs/default.toml --out results/a
  run.sh -n 4 configs/default.toml --out results/b --threads 2
TEXT
}

die() { echo "run.sh: $*" >&2; exit 2; }

ranks=
while [[ $# -gt 0 ]]; do
  case "$1" in
    -n) [[ $# -ge 2 ]] || die "-n needs a number of ranks, 1 or more"; ranks=$2; shift 2 ;;
    -n*) ranks=${1#-n}; shift ;;
    -h | --help) usage; exit 0 ;;
    --) shift; break ;;
    *) break ;;
  esac
  [[ -z $ranks || $ranks =~ ^[1-9][0-9]*$ ]] || die "-n $ranks: the number of ranks must be a whole number, 1 or more"
done
[[ $# -gt 0 ]] || { usage >&2; exit 2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/setup.sh"
PATH="$PATH:${CARGO_HOME:-${HOME-/root}/.cargo}/bin"

target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
program=$target/release/stdp-hpc
[[ -x $program ]] || echo "run.sh: building; the first time takes a minute or two" >&2
# In the repository: cargo and rustup read their settings from the working directory.
(cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked --quiet)

# shellcheck source=scripts/mpi-env.sh
source "$root/scripts/mpi-env.sh"
# A batch system has allocated the cores: more ranks than cores is then an error.
[[ -n ${SLURM_JOB_ID-}${PBS_JOBID-}${LSB_JOBID-} ]] || mpi_env_allow_crowding

# Without -n, mpirun is not used; a study starts it itself.
if [[ -z $ranks ]]; then
  exec "$program" "$@"
fi

# Prints the threads per rank: the last --threads, else the configuration's, else 1. Serves only to
# detect more threads than cores: the program reads its arguments itself.
threads() {
  local count='' previous='' argument
  for argument in "$@"; do
    case "$previous$argument" in
      --threads[0-9]* | --threads=[0-9]*) count=${argument#--threads=} ;;
      --setsimulation.threads=* | --set=simulation.threads=*) count=${argument##*=} ;;
    esac
    [[ $argument == --threads || $argument == --set ]] && previous=$argument || previous=
  done
  if [[ -z $count && -r $1 ]]; then
    count=$(sed -n 's/^[[:space:]]*threads[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p' "$1" | head -n 1)
  fi
  [[ $count =~ ^[0-9]+$ ]] || count=1
  echo "$count"
}

[[ $((ranks * $(threads "$@"))) -le $(nproc) ]] || mpi_env_yield
exec "$MPIRUN" -n "$ranks" "$program" "$@"
