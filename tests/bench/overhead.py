#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What idle guests cost beside their pages: proportional set size less the pages of the pool that are in use.

Boots each set of guests named (all, if none is), waits until every guest is at its prompt and then a while, and reads
/proc/PID/smaps and the monitor's `info pool`. Prints the cost by kind of memory, and with --verbose what `info overhead`
counts. Exit status: 0; 1 where a guest did not come up or a set costs more than its bar; 2 for a wrong option.
"""
import argparse
import pathlib
import re
import shlex
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/guest"))
from guests import IMAGES, INITRAMFS, SHADOWBOX, Machine, kernel  # noqa: E402

MIB = 1 << 20
LOGIN = rb"login: "


def cloud(names, memory):
    text = ""
    for name in names:
        text += (f'[[vm]]\nname = "{name}"\nmemory = "{memory}"\nkernel = "{kernel()}"\ninitrd = "{INITRAMFS}"\n'
                 f'append = "console=ttyS0 quiet job=shell name={name}"\nserial = "stdio"\n')
    return text


def debian(image, *options):
    return ["-m", "512", *options, "-nographic", "-snapshot", "-drive", f"file={image},if=virtio,format=raw"]


# name: (MiB allowed, guests, what each prints at its prompt)
SETS = {"cloud": (24, 1, rb"SHADOWBOX READY"), "debian": (64, 1, LOGIN), "four": (70, 4, rb"SHADOWBOX READY"), "smp8": (120, 1, LOGIN)}


def arguments_of(name, image, folder):
    if name in ("debian", "smp8"):
        return debian(image, *(["-smp", "8"] if name == "smp8" else []))
    config = pathlib.Path(folder) / "guests.toml"
    config.write_text(cloud(["one", "two", "three", "four"] if name == "four" else ["one"], "256M"))
    return ["-nographic", str(config)]


def kind_of(path, named):
    """What a mapping is, from its name in smaps."""
    if match := re.match(r"\[anon(?:_shmem)?:(.*)\]", path):
        return match[1]
    if path == "[heap]":
        return "heap"
    if path.startswith("["):
        return "stacks"
    if path.startswith("/dev/zero") or path.startswith("/memfd"):
        return "shared memory"
    return "files" if path else "unnamed" if named else "anonymous"


def by_kind(process):
    """Bytes of the proportional set size, by kind."""
    kinds, path = {}, ""
    text = pathlib.Path(f"/proc/{process}/smaps").read_text()
    named = "[anon" in text
    for line in text.splitlines():
        if match := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+\s*(.*)", line):
            path = match[1]
        elif line.startswith("Pss:"):
            kind = kind_of(path, named)
            kinds[kind] = kinds.get(kind, 0) + 1024 * int(line.split()[1])
    return {kind: size for kind, size in kinds.items() if size}


def pool_in_use(machine):
    return 4096 * int(re.search(r"pool: (\d+) of", machine.command("info pool"))[1])


def measure(name, a):
    """Prints one set's cost; what is wrong with it, or None."""
    bar, guests, prompt = SETS[name]
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        program, *options = shlex.split(a.shadowbox)
        with Machine([*options, *arguments_of(name, a.image, folder)], monitor=True, program=program) as machine:
            end = time.monotonic() + a.timeout
            while len(re.findall(prompt, machine.output)) < guests:
                if time.monotonic() > end or not machine.pump(0.5):
                    return f"{name}: not at its prompt\n{machine.output[-800:].decode('latin1')}\n{machine.errors[-800:]}"
            booted = time.monotonic() - machine.start
            samples = []
            for wait in a.idle:
                stop = machine.start + booted + wait
                while time.monotonic() < stop:
                    machine.pump(min(0.5, max(0.0, stop - time.monotonic())))
                kinds = by_kind(machine.process.pid)
                samples.append((wait, kinds, pool_in_use(machine)))
            overhead = machine.command("info overhead") if a.verbose else ""
    for wait, kinds, pool in samples:
        cost = sum(kinds.values()) - pool
        print(f"{name}: {cost / MIB:.1f} MiB {wait:.0f} s after the boot of {booted:.0f} s (bar {bar}); set {sum(kinds.values()) / MIB:.1f}, "
              f"pool in use {pool / MIB:.1f}")
        for kind, size in sorted(kinds.items(), key=lambda item: -item[1]):
            print(f"    {kind:<28}{size / MIB:8.1f}")
    if overhead:
        print(overhead)
    sys.stdout.flush()
    return f"{name}: {cost / MIB:.1f} MiB, bar {bar}" if cost > bar * MIB else None


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}")
    ap.add_argument("--image", type=pathlib.Path, default=IMAGES / "debian.img", help="disk of debian and smp8; nothing is written to it")
    ap.add_argument("--idle", type=float, nargs="+", default=[20], metavar="S", help="seconds after the prompt (default 20); the last one is judged")
    ap.add_argument("--shadowbox", default=SHADOWBOX, metavar="COMMAND", help="program with options")
    ap.add_argument("--timeout", type=float, default=300, help="seconds that a boot may take (%(default)s)")
    ap.add_argument("--verbose", action="store_true", help="print `info overhead` too")
    a = ap.parse_args()
    if unknown := [name for name in a.sets if name not in SETS]:
        ap.error(f"no such set: {', '.join(unknown)}; there are {', '.join(SETS)}")
    faults = [fault for name in a.sets or SETS if (fault := measure(name, a))]
    for fault in faults:
        print("FAILED: " + fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
