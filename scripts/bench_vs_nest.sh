#!/usr/bin/env bash
# Compares stdp-hpc with NEST on the same networks; see `bench_vs_nest.sh --help`.
set -euo pipefail

nest_version=3.10.0

usage() {
  cat <<TEXT
usage: bench_vs_nest.sh [--pairs N] [--threads T] [--out DIR] [--quick] [WORK…]

Runs stdp-hpc and NEST $nest_version alternately on the same networks with the same number of
threads, and prints a table of medians: simulate phase (as real-time factor), construction
(create + connect + prepare) and memory, the ratios NEST / stdp-hpc beside the bars. Memory is
the peak of the whole run less that of the same program on an empty network, per synapse.
Mean rates and weights of both must agree within sampling noise, else the exit code is 1.

  WORK         default  default.toml, ignore_and_fire at 0.5–1.5/s, 1 s
               brunel   brunel.toml, iaf_psc_alpha, 1 s
               rate10   default.toml, ignore_and_fire at 9.5–10.5/s, 1 s
               hpc      hpc_benchmark.toml, ignore_and_fire at 5–10/s, 200 ms (NEST: 5 GB)
               without any: all four
  --pairs N    runs of each program and work (default 3); stdp-hpc with f64 weights, NEST,
               stdp-hpc with f32, and so on, all with another seed in each pair
  --threads T  threads of each program (default 2)
  --out DIR    where the raw data go, a new folder (default benches/runs/DATE-MACHINE):
               runs.jsonl (all that each run said), machine.json, table.md, plot.svg
  --quick      networks of a tenth of the size, to see whether everything works; no bars
  --help       this text

It builds stdp-hpc and, the first time, installs NEST into .venv-nest. A quiet machine with
at least T cores is yours to provide.

Environment:
  STDP_HPC_NEST_PYTHON  a Python that has NEST, instead of .venv-nest
  STDP_HPC_PROGRAM      a stdp-hpc that is built already, instead of building it
TEXT
}

die() { echo "bench_vs_nest.sh: $*" >&2; exit 2; }
say() { echo "bench_vs_nest.sh: $*" >&2; }

# count OPTION VALUE: exits unless VALUE is a whole number, 1 or more.
count() { [[ ${2-} =~ ^[1-9][0-9]{0,5}$ ]] || die "$1 ${2-}: must be a whole number, 1 or more"; }

pairs=3 threads=2 out='' quick='' works=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    --pairs) count "$@"; pairs=$2; shift 2 ;;
    --threads) count "$@"; threads=$2; shift 2 ;;
    --out) [[ -n ${2-} ]] || die "--out needs a folder"; out=$2; shift 2 ;;
    --quick) quick=yes; shift ;;
    -h | --help) usage; exit 0 ;;
    default | brunel | rate10 | hpc) works+=("$1"); shift ;;
    *) die "unknown argument \"$1\": works are default, brunel, rate10 and hpc; see --help" ;;
  esac
done
[[ ${#works[@]} -gt 0 ]] || works=(default brunel rate10 hpc)
[[ -z $out || ! -e $out ]] || die "--out $out: exists; name a new folder"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# work WORK: sets `config` and `sets`.
work() {
  sets=(simulation.T=1000 simulation.presim=0)
  case "$1" in
    default) config=default.toml ;;
    brunel) config=brunel.toml ;;
    rate10) config=default.toml; sets+=('neuron.ignore_and_fire.rate=[9.5,10.5]') ;;
    hpc)
      config=hpc_benchmark.toml
      sets=(simulation.T=200 simulation.presim=0 neuron.model=ignore_and_fire
        'neuron.ignore_and_fire.rate=[5.0,10.0]')
      ;;
  esac
  if [[ -n $quick ]]; then
    if [[ $1 == hpc ]]; then
      sets+=(network.N=1125 network.K=1125)
    else
      sets+=(network.N=1250 network.K=125)
    fi
  fi
  sets+=(record.weights=false)
}

# ours PRECISION SET…: runs stdp-hpc; the result is $scratch/run/run.json.
ours() {
  local precision=$1 set arguments=()
  shift
  for set in "$@" "stdp.weight_precision=$precision"; do
    arguments+=(--set "$set")
  done
  "$program" "$root/configs/$config" --out "$scratch/run" --force --quiet \
    --threads "$threads" "${arguments[@]}"
}

# nest: runs NEST on the network of $scratch/run/run.json; the result is $scratch/nest.json.
nest() {
  "$python" "$root/scripts/nest_network.py" "$scratch/run/run.json" --threads "$threads" \
    >"$scratch/nest.json"
}

# line RESULT KEY VALUE…: adds a line to the raw data.
line() { "$python" "$root/scripts/bench_table.py" line "$@" >>"$out/runs.jsonl"; }

# empty WORK: runs both programs on an empty network, to measure their base memory.
empty() {
  local of=(--work "$1" --network empty) precision
  for precision in f32 f64; do
    ours "$precision" "${sets[@]}" network.N=1 network.K=0 record.n_rec=1
    line "$scratch/run/run.json" --program stdp-hpc --precision "$precision" "${of[@]}"
  done
  nest
  line "$scratch/nest.json" --program nest "${of[@]}"
}

pair() {
  local of=(--work "$1" --pair "$2") full=("${sets[@]}" record.n_rec=100 "simulation.seed=$2")
  say "$1: pair $2 of $pairs"
  ours f64 "${full[@]}"
  line "$scratch/run/run.json" --program stdp-hpc "${of[@]}"
  nest
  line "$scratch/nest.json" --program nest "${of[@]}"
  ours f32 "${full[@]}"
  line "$scratch/run/run.json" --program stdp-hpc --precision f32 "${of[@]}"
}

# Sets `python` to a Python that has NEST; installs NEST if necessary.
find_nest() {
  local probe="import os; os.environ['PYNEST_QUIET'] = '1'; import nest
assert nest.__version__ == '$nest_version', nest.__version__"
  python=${STDP_HPC_NEST_PYTHON-}
  if [[ -n $python ]]; then
    "$python" -c "$probe" >/dev/null || die "STDP_HPC_NEST_PYTHON=$python: has no NEST $nest_version"
    return
  fi
  python=$root/.venv-nest/bin/python
  "$python" -c "$probe" >/dev/null 2>&1 && return
  say "installing NEST $nest_version into .venv-nest"
  "$root/scripts/setup.sh" --tests
  python3 -m venv --clear "$root/.venv-nest"
  "$python" -m pip install -q --disable-pip-version-check "nest-simulator==$nest_version"
  "$python" -c "$probe" >/dev/null
}

# Sets `program`; builds it unless STDP_HPC_PROGRAM is set.
find_program() {
  program=${STDP_HPC_PROGRAM-}
  if [[ -n $program ]]; then
    [[ -x $program ]] || die "STDP_HPC_PROGRAM=$program: is not a program"
    return
  fi
  "$root/scripts/setup.sh"
  PATH="$PATH:${CARGO_HOME:-${HOME-/root}/.cargo}/bin"
  local target
  target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
  program=$target/release/stdp-hpc
  (cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked --quiet)
}

find_program
find_nest
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

commit=$(git -C "$root" describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
"$python" "$root/scripts/bench_table.py" machine --commit "$commit" --nest "$nest_version" \
  >"$scratch/machine.json"
if [[ -z $out ]]; then
  out=$root/benches/runs/$("$python" "$root/scripts/bench_table.py" name "$scratch/machine.json")
  # Further runs of the same day get a number.
  for ((number = 2; ; number++)); do
    [[ -e $out ]] || break
    out=${out%+*}+$number
  done
fi
mkdir -p "$out"
cp "$scratch/machine.json" "$out/machine.json"

for name in "${works[@]}"; do
  work "$name"
  empty "$name"
  for ((number = 1; number <= pairs; number++)); do
    pair "$name" "$number"
  done
done

code=0
"$python" "$root/scripts/bench_table.py" table "$out/runs.jsonl" --machine "$out/machine.json" \
  ${quick:+--no-bars} | tee "$out/table.md" || code=$?
"$python" "$root/scripts/bench_table.py" plot "$out/runs.jsonl" >"$out/plot.svg"
say "raw data in $out"
exit "$code"
