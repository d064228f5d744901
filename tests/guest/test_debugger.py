# SPDX-License-Identifier: MIT
"""A debugger inside a guest: single steps over system calls, repeats and IRET, and watchpoints, come where the bare machine's come."""
import pathlib
import subprocess
import tempfile

from guests import Run, Skip, expect, initramfs_with, kernel

SOURCE = pathlib.Path(__file__).with_name("stepping.c")
JOB = b"#!/bin/busybox sh\n/stepping\necho JOB DONE\n"


def traps(text):
    return [line for line in text.splitlines() if line.startswith(("step ", "write: ", "read or write: ", "execute: ", "status ", "STEPPED"))]


def stepped(*options):
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "stepping")
        subprocess.run(["gcc", "-O1", "-static", "-no-pie", "-o", program, SOURCE], check=True)
        bare = traps(subprocess.run([program], capture_output=True, text=True).stdout)
        if "STEPPED" not in bare or any("error" in line for line in bare):
            raise Skip("no single step or no debug registers for processes here")
        run = Run(["-m", "256", *options, "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel(),
                   "-initrd", initramfs_with(folder, {"job.sh": JOB, "stepping": program.read_bytes()}), "-append", "console=ttyS0 quiet job=script"], 300)
        expect(run.status == 0, "the guest did not live to its power-off", run)
        seen = traps(run.text())
        at = next((i for i, pair in enumerate(zip(bare, seen)) if pair[0] != pair[1]), min(len(bare), len(seen)))
        expect(seen == bare, f"trap {at + 1} is {seen[at:at + 1]}, on the bare machine {bare[at:at + 1]}", run)
        return f"{len(bare) - 1} traps"


def test_debugger_translated():
    return stepped("-accel", "jit")


def test_debugger_interpreted():
    return stepped("-accel", "interp")


def test_debugger_two_vcpus():
    return stepped("-accel", "jit", "-smp", "2")
