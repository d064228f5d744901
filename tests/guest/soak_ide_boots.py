#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots the Debian disk from IDE again and again beside busy loops: no timer check of a guest may fail because its threads were kept off the CPU.

usage: soak_ide_boots.py [--boots 20] [--busy 4] [--seconds 1200]      needs build/shadowbox and build/images/debian.img
One line a boot; exit status 1 if any did not reach its login prompt. Not part of run.py: it takes the better part of an hour.
"""
import argparse
import subprocess
import sys

from guests import IMAGES, Run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--boots", type=int, default=20)
    parser.add_argument("--busy", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1200, help="for one boot")
    options = parser.parse_args()
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    reached = 0
    try:
        for number in range(1, options.boots + 1):
            run = Run(["-m", "512", "-nographic", "-no-reboot", "-snapshot", "-hda", IMAGES / "debian.img"], options.seconds, until=rb"login:")
            reached += run.reached
            print(f"boot {number}: {'login' if run.reached else 'NO LOGIN'} ({run.seconds:.0f} s){'' if run.reached else run.story()}", flush=True)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    print(f"{reached} of {options.boots} boots reached login")
    return int(reached < options.boots)


if __name__ == "__main__":
    sys.exit(main())
