#!/usr/bin/env bash
# Runs the checks of the project: set-up, format, lints, docs, tests.
# Stops at the first step that fails, names it and exits non-zero. The last line is
# "N passed, M failed", summed over all test programs of cargo and the test of slurm/.
#   --quick   during development: format, lints and unit tests only (no docs, MPI runs, Python)
#   --all     as CI does: also Slurm, and a run that is killed at each of its writes
set -euo pipefail

case "${1-}" in
  '') quick='' all='' ;;
  --quick) quick=yes all='' ;;
  --all) quick='' all=yes ;;
  *) echo "usage: test.sh [--quick | --all]" >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PATH:${CARGO_HOME:-${HOME-/root}/.cargo}/bin"
export CARGO_TERM_COLOR=never

# step NAME COMMAND…: runs the command and prints its duration.
step() {
  local name=$1 start=$EPOCHREALTIME code=0
  shift
  echo "== $name"
  # A subshell keeps `set -e` in force inside (`if` or `||` would disable it).
  set +e
  (set -e; "$@")
  code=$?
  set -e
  local seconds
  seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  if [[ $code -ne 0 ]]; then
    echo "== $name: FAILED (exit code $code, $seconds s)"
    [[ ! -s $log ]] || summary 1
    exit 1
  fi
  echo "== $name: ok ($seconds s)"
}

setup() {
  if [[ -n $quick ]]; then scripts/setup.sh; else scripts/setup.sh --tests; fi
}

# Minimal installations of Rust lack rustfmt and clippy.
components() {
  if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
    rustup component add rustfmt clippy
  fi
}

# libsonata, on which other tools are built, checks the files that the program writes. h5py reads them
# for comparison with the report page; selenium opens the page in a browser, pillow its pictures. neo
# and elephant analyse the spikes.
python_venv() {
  local probe='import elephant, h5py, libsonata, neo, numpy, PIL, selenium
assert (libsonata.version[:4], selenium.__version__[:2]) == ("0.2.", "4.")
assert (neo.__version__[:2], elephant.__version__[:2]) == ("0.", "1.")'
  .venv/bin/python -c "$probe" 2>/dev/null && return
  python3 -m venv --clear .venv
  .venv/bin/python -m pip install -q --disable-pip-version-check 'libsonata==0.2.*' 'selenium==4.*' \
    'neo==0.*' 'elephant==1.*' h5py numpy pillow
  .venv/bin/python -c "$probe"
}

# Runs all test programs even if one fails: the sum covers all.
cargo_test() {
  cargo test --release --locked --no-fail-fast "$@" 2>&1 | tee "$log"
}

killed_at_each_write() {
  STDP_HPC_KILL_ALL=1 cargo test --release --locked --test program -- a_run_killed_at_any_write 2>&1 |
    tee -a "$log"
}

# Its last line has the format of cargo's test programs.
slurm_test() {
  scripts/test_slurm.sh </dev/null 2>&1 | tee -a "$log"
}

# summary [AT_LEAST]: prints the sum of the "test result" lines, with at least AT_LEAST failures. A test
# program that died or does not compile has no such line but counts as failed.
summary() {
  awk -v least="${1:-0}" '
    /^test result: / { passed += $4; failed += $6 }
    END { printf "%d passed, %d failed\n", passed, failed < least ? least : failed }' "$log"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

step "set-up" setup
step "Rust components" components
step "format" cargo fmt --check
# --release everywhere: one profile builds build scripts and dependencies only once.
step "lints" cargo clippy --release --locked --quiet --all-targets -- -D warnings
if [[ -n $quick ]]; then
  step "unit tests" cargo_test --lib --bins --test core
else
  RUSTDOCFLAGS="-D warnings" step "docs" cargo doc --release --locked --quiet --no-deps
  step "Python venv" python_venv
  export STDP_HPC_PYTHON=$PWD/.venv/bin/python
  # The tests start mpirun, often with more ranks than this machine has cores.
  # shellcheck source=scripts/mpi-env.sh
  source scripts/mpi-env.sh
  mpi_env_allow_crowding
  mpi_env_yield
  step "tests" cargo_test
  if [[ -n $all ]]; then
    step "killed at each write" killed_at_each_write
    step "Slurm" slurm_test
  fi
fi
summary
