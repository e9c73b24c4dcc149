#!/usr/bin/env bash
# Every check of the project, the same here and in CI: set-up, format, lints, docs, tests.
# Stops at the first step that fails, names it and exits non-zero. The last line is
# "N passed, M failed", summed over all of cargo's test programs and the test of slurm/.
#   --quick   while writing: format, lints and unit tests only (no docs, MPI runs, Python, Slurm)
set -euo pipefail

case "${1-}" in
  '') quick= ;;
  --quick) quick=yes ;;
  *) echo "usage: test.sh [--quick]" >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PATH:${CARGO_HOME:-${HOME-/root}/.cargo}/bin"
export CARGO_TERM_COLOR=never

# step NAME COMMAND…: runs it and says how long it took.
step() {
  local name=$1 start=$EPOCHREALTIME code=0
  shift
  echo "== $name"
  # Apart from this shell, so that `set -e` holds inside (it would not under if or ||).
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

# Minimal installs of Rust come without these.
components() {
  if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
    rustup component add rustfmt clippy
  fi
}

# libsonata, the reader other people's tools are built on, judges what we write; h5py reads it
# too, for what the report page is compared with; selenium opens that in a browser, pillow its
# pictures. neo and elephant analyse the spikes.
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

# All programs are run even if one fails, so that the sum is of all.
cargo_test() {
  cargo test --release --locked --no-fail-fast "$@" 2>&1 | tee "$log"
}

# Ends with a line like those of cargo's test programs.
slurm_test() {
  scripts/test_slurm.sh </dev/null 2>&1 | tee -a "$log"
}

# summary [AT_LEAST]: sums the "test result" lines. A test program that died has no such
# line, and one that does not compile neither: AT_LEAST 1 has failed all the same.
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
# --release throughout: one profile, so build scripts and dependencies are built once.
step "lints" cargo clippy --release --locked --quiet --all-targets -- -D warnings
if [[ -n $quick ]]; then
  step "unit tests" cargo_test --lib --bins
else
  RUSTDOCFLAGS="-D warnings" step "docs" cargo doc --release --locked --quiet --no-deps
  step "Python venv" python_venv
  export STDP_HPC_PYTHON=$PWD/.venv/bin/python
  # The tests start mpirun themselves, often with more ranks than this machine has cores.
  # shellcheck source=scripts/mpi-env.sh
  source scripts/mpi-env.sh
  mpi_env_allow_crowding
  mpi_env_yield
  step "tests" cargo_test
  step "Slurm" slurm_test
fi
summary
