# Functions for the scripts that sbatch runs; source it after site.sh. They split a node into ranks
# and threads, start the ranks, and run a series of increasing size.
# shellcheck shell=bash
set -euo pipefail

me=${me:-job.sh} # name of the sourcing script, for messages
say() { echo "$me: $*"; }
die() { echo "$me: $*" >&2; exit 2; }

# --- ranks and threads --------------------------------------------------------------------------

# Prints "DOMAINS CORES": the number of NUMA domains of this node and of their cores, as far as this
# job may use them. Hardware threads of a core count as one.
node_shape() {
  local allowed
  allowed=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
  lscpu -p=CPU,CORE,NODE | awk -F, -v allowed="$allowed" '
    BEGIN {
      for (i = split(allowed, ranges, ","); i > 0; i--) {
        last = split(ranges[i], ends, "-")
        for (cpu = ends[1]; cpu <= ends[last]; cpu++) mine[cpu + 0]
      }
    }
    /^#/ || !($1 in mine) { next }
    { cores += !($2 in seen_core); seen_core[$2]; domains += !($3 in seen_domain); seen_domain[$3] }
    END { print domains + 0, cores + 0 }'
}

# Sets `nodes`, `ranks_per_node`, `ranks` (of the whole allocation) and `threads` from the options of
# sbatch, by default from site.sh.
read_split() {
  nodes=${SLURM_JOB_NUM_NODES:-1}
  if [[ -n ${SLURM_NTASKS-} ]]; then
    ranks=$SLURM_NTASKS
    ranks_per_node=${SLURM_NTASKS_PER_NODE:-$((ranks > nodes ? ranks / nodes : 1))}
    threads=${SLURM_CPUS_PER_TASK:-1}
    return
  fi
  local domains cores
  read -r domains cores < <(node_shape)
  [[ $cores -gt 0 ]] || die "lscpu tells of no cores: give sbatch --ntasks-per-node and --cpus-per-task"
  # Without control groups, a shared node shows more cores than the job has.
  [[ ${SLURM_CPUS_ON_NODE:-$cores} -ge $cores ]] || cores=$SLURM_CPUS_ON_NODE
  ranks_per_node=$((domains * site_ranks_per_numa_domain))
  [[ $ranks_per_node -le $cores ]] || ranks_per_node=$cores
  ranks=$((nodes * ranks_per_node))
  threads=${SLURM_CPUS_PER_TASK:-$site_threads_per_rank}
  [[ $threads != auto ]] || threads=$((cores / ranks_per_node))
}

# --- the launcher -------------------------------------------------------------------------------

# Sets `program`.
find_program() {
  program=${STDP_HPC:-${CARGO_TARGET_DIR:-$SLURM_SUBMIT_DIR/target}/release/stdp-hpc}
  [[ -x $program ]] ||
    die "no program at $program: build it first (scripts/run.sh -- --help), call sbatch from the repository, or set STDP_HPC"
}

# Sets `launcher` to a protocol of srun or to mpirun (which stands for $MPIRUN, if set).
find_launcher() {
  launcher=$site_launcher
  [[ $launcher == auto ]] || return 0
  # Open MPI uses PMIx; MPICH and its derivatives (Intel, Cray, MVAPICH) use PMI2.
  case $(ldd "$program" 2>/dev/null) in
    *libmpich* | *libmpi.so.12* | *libmpi_cray*) launcher=pmi2 ;;
    *) launcher=pmix ;;
  esac
  srun --mpi=list 2>&1 | grep -qw "$launcher" || launcher=mpirun
}

# launch RANKS ARGUMENT…: runs the program on RANKS ranks and fills node after node. Each rank gets
# separate, adjacent cores, and its threads stay on them.
launch() {
  local count=$1 here=$ranks_per_node on
  shift
  [[ $count -ge $here ]] || here=$count
  on=$(((count + here - 1) / here))
  # Ranks may not fit if Slurm has spread tasks unevenly: then Slurm places them.
  if [[ $on -gt $nodes ]]; then on=$nodes here=; fi
  local arguments=("$program" "$@" --threads "$threads")
  if [[ $launcher == mpirun ]]; then
    launch_mpirun
    return
  fi
  # --kill-on-bad-exit: if a rank dies, the others must not wait until the time limit. Since 22.05
  # srun does not inherit --cpus-per-task from sbatch.
  srun --mpi="$launcher" --nodes="$on" --ntasks="$count" ${here:+--ntasks-per-node="$here"} \
    --cpus-per-task="$threads" --cpu-bind=cores --distribution=block:block --kill-on-bad-exit=1 \
    "${arguments[@]}"
}

# The options of mpirun depend on the MPI library.
launch_mpirun() {
  local place=()
  case $("${MPIRUN:-mpirun}" --version 2>&1) in
    *"Open MPI"* | *OpenRTE* | *PRRTE*)
      local by=slot
      [[ -z $here ]] || by=ppr:$here:node
      place=(--map-by "$by:PE=$threads" --bind-to core)
      ;;
    *HYDRA* | *MPICH*) place=(${here:+-ppn "$here"} -bind-to "core:$threads") ;;
  esac
  # mpirun starts its daemons with srun. The site's default MPI type would set variables for them
  # that reach the ranks and contradict mpirun.
  SLURM_MPI_TYPE=none "${MPIRUN:-mpirun}" -n "$count" "${place[@]}" "${arguments[@]}"
}

# --- series of sizes ----------------------------------------------------------------------------

# Splits CONFIG [--ranks LIST] [--out DIR] [ARGUMENT…] into `config`, `sizes`, `results` and
# `rest`, the arguments for the program.
read_series() {
  config=${1-} results='' sizes=() rest=()
  [[ -n $config && $config != -* ]] ||
    die "usage: sbatch slurm/$me CONFIG.toml [--ranks 1,2,4] [--out DIR] [ARGUMENT…]"
  shift
  while [[ $# -gt 0 ]]; do
    case $1 in
      --out | --ranks) [[ -n ${2-} ]] || die "$1 needs a value" ;;&
      --out) results=$2; shift ;;
      --out=*) results=${1#*=} ;;
      --ranks) IFS=, read -ra sizes <<<"$2"; shift ;;
      --ranks=*) IFS=, read -ra sizes <<<"${1#*=}" ;;
      *) rest+=("$1") ;;
    esac
    shift
  done
  [[ -r $config ]] || die "$config: cannot read"
  local name=${config##*/}
  results=${results:-results/${me%.sbatch}/${name%.toml}}
}

# sized_by KEY: succeeds if KEY (N or N_per_rank) sets the network size, by the last --set of either,
# by default by the config.
sized_by() {
  local key=$1 argument given=
  for argument in "${rest[@]}"; do
    case ${argument#--set=} in
      network.N=*) given=N ;;
      network.N_per_rank=*) given=N_per_rank ;;
    esac
  done
  if [[ -z $given ]]; then
    given=N
    ! sed 's/#.*//' "$config" | grep -Eq '(^|[^A-Za-z0-9_])N_per_rank[[:space:]]*=' || given=N_per_rank
  fi
  [[ $given == "$key" ]]
}

# Sets `sizes` to 1, 2, 4, 8 … ranks and the whole allocation, unless --ranks gives them.
choose_sizes() {
  local size
  if [[ ${#sizes[@]} -eq 0 ]]; then
    for ((size = 1; size < ranks; size *= 2)); do sizes+=("$size"); done
    sizes+=("$ranks")
  fi
  for size in "${sizes[@]}"; do
    [[ $size =~ ^[1-9][0-9]*$ && $size -le $ranks ]] ||
      die "--ranks $size: must be a whole number, 1 … $ranks (the ranks of this allocation)"
  done
}

# Runs every size that is not done yet, each in a separate directory. Reports a failed size and
# continues with the others. Exit code 1 if one failed.
run_series() {
  local size out code failed=()
  say "ranks ${sizes[*]} of $threads threads, up to $ranks_per_node a node, on ${SLURM_JOB_NODELIST-this node}, by $launcher"
  for size in "${sizes[@]}"; do
    out=$results/ranks-$size
    if grep -qs '^  "status": "done"' "$out/run.json"; then
      say "ranks $size: done already, see $out"
      continue
    fi
    code=0
    say "ranks $size: begins"
    # --force overwrites the files of an unfinished run.
    launch "$size" "$config" "${rest[@]}" --out "$out" --force || code=$?
    if [[ $code -ne 0 ]]; then
      failed+=("$size")
      say "ranks $size: FAILED with exit code $code, see above"
    fi
  done
  if [[ ${#failed[@]} -gt 0 ]]; then
    say "FAILED: ranks ${failed[*]}; the others are done, and the same command repeats only what is not"
    return 1
  fi
  say "all done; table and figures: $program report $results --scaling $results"
}
