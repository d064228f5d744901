# SPDX-License-Identifier: MIT
"""Front ends with a real guest: QEMU's spellings do what they say, a daemon, full disks, a second signal, a destroyed window."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from guests import IMAGES, INITRAMFS, SHADOWBOX, Machine, Run, Skip, expect, initramfs_with, kernel

DIRECT = ["-kernel", str(kernel()), "-append", "console=ttyS0 quiet job=script", "-no-reboot"]


SAY = """#include <sys/io.h>
int main() {
    if (ioperm(0x402, 1, 1)) return 1;
    outsb(0x402, "said", 4);
}
"""


def compiled(folder, source):
    """A static program for a guest."""
    program = pathlib.Path(folder) / "program"
    subprocess.run(["gcc", "-O1", "-static", "-x", "c", "-o", program, "-"], input=source.encode(), check=True)
    return program.read_bytes()


def test_qemu_spellings_reach_the_guest():
    """CPUs, CPU features, network card, disk, clock and UUID as a command line of QEMU's asks"""
    job = b"""#!/bin/busybox sh
cd /sys/devices/system/cpu
for c in cpu[0-9]*; do echo TOPOLOGY $c $(cat $c/topology/physical_package_id $c/topology/core_id $c/topology/thread_siblings_list); done
echo FLAGS $(grep -m1 ^flags /proc/cpuinfo)
echo MAC $(cat /sys/class/net/*/address)
echo DISKS $(ls /sys/block)
echo DATE $(date -u +%Y-%m-%d)
echo UUID $(cat /sys/class/dmi/id/product_uuid)
echo PCI $(cat /sys/bus/pci/devices/*/device)
insmod /qemu_fw_cfg.ko
echo FW_CFG $(cat /sys/firmware/qemu_fw_cfg/by_name/opt/org.test/raw) $(cat /sys/firmware/qemu_fw_cfg/by_name/opt/org.file/raw)
/say
echo JOB DONE
"""
    with tempfile.TemporaryDirectory() as folder:
        disk, log = pathlib.Path(folder) / "disk.img", pathlib.Path(folder) / "debug.txt"
        disk.write_bytes(bytes(1 << 20))
        told = pathlib.Path(folder) / "told"
        told.write_text("by-a-file")
        driver = next((IMAGES / "cloud/lib/modules").rglob("qemu_fw_cfg.ko"))
        run = Run(["-machine", "pc", "-m", "256M", "-nographic", "-nodefaults", "-serial", "stdio", *DIRECT,
                   "-smp", "8,sockets=2,cores=2,threads=2", "-cpu", "max,-aes,-rdrand", "-rtc", "base=2006-06-17T16:01:21,clock=vm",
                   "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:ab:cd:ef", "-netdev", "user,id=n0",
                   "-drive", f"if=none,id=d,file={disk},format=raw", "-device", "virtio-blk-pci,drive=d",
                   "-uuid", "550e8400-e29b-41d4-a716-446655440000", "-debugcon", f"file:{log}", "-global", "isa-debugcon.iobase=0x402",
                   "-fw_cfg", "name=opt/org.test,string=told", "-fw_cfg", f"opt/org.file,file={told}",
                   "-initrd", initramfs_with(folder, {"job.sh": job, "qemu_fw_cfg.ko": driver.read_bytes(),
                                                        "say": compiled(folder, SAY)})], 240)
        expect(log.read_bytes() == b"said", f"the debug console heard {log.read_bytes()}", run)
    text = run.text()
    expect("JOB DONE" in text and run.status == 0, "the job did not end", run)
    topology = dict(re.findall(r"TOPOLOGY (cpu\d) (.*)", text))
    expect(topology["cpu0"].startswith("0 0 0") and topology["cpu1"].split()[:2] == topology["cpu0"].split()[:2], "two threads of a core", run)
    expect(topology["cpu7"].split()[0] == "1" and topology["cpu2"].split()[1] != topology["cpu0"].split()[1], "two sockets of two cores", run)
    flags = re.search(r"FLAGS (.*)", text).group(1).split()
    expect("aes" not in flags and "rdrand" not in flags and "sse4_2" in flags, "features", run)
    for line in ("MAC .*52:54:00:ab:cd:ef", "DISKS .*vda", "DATE 2006-06-17", "UUID 550e8400-e29b-41d4-a716-446655440000",
                 "FW_CFG told by-a-file"):
        expect(re.search(line, text), f"no {line}", run)
    devices = re.search("PCI (.*)", text).group(1)
    expect("0x1111" not in devices and "0x1002" not in devices, "-nodefaults left a display adapter or a balloon", run)
    expect("warning" not in run.errors, "warnings without a reason", run)


def test_debug_console_hears_the_firmware():
    """SeaBIOS writes its messages to port 402H, where -global puts the debug console"""
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "debug.txt"
        command = [SHADOWBOX, "-m", "64", "-display", "none", "-monitor", "none", "-serial", "none", "-nic", "none",
                   "-debugcon", f"file:{log}", "-global", "isa-debugcon.iobase=0x402"]
        guest = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until and not (log.exists() and b"SeaBIOS (version" in log.read_bytes()):
                time.sleep(0.1)
        finally:
            guest.kill()
            guest.wait()
        text = log.read_bytes() if log.exists() else b""
    assert b"SeaBIOS (version" in text, text[:200]


def test_help_as_a_value():
    for option, word in (("cpu", "qemu64"), ("device", "virtio-blk-pci"), ("machine", "pc"), ("accel", "jit"), ("vga", "std")):
        run = subprocess.run([SHADOWBOX, f"-{option}", "help"], capture_output=True, text=True, timeout=60)
        expect(run.returncode == 0 and word in run.stdout and not run.stderr, f"-{option} help: {run}")


def test_full_output_is_told():
    """/dev/full behind --help, a serial line and standard output"""
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        run = subprocess.run([SHADOWBOX, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        expect(run.returncode == 2 and "No space left" in run.stderr and run.stderr.count("\n") == 1, f"--help: {run}")
    run = Run(["-m", "256", "-display", "none", "-serial", "file:/dev/full", "-kernel", kernel(), "-append", "console=ttyS0 job=off",
               "-initrd", INITRAMFS, "-no-reboot"], 120)
    expect(run.status == 0 and run.errors.count("/dev/full") == 1 and "No space left" in run.errors, "serial line", run)


def test_daemonize_and_pidfile():
    with tempfile.TemporaryDirectory() as folder:
        pid, log, monitor = (f"{folder}/{name}" for name in ("pid", "log", "monitor"))
        arguments = [SHADOWBOX, "-m", "256", "-display", "none", "-daemonize", "-pidfile", pid, "-serial", f"file:{log}", "-kernel", str(kernel()),
                     "-append", "console=ttyS0 quiet", "-initrd", str(INITRAMFS), "-monitor", f"unix:{monitor},server=on,wait=off"]
        run = subprocess.run(arguments, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        expect(run.returncode == 0 and run.stderr == "", f"start: {run}")
        number = int(pathlib.Path(pid).read_text())
        try:
            end = time.monotonic() + 120
            while b"READY" not in pathlib.Path(log).read_bytes() and time.monotonic() < end:
                time.sleep(0.2)
            expect(b"READY" in pathlib.Path(log).read_bytes(), "the guest did not start")
            expect(os.getsid(number) == number, "it is in our session")
        finally:
            os.kill(number, signal.SIGTERM)
        end = time.monotonic() + 60
        while os.path.exists(pid) and time.monotonic() < end:
            time.sleep(0.1)
        expect(not os.path.exists(pid), "the pid file stayed")
        wrong = subprocess.run([*arguments[:1], "-daemonize", "-display", "none", "-pidfile", f"{folder}/no/pid", "-kernel", str(kernel())],
                               capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        expect(wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "pidfile" in wrong.stderr, f"wrong: {wrong}")


def test_counted_instructions_are_the_guests_own():
    """-accel jit,count=on counts a translated loop to the instruction; without it nothing is claimed"""
    loops = 100_000_000
    source = f"""int main() {{
    unsigned n = {loops};
    asm volatile("1: dec %0; jnz 1b" : "+r"(n));
}}
"""
    job = b"#!/bin/busybox sh\necho BEGIN; read go; /spin; echo END; read go\n"
    for count, least, most in (("on", 2 * loops, 2.2 * loops), ("off", None, None)):
        with tempfile.TemporaryDirectory() as folder:
            files = initramfs_with(folder, {"job.sh": job, "spin": compiled(folder, source)})
            with Machine(["-m", "256", "-nographic", *DIRECT, "-accel", f"jit,count={count}", "-initrd", files], monitor=True,
                         stdin=subprocess.PIPE) as machine:
                def counted():
                    return re.search(r"CPU #0:.*, (\w+) instructions", machine.command("info cpus")).group(1)
                expect(machine.wait_for(rb"BEGIN", 120), "no guest", machine)
                before = counted()
                machine.process.stdin.write(b"go\n")
                machine.process.stdin.flush()
                expect(machine.wait_for(rb"END", 120), "no end", machine)
                after = counted()
                if least is None:
                    expect(before == after == "uncounted", f"{before} {after}")
                else:
                    expect(least <= int(after) - int(before) <= most, f"{int(after) - int(before)} instructions of {least}")


def test_no_shutdown_keeps_the_guest():
    with Machine(["-m", "256", "-nographic", "-no-shutdown", "-kernel", kernel(), "-append", "console=ttyS0 quiet job=off", "-initrd", INITRAMFS],
                 monitor=True) as machine:
        end = time.monotonic() + 120
        while "-no-shutdown" not in machine.errors and time.monotonic() < end:
            machine.pump(0.2)
        expect(machine.process.poll() is None, "the process ended", machine)
        while "paused" not in (status := machine.command("info status")) and time.monotonic() < end:
            time.sleep(0.1)
        expect("paused" in status, f"status: {status}", machine)
        machine.command("quit")
        expect(machine.wait_end(30) == 0, "quit", machine)


def test_two_signals_end_in_good_order():
    """the second SIGTERM comes while the process ends: its status is its own, not a death by signal"""
    for gap in (0, 0.002, 0.02):
        with Machine(["-m", "256", "-nographic", "-kernel", kernel(), "-append", "console=ttyS0 quiet", "-initrd", INITRAMFS]) as machine:
            expect(machine.wait_for(rb"READY", 120), "no guest", machine)
            os.kill(machine.process.pid, signal.SIGTERM)
            time.sleep(gap)
            os.kill(machine.process.pid, signal.SIGTERM)
            expect(machine.wait_end(30) == 0, "status", machine)


def test_destroyed_window_presses_the_power_button():
    if not (shutil.which("Xvfb") and shutil.which("xdotool")):
        raise Skip("no Xvfb or xdotool")
    read_end, write_end = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1024x768x24", "-nolisten", "tcp"], pass_fds=[write_end],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write_end)
    try:
        display = ":" + os.read(read_end, 16).decode().strip()
        environment = {**os.environ, "DISPLAY": display}
        with Machine(["-m", "256", "-display", "sdl", "-serial", "stdio", "-kernel", kernel(), "-append", "console=ttyS0 quiet", "-initrd", INITRAMFS],
                     env=environment) as machine:
            expect(machine.wait_for(rb"READY", 120), "no guest", machine)
            found = subprocess.run(["xdotool", "search", "--name", "shadowbox"], env=environment, capture_output=True, text=True)
            expect(found.stdout.split(), f"no window: {found}", machine)
            subprocess.run(["xdotool", "windowclose", found.stdout.split()[0]], env=environment, check=True)
            status = machine.wait_end(60)
            expect(status == 0 and "power button" in machine.errors, "the window's end", machine)
    finally:
        server.terminate()
        server.wait()
        os.close(read_end)
