# SPDX-License-Identifier: MIT
"""Floppies of every size boot by SeaBIOS, which reads and writes them by INT 13h; -boot says what boots."""
import pathlib
import subprocess
import tempfile

from guests import Run, expect

# name: cylinders, heads, sectors of a track
FORMATS = {"160K": (40, 1, 8), "180K": (40, 1, 9), "320K": (40, 2, 8), "360K": (40, 2, 9), "720K": (80, 2, 9),
           "1.2M": (80, 2, 15), "1.44M": (80, 2, 18), "2.88M": (80, 2, 36)}

# Says the letter LETTER, then R if the disk's last sector was read, W if sector 2 of the first track was written, and the first
# letter that it then reads there; and ends.
BOOT_SECTOR = """
bits 16
org 0x7C00
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7C00
    mov [drive], dl
    mov al, LETTER
    call say
%if CYLINDERS
    mov cx, (CYLINDERS - 1) << 8 | SECTORS
    mov dh, HEADS - 1
    mov ax, 0x0201
    call disk
    cmp dword [0x8000], 'LAST'
    jne done
    mov al, 'R'
    call say
    mov cx, 2
    mov dh, 0
    mov dword [0x8000], 'MINE'
    mov ax, 0x0301
    call disk
    mov al, 'W'
    call say
    mov dword [0x8000], 0
    mov ax, 0x0201
    call disk
    mov al, [0x8000]
    call say
%endif
done:
%if RESETS
    mov dx, 0xCF9
    mov al, 6
    out dx, al
%endif
    mov al, 0
    out 0xF4, al
    hlt
disk:
    push cx
    mov bx, 0x8000
    mov dl, [drive]
    int 0x13
    pop cx
    jc done
    ret
say:
    mov dx, 0x3F8
    out dx, al
    mov dx, 0
    ret
drive: db 0
    times 510 - ($ - $$) db 0
    dw 0xAA55
"""


def boot_image(path, letter, size, geometry=(0, 0, 0), resets=0):
    source = path.with_suffix(".asm")
    source.write_text(BOOT_SECTOR)
    names = zip(("CYLINDERS", "HEADS", "SECTORS"), geometry)
    subprocess.run(["nasm", "-f", "bin", f"-DLETTER='{letter}'", *(f"-D{name}={value}" for name, value in names), f"-DRESETS={resets}", "-o", path, source], check=True)
    with open(path, "r+b") as file:
        file.truncate(size)
        file.seek(size - 512)
        if size > 512:
            file.write(b"LAST")
    return path


def booted(options, timeout=120):
    run = Run(["-m", "32", "-display", "none", "-monitor", "none", "-nic", "none", "-serial", "stdio",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=4", *map(str, options)], timeout)
    expect(run.status == 1, "the boot sector did not end the machine", run)
    return run.text(), run


def test_floppies_of_all_sizes_boot_read_and_write():
    with tempfile.TemporaryDirectory() as folder:
        for name, geometry in FORMATS.items():
            size = geometry[0] * geometry[1] * geometry[2] * 512
            image = boot_image(pathlib.Path(folder) / f"{name}.img", "F", size, geometry)
            text, run = booted(["-fda", image])
            expect(text.endswith("FRWM"), f"{name}: not FRWM", run)
            expect(image.read_bytes()[512:516] == b"MINE", f"{name}: not in the image", run)


def test_boot_order_chooses_what_boots():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        disks = ["-fda", boot_image(path / "floppy.img", "F", 1474560), "-hda", boot_image(path / "disk.img", "D", 1 << 20), "-snapshot"]
        for boot, letter in (("a", "F"), ("c", "D"), ("order=ca", "D"), ("order=ac", "F"), ("order=c,once=a", "F"), ("n", "F")):
            text, run = booted([*disks, "-boot", boot])
            if boot != "n":
                expect(text.endswith(letter), f"-boot {boot}: not {letter}", run)


def test_boot_once_holds_until_the_reset():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        disks = ["-fda", boot_image(path / "floppy.img", "F", 1474560, resets=1), "-hda", boot_image(path / "disk.img", "D", 1 << 20)]
        for boot in ("once=a", "order=c,once=a", "order=cd,once=ad"):
            text, run = booted([*disks, "-boot", boot])
            expect(text.endswith("FD"), f"-boot {boot}: not the floppy, then the disk", run)


def test_boot_menu_asks_and_then_boots():
    with tempfile.TemporaryDirectory() as folder:
        floppy = boot_image(pathlib.Path(folder) / "floppy.img", "F", 1474560)
        quick, run = booted(["-fda", floppy, "-boot", "a"])
        asked, menu = booted(["-fda", floppy, "-boot", "menu=on,splash-time=3000"])
        expect(quick.endswith("F") and asked.endswith("F"), "the floppy did not boot", menu)
        expect(menu.seconds > 3, f"the menu did not wait: {menu.seconds:.1f} s, {run.seconds:.1f} s without it", menu)
