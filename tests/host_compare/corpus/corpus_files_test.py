#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bad corpus files get one line and exit status 2, a wrong result and a missing row status 1.

usage: corpus_files_test.py CORPUS_REPLAY CORPUS
"""
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

REPLAY, CORPUS = sys.argv[1], pathlib.Path(sys.argv[2])
HEADER = 28  # magic, version, start-state version, derivation, sections, checksum
COLUMNS = 3
NONE = "--entry", "0:4000000000"  # reads all entries, compares none
faults = []


def replay(data, *options):
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(data)
        file.flush()
        return subprocess.run([REPLAY, "--replay", file.name, *options], capture_output=True, text=True)


def check(what, done, status, said, on_stderr=True):
    text = done.stderr if on_stderr else done.stdout
    one_line = not on_stderr or text.count("\n") == 1
    if done.returncode != status or said not in text or not one_line:
        faults.append(f"{what}: status {done.returncode}, wanted {status} and '{said}': {text!r}")


def with_checksum(data):
    crc = zlib.crc32(data[HEADER:], zlib.crc32(data[:HEADER - 4]))
    return data[:HEADER - 4] + struct.pack("<I", crc) + data[HEADER:]


def columns_of_first_section(data):
    """(place of the size table, place of the first column, [(size, packed size)])."""
    at = HEADER + 2 + 16
    for _ in ("vendor", "CPU"):
        at += 1 + data[at]
    sizes = [struct.unpack_from("<II", data, at + 8 * n) for n in range(COLUMNS)]
    return at, at + 8 * COLUMNS, sizes


def with_column(data, number, change):
    """The corpus with one unpacked column changed and every checksum right again."""
    table, place, sizes = columns_of_first_section(data)
    for n in range(number):
        place += sizes[n][1]
    size, packed = sizes[number]
    column = bytearray(zlib.decompress(data[place:place + packed]))
    assert len(column) == size
    change(column)
    fresh = zlib.compress(bytes(column), 1)
    table_bytes = data[table:table + 8 * COLUMNS]
    table_bytes = (table_bytes[:8 * number] + struct.pack("<II", len(column), len(fresh)) +
                   table_bytes[8 * number + 8:])
    return with_checksum(data[:table] + table_bytes + data[table + 8 * COLUMNS:place] + fresh +
                         data[place + packed:])


def flip(column, at):
    column[at] ^= 0x10


data = CORPUS.read_bytes()
if len(data) > 3 << 20:
    faults.append(f"the corpus has {len(data)} bytes, more than 3 MiB")

check("no file", subprocess.run([REPLAY, "--replay", "/nonexistent/corpus"], capture_output=True, text=True), 2,
      "cannot open corpus")
check("an empty file", replay(b""), 2, "is not a corpus")
check("another file", replay(b"#!/bin/sh\n" * 100), 2, "is not a corpus")
check("a cut header", replay(data[:20]), 2, "is cut short")
for size in (HEADER, HEADER + 1, HEADER + 60, len(data) // 2, len(data) - 1):
    check(f"cut to {size} bytes", replay(data[:size]), 2, "is damaged or cut short")
check("bytes behind the end", replay(data + b"\0"), 2, "is damaged")
for at in (20, 24, HEADER, HEADER + 10, HEADER + 200, len(data) // 3, len(data) - 1):
    bad = bytearray(data)
    bad[at] ^= 1
    check(f"a bit at {at}", replay(bytes(bad)), 2, "is damaged")
newer = with_checksum(data[:8] + struct.pack("<I", 2) + data[12:])
check("a newer version", replay(newer), 2, "has version 2, this host_compare reads 1")
states = with_checksum(data[:12] + struct.pack("<I", 99) + data[16:])
check("other start states", replay(states), 2, "record it again")
derivation = with_checksum(data[:16] + struct.pack("<I", 0) + data[20:])
check("another derivation", replay(derivation), 2, "record it again")

# Checksums that fit, contents that do not.
check("a column cut short", replay(with_column(data, 1, lambda c: c.__delitem__(slice(-5, None))), *NONE), 2, "is damaged")
check("a column too long", replay(with_column(data, 2, lambda c: c.append(0)), *NONE), 2, "is damaged")
check("more entries than there are", replay(with_checksum(
    data[:HEADER + 14] + struct.pack("<I", struct.unpack_from("<I", data, HEADER + 14)[0] + 1) +
    data[HEADER + 18:]), *NONE), 2, "is damaged")

# A result that the CPU did not give: the first byte of the outcomes is the first entry's vector.
check("a wrong outcome", replay(with_column(data, 2, lambda c: flip(c, 0)), "--entry", "0:0"), 1,
      "DIFFERS (emulated != recorded): vector", on_stderr=False)
check("a wrong outcome's state", replay(with_column(data, 2, lambda c: flip(c, 0)), "--entry", "0:0"), 1,
      "start, native end, emulated end", on_stderr=False)
check("no DAA", replay(data, "--without", "daa"), 1, "without an entry; record again on a host that can: daa (27)",
      on_stderr=False)
check("one mnemonic", replay(data, "--name", "adc"), 0, "0 differ", on_stderr=False)

# Another vendor's section beside it: weighed under that vendor's list of rows left out.
table, place, sizes = columns_of_first_section(data)
section = data[HEADER:place + sum(packed for _, packed in sizes)]
other = bytearray(section)
other[1] &= ~4
other[19:31] = b"GenuineIntel"
both = with_checksum(data[:20] + struct.pack("<I", 2) + data[24:HEADER] + section + bytes(other))
check("two vendors", replay(both, "--name", "fcmovb"), 0, "section 1: real CPU, GenuineIntel", on_stderr=False)
if "0 compared" not in replay(both, "--name", "fcmovb").stdout.split("section 1")[1]:
    faults.append("FCMOVB of an Intel section is compared")

for fault in faults:
    print(fault)
sys.exit(1 if faults else 0)
