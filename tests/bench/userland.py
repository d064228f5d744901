#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times a Debian disk image under Shadowbox and under QEMU's TCG, or an earlier Shadowbox: from start to login, then jobs of Debian's own programs.

Each run boots the image once under each emulator, in turn, logs in as root on the serial line, hands the jobs over on a second
disk, and takes the time between the lines BEGIN and END of each job by the host's clock. What a job wrote must have one checksum
everywhere. Prints the medians and their ratios. Exit status: 0; 1 where a job failed, hung or differs; 2 for a wrong option or a
missing program or image. The image: images/debian-disk.sh --include PACKAGES image, where PACKAGES are
"""
import argparse
import math
import os
import pathlib
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/guest"))
from guests import IMAGES, SHADOWBOX, Machine  # noqa: E402

PACKAGES = "python3,perl,gcc,libc6-dev,gzip,xz-utils,sqlite3"
JOBS = re.findall(r"^job_(\w+)\(", (HERE / "userland_jobs/jobs.sh").read_text(), re.M)
LOGIN = re.compile(rb"^\S+ login: ", re.M)  # at a line's start only: messages speak of logins too
PROMPT = re.compile(rb"root@\S+# $")  # behind escape sequences of readline


class Failure(Exception):
    """A guest did not do what was asked; the message says what and shows the last lines of its console."""


def make_jobs_disk(path):
    with tarfile.open(path, "w") as archive:
        for file in [*sorted((HERE / "userland_jobs").iterdir()), ROOT / "tests/guest/guestbench/guestbench.c"]:
            if file.is_file():
                archive.add(file, file.name)


def command_of(name, a, jobs_disk):
    """The same machine for both: one CPU, memory, disks, and the devices that Shadowbox's machine always has."""
    disks = [f"file={file},if={interface},format=raw,snapshot=on" for file, interface in ((a.image, a.disk), (jobs_disk, "virtio"))]
    command = ["-m", a.m, "-smp", "1", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
               *(word for disk in disks for word in ("-drive", disk))]
    if name in ("shadowbox", "before"):
        return [*shlex.split(getattr(a, name)), *command, "-nic", "user"]
    return [*shlex.split(a.qemu), "-accel", "tcg", "-cpu", "max", *command, "-nic", "user,model=virtio-net-pci",
            "-device", "virtio-balloon-pci", "-device", "virtio-rng-pci"]


class Guest(Machine):
    """A booted image whose serial line is spoken with: `seen` is how much of the output has been looked at."""

    def __init__(self, command, cpu_time):
        self.seen, self.cpu_time = 0, cpu_time
        super().__init__(command[1:], program=command[0], stdin=subprocess.PIPE)

    def clock(self):
        """Seconds since the start, or of the emulator's CPU time."""
        if not self.cpu_time:
            return time.monotonic() - self.start
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait(self, pattern, timeout, what):
        """The first match behind what was seen, and when it was there."""
        end = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            if match := pattern.search(self.output.replace(b"\r", b""), self.seen):
                self.seen = match.end()
                return match, self.clock()
            if now > end or not self.pump(min(1.0, end - now)):
                tail = b"\n".join(self.output.replace(b"\r", b"").split(b"\n")[-12:]).decode("latin1")
                why = f"not within {timeout:.0f} s" if now > end else f"the emulator ended ({self.process.wait()})"
                raise Failure(f"no {what}: {why}\n{tail}\n{self.errors[-1000:]}")

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


def run_once(command, jobs, timeout, cpu_time, log):
    """Boot, log in, run the jobs: ({'boot' or job: seconds}, {job: checksum})."""
    seconds, sums = {}, {}
    with Guest(command, cpu_time) as guest:
        try:
            _, seconds["boot"] = guest.wait(LOGIN, timeout, "login prompt")
            if not jobs:
                return seconds, sums
            guest.type("root")
            guest.wait(PROMPT, timeout, "prompt after logging in as root")
            guest.type("mount -t tmpfs -o size=400m none /tmp; mkdir /tmp/userland; tar -C /tmp/userland -xf /dev/$(lsblk -dno NAME | grep ^vd | "
                       "tail -1); dmesg -n 1; sh /tmp/userland/jobs.sh prepare " + " ".join(jobs))
            guest.wait(re.compile(rb"^PREPARED$", re.M), timeout, "end of the preparations")
            for job in jobs:
                name = re.escape(job.encode())
                _, begin = guest.wait(re.compile(rb"^BEGIN " + name + rb"$", re.M), timeout, f"begin of {job}")
                _, end = guest.wait(re.compile(rb"^END " + name + rb"$", re.M), timeout, f"end of {job}")
                match, _ = guest.wait(re.compile(rb"^SUM " + name + rb" (\w+) (\d+)$", re.M), timeout, f"checksum of {job}")
                if match[2] != b"0":
                    raise Failure(f"{job} ended with status {match[2].decode()} in the guest")
                seconds[job], sums[job] = end - begin, match[1].decode()
        except Failure as failure:
            print(f"{pathlib.Path(command[0]).name}: {failure}", file=sys.stderr)
            sums["failure"] = str(failure)
        finally:
            if log:
                log.write_bytes(guest.output)
    return seconds, sums


def table(names, jobs, tries, markdown):
    """Prints a line a job; returns the faults."""
    faults = [f"FAILED: a run of {name}" for name in names if any("failure" in sums for _, sums in tries[name])]
    rows = []
    for job in ["boot", *jobs]:
        times = {name: [seconds[job] for seconds, _ in tries[name] if job in seconds] for name in names}
        if not all(times.values()):
            faults.append(f"MISSING: {job}")
            continue
        if len({sums[job] for name in names for _, sums in tries[name] if job in sums}) > 1:
            faults.append(f"WRONG: {job} writes different things: "
                          + ", ".join(f"{name} {sums[job]}" for name in names for _, sums in tries[name] if job in sums))
        median = [statistics.median(times[name]) for name in names]
        spread = max((max(t) - min(t)) / statistics.median(t) for t in times.values())
        rows.append([job, *(f"{m:.2f}" for m in median), f"{median[0] / median[-1]:.2f}", f"{100 * spread:.0f} %"])
    ratios = [math.log(float(row[-2])) for row in rows if row[0] != "boot"]
    if ratios and len(names) == 2:
        rows.append(["geometric mean of the jobs", "", "", f"{math.exp(statistics.fmean(ratios)):.2f}", ""])
    head = ["", *names, "ratio", "spread"]
    if markdown:
        for row in [head, ["---"] * len(head), *rows]:
            print("| " + " | ".join(row) + " |")
    else:
        for row in [head, *rows]:
            print(row[0].ljust(27) + "".join(cell.rjust(11) for cell in row[1:]))
    return faults


def options():
    ap = argparse.ArgumentParser(description=__doc__.rstrip() + "\n" + PACKAGES + ".", formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--image", type=pathlib.Path, default=IMAGES / "userland.img", help="the disk image; nothing is written to it")
    ap.add_argument("--runs", type=int, default=1, help="boots under each emulator; the medians are printed")
    ap.add_argument("--jobs", default=",".join(JOBS), help="some of %(default)s; empty: boot only")
    ap.add_argument("--only", choices=["shadowbox", "qemu"], help="run this emulator alone")
    ap.add_argument("--before", metavar="COMMAND", help="compare with this earlier Shadowbox instead of QEMU")
    ap.add_argument("--disk", choices=["virtio", "ide"], default="virtio", help="how both see the image")
    ap.add_argument("-m", default="1024", metavar="MIB", help="guest memory")
    ap.add_argument("--timeout", type=float, default=600, help="seconds that the boot, or one job, may take (%(default)s)")
    ap.add_argument("--shadowbox", default=SHADOWBOX, metavar="COMMAND", help="program with options")
    ap.add_argument("--qemu", default="qemu-system-x86_64", metavar="COMMAND", help="program with options")
    ap.add_argument("--cpu-time", action="store_true", help="measure the emulators' CPU seconds instead: steadier on a busy host")
    ap.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    ap.add_argument("--logs", type=pathlib.Path, help="keep each run's console in this folder")
    a = ap.parse_args()
    a.jobs = [job for job in a.jobs.split(",") if job]
    if a.only and a.before:
        ap.error("--only runs one emulator, --before compares two")
    names = [a.only] if a.only else ["shadowbox", "before" if a.before else "qemu"]
    if unknown := [job for job in a.jobs if job not in JOBS]:
        ap.error(f"no such job: {', '.join(unknown)}; there are {', '.join(JOBS)}")
    for name in names:
        program = shlex.split(getattr(a, name))
        if not program or not shutil.which(program[0]):
            ap.error(f"cannot run {' '.join(program) or name}: " + f"no such program{' (package qemu-system-x86)' if name == 'qemu' else ''}; --{name} COMMAND names another")
    if not a.image.is_file():
        ap.error(f"no image {a.image}; make it with: images/debian-disk.sh --include {PACKAGES} {a.image}")
    if a.runs < 1:
        ap.error("--runs must be at least 1")
    if a.logs:
        a.logs.mkdir(parents=True, exist_ok=True)
    return a, names


def main():
    a, names = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: the guests go first
    tries = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="userland-") as folder:
        jobs_disk = pathlib.Path(folder) / "jobs.img"
        make_jobs_disk(jobs_disk)
        for run in range(a.runs):
            for name in names if run % 2 == 0 else names[::-1]:
                log = a.logs / f"{name}-{run + 1}.log" if a.logs else None
                seconds, sums = run_once(command_of(name, a, jobs_disk), a.jobs, a.timeout, a.cpu_time, log)
                tries[name].append((seconds, sums))
                print(f"run {run + 1} {name}: " + " ".join(f"{job} {s:.2f}" for job, s in seconds.items()), file=sys.stderr, flush=True)
    faults = table(names, a.jobs, tries, a.markdown)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("userland.py: interrupted; the guests are gone")
