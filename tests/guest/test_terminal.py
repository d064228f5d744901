# SPDX-License-Identifier: MIT
"""What a person at a terminal of 80 columns meets: consoles above the pool's table, Ctrl-C, the power button."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time

from guests import INITRAMFS, SHADOWBOX, Machine, expect, kernel


def read_until(master, pattern, timeout, text=b""):
    end = time.monotonic() + timeout
    while not (pattern and re.search(pattern, text)) and time.monotonic() < end:
        if select.select([master], [], [], 0.2)[0]:
            try:
                text += os.read(master, 65536)
            except OSError:  # the last one who had the other end has left
                break
    return text


def test_pool_table_and_ctrl_c_on_a_terminal():
    """as the demo runs: whole lines with the guests' names scroll above the table, and Ctrl-C presses both power buttons"""
    config = '[host]\npool = "320M"\n' + "".join(
        f'[[vm]]\nname = "{name}"\nmemory = "256M"\nkernel = "{kernel()}"\ninitrd = "{INITRAMFS}"\n'
        f'append = "console=ttyS0 quiet job=count name={name}"\nserial = "stdio"\n' for name in ("ada", "grace"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(slave)
    file = tempfile.NamedTemporaryFile("w", suffix=".toml")
    file.write(config)
    file.flush()
    process = subprocess.Popen([SHADOWBOX, "-display", "none", "--pool-table", file.name], stdin=slave, stdout=slave, stderr=slave,
                               start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    try:
        text = read_until(master, rb"(?s)\[ada\] tick 2,.*\[grace\] tick 2,|\[grace\] tick 2,.*\[ada\] tick 2,", 300)
        expect(rb"[grace] tick 1," in text and b"[ada] tick 1," in text, f"no ticks: {text[-1500:]}")
        os.write(master, b"\x03")
        start = time.monotonic()
        while process.poll() is None and time.monotonic() - start < 60:
            text = read_until(master, None, 0.3, text)
        expect(process.poll() == 0, f"status {process.poll()} after Ctrl-C: {text[-1500:]}")
        expect(text.count(b"the guest powered off") == 2, f"the guests did not switch themselves off: {text[-1500:]}")
        text = read_until(master, None, 1, text)
        expect(termios.tcgetattr(slave) == before, "the terminal is not as it was")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(slave)
        os.close(master)
        file.close()
    expect(b"\x1b[1;20r" in text and text.rfind(b"\x1b[r") > text.rfind(b"\x1b[1;20r"), "the table does not keep to the lowest four lines")
    plain = re.sub(rb"\x1b(\[[0-9;]*[A-Za-z]|[78])", b"\n", text).decode(errors="replace")
    wide = [line for line in re.split(r"[\r\n]+", plain) if len(line) > 80]
    expect(not wide, f"lines wider than the terminal: {wide}")


def test_power_button_by_signal_and_a_screen_without_firmware():
    """-kernel leaves a text screen to the guest; SIGTERM presses its power button"""
    options = ["-m", "256", "-display", "none", "-serial", "none", "-kernel", kernel(), "-initrd", INITRAMFS]
    with Machine([*options, "-append", "console=tty0 quiet job=count name=screen"], monitor=True) as machine:
        text = machine.wait_for_screen(r"tick 1,", 300)
        expect(re.search(r"SHADOWBOX READY name=screen.*address=10\.0\.2\.15.*(\n.*)*tick 1, \d+ KiB free", text), f"not on the screen:\n{text}", machine)
        machine.process.send_signal(signal.SIGTERM)
        expect(machine.wait_end(60) == 0 and "the guest powered off" in machine.errors, "the guest did not switch itself off", machine)
