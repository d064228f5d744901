#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots real guests and checks what they print. Needs build/shadowbox and the images of tests/guest/prepare.sh.

usage: run.py [-j N] [-l] [NAME ...]     no name: all tests; N at a time (default: one a CPU, 4 at most); -l lists them
Exit status 1 if any failed; the last line is 'N passed, N failed' and, if any, 'N skipped'.
"""
import concurrent.futures
import os
import sys
import time

import test_boot
import test_debugger
import test_floppy
import test_front
import test_full_disk
import test_icount
import test_refusals
import test_screen
import test_terminal
from guests import Skip

MODULES = (test_boot, test_front, test_debugger, test_floppy, test_screen, test_icount, test_full_disk, test_refusals,
           test_terminal)


def run_one(name, function):
    start = time.monotonic()
    try:
        word, text = "ok  ", function() or ""
    except Skip as reason:
        word, text = "skip", str(reason)
    except Exception as fault:  # a test that breaks has failed, and the others go on
        word, text = "FAIL", f"{type(fault).__name__}: {fault}"
    print(f"{word} {name} ({time.monotonic() - start:.0f} s){': ' if text else ''}{text}", flush=True)
    return word.strip()


def main():
    tests = {name[5:]: function for module in MODULES for name, function in vars(module).items() if name.startswith("test_") and callable(function)}
    arguments, jobs = sys.argv[1:], min(4, os.cpu_count() or 1)
    if "-j" in arguments:
        at = arguments.index("-j")
        jobs = int(arguments[at + 1])
        del arguments[at:at + 2]
    if "-l" in arguments:
        print("\n".join(tests))
        return 0
    unknown = [name for name in arguments if name not in tests]
    if unknown:
        print(f"run.py: no test '{unknown[0]}'; -l lists them", file=sys.stderr)
        return 2
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        words = list(pool.map(lambda name: run_one(name, tests[name]), arguments or tests))
    skipped = f", {words.count('skip')} skipped" if "skip" in words else ""
    print(f"{words.count('ok')} passed, {words.count('FAIL')} failed{skipped} ({time.monotonic() - start:.0f} s)")
    return int("FAIL" in words)


if __name__ == "__main__":
    sys.exit(main())
