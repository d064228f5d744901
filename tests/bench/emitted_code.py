#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the host code that the JIT emits: host instructions and bytes per guest instruction.

Reads listings that `build/shadowbox -d in_asm,out_asm -D FILE ...` wrote and prints one row for each. Each translation counts
once, however often it ran. Cold code is its ways out, most of which are seldom taken, and lies apart. A loop that was laid down twice counts its guest
instructions once.

  build/shadowbox -d in_asm,out_asm -D boot.txt -m 512 -nographic -no-reboot -kernel K -initrd I -append 'console=ttyS0'
  tests/bench/emitted_code.py boot.txt
"""
import argparse
import re
import sys

HEAD = re.compile(r"^IN: vcpu \d+ rip 0x([0-9a-f]+) \[(\d+) instructions\]")
USER_END = 1 << 47
SIZE = re.compile(r"^(OUT|COLD): rip 0x[0-9a-f]+ \[size=(\d+)\]")


def count(path, user_only):
    """Translations, guest instructions, and of the host code by part (OUT, COLD) instructions and bytes."""
    translations = guest = 0
    host, size = {"OUT": 0, "COLD": 0}, {"OUT": 0, "COLD": 0}
    part, wanted = None, False
    with open(path, errors="replace") as listing:
        for line in listing:
            if head := HEAD.match(line):
                wanted = not user_only or int(head.group(1), 16) < USER_END
                guest += int(head.group(2)) if wanted else 0
                part = None
            elif (out := SIZE.match(line)) and wanted:
                part = out.group(1)
                translations += part == "OUT"
                size[part] += int(out.group(2))
            elif part and line.startswith("0x"):
                host[part] += 1
    return translations, guest, host, size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("listing", nargs="+", help="what -D wrote")
    parser.add_argument("--user", action="store_true", help="only code in the lower half of the address space")
    arguments = parser.parse_args()
    rows = []
    for path in arguments.listing:
        try:
            translations, guest, host, size = count(path, arguments.user)
        except OSError as error:
            print(f"emitted_code.py: {path}: {error.strerror}", file=sys.stderr)
            return 2
        if not guest:
            print(f"emitted_code.py: {path}: no translations; was it written by -d in_asm,out_asm?", file=sys.stderr)
            return 2
        per_guest = [f"{host[part] / guest:.2f} | {size[part] / guest:.1f}" for part in ("OUT", "COLD")]
        rows.append(f"| {path} | {translations} | {guest} | {' | '.join(per_guest)} |")
    print("| listing | translations | guest instructions | host instructions per guest instruction | bytes | cold: instructions | cold: bytes |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
