#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots real guests and checks what they print. Needs build/shadowbox and the images of tests/guest/prepare.sh.

usage: run.py [NAME ...]     no name: all of them; exit status 1 if any failed; ends with 'N passed, N failed'
"""
import os
import pathlib
import subprocess
import sys
import tempfile

from guests import BUILD, IMAGES, Run, checksums, kernel

BENCH = IMAGES / "guestbench"
QUICK = "fib qsort crc nbody x87 simdint strings pipe fork pagefault"


def expect(condition, message, run=None):
    if not condition:
        tail = "" if run is None else f"\n--- {' '.join(run.arguments)}\n--- status {run.status}, {run.seconds:.1f} s\n{run.text()[-1500:]}\n--- stderr\n{run.errors[-1500:]}"
        raise AssertionError(message + tail)


def bench(*options, workloads=QUICK, kind="cloud", timeout=300):
    run = Run(["-m", "512", "-nographic", "-no-reboot", *options, "-kernel", kernel(kind), "-initrd", BENCH / "initramfs.gz",
               "-append", f'console=ttyS0 bench="{workloads}"'], timeout)
    expect(not run.timed_out and run.status == 0 and "DONE" in run.text(), "the guest did not finish", run)
    native = checksums(subprocess.run([BENCH / "guestbench", *workloads.split()], capture_output=True, text=True).stdout)
    expect(checksums(run.text()) == native, f"checksums differ from the native ones {native}", run)
    return run


def test_bench_one_vcpu():
    """direct boot of the cloud kernel; every checksum is the native one; power-off ends the process with 0"""
    bench()


def test_bench_two_vcpus():
    run = bench("-smp", "2", workloads="fib pipe fork pagefault")
    expect("CPUS 2" in run.text(), "nproc does not say 2", run)


def test_bench_generic_kernel():
    """linux-image-amd64, the kernel of an ordinary Debian machine"""
    bench(workloads="fib nbody fork", kind="generic")


def test_icount_repeats_to_the_byte():
    one, two = (bench("-icount", workloads="fib pipe fork") for _ in range(2))
    expect(one.output == two.output, "two icount runs print different bytes", two)
    ends = [[line for line in run.errors.splitlines() if "retired" in line] for run in (one, two)]
    expect(ends[0] and ends[0] == ends[1], f"instruction counts or memory hashes differ: {ends}", two)


def test_two_guests_on_a_small_pool():
    """two guests of 256 MiB on 300 MiB of machine pages, both reach their prompt and power off"""
    config = f"""
[host]
pool = "300M"
"""
    for name in ("one", "two"):
        config += f"""
[[vm]]
name = "{name}"
memory = "256M"
kernel = "{kernel()}"
initrd = "{IMAGES}/cloud-initramfs/initramfs.gz"
append = "console=ttyS0 quiet job=off name={name}"
serial = "stdio"
"""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        run = Run(["-nographic", "-no-reboot", file.name], 240)
    for name in ("one", "two"):
        expect(f"SHADOWBOX READY name={name}" in run.text(), f"guest {name} did not get ready", run)
    expect(run.status == 0 and not run.timed_out, "the process did not end well", run)


def test_virtio_devices_and_dhcp():
    run = Run(["-m", "256", "-nographic", "-no-reboot", "-kernel", kernel(), "-initrd", IMAGES / "cloud-initramfs/initramfs.gz", "-append", "console=ttyS0 quiet job=off name=net"], 180)
    expect("address=10.0.2.15/24" in run.text(), "no address from DHCP", run)
    expect(run.status == 0, "the guest did not power off", run)


def test_cd_boots_through_seabios_and_grub():
    run = Run(["-m", "512", "-nographic", "-no-reboot", "-cdrom", IMAGES / "grub.iso"], 240)
    expect("SHADOWBOX READY name=cd" in run.text() and run.status == 0, "the CD did not boot", run)


def disk(*drive):
    run = Run(["-m", "512", "-nographic", "-no-reboot", *drive], 600, until=rb"login:")
    expect(run.reached, "no login prompt", run)
    return run


def test_disk_boots_from_ide():
    disk("-drive", f"file={IMAGES}/debian.img,if=ide,format=raw,snapshot=on")


def test_disk_boots_from_virtio():
    disk("-drive", f"file={IMAGES}/debian.img,if=virtio,format=raw,snapshot=on")


def test_remapping_at_random_changes_nothing():
    """pages move, merge, share and split all the time under two vCPUs; the checksums stay right"""
    seed = int.from_bytes(os.urandom(4), "little")
    workloads = "fib qsort sha fork pipe pagefault memcpy"
    command = [BUILD / "tests/remap_boot", str(seed), "2", kernel(), BENCH / "initramfs.gz", f'console=ttyS0 quiet bench="{workloads}"']
    run = subprocess.run(command, capture_output=True, text=True, timeout=400, stdin=subprocess.DEVNULL)
    native = checksums(subprocess.run([BENCH / "guestbench", *workloads.split()], capture_output=True, text=True).stdout)
    print("     " + run.stderr.strip().splitlines()[-1])
    expect(run.returncode == 0 and checksums(run.stdout) == native, f"seed {seed}: status {run.returncode}, {run.stdout[-1500:]}{run.stderr[-1500:]}")


def main():
    tests = {name[5:]: function for name, function in globals().items() if name.startswith("test_")}
    chosen = sys.argv[1:] or list(tests)
    failed = 0
    for name in chosen:
        try:
            tests[name]()
            print(f"ok   {name}", flush=True)
        except AssertionError as fault:
            failed += 1
            print(f"FAIL {name}: {fault}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    sys.exit(main())
