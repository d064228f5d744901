#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what the house style promises: includes go downwards only, files stay small, every file has its SPDX line.

usage: layers.py [ROOT]    exit status 1 and one line a fault
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)

# A folder may include itself and these.
FOLDERS = {
    "core": "",
    "mmu": "core",
    "cpu": "core mmu",
    "devices": "core mmu",
    "bios": "core mmu",
    "vmm": "core mmu cpu devices bios",
    "ui": "core mmu cpu devices bios vmm",
}
# Within a folder, room by room: what its headers may include (only rooms that stand above it in this table, so headers
# never go round in circles), then what its sources may include beside that.
ROOMS = {
    "cpu/decode": ("", "state opcodes blocks ops"),
    "cpu/state": ("decode", "apic access events blocks ops jit"),
    "cpu/access": ("state", "apic events blocks"),
    "cpu/apic": ("", "state"),
    "cpu/events": ("state", "access apic ops"),
    "cpu/blocks": ("decode state", "apic events ops jit"),
    "cpu/ops": ("decode state access events blocks", "apic"),
    "cpu/opcodes": ("decode state", "ops"),
    "cpu/jit": ("decode state blocks", "events ops"),
    "devices/bus": ("", ""),
    "devices/interrupts": ("bus", ""),
    "devices/timers": ("bus", ""),
    "devices/serial": ("bus", ""),
    "devices/chipset": ("bus interrupts", "timers"),
    "devices/input": ("bus serial chipset", ""),
    "devices/storage": ("bus chipset", ""),
    "devices/display": ("bus", ""),
    "devices/virtio": ("bus serial storage", ""),
    "vmm/config": ("", ""),
    "vmm/journal": ("", ""),
    "vmm/disks": ("config", ""),
    "vmm/lines": ("config journal", ""),
    "vmm/network": ("config journal", ""),
    "vmm/screen": ("", ""),
    "vmm/boot": ("", "machine"),
    "vmm/machine": ("config journal disks boot", "network screen"),
    "vmm/memory": ("machine", ""),
    "ui/control": ("", ""),
    "ui/monitor": ("control", "options display"),
    "ui/options": ("monitor", ""),
    "ui/display": ("", "control options"),
    "ui/session": ("control options", "monitor display"),
}
WITH_ROOMS = {room.split("/")[0] for room in ROOMS}
UI_ONLY = re.compile(r'#include\s+[<"](SDL|imgui)')
# GuestMemory's calls that may wait for a page; devices hold a lock that others want, and use try_read() and its like.
BLOCKING = re.compile(r"\bmemory(_|\(\))?(\.|->)(read|write|pin|wait_for)\(")
CEILING = 800

faults = []


def room_of(path):
    """cpu/ops for cpu/ops/sse/sse_move.cpp; None for a file that belongs to its folder alone, or whose folder has no rooms."""
    return "/".join(path.parts[:2]) if len(path.parts) > 2 and path.parts[0] in WITH_ROOMS else None


def check_include(name, number, target):
    folder, other = name.parts[0], target.parts[0]
    if other not in FOLDERS:
        return
    if other != folder:
        if other not in FOLDERS[folder].split():
            faults.append(f"{name}:{number}: {folder}/ may not include {other}/")
        return
    room, wanted = room_of(name), room_of(target)
    if room is None or wanted is None or room == wanted:
        return
    headers, sources = ROOMS[room]
    allowed = headers if name.suffix == ".h" else f"{headers} {sources}"
    if wanted.split("/")[1] not in allowed.split():
        kind = "a header of " if name.suffix == ".h" else ""
        faults.append(f"{name}:{number}: {kind}{room}/ may not include {wanted}/")


def check_table():
    order = list(ROOMS)
    for room, (headers, sources) in ROOMS.items():
        folder = room.split("/")[0]
        for other in f"{headers} {sources}".split():
            if f"{folder}/{other}" not in ROOMS:
                faults.append(f"layers.py: {room}: there is no room {folder}/{other}")
        for other in headers.split():
            if order.index(f"{folder}/{other}") >= order.index(room):
                faults.append(f"layers.py: {room}: its headers may include rooms above it only, not {other}")


check_table()
for folder in FOLDERS:
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix not in (".h", ".cpp", ".def"):
            continue
        lines = path.read_text().splitlines()
        name = path.relative_to(ROOT)
        if room_of(name) and room_of(name) not in ROOMS:
            faults.append(f"{name}: layers.py knows no room {room_of(name)}")
            continue
        if not lines or "SPDX-License-Identifier: MIT" not in lines[0]:
            faults.append(f"{name}: the first line is not the SPDX line")
        if path.suffix != ".def" and len(lines) > CEILING:
            faults.append(f"{name}: {len(lines)} lines, the ceiling is {CEILING}")
        for number, line in enumerate(lines, 1):
            m = re.match(r'\s*#include\s+"([a-z][^"]*/[^"]*)"', line)
            if m:
                check_include(name, number, pathlib.PurePath(m[1]))
            if folder == "devices" and BLOCKING.search(line):
                faults.append(f"{name}:{number}: a device may not wait for a guest page: try_read, try_write or try_pin")
            if folder != "ui" and UI_ONLY.match(line):
                faults.append(f"{name}:{number}: only ui/ includes SDL or ImGui")
for fault in faults:
    print(fault)
print(f"{len(faults)} faults" if faults else "layers: includes go downwards, files are small")
sys.exit(bool(faults))
