#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the C++ sources have the one format of .clang-format; tables stand between `clang-format off` and `on`.

usage: format.py [--apply] [FILE...]    (all of them, if none is named)

Exit status 1 and one line a fault; 77, as ctest knows a skipped test, where there is no clang-format of the version whose
output this is: others break lines elsewhere.
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERSION = "14"  # Debian 12's

arguments = sys.argv[1:]
apply = "--apply" in arguments
tool = shutil.which(f"clang-format-{VERSION}") or shutil.which("clang-format")
said = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout if tool else ""
if not re.search(rf"version {VERSION}\.", said):
    print(f"format: skipped, clang-format {VERSION} is not here")
    sys.exit(77)
files = [a for a in arguments if a != "--apply"]
if not files:
    files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("[!.]*/**/*")
                   if path.suffix in (".h", ".cpp") and not path.relative_to(ROOT).parts[0].startswith("build"))
faults = []
for start in range(0, len(files), 50):
    mode = ["-i"] if apply else ["--dry-run", "--ferror-limit=1"]
    run = subprocess.run([tool, "--style=file", *mode, *files[start:start + 50]], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    faults += re.findall(r"^([^\s:]+:\d+):\d+: warning: code should be clang-formatted", run.stderr, re.M)
for fault in sorted(set(faults)):
    print(f"{fault}: not formatted; tests/format.py --apply")
print(f"{len(faults)} faults" if faults else f"format: {len(files)} files")
sys.exit(bool(faults))
