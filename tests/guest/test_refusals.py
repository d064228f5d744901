# SPDX-License-Identifier: MIT
"""What cannot work is refused: one clear line on stderr, exit status 2, nothing on stdout, no file touched."""
import hashlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from guests import SHADOWBOX, Skip, expect, kernel

MIB = 1 << 20


def hashes(folder):
    return {path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()}


def refused(arguments, *words, prefix=(), cwd=None):
    """`words` must be in the line."""
    command = [*prefix, SHADOWBOX, *map(str, arguments)] if prefix else [SHADOWBOX, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=cwd)
    told = f"{' '.join(command)}: status {run.returncode}, stdout {run.stdout!r}, stderr {run.stderr!r}"
    expect(run.returncode == 2, f"exit status is not 2: {told}")
    expect(run.stdout == "" and run.stderr.count("\n") == 1 and run.stderr.startswith("shadowbox: "), f"not one line on stderr: {told}")
    expect(len(run.stderr) < 240, f"a long line: {told}")
    for word in words:
        expect(word in run.stderr, f"'{word}' is missing: {told}")
    return run.stderr


class Folder:
    """A folder of images, good and bad, which nothing may change."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.temporary.name)
        for name, size in (("good.img", MIB), ("empty.img", 0), ("cut.img", 1000), ("cut.iso", 33 * 2048)):
            with open(self.path / name, "wb") as file:
                file.truncate(size)
        with open(self.path / "cut.iso", "r+b") as file:  # a volume of 1000 blocks, 33 of which are there
            file.seek(32768)
            file.write(b"\1CD001\1")
            file.seek(32768 + 80)
            file.write((1000).to_bytes(4, "little"))
        (self.path / "disk.qcow2").write_bytes(b"QFI\xfb" + bytes(1020))
        (self.path / "folder").mkdir()
        self.before = hashes(self.path)
        return self.path

    def __exit__(self, kind, *_):
        after = hashes(self.path)
        self.temporary.cleanup()
        if kind is None:
            expect(after == self.before, f"files changed: {self.before} -> {after}")


def test_bad_images_are_refused():
    with Folder() as folder:
        for option in ((), ("-hda",), ("-cdrom",), ("-fda",)):
            refused([*option, folder / "missing.img"], "missing.img", "does not exist")
            refused([*option, folder / "empty.img"], "empty.img", "empty")
            refused([*option, folder / "folder"], "folder", "is a directory")
        refused([folder / "cut.img"], "cut.img", "cut off", "1000")
        refused(["-cdrom", folder / "cut.iso"], "cut.iso", "cut off")
        refused([folder / "disk.qcow2"], "qcow2", "qemu-img")
        refused(["-kernel", folder / "missing"], "kernel", "does not exist")
        refused(["-kernel", folder / "empty.img"], "kernel", "empty")
        refused(["-kernel", folder / "good.img"], "neither a bzImage")
        refused(["-kernel", kernel(), "-initrd", folder / "missing"], "initrd", "does not exist")
        refused(["-initrd", folder / "good.img"], "-kernel")
        refused(["-bios", folder / "missing"], "firmware", "does not exist")
        refused(["-bios", folder / "cut.img"], "64 KiB")


def test_unreadable_images_are_refused():
    """as a user who may not: root may read everything"""
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else ()
    with Folder() as folder:
        if prefix:
            os.chmod(folder, 0o755)
            can_run = subprocess.run([*prefix, SHADOWBOX, "--version"], capture_output=True)
            if can_run.returncode:
                raise Skip(f"user 65534 cannot run {SHADOWBOX}")
        os.chmod(folder / "good.img", 0o000)
        refused([folder / "good.img"], "good.img", "cannot be read", "ermission", prefix=prefix)
        refused(["-snapshot", folder / "good.img"], "good.img", "cannot be read", prefix=prefix)
        refused(["-kernel", folder / "good.img"], "kernel", "cannot be read", prefix=prefix)
        os.chmod(folder / "good.img", 0o444)
        refused([folder / "good.img"], "good.img", "cannot be written", "-snapshot", prefix=prefix)
        os.chmod(folder / "good.img", 0o644 if prefix else 0o444)


def test_a_writable_image_belongs_to_one_machine():
    with Folder() as folder:
        image = folder / "good.img"
        refused(["-hda", image, "-hdb", image], "good.img", "used twice", "-snapshot")
        refused([image, image], "good.img", "used twice", "-snapshot")
        shutil.copy(image, folder.parent / (folder.name + ".img"))
        other = folder.parent / (folder.name + ".img")  # its time stamp may change, unlike those in the folder
        try:
            first = subprocess.Popen([SHADOWBOX, "-S", "-display", "none", "-serial", "none", "-monitor", "none", other], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                wait_until_locked(other)
                refused(["-display", "none", other], "in use", "-snapshot")
            finally:
                first.kill()
                first.wait()
                first.stderr.close()
        finally:
            other.unlink()


def wait_until_locked(path):
    inode = f":{path.stat().st_ino} "
    for _ in range(600):
        if inode in pathlib.Path("/proc/locks").read_text():
            return
        time.sleep(0.05)
    raise AssertionError("the first machine takes no lock")


def test_bad_options_are_refused():
    with Folder() as folder:
        image = folder / "good.img"
        refused([], "nothing to run")
        refused(["--nographics", image], "--nographics", "did you mean -nographic")
        refused(["-frobnicate", image], "unknown option", "-frobnicate")
        refused(["-m", "0", image], "-m", "at least 1 MiB")
        refused(["-m", "99T", image], "-m", "99T", "at most")
        refused(["-m", "12cows", image], "-m", "12cows")
        refused(["-m"], "-m", "needs a value")
        refused(["-smp", "0", image], "-smp", "1 to 64")
        refused(["-smp", "65", image], "-smp", "1 to 64")
        refused(["-m", "1G", "--pool", "512M", image], "pool", "raise --pool or lower -m")
        refused(["-drive", f"file={image},if=scsi"], "-drive", "scsi")
        refused(["-drive", f"file={image},format=qcow2"], "-drive", "raw")
        refused(["-nic", "user,hostfwd=tcp::99999-:22", image], "-nic", "99999")
        refused(["-boot", "z", image], "-boot")
        refused(["-display", "vnc", image], "-display", "vnc")
        refused(["-serial", "file:/nonexistent/log", "-display", "none", image], "/nonexistent/log")


def test_bad_toml_is_refused_with_its_line():
    with Folder() as folder:
        def toml(text, *words):
            with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                file.write(text)
                file.flush()
                refused([file.name], *words)
        good = f'[[vm]]\ndisks = ["{folder}/good.img"]\n'
        toml('[[vm]]\nname = "a\n', ".toml:2:")
        toml(good + 'memroy = "1G"\n', "memroy", ":3:")
        toml(good + 'memory = "99T"\n', "memory", ":3:")
        toml(good + "memory = true\n", "memory", ":3:")
        toml("[host]\npool = \"lots\"\n" + good, "pool", ":2:")
        toml("[hots]\n" + good, "hots", ":1:")
        toml("", "no")
        toml(f'[[vm]]\ndisks = ["{folder}/missing.img"]\n', "missing.img", "does not exist")
        refused([folder / "missing.toml"], "missing.toml", "does not exist")


def test_help_fits_a_terminal():
    """80 columns; --version is what scripts look for"""
    text = subprocess.run([SHADOWBOX, "--help"], capture_output=True, text=True, check=True).stdout
    wide = [line for line in text.splitlines() if len(line) > 80]
    expect(not wide and "-kernel FILE" in text, f"wider than 80 columns: {wide}")
    version = subprocess.run([SHADOWBOX, "--version"], capture_output=True, text=True, check=True).stdout
    expect(re.fullmatch(r"shadowbox version \d+\.\d+\n", version), version)


def test_missing_firmware_is_told():
    """in a mount namespace where SeaBIOS's folder is empty"""
    hide = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", 'mount -t tmpfs none /usr/share/seabios && exec "$@"', "sh"]
    if subprocess.run([*hide, "true"], capture_output=True).returncode:
        raise Skip("no mount namespace here")
    with Folder() as folder:
        refused(["-display", "none", folder / "good.img"], "no firmware", "install", "seabios", prefix=hide)


def test_ports_in_use_are_told():
    with Folder() as folder, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        machine = ["-display", "none", folder / "good.img"]
        refused(["-nic", f"user,hostfwd=tcp:127.0.0.1:{port}-:22", *machine], str(port), "in use")
        refused(["-serial", f"tcp:127.0.0.1:{port},server=on,wait=off", *machine], str(port), "in use")
        refused(["-monitor", f"tcp:127.0.0.1:{port},server=on,wait=off", *machine], str(port), "in use")
        refused(["-qmp", f"unix:{folder}/good.img,server=on,wait=off", *machine], "good.img")
