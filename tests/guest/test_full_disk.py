# SPDX-License-Identifier: MIT
"""The host's disk fills up while the guest writes: the guest gets an I/O error, the process lives on, old data stays what it was."""
import hashlib
import os
import re
import resource
import subprocess
import tempfile

from guests import Run, Skip, expect, initramfs_with, kernel

MIB = 1 << 20
ROOM = 24 * MIB  # of 64 MiB that the guest sees
JOB = """#!/bin/busybox sh
disk=/dev/$(ls /sys/block | grep -E '^(vda|sda)$')
seq 1 2000000 | head -c 8388608 >/tmp/old
seq 5000000 7000000 | head -c 8388608 >/tmp/new
dd if=/tmp/old of=$disk bs=1M conv=fsync 2>/dev/null && echo "FIRST written $(md5sum </tmp/old)"
n=1
while [ $n -lt 8 ] && dd if=/tmp/new of=$disk bs=1M seek=$((n * 8)) conv=fsync 2>/dev/null; do n=$((n + 1)); done
echo "FULL at $n"
echo 3 >/proc/sys/vm/drop_caches
echo "OLD $(dd if=$disk bs=1M count=8 2>/dev/null | md5sum)"
dd if=/tmp/new of=$disk bs=1M conv=fsync 2>/dev/null && echo "OVERWRITTEN $(md5sum </tmp/new)"
echo 3 >/proc/sys/vm/drop_caches
echo "READ $(dd if=$disk bs=1M count=8 2>/dev/null | md5sum)"
dmesg | grep -iE 'I/O error|Buffer I/O' | head -3
echo JOB DONE
"""


def fill(interface, image, folder, **options):
    with open(image, "wb") as file:
        file.truncate(64 * MIB)
    run = Run(["-m", "256", "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel(), "-initrd", initramfs_with(folder, {"job.sh": JOB.encode()}),
               "-append", "console=ttyS0 quiet job=script", "-drive", f"file={image},if={interface},format=raw"], 400, **options)
    text = run.text()
    expect(run.status == 0 and "JOB DONE" in text, "the guest did not live to its power-off", run)
    old, new = re.search(r"FIRST written (\w+)", text), re.search(r"OVERWRITTEN (\w+)", text)
    expect(old and re.search(r"FULL at [23]\b", text), "the disk did not get full", run)
    expect(f"OLD {old[1]}" in text, "what was flushed before is no longer there", run)
    expect(new and f"READ {new[1]}" in text, "what the host has room for cannot be overwritten", run)
    expect("I/O error" in text, "the guest's kernel saw no I/O error", run)
    expect("disk I/O failed" in run.errors and len(run.errors.splitlines()) < 10, "one clear line a failure, not a flood", run)
    with open(image, "rb") as file:
        expect(hashlib.md5(file.read(8 * MIB)).hexdigest() == new[1], "the image does not hold what the guest wrote", run)
    return next(line for line in run.errors.splitlines() if "disk I/O failed" in line)


def on_full_host(interface):
    with tempfile.TemporaryDirectory() as folder:
        small = os.path.join(folder, "small")
        os.mkdir(small)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", small], capture_output=True, text=True)
        if mounted.returncode:
            raise Skip(f"no mount of a small tmpfs here ({mounted.stderr.strip()})")
        try:
            return fill(interface, f"{small}/disk.img", folder)
        finally:
            subprocess.run(["umount", small], check=True)


def test_full_host_disk_under_virtio():
    return on_full_host("virtio")


def test_full_host_disk_under_ide():
    return on_full_host("ide")


def test_file_size_limit_under_virtio():
    """the same by `ulimit -f`: the write that goes too far fails with EFBIG and its signal does not end the process"""
    with tempfile.TemporaryDirectory() as folder:
        image = f"{folder}/disk.img"
        return fill_limited(image, folder)


def fill_limited(image, folder):
    # The image is as large as the guest's disk from the start, so the limit must let that be, but no write beyond it.
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))  # noqa: E731
    return fill("virtio", image, folder, preexec_fn=limit)
