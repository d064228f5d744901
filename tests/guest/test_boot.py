# SPDX-License-Identifier: MIT
"""Kernels, CDs and disks boot to a known line, and workloads compute what the bare machine computes."""
import os
import struct
import subprocess
import tempfile

from guests import BENCH, BUILD, IMAGES, INITRAMFS, Run, checksums, expect, initramfs_with, kernel

QUICK = "fib qsort crc nbody x87 simdint strings pipe fork pagefault"


def native(workloads):
    return checksums(subprocess.run([BENCH / "guestbench", *workloads.split()], capture_output=True, text=True).stdout)


def bench(*options, workloads=QUICK, kind="cloud", timeout=600):
    run = Run(["-m", "512", "-nographic", "-no-reboot", *options, "-kernel", kernel(kind), "-initrd", BENCH / "initramfs.gz",
               "-append", f'console=ttyS0 bench="{workloads}"'], timeout)
    expect(run.status == 0 and "DONE" in run.text(), "the guest did not finish", run)
    expect(checksums(run.text()) == native(workloads), f"checksums differ from the native ones {native(workloads)}", run)
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


def test_two_guests_on_a_small_pool():
    """two guests of 256 MiB on 300 MiB of machine pages, both reach their prompt and power off"""
    config = '[host]\npool = "300M"\n'
    for name in ("one", "two"):
        config += f"""
[[vm]]
name = "{name}"
memory = "256M"
kernel = "{kernel()}"
initrd = "{INITRAMFS}"
append = "console=ttyS0 quiet job=off name={name}"
serial = "stdio"
"""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        run = Run(["-nographic", "-no-reboot", file.name], 400)
    for name in ("one", "two"):
        expect(f"SHADOWBOX READY name={name}" in run.text(), f"guest {name} did not get ready", run)
    expect(run.status == 0, "the process did not end well", run)


def test_virtio_devices_and_dhcp():
    run = Run(["-m", "256", "-nographic", "-no-reboot", "-kernel", kernel(), "-initrd", INITRAMFS, "-append", "console=ttyS0 quiet job=off name=net"], 300)
    expect("address=10.0.2.15/24" in run.text(), "no address from DHCP", run)
    expect(run.status == 0, "the guest did not power off", run)


def booted_with(words, kind):
    run = Run(["-m", "256", "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel(kind), "-initrd", INITRAMFS,
               "-append", f"console=ttyS0 job=off name=old {words}"], 400, until=rb"SHADOWBOX READY name=old")
    expect(run.reached, f"'{words}' did not get ready", run)
    return f"{run.seconds:.0f} s"


def test_kernel_without_local_apic():
    """interrupts come from the 8259 alone, through LINT0 as a BIOS leaves it"""
    return booted_with("nolapic", "cloud")


def test_kernel_without_acpi():
    return booted_with("acpi=off", "cloud")


def test_kernel_with_the_8254_as_clock():
    return booted_with("clocksource=pit nolapic hpet=disable", "cloud")


def test_generic_kernel_without_local_apic_and_acpi():
    return booted_with("nolapic acpi=off", "generic")


def elf_of(code):
    """a program of these bytes alone"""
    base, start = 0x400000, 0x78
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, start + len(code), start + len(code), 0x1000) + code


def test_endless_loop_is_preempted_when_translated():
    """the local APIC's timer interrupts translated code that never leaves its loop"""
    job = b"#!/bin/busybox sh\n/spin &\necho SPINNING\nsleep 1\necho PREEMPTED\n"
    with tempfile.TemporaryDirectory() as folder:
        run = Run(["-m", "256", "-nographic", "-no-reboot", "-nic", "none", "-accel", "jit", "-kernel", kernel(), "-append", "console=ttyS0 quiet job=script",
                   "-initrd", initramfs_with(folder, {"job.sh": job, "spin": elf_of(b"\xeb\xfe")})], 120)
    expect("SPINNING" in run.text() and "PREEMPTED" in run.text(), "the loop kept the processor", run)
    expect(run.status == 0, "the guest did not power off", run)


def test_cd_boots_through_seabios_and_grub():
    run = Run(["-m", "512", "-nographic", "-no-reboot", "-cdrom", IMAGES / "grub.iso"], 400)
    expect("SHADOWBOX READY name=cd" in run.text() and run.status == 0, "the CD did not boot", run)


def test_disk_boots_from_virtio():
    run = Run(["-m", "512", "-nographic", "-no-reboot", "-drive", f"file={IMAGES}/debian.img,if=virtio,format=raw,snapshot=on"], 800, until=rb"login:")
    expect(run.reached, "no login prompt", run)


def test_remapping_at_random_changes_nothing():
    """pages move, merge, share and split all the time under two vCPUs; the checksums stay right"""
    return remapped_at_random()


def test_remapping_at_random_changes_nothing_when_translated():
    return remapped_at_random("--jit")


def test_remapping_at_random_changes_no_count_and_no_byte_under_icount():
    """a run whose pages are moved, shared, frozen, evicted and waited for is the unmanaged run, to the last bit"""
    def run(*options):
        command = [BUILD / "tests/remap_boot", "--icount", *options, "7", "2", kernel(), BENCH / "initramfs.gz", 'console=ttyS0 quiet bench="fib fork"']
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
        expect(done.returncode == 0, f"{options}: status {done.returncode}, {done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done.stderr.strip().splitlines()[-1]
    calm = run("--calm")
    for options in ([], ["--jit"]):
        managed = run(*options)
        expect(managed == calm, f"{options}: {managed}, not {calm}")
    return calm


def remapped_at_random(*options):
    seed = int.from_bytes(os.urandom(4), "little")
    workloads = "fib qsort sha fork pipe pagefault memcpy"
    command = [BUILD / "tests/remap_boot", *options, str(seed), "2", kernel(), BENCH / "initramfs.gz", f'console=ttyS0 quiet bench="{workloads}"']
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    expect(run.returncode == 0 and checksums(run.stdout) == native(workloads), f"seed {seed}: status {run.returncode}, {run.stdout[-1500:]}{run.stderr[-1500:]}")
    return run.stderr.strip().splitlines()[-1]
