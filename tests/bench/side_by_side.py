#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How much two copies of guestbench slow each other down, under Shadowbox with two CPUs and on the bare machine.

Runs the workloads alone and beside a second, silent copy (`jobs=2`), --runs times in turn, and takes medians. The slowdown is the
seconds beside a copy over those alone; the last column is Shadowbox's slowdown over the bare machine's. Wants two idle host CPUs.

  tests/bench/side_by_side.py --native GUESTBENCH "build/shadowbox -m 512 -smp 2 -nographic -no-reboot -kernel K -initrd I"
"""
import argparse
import math
import shlex
import statistics
import subprocess
import sys
import time

WORKLOADS = "sieve fib qsort crc interp sha divmul nbody matmul x87 simdint memcpy strings".split()


def timed(process):
    """Seconds between the BEGIN and END lines of each workload."""
    began, seconds = {}, {}
    for line in process.stdout:
        words = line.decode(errors="replace").split()
        if len(words) > 1 and words[0] == "BEGIN":
            began[words[1]] = time.monotonic()
        elif len(words) > 1 and words[0] == "END" and words[1] in began:
            seconds[words[1]] = time.monotonic() - began[words[1]]
    process.wait()
    return seconds


def start(command, silent=False):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL if silent else subprocess.PIPE,
                            stderr=subprocess.DEVNULL)


def run_guest(command, scale, jobs):
    append = f'console=ttyS0 bench="{" ".join(WORKLOADS)}" scale={scale}' + (" jobs=2" if jobs == 2 else "")
    return timed(start(shlex.split(command) + ["-append", append]))


def run_native(path, scale, jobs):
    command = [path, "-s", str(scale)] + WORKLOADS
    beside = start(command, silent=True) if jobs == 2 else None
    seconds = timed(start(command))
    if beside:
        beside.wait()
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shadowbox", help="the command, without -append")
    parser.add_argument("--native", required=True, help="the guestbench program")
    parser.add_argument("--scale", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    sides = {"native": lambda jobs: run_native(arguments.native, arguments.scale, jobs),
             "shadowbox": lambda jobs: run_guest(arguments.shadowbox, arguments.scale, jobs)}
    samples = {(side, jobs): [] for side in sides for jobs in (1, 2)}
    try:
        for number in range(arguments.runs):
            for side, run in sides.items():
                for jobs in (1, 2):
                    seconds = run(jobs)
                    missing = [name for name in WORKLOADS if name not in seconds]
                    if missing:
                        print(f"side_by_side.py: {side} did not finish: {' '.join(missing)}", file=sys.stderr)
                        return 1
                    samples[side, jobs].append(seconds)
            print(f"run {number + 1} of {arguments.runs} done", file=sys.stderr)
    except OSError as error:
        print(f"side_by_side.py: cannot run {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{'workload':10} {'native':>8} {'shadowbox':>10} {'ratio':>6}   (slowdown beside a second copy)")
    logs = []
    for name in WORKLOADS:
        slow = [statistics.median(s[name] for s in samples[side, 2]) / statistics.median(s[name] for s in samples[side, 1]) for side in sides]
        logs.append([math.log(x) for x in slow])
        print(f"{name:10} {slow[0]:8.2f} {slow[1]:10.2f} {slow[1] / slow[0]:6.2f}")
    means = [math.exp(statistics.mean(column)) for column in zip(*logs)]
    print(f"{'geomean':10} {means[0]:8.2f} {means[1]:10.2f} {means[1] / means[0]:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
