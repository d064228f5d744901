# SPDX-License-Identifier: MIT
"""What a person sees on the screen: the picture of `screendump`, read back glyph by glyph (screen.py)."""
import re

from guests import IMAGES, Machine, expect

HEADLESS = ("-display", "none", "-no-reboot")


def see(machine, pattern, timeout, what):
    text = machine.wait_for_screen(pattern, timeout)
    expect(re.search(pattern, text), f"{what} is not on the screen:\n{text}", machine)
    return text


def test_disk_boots_from_ide_to_a_login_screen():
    """SeaBIOS, GRUB, systemd; the screen asks for a login and shows the address that DHCP gave, and says the same as the serial line"""
    drive = f"file={IMAGES}/debian.img,if=ide,format=raw,snapshot=on"
    with Machine([*HEADLESS, "-m", "512", "-serial", "stdio", "-drive", drive], monitor=True) as machine:
        expect(machine.wait_for(rb"shadowbox login:", 800), "no login prompt on the serial line", machine)
        see(machine, r"shadowbox tty1 address 10\.0\.2\.15\s+shadowbox login:", 120, "the login prompt with the address")
        machine.command("sendkey r")
        see(machine, r"shadowbox login: r", 60, "the letter of a key pressed")


def test_memtest_first_screen():
    with Machine([*HEADLESS, "-m", "128", "-serial", "none", "-cdrom", "/usr/lib/memtest86+/memtest86+x64.iso"], monitor=True) as machine:
        text = see(machine, r"Memtest86\+ v\d.*Shadowbox software x86-64(.*\n)*.*Status: Testing", 300, "memtest86+ at work")
        expect("Errors: 0" in text, f"memtest86+ found errors:\n{text}")


def test_debian_installer_on_the_screen():
    """the netboot installer, its frame buffer switched off, asks for the language"""
    with Machine([*HEADLESS, "-m", "1G", "-serial", "none", *installer(), "-append", "vga=normal fb=false"], monitor=True) as machine:
        see(machine, r"Select a language(.*\n)*.*English", 800, "the choice of language")


def test_debian_installer_on_the_serial_line():
    with Machine(["-m", "1G", "-nographic", "-no-reboot", *installer(), "-append", "console=ttyS0"]) as machine:
        expect(machine.wait_for(rb"Select a language", 800), "no choice of language", machine)


def installer():
    return "-kernel", IMAGES / "installer/linux", "-initrd", IMAGES / "installer/initrd.gz"
