#!/usr/bin/env bash
# Makes sure that everything the build needs is there: silent and quick when it is.
# As root on Debian it installs what is missing and asks nothing; otherwise it names
# the packages (or modules) to get and exits 2.
#   --tests   also what scripts/test.sh needs beyond that: Python with venv, and Chromium with
#             its driver, in which the report page is opened
#   --slurm   also what scripts/test_slurm.sh needs: Slurm's daemons and munge
# An MPI that is already there is used, whichever it is: mpicc on PATH, MPICC=…,
# MPI_PKG_CONFIG=… or CRAY_MPICH_DIR=…; likewise HDF5_DIR=… and LIBCLANG_PATH=….
set -euo pipefail
shopt -s nullglob

with_tests='' with_slurm=''
for argument in "$@"; do
  case "$argument" in
    --tests) with_tests=yes ;;
    --slurm) with_slurm=yes ;;
    *) echo "usage: setup.sh [--tests] [--slurm]" >&2; exit 2 ;;
  esac
done

# The Rust installer's place, for shells that read no profile (CI, cron, sbatch).
PATH="$PATH:${CARGO_HOME:-${HOME-/root}/.cargo}/bin"

found() { command -v "$1" >/dev/null; }

# Any of these files? (Unmatched patterns have vanished: nullglob.)
any() { [[ $# -gt 0 && -e $1 ]]; }

have_mpi_headers() {
  [[ -n ${MPI_PKG_CONFIG-} || -n ${CRAY_MPICH_DIR-} ]] || found "${MPICC:-mpicc}"
}

have_launcher() {
  found "${MPIRUN:-mpirun}" || found mpiexec || found srun
}

# The places where bindgen looks for the library; libclang-cpp, which comes with LLVM, is another.
have_libclang() {
  local llvm=
  ! found llvm-config || llvm=$(llvm-config --libdir)
  [[ -n ${LIBCLANG_PATH-} ]] ||
    any "$llvm"/libclang{,-[0-9]*}.so* /usr/lib/llvm-*/lib/libclang{,-[0-9]*}.so* \
      /usr/lib*/{,*/}libclang{,-[0-9]*}.so* /usr/local/lib*/{,*/}libclang{,-[0-9]*}.so*
}

# … and the headers of clang's own (stddef.h and the like), a package apart on Debian.
have_clang_headers() {
  [[ -n ${BINDGEN_EXTRA_CLANG_ARGS-} ]] || found clang ||
    any "${LIBCLANG_PATH-}"/clang/*/include/stddef.h /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib*/clang/*/include/stddef.h
}

have_hdf5() {
  [[ -n ${HDF5_DIR-} ]] || { found pkg-config && pkg-config --exists hdf5; }
}

have_venv() {
  [[ -x ${BASH_SOURCE[0]%/*}/../.venv/bin/python ]] ||
    python3 -c 'import ensurepip, venv' 2>/dev/null
}

# By the names of Debian and of Chrome for Testing; tests/report_page knows them too.
have_browser() {
  { found chromium || found google-chrome || found chrome; } && found chromedriver
}

have_slurm() {
  found sbatch && found slurmctld && found slurmd && found munged
}

# Sets `packages` (Debian) and `modules` (clusters) to what is missing.
look() {
  packages=() modules=() rust='' browser=''
  found cargo || rust=missing
  found cc || { packages+=(gcc libc6-dev); modules+=(gcc); }
  found pkg-config || packages+=(pkg-config)
  have_mpi_headers || { packages+=(libopenmpi-dev); modules+=(openmpi); }
  have_launcher || packages+=(openmpi-bin)
  have_libclang || { packages+=("$libclang"); modules+=(llvm); }
  have_clang_headers || packages+=("$clang_headers")
  have_hdf5 || { packages+=(libhdf5-dev); modules+=(hdf5); }
  [[ -z $with_tests ]] || have_venv || { packages+=(python3-venv); modules+=(python); }
  [[ -z $with_tests ]] || have_browser ||
    if [[ -n $ubuntu ]]; then browser=missing; else packages+=(chromium chromium-driver); fi
  [[ -z $with_slurm ]] || have_slurm || packages+=(slurm-wlm munge)
}

# Debian 12 has both parts of clang small; elsewhere the version differs and libclang-dev holds both.
libclang=libclang-dev clang_headers=libclang-dev ubuntu=''
if [[ -r /etc/os-release ]]; then
  case $(</etc/os-release) in
    *VERSION_CODENAME=bookworm*) libclang=libclang1-14 clang_headers=libclang-common-14-dev ;;
    *ID=ubuntu*) ubuntu=yes ;;
  esac
fi

give_up() {
  if [[ -n $rust ]]; then
    echo "setup: cargo is missing: install Rust 1.89 or newer (https://rustup.rs), or load a module of it"
  fi
  if [[ -n $browser ]]; then
    echo "setup: a browser is missing: Ubuntu's are snaps, which see no file in /tmp; put chrome and chromedriver on PATH (https://googlechromelabs.github.io/chrome-for-testing)"
  fi
  if [[ ${#packages[@]} -gt 0 ]]; then
    echo "setup: missing (Debian packages): ${packages[*]}"
    echo "setup: get them with: apt-get install ${packages[*]}"
  fi
  if [[ ${#modules[@]} -gt 0 ]]; then
    echo "setup: or, on a cluster, something like: module load ${modules[*]}"
  fi
  if [[ -n ${MPICC-} ]] && ! found "$MPICC"; then
    echo "setup: MPICC=$MPICC is not a command here"
  fi
  exit 2
} >&2

look
[[ ${#packages[@]} -gt 0 || -n $rust$browser ]] || exit 0

# Rust and such a browser come from elsewhere, and a misspelt MPICC is the user's to mend, not ours to install over.
if [[ $(id -u) != 0 || -n $rust$browser ]] || ! found apt-get || { [[ -n ${MPICC-} ]] && ! found "$MPICC"; }; then
  give_up
fi

echo "setup: installing ${packages[*]}" >&2
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
trap 'rm -f "$log"; [[ -z ${our_policy-} ]] || rm -f "$policy"' EXIT
# The packages of Slurm would start its daemons on this machine; Debian asks this file first.
if [[ -n $with_slurm && ! -e $policy ]]; then
  our_policy=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq &&
  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${packages[@]}"; } >"$log" 2>&1; then
  cat "$log" >&2
  echo "setup: apt-get failed" >&2
  exit 1
fi

hash -r
look
[[ ${#packages[@]} -eq 0 ]] || give_up
