# SPDX-License-Identifier: MIT
"""-icount: guest time is retired instructions, so a run repeats to the byte, whatever else the host does."""
import re
import subprocess
import sys
import tempfile

from guests import BENCH, Run, expect, kernel
from test_boot import bench


class Load:
    """Three processes that only burn CPU time."""

    def __enter__(self):
        self.busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]

    def __exit__(self, *_):
        for process in self.busy:
            process.kill()
            process.wait()


def end_lines(run):
    return sorted(re.findall(r"^.*retired \d+ instructions, memory hash [0-9a-f]+$", run.errors, re.M))


def expect_equal(one, two, guests):
    expect(len(end_lines(one)) == guests, "no line with the instruction count", one)
    expect(end_lines(one) == end_lines(two), f"counts or memory hashes differ: {end_lines(one)} {end_lines(two)}", two)
    if one.output != two.output:
        at = next(i for i, (a, b) in enumerate(zip(one.output, two.output)) if a != b)
        expect(False, f"the outputs part at byte {at}: {one.output[at - 200:at + 80]} / {two.output[at - 200:at + 80]}", two)


def twice(make, guests=1):
    one = make()
    with Load():
        two = make()
    expect_equal(one, two, guests)
    return end_lines(one)[0]


def test_icount_repeats_to_the_byte():
    return twice(lambda: bench("-icount", workloads="fib pipe fork"))


def test_icount_repeats_with_two_vcpus():
    return twice(lambda: bench("-icount", "-smp", "2", workloads="pipe fork"))


def test_icount_repeats_with_two_guests():
    config = "".join(f"""
[[vm]]
name = "{name}"
memory = "256M"
kernel = "{kernel()}"
initrd = "{BENCH}/initramfs.gz"
append = "console=ttyS0 bench={job}"
serial = "stdio"
""" for name, job in (("one", "fork"), ("two", "pipe")))
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("[host]\nclock = \"icount\"\nseed = 5\n" + config)
        file.flush()

        def make():
            run = Run(["-nographic", "-no-reboot", file.name], 900)
            expect(run.status == 0 and run.text().count("DONE") == 2, "the guests did not finish", run)
            # How lines of two guests are shuffled on one terminal is the host's time; each one's own lines are the guest's.
            run.output = b"".join(sorted(run.output.splitlines(True), key=lambda line: line[:5]))
            return run

        return twice(make, guests=2)
