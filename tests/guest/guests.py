# SPDX-License-Identifier: MIT
"""What the guest tests share: where images lie, how a guest is run to a line of its console."""
import os
import pathlib
import re
import select
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SHADOWBOX_BUILD", ROOT / "build"))
IMAGES = pathlib.Path(os.environ.get("SHADOWBOX_IMAGES", BUILD / "images"))
SHADOWBOX = str(BUILD / "shadowbox")


class Run:
    """One finished run: `output` as bytes, `status`, `errors` (stderr text), `seconds`."""

    def __init__(self, arguments, timeout, until=None, stdin=None):
        start = time.monotonic()
        self.arguments = [SHADOWBOX, *map(str, arguments)]
        process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.output, self.errors, self.timed_out, self.reached = b"", b"", False, until is None
        streams = {process.stdout: "output", process.stderr: "errors"}
        try:
            while streams:
                left = timeout - (time.monotonic() - start)
                if left <= 0:
                    self.timed_out = True
                    break
                for stream in select.select(list(streams), [], [], min(left, 1.0))[0]:
                    data = os.read(stream.fileno(), 65536)
                    if not data:
                        del streams[stream]
                        continue
                    name = streams[stream]
                    setattr(self, name, getattr(self, name) + data)
                if until and re.search(until, self.output):
                    self.reached = True
                    break
        finally:
            if process.poll() is None and (self.timed_out or until):
                os.killpg(process.pid, signal.SIGKILL)
            self.status = process.wait()
        self.seconds = time.monotonic() - start
        self.errors = self.errors.decode(errors="replace")

    def text(self):
        return self.output.decode(errors="replace").replace("\r", "")


def kernel(kind="cloud"):
    return next((IMAGES / kind / "boot").glob("vmlinuz-*"))


def checksums(text):
    return dict(re.findall(r"END (\w+) ([0-9a-f]{16})", text))
