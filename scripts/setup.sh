#!/usr/bin/env bash
# Checks that everything that the build needs is installed; quick and silent if it is.
# As root on Debian it installs missing packages without asking. Otherwise it lists the packages (or
# modules) to install and exits with code 2.
#   --tests   also checks what scripts/test.sh needs: Python with venv, and Chromium with its driver,
#             which opens the report page
#   --slurm   also checks what scripts/test_slurm.sh needs: Slurm's daemons and munge
# Uses any MPI that is already installed: mpicc on PATH, MPICC=…, MPI_PKG_CONFIG=… or
# CRAY_MPICH_DIR=…; likewise HDF5_DIR=… and LIBCLANG_PATH=….
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

# Path of the Rust installer, for shells that read no profile (CI, cron, sbatch).
PATH="$PATH:${CARGO_HOME:-${HOME-/root}/.cargo}/bin"

found() { command -v "$1" >/dev/null; }

# any FILE…: succeeds if a file exists. (nullglob removes patterns without a match.)
any() { [[ $# -gt 0 && -e $1 ]]; }

have_mpi_headers() {
  [[ -n ${MPI_PKG_CONFIG-} || -n ${CRAY_MPICH_DIR-} ]] || found "${MPICC:-mpicc}"
}

have_launcher() {
  found "${MPIRUN:-mpirun}" || found mpiexec || found srun
}

# Searches libclang where bindgen does. libclang-cpp, which LLVM provides, is a different library.
have_libclang() {
  local llvm=
  ! found llvm-config || llvm=$(llvm-config --libdir)
  [[ -n ${LIBCLANG_PATH-} ]] ||
    any "$llvm"/libclang{,-[0-9]*}.so* /usr/lib/llvm-*/lib/libclang{,-[0-9]*}.so* \
      /usr/lib*/{,*/}libclang{,-[0-9]*}.so* /usr/local/lib*/{,*/}libclang{,-[0-9]*}.so*
}

# Searches clang's headers (stddef.h and others), which are a separate package on Debian.
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

# Names of Debian and of Chrome for Testing, as in tests/report_page.
have_browser() {
  { found chromium || found google-chrome || found chrome; } && found chromedriver
}

have_slurm() {
  found sbatch && found slurmctld && found slurmd && found munged
}

# Sets `packages` (Debian), `modules` (clusters), `rust` and `browser` to what is missing.
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

# Debian 12 has small packages for both parts of clang; elsewhere versions differ and libclang-dev has both.
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

# Rust and, on Ubuntu, a browser do not come from apt, and a misspelt MPICC is an error of the user.
if [[ $(id -u) != 0 || -n $rust$browser ]] || ! found apt-get || { [[ -n ${MPICC-} ]] && ! found "$MPICC"; }; then
  give_up
fi

echo "setup: installing ${packages[*]}" >&2
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
trap 'rm -f "$log"; [[ -z ${our_policy-} ]] || rm -f "$policy"' EXIT
# Slurm's packages would start its daemons on this machine; this Debian policy file prevents it.
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
