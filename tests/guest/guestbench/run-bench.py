#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Time the guestbench workloads inside a guest, from outside it.

    run-bench.py [--native GUESTBENCH] [--scale N] [--runs N] [--timeout S] NAME=COMMAND ...

Each COMMAND starts one emulator whose standard output is the guest's serial console; the guest
must have been started with bench=... on its kernel command line (make-initramfs.sh). Prints, per
workload, the seconds between its BEGIN and END lines for every NAME, the time from start to READY
as 'boot', ratios to the first NAME, and geometric means by group.

--scale must match the scale=N on the kernel command lines (it scales the native run alike);
--runs takes the median of several runs, the commands in turn.
Exit status 1, and no means, where a checksum differs from the native one (WRONG) or a run of any
emulator did not finish what another one finished (MISSING).
"""
import argparse, math, os, re, select, signal, statistics, subprocess, sys, time

GROUPS = {
    "integer": "sieve fib qsort crc interp sha divmul chase",
    "fp+simd": "nbody matmul x87 simdint",
    "memory": "memcpy strings",
    "kernel": "syscall pipe fork pagefault",
}


def run_once(command, timeout):
    """Run one command to its DONE line, its end or the timeout; return ({workload: seconds}, {workload: checksum})."""
    start, seconds, sums, begun, pending = time.monotonic(), {}, {}, {}, b""
    p = subprocess.Popen(command, shell=isinstance(command, str), stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        while time.monotonic() - start < timeout:
            if not select.select([p.stdout], [], [], 1.0)[0]:
                continue
            data = os.read(p.stdout.fileno(), 65536)
            if not data:
                break
            now = time.monotonic()
            *lines, pending = (pending + data).split(b"\n")
            for line in (raw.decode("latin1").strip() for raw in lines):
                if line.endswith("READY"):
                    seconds.setdefault("boot", now - start)
                if m := re.search(r"BEGIN (\w+)", line):
                    begun[m[1]] = now
                if (m := re.search(r"END (\w+) ([0-9a-f]{16})", line)) and m[1] in begun:
                    seconds[m[1]], sums[m[1]] = now - begun[m[1]], m[2]
                if line.endswith("DONE"):
                    return seconds, sums
    finally:
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()
    return seconds, sums


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--native", help="path of the guestbench binary, to run on the bare machine")
    ap.add_argument("--scale", default="1")
    ap.add_argument("--runs", type=int, default=1)
    ap.add_argument("--timeout", type=float, default=900)
    ap.add_argument("commands", nargs="+", metavar="NAME=COMMAND")
    a = ap.parse_args()

    emulators = dict(c.split("=", 1) for c in a.commands)
    base = next(iter(emulators))
    commands = ({"native": [a.native, "-s", a.scale]} if a.native else {}) | emulators
    tries = {name: [] for name in commands}
    for _ in range(a.runs):
        for name, command in commands.items():
            tries[name].append(run_once(command, a.timeout))

    faults = []
    expected = set().union(*(s for name in emulators for s, _ in tries[name])) | {"boot"}
    for name in emulators:
        for k in sorted(expected):
            if any(k not in s for s, _ in tries[name]):
                faults.append(f"MISSING: {name} did not finish {k} in every run")
    if len(expected) == 1:
        faults.append("MISSING: no workload finished anywhere")
    if a.native:
        right = tries["native"][0][1]
        for name in emulators:
            for k in sorted({k for _, c in tries[name] for k, v in c.items() if k in right and v != right[k]}):
                faults.append(f"WRONG: {name} computes another checksum in {k}")

    median = {name: {k: statistics.median(s[k] for s, _ in tries[name] if k in s) for k in expected
                     if any(k in s for s, _ in tries[name])} for name in commands}
    order = ["boot"] + [k for group in GROUPS.values() for k in group.split()]
    print("workload".ljust(12) + "".join(name.rjust(11) for name in commands) + "   ratio to " + base)
    for k in [k for k in order if k in expected]:
        cells = "".join((f"{median[n][k]:.3f}" if k in median[n] else "-").rjust(11) for n in commands)
        ratios = [f"{n} {median[n][k] / median[base][k]:.2f}x" for n in commands
                  if n != base and k in median[n] and median[base].get(k)]
        print(k.ljust(12) + cells + "   " + ", ".join(ratios))
    for fault in faults:
        print(fault)
    if faults:
        return 1
    for group, members in GROUPS.items():
        ks = [k for k in members.split() if k in expected]
        means = [f"{n} {math.exp(statistics.fmean(math.log(median[n][k] / median[base][k]) for k in ks)):.3f}x"
                 for n in commands if n != base and ks]
        if means:
            print(f"geomean {group}:".ljust(20) + ", ".join(means) + f"   (of {base})")
    return 0


sys.exit(main())
