#!/usr/bin/env python3
"""Builds the fuzz targets and runs each on its seeds and then for some seconds, as many at a time
as there are CPUs. The last line says "fuzz: N passed, N failed"; the exit status is 0 if none
failed. An input that makes a target fail is kept in the build folder and named."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
UNIT_SECONDS = 60  # for one input on a busy machine
MEMORY_MIB = 2048
BLOCK_MIB = 64  # the most that may be allocated at once
SCRATCH = "/dev/shm" if os.path.isdir("/dev/shm") else None  # some targets write many files


def all_targets():
    return sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.c"))


def build(folder, targets):
    subprocess.run(["cmake", "-S", str(PROJECT), "-B", str(folder), "-DCMAKE_C_COMPILER=clang",
                    "-DDENET_BPF=ON", "-DDENET_FUZZ=ON"], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["cmake", "--build", str(folder), "-j", str(os.cpu_count()), "--target",
                    *(f"fuzz_{name}" for name in targets)], stdout=subprocess.DEVNULL, check=True)


def run_target(name, folder, seconds):
    """Returns the output of libFuzzer and the number of calls; 0 if it failed."""
    seeds = HERE / "corpus" / name
    if not seeds.is_dir() or not any(seeds.iterdir()):
        return f"there is no seed in {seeds}", 0
    found = folder / "found"
    found.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        corpus = Path(scratch) / "corpus"
        corpus.mkdir()
        command = [str(folder / "tests" / "fuzz" / f"fuzz_{name}"), f"-max_total_time={seconds}",
                   f"-timeout={UNIT_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}",
                   f"-malloc_limit_mb={BLOCK_MIB}",
                   f"-artifact_prefix={found}/{name}-", str(corpus), str(seeds)]
        result = subprocess.run(command, env={**os.environ, "TMPDIR": scratch}, text=True,
                                errors="replace", stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False)
    done = re.search(r"^Done (\d+) runs in", result.stdout, re.MULTILINE)
    return result.stdout, int(done.group(1)) if done and result.returncode == 0 else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="for each target")
    parser.add_argument("--build", type=Path, default=PROJECT / "build" / "fuzz", metavar="FOLDER")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    options = parser.parse_args()
    targets, folder = options.targets or all_targets(), options.build.resolve()
    build(folder, targets)
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda name: run_target(name, folder, options.seconds), targets)
        for name, (output, runs) in zip(targets, outcomes):
            kept = re.findall(r"Test unit written to (\S+)", output) or ["no input was kept"]
            print(f"ok    {name}: {runs} runs" if runs else f"{output}\nFAIL  {name}: {kept[-1]}",
                  flush=True)
            failed += runs == 0
    print(f"fuzz: {len(targets) - failed} passed, {failed} failed")
    return 1 if failed or not targets else 0


if __name__ == "__main__":
    sys.exit(main())
