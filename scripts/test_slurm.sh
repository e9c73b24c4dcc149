#!/usr/bin/env bash
# Tests slurm/*.sbatch and a study on a real Slurm: starts a cluster of four small nodes on this
# machine, submits the three scripts and the jobs of a study, collects their tables, and stops the
# cluster.
# As root on Debian it installs Slurm if it is missing. Elsewhere it prints a line and skips the
# test. Ports, sockets and files are private: several tests may run at once, and an existing Slurm
# is not affected. All processes end with the test; if this script is killed, the daemons end at
# their time limit. The last line is "test result: … N passed; M failed", as in cargo's tests.
set -euo pipefail

time_limit=170 # time limit of the daemons (s)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
PATH="$PATH:/usr/sbin:/sbin:${CARGO_HOME:-${HOME-/root}/.cargo}/bin"

say() { echo "test_slurm.sh: $*"; }
skip() { say "skipped: $*"; exit 0; }
die() { say "$*" >&2; exit 1; }

[[ $# -eq 0 ]] || { echo "usage: test_slurm.sh" >&2; exit 2; }
[[ $(id -u) == 0 ]] || skip "Slurm's daemons need root"
command -v apt-get >/dev/null || command -v slurmctld >/dev/null || skip "Slurm is not installed, and this is not Debian"
scripts/setup.sh --slurm </dev/null

# --- the cluster --------------------------------------------------------------------------------

# A short path: paths of sockets have at most 108 bytes.
scratch=$(mktemp -d /tmp/stdp-slurm.XXXXXX)
nodes=(n1 n2 n3 n4)
# All descendants of this script have this variable in their environment.
export STDP_HPC_SLURM_TEST=$scratch
export SLURM_CONF=$scratch/slurm.conf

# Prints the ids of all descendants of this script.
offspring() {
  local environ pid
  for environ in /proc/[0-9]*/environ; do
    pid=${environ#/proc/} pid=${pid%/environ}
    [[ $pid != "$$" && $pid != "$BASHPID" ]] || continue
    ! grep -qsz "^STDP_HPC_SLURM_TEST=$scratch$" "$environ" || echo "$pid"
  done
}

take_down() {
  local pids try
  for try in 1 2 3 4 5 6 7 8 9 10; do
    mapfile -t pids < <(offspring)
    [[ ${#pids[@]} -gt 0 ]] || break
    # SIGTERM in the first three tries, then SIGKILL.
    if [[ $try -le 3 ]]; then kill "${pids[@]}" 2>/dev/null || true; else kill -9 "${pids[@]}" 2>/dev/null || true; fi
    sleep 0.3
  done
  rm -rf "$scratch"
}
trap take_down EXIT
trap 'exit 1' HUP INT TERM

free_ports() {
  python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))
PYTHON
}

configure() {
  local host ports node i=1
  # task/affinity binds to the CPU numbers that the nodes assume: this job must have all CPUs.
  task_plugin=task/none
  [[ $(nproc) -lt 2 || $(nproc) != $(nproc --all) ]] || task_plugin=task/affinity
  read -r host </proc/sys/kernel/hostname
  host=${host%%.*}
  read -ra ports < <(free_ports $((1 + ${#nodes[@]})))
  mkdir -p "$scratch"/{munge,state}
  chmod 700 "$scratch/munge"
  head -c 1024 /dev/urandom >"$scratch/munge/key"
  chmod 400 "$scratch/munge/key"
  cat >"$SLURM_CONF" <<CONF
ClusterName=rehearsal
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$scratch/munge/socket
CryptoType=crypto/munge
StateSaveLocation=$scratch/state
SlurmdSpoolDir=$scratch/%n
SlurmctldPidFile=$scratch/slurmctld.pid
SlurmdPidFile=$scratch/%n.pid
SlurmctldLogFile=$scratch/slurmctld.log
SlurmdLogFile=$scratch/%n.log
TmpFS=$scratch/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=$task_plugin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
MpiDefault=pmix
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=batch_sched_delay=0
KillWait=2
InactiveLimit=0
PartitionName=batch Nodes=ALL Default=NO MaxTime=2 State=UP
PartitionName=trap Nodes=n1 Default=YES MaxTime=2 State=DOWN
CONF
  for node in "${nodes[@]}"; do
    mkdir -p "$scratch/$node"
    echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[i]} CPUs=2 State=UNKNOWN" >>"$SLURM_CONF"
    i=$((i + 1))
  done
  echo "CgroupPlugin=cgroup/v1" >"$scratch/cgroup.conf"
}

# daemon NAME COMMAND…: runs the command in the background, with its output in NAME.out.
daemon() {
  local name=$1
  shift
  timeout -k 5 "$time_limit" "$@" </dev/null >"$scratch/$name.out" 2>&1 &
  disown # the shell does not report its end
}

# wait_for SECONDS WHAT COMMAND…: waits until the command succeeds; exits after SECONDS.
wait_for() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [[ $SECONDS -lt $end ]] || { logs; die "no $what in time"; }
    sleep 0.1
  done
}

idle() { [[ $(sinfo -h -p batch -t idle -o %D) == "${#nodes[@]}" ]]; }

bring_up() {
  local node
  configure
  daemon munged munged --foreground --force --num-threads=2 --socket="$scratch/munge/socket" \
    --key-file="$scratch/munge/key" --pid-file="$scratch/munge/pid" \
    --log-file="$scratch/munge/log" --seed-file="$scratch/munge/seed"
  wait_for 10 "munged" munge -n --socket="$scratch/munge/socket"
  daemon slurmctld slurmctld -D
  for node in "${nodes[@]}"; do
    daemon "$node" slurmd -D -N "$node"
  done
  wait_for 20 "four idle nodes" idle
}

logs() {
  tail -n 20 "$scratch"/*.log "$scratch"/*.out 2>/dev/null || true
}

# --- jobs and checks ----------------------------------------------------------------------------

passed=0 failed=0

# check NAME COMMAND…: runs the command and counts it as passed or failed.
check() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
  fi
}

# Makes a repository with an edited site.sh, as a user of the cluster has it.
clone() {
  mkdir "$scratch/repo"
  cd "$scratch/repo"
  cp -r "$root/slurm" .
  ln -s "$root/scripts" .
  sed -i -e 's/^#export SBATCH_PARTITION=.*/export SBATCH_PARTITION=batch/' \
    -e 's/^export SBATCH_TIMELIMIT=.*/export SBATCH_TIMELIMIT=1/' slurm/site.sh
  cat >net.toml <<TOML
[network]
N = 800
K = 80

[neuron]
model = "iaf_psc_alpha"

[simulation]
T = 200.0

[record]
n_rec = 10
TOML
}

ended() {
  state=$(scontrol -o show job "$job" | sed 's/.*JobState=\([A-Z_]*\).*/\1/')
  [[ $state != PENDING && $state != RUNNING && $state != COMPLETING && $state != CONFIGURING ]]
}

# submit LOG ARGUMENT…: submits a job and waits for its end; sets `job` and `state`.
submit() {
  local log=$1
  shift
  job=$(source slurm/site.sh && sbatch --parsable --output="$log" "$@")
  wait_for 60 "end of job $job ($*)" ended
}

# told LOG TEXT…: succeeds if the log contains every TEXT.
told() {
  local log=$1 text
  shift
  for text in "$@"; do
    grep -qF -- "$text" "$log" || { echo "$log lacks \"$text\":"; cat "$log"; return 1; }
  done
}

# ends_as STATE LOG: succeeds if the job ended in STATE; otherwise prints LOG.
ends_as() {
  [[ $state == "$1" ]] || { echo "job $job is $state:"; cat "$2"; return 1; }
}

digests() { sed -n '/^  "digest"/,/}/p' "$1/run.json"; }

# same_digests DIR…: succeeds if all results have the digests of the run without Slurm.
same_digests() {
  local directory
  for directory in "$@"; do
    [[ -n $(digests direct) && $(digests "$directory") == "$(digests direct)" ]] ||
      { echo "$directory: $(digests "$directory")"; return 1; }
  done
}

# collected DIR KIND ROW…: succeeds if `report` makes a table whose rows begin with ROW…, and its files.
collected() {
  local directory=$1 kind=$2
  shift 2
  "$STDP_HPC" report "$directory" --scaling "$directory" >table.md || return 1
  cat table.md
  told table.md "efficiency ($kind)" || return 1
  [[ $(grep -o '^| [0-9]* | [0-9]* | [0-9,]* |' table.md) == "$(printf '%s\n' "$@")" ]] || return 1
  cmp table.md "$directory/scaling.md" || return 1
  [[ $(wc -l <"$directory/scaling.csv") == $(($# + 1)) ]] || return 1
  [[ -s $directory/scaling.png ]] || return 1
  told "$directory/report.html" "</html>"
}

single() {
  submit single.log slurm/single.sbatch net.toml --out results/single
  check "single.sbatch: done" ends_as COMPLETED single.log
  check "single.sbatch: the digests of a run without Slurm" same_digests results/single
  scontrol -o show job "$job" >job.log
  check "site.sh: partition and time reach sbatch" told job.log "Partition=batch" "TimeLimit=00:01:00"
}

weak() {
  submit weak.log --nodes=4 slurm/weak_scaling.sbatch net.toml --set network.N_per_rank=200 --ranks 1,2,4
  check "weak_scaling.sbatch: done" ends_as COMPLETED weak.log
  check "weak_scaling.sbatch: 800 neurons on 4 ranks have the digests of 800 on one" \
    same_digests results/weak_scaling/net/ranks-4
  local threads
  threads=$(sed -n 's/.* ranks 1 2 4 of \([0-9]*\) threads.*/\1/p' weak.log)
  check "weak_scaling.sbatch: collected" collected results/weak_scaling/net weak \
    "| 1 | $threads | 200 |" "| 2 | $threads | 400 |" "| 4 | $threads | 800 |"
}

strong() {
  local command=(--nodes=4 --ntasks-per-node=2 --cpus-per-task=1 slurm/strong_scaling.sbatch
    net.toml --out results/strong)
  mkdir -p results/strong/ranks-2/run.json
  submit strong.log "${command[@]}"
  check "strong_scaling.sbatch: a size that fails fails the job" ends_as FAILED strong.log
  check "strong_scaling.sbatch: … and is told of" told strong.log "run.json: is a directory" \
    "ranks 2: FAILED with exit code 2" "FAILED: ranks 2; the others are done"
  rm -r results/strong/ranks-2
  local before
  before=$(cat results/strong/ranks-{1,4,8}/run.json) || true
  submit again.log "${command[@]}"
  check "strong_scaling.sbatch: submitted again, done" ends_as COMPLETED again.log
  check "strong_scaling.sbatch: … and what was done is kept" told again.log "ranks 1: done already" \
    "ranks 2: begins" "ranks 4: done already" "ranks 8: done already"
  check "strong_scaling.sbatch: … as it was" \
    test "$before" == "$(cat results/strong/ranks-{1,4,8}/run.json 2>&1)"
  check "strong_scaling.sbatch: every size has the digests of a run without Slurm" \
    same_digests results/strong/ranks-{1,2,4,8}
  check "strong_scaling.sbatch: collected" collected results/strong strong \
    "| 1 | 1 | 800 |" "| 2 | 1 | 800 |" "| 4 | 1 | 800 |" "| 8 | 1 | 800 |"
}

# Succeeds if the queue has no more jobs of the study.
study_ended() { [[ -z $(squeue --noheader --me --format=%A) ]]; }

study() {
  cat >study.toml <<TOML
[study]
config = "net.toml"

[axes]
ranks = [1, 3]

[slurm]
ranks_per_node = 2
options = ["--time=2"]
TOML
  mkdir -p results/study/runs/ranks1
  touch results/study/runs/ranks1/mine
  "$program" study study.toml --slurm >study.log 2>&1 || true
  job=$(cat results/study/jobs/ranks3.id)
  scontrol -o show job "$job" >job.log
  check "study: nodes, and options that win over site.sh" told job.log "NumNodes=2" \
    "TimeLimit=00:02:00" "Partition=batch"
  wait_for 60 "end of the study's jobs" study_ended
  check "study: the run on two nodes has the digests of a run without Slurm" \
    same_digests results/study/runs/ranks3
  rm results/study/runs/ranks1/mine
  "$program" study study.toml --slurm >study.log 2>&1 || true
  check "study: what failed is submitted again, and why" told study.log "1 done, 0 queued, 1 to do" \
    "failed before: --out results/study/runs/ranks1: exists and is not empty"
  wait_for 60 "end of the study's jobs" study_ended
  "$program" study study.toml --slurm >study.log 2>&1 || true
  check "study: collected" told study.log "2 done, 0 queued, 0 to do" "ranks1 " "ranks3 "
  check "study: every run has the digests of a run without Slurm" \
    same_digests results/study/runs/ranks{1,3}
}

mpirun_as_launcher() {
  sed -i 's/^site_launcher=.*/site_launcher=mpirun/' slurm/site.sh
  submit mpirun.log --nodes=2 --ntasks-per-node=2 --cpus-per-task=1 slurm/single.sbatch net.toml \
    --out results/mpirun
  sed -i 's/^site_launcher=.*/site_launcher=auto/' slurm/site.sh
  check "mpirun as launcher: done" ends_as COMPLETED mpirun.log
  check "mpirun as launcher: four ranks" told mpirun.log "by mpirun" "4 rank(s) x 1 thread(s)"
  check "mpirun as launcher: the digests of a run without Slurm" same_digests results/mpirun
}

# Replaces the program by a script that records the CPUs it may run on.
binding() {
  [[ $task_plugin == task/affinity ]] || { say "binding: not checked, not all CPUs are ours"; return; }
  cat >noting <<NOTING
#!/bin/sh
sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status >bound.\$SLURM_PROCID
exec "$program" "\$@"
NOTING
  chmod +x noting
  STDP_HPC=$PWD/noting submit binding.log --ntasks-per-node=2 --cpus-per-task=1 slurm/single.sbatch \
    net.toml --out results/binding
  check "every rank is bound to a CPU of its own" test "$(cat bound.0 bound.1)" == $'0\n1'
}

# --- main ---------------------------------------------------------------------------------------

program=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release/stdp-hpc
CARGO_TARGET_DIR=${program%/release/*} cargo build --release --locked --quiet
export STDP_HPC=$program
# shellcheck source=scripts/mpi-env.sh
source scripts/mpi-env.sh
mpi_env_yield
# All nodes are one machine: ranks must not use shared memory across nodes, so Open MPI gets only a
# network. Its own TCP sometimes crashes in MPI_Init if ranks of one address connect to each other at
# the same time (4.1.4); that of libfabric does not.
if ompi_info 2>/dev/null | grep -q "mtl: ofi"; then
  export OMPI_MCA_pml=cm OMPI_MCA_mtl=ofi
else
  export OMPI_MCA_btl=self,tcp OMPI_MCA_btl_tcp_if_include=lo
fi

clone
"$program" net.toml --out direct --quiet
bring_up
single
weak
strong
study
mpirun_as_launcher
binding
if [[ $failed -gt 0 ]]; then
  logs
  echo "test result: FAILED. $passed passed; $failed failed;"
  exit 1
fi
echo "test result: ok. $passed passed; 0 failed;"
