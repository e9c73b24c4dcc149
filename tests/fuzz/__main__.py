"""Feeds the program configs and HDF5 files that were spoilt at random.

Usage: python tests/fuzz STDP-HPC (toml|hdf5) CASES [--seed S] [--workers W] [--keep DIR]

Case i of a seed is the same everywhere. A case passes if the program ends by itself within
the time limit with exit code 0, 1, 2 or 75, says at most one line of error, which names the
program, and takes no more memory than the limit. The last line counts the cases by verdict;
the exit code is 1 if one failed, and --keep keeps the files of those that did.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import configs
import files

SECONDS = 10  # of processor time: a case takes milliseconds, and the machine may be busy
WALL = 300
MEMORY = 1 << 30
CODES = (0, 1, 2, 75)


def limits():
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))


def run(command, directory):
    """Exit code (negative: signal), standard error, peak memory of the program in bytes."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMI", "SLURM_"))}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, preexec_fn=limits,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
        )
        try:
            _, status, used = wait(process)
        except TimeoutError:
            return "hang", "", 0
        said.seek(0)
        text = said.read().decode(errors="replace")
    return os.waitstatus_to_exitcode(status), text, used.ru_maxrss * 1024


def wait(process):
    import signal

    def late(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(WALL)
    try:
        return os.wait4(process.pid, 0)
    except TimeoutError:
        process.kill()
        process.wait()
        raise
    finally:
        signal.alarm(0)


def verdict(code, text, memory):
    """What is wrong with how a case ended; None if nothing."""
    if code == "hang" or code == -24:
        return "hang"
    if code not in CODES:
        return f"exit {code}"
    # Warnings of a run that goes well have lines of their own.
    lines = text.splitlines()
    complaints = [line for line in lines if line.startswith("stdp-hpc: ")]
    if code != 0 and (len(complaints) != 1 or lines[-1] != complaints[0]):
        return "not one line"
    if any(ord(c) < 32 for line in lines for c in line if c != "\r"):
        return "control character"
    if "panicked" in text or "internal error" in text:
        return "panic"
    if memory > MEMORY:
        return "memory"
    return None


def case(job):
    """Runs case `index`; returns its verdicts and exit codes."""
    program, kind, seed, index, keep = job
    chance = random.Random(f"{seed}/{kind}/{index}")
    with tempfile.TemporaryDirectory(prefix="fuzz") as directory:
        directory = Path(directory)
        if kind == "toml":
            commands = configs.write(chance, directory)
        else:
            commands = files.write(chance, directory, files.templates(program))
        found, codes = [], []
        for command in commands:
            code, text, memory = run([program, *command], directory)
            codes.append(code)
            wrong = verdict(code, text, memory)
            if wrong:
                found.append((wrong, index, command, text[-300:]))
        if found and keep:
            target = Path(keep) / f"{kind}-{seed}-{index}"
            shutil.copytree(directory, target, dirs_exist_ok=True)
    return found, codes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("kind", choices=["toml", "hdf5"])
    parser.add_argument("cases", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep")
    given = parser.parse_args()
    if given.kind == "hdf5":
        files.templates(given.program)  # before the workers, which share them
    jobs = ((given.program, given.kind, given.seed, i, given.keep) for i in range(given.cases))
    failed, codes = [], {}
    with ProcessPoolExecutor(given.workers) as pool:
        for found, ended in pool.map(case, jobs, chunksize=16):
            for code in ended:
                codes[code] = codes.get(code, 0) + 1
            for wrong in found:
                failed.append(wrong)
                print(*wrong, file=sys.stderr, flush=True)
    ends = ", ".join(f"{count} x {code}" for code, count in sorted(codes.items(), key=str))
    print(f"{given.cases} cases, seed {given.seed}: exit codes {ends}; {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
