#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what the house style promises: includes go downwards only, files stay small, every file has its SPDX line.

usage: layers.py [ROOT]    exit status 1 and one line a fault
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
MAY_INCLUDE = {
    "core": {"core"},
    "mmu": {"core", "mmu"},
    "cpu": {"core", "mmu", "cpu"},
    "devices": {"core", "mmu", "devices"},
    "bios": {"core", "mmu", "bios"},
    "vmm": {"core", "mmu", "cpu", "devices", "bios", "vmm"},
    "ui": {"core", "mmu", "cpu", "devices", "bios", "vmm", "ui"},
}
UI_ONLY = re.compile(r'#include\s+[<"](SDL|imgui)')
CEILING = 800

faults = []
for folder, allowed in MAY_INCLUDE.items():
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix not in (".h", ".cpp", ".def"):
            continue
        lines = path.read_text().splitlines()
        name = path.relative_to(ROOT)
        if not lines or "SPDX-License-Identifier: MIT" not in lines[0]:
            faults.append(f"{name}: the first line is not the SPDX line")
        if path.suffix != ".def" and len(lines) > CEILING:
            faults.append(f"{name}: {len(lines)} lines, the ceiling is {CEILING}")
        for number, line in enumerate(lines, 1):
            m = re.match(r'\s*#include\s+"([a-z]+)/', line)
            if m and m[1] in MAY_INCLUDE and m[1] not in allowed:
                faults.append(f"{name}:{number}: {folder}/ may not include {m[1]}/")
            if folder != "ui" and UI_ONLY.match(line):
                faults.append(f"{name}:{number}: only ui/ includes SDL or ImGui")
for fault in faults:
    print(fault)
print(f"{len(faults)} faults" if faults else "layers: includes go downwards, files are small")
sys.exit(bool(faults))
