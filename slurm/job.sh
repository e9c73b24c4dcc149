# Sourced by the scripts that sbatch runs, after site.sh: how a node is split into ranks and
# threads, how ranks are started, and a series of runs of growing size.
# shellcheck shell=bash
set -euo pipefail

me=${me:-job.sh} # the script that sources this, for messages
say() { echo "$me: $*"; }
die() { echo "$me: $*" >&2; exit 2; }

# --- the split ----------------------------------------------------------------------------------

# Prints "DOMAINS CORES": NUMA domains of this node and cores in them, as far as this job may
# use them. Hardware threads of a core count as one.
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

# Sets `nodes`, `ranks_per_node`, `ranks` (of the whole allocation) and `threads`: what sbatch
# was told, else as site.sh splits a node.
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
  # A shared node without control groups shows more cores than the job has.
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

# Sets `launcher` to a protocol of srun, or to mpirun ($MPIRUN, if set).
find_launcher() {
  launcher=$site_launcher
  [[ $launcher == auto ]] || return 0
  # Open MPI speaks PMIx; MPICH and its kin (Intel, Cray, MVAPICH) speak PMI2.
  case $(ldd "$program" 2>/dev/null) in
    *libmpich* | *libmpi.so.12* | *libmpi_cray*) launcher=pmi2 ;;
    *) launcher=pmix ;;
  esac
  srun --mpi=list 2>&1 | grep -qw "$launcher" || launcher=mpirun
}

# launch RANKS ARGUMENT…: the program on so many ranks, filling node after node. Each rank gets
# cores of its own, side by side, and its threads stay on them.
launch() {
  local count=$1 here=$ranks_per_node on
  shift
  [[ $count -ge $here ]] || here=$count
  on=$(((count + here - 1) / here))
  # More than fit, where tasks are spread unevenly: to Slurm's liking, then.
  if [[ $on -gt $nodes ]]; then on=$nodes here=; fi
  local arguments=("$program" "$@" --threads "$threads")
  if [[ $launcher == mpirun ]]; then
    launch_mpirun
    return
  fi
  # A rank that dies must not leave the others waiting for it until the job's time is up. Since
  # 22.05 srun does not take --cpus-per-task over from sbatch.
  srun --mpi="$launcher" --nodes="$on" --ntasks="$count" ${here:+--ntasks-per-node="$here"} \
    --cpus-per-task="$threads" --cpu-bind=cores --distribution=block:block --kill-on-bad-exit=1 \
    "${arguments[@]}"
}

# The options of mpirun are its MPI's own.
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
  # mpirun brings its daemons to the nodes with an srun of its own. What that tells them of an
  # MPI, by the site's default, would reach the ranks and contradict mpirun.
  SLURM_MPI_TYPE=none "${MPIRUN:-mpirun}" -n "$count" "${place[@]}" "${arguments[@]}"
}

# --- a series of sizes --------------------------------------------------------------------------

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

# The size of the network is given by KEY (N or N_per_rank): the last --set of either, else the
# config. Exit code 0 if so.
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

# Sets `sizes`, unless --ranks named them: 1, 2, 4, 8 … ranks and the whole allocation.
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

# Runs every size that is not done already, each into a directory of its own. One that fails is
# told of and does not keep the others from running. Exit code 1 if one failed.
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
    # What an unfinished run has left makes room.
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
