# SPDX-License-Identifier: MIT
"""What the guest tests share: where images lie, a guest run to its end (Run) or looked at while it runs (Machine), and complaints."""
import gzip
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from screen import screen_text

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SHADOWBOX_BUILD", ROOT / "build"))
IMAGES = pathlib.Path(os.environ.get("SHADOWBOX_IMAGES", BUILD / "images"))
SHADOWBOX = str(BUILD / "shadowbox")
BENCH = IMAGES / "guestbench"
INITRAMFS = IMAGES / "cloud-initramfs/initramfs.gz"


class Skip(Exception):
    """This host cannot do it; the reason is printed."""


def kernel(kind="cloud"):
    return next((IMAGES / kind / "boot").glob("vmlinuz-*"))


def initramfs_with(folder, files):
    """The kernel unpacks archives one after the other: a second one brings these executables, /job.sh among them (job=script)."""
    for name, content in files.items():
        path = pathlib.Path(folder) / name
        path.write_bytes(content)
        path.chmod(0o755)
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input="".join(f"{name}\n" for name in files).encode(), cwd=folder,
                             capture_output=True, check=True).stdout
    whole = pathlib.Path(folder) / "initramfs.gz"
    whole.write_bytes(INITRAMFS.read_bytes() + gzip.compress(archive))
    return whole


def checksums(text):
    return dict(re.findall(r"END (\w+) ([0-9a-f]{16})", text))


def expect(condition, message, run=None):
    if not condition:
        raise AssertionError(message + (run.story() if run else ""))


class Machine:
    """A process with guests: `output` (bytes) and `errors` (text) of what it wrote so far. A context; killed where it is left."""

    def __init__(self, arguments, monitor=False, program=SHADOWBOX, **popen):
        self.folder = tempfile.mkdtemp(prefix="sbtest-")
        self.arguments = [str(program), *map(str, arguments)]
        if monitor:
            self.arguments += ["-monitor", f"unix:{self.folder}/monitor,server=on,wait=off"]
        self.output, self.raw_errors, self.start, self.seconds = b"", b"", time.monotonic(), 0.0
        self.process = subprocess.Popen(self.arguments, stdin=popen.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True, **popen)
        self.streams = {self.process.stdout: "output", self.process.stderr: "raw_errors"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        self.seconds = time.monotonic() - self.start
        shutil.rmtree(self.folder, ignore_errors=True)

    def pump(self, seconds):
        """Reads what comes within this time; at once what is there. False when both streams have ended."""
        for stream in select.select(list(self.streams), [], [], seconds)[0] if self.streams else []:
            data = os.read(stream.fileno(), 65536)
            if data:
                setattr(self, self.streams[stream], getattr(self, self.streams[stream]) + data)
            else:
                del self.streams[stream]
        return bool(self.streams)

    def wait_for(self, pattern, timeout):
        """True once `output` has the pattern."""
        end = time.monotonic() + timeout
        while not re.search(pattern, self.output):
            if time.monotonic() > end or not self.pump(0.5):
                return bool(re.search(pattern, self.output))
        return True

    def wait_end(self, timeout):
        """The exit status, or None if it still runs."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.pump(0.5):
            pass
        try:
            return self.process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None

    def command(self, line):
        """One monitor command; its answer."""
        with socket.socket(socket.AF_UNIX) as end:
            end.settimeout(60)
            end.connect(f"{self.folder}/monitor")
            answers = []
            for text in (None, line):
                if text:
                    end.sendall(text.encode() + b"\n")
                answer = b""
                while not answer.endswith(b"(shadowbox) "):
                    piece = end.recv(65536)
                    if not piece:
                        break
                    answer += piece
                answers.append(answer.decode(errors="replace"))
            return answers[1].removesuffix("(shadowbox) ")

    def screen(self):
        """The lines of the text screen, read from the picture that `screendump` makes."""
        file = f"{self.folder}/screen.png"
        answer = self.command(f"screendump {file}")
        if not os.path.exists(file):
            return [f"(no screen: {answer})"]
        return screen_text(pathlib.Path(file).read_bytes())

    def wait_for_screen(self, pattern, timeout):
        """The screen's text as soon as it has the pattern, or as it is after the time."""
        end = time.monotonic() + timeout
        while True:
            self.pump(0)
            try:
                text = "\n".join(self.screen())
            except OSError:  # not yet listening, or ended
                text = ""
            if re.search(pattern, text) or time.monotonic() > end or self.process.poll() is not None:
                return text
            time.sleep(1)

    @property
    def errors(self):
        return self.raw_errors.decode(errors="replace")

    def text(self):
        return self.output.decode(errors="replace").replace("\r", "")

    def story(self):
        return (f"\n--- {' '.join(self.arguments)}\n--- status {self.process.poll()}, {time.monotonic() - self.start:.1f} s\n"
                f"{self.text()[-1500:]}\n--- stderr\n{self.errors[-1500:]}")


class Run(Machine):
    """A run to its end, or until its output has `until`: `status` (None if the time was up), `reached`, `seconds`."""

    def __init__(self, arguments, timeout, until=None, **options):
        super().__init__(arguments, **options)
        with self:
            self.status = None
            self.reached = self.wait_for(until, timeout) if until else False
            if not until:
                self.status = self.wait_end(timeout)
