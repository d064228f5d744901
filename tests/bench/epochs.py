#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What exact access tracking costs a busy guest: guestbench without it and with an epoch every --period milliseconds, in turn.

An epoch a second costs less than runs differ, so the period is short: the loss over the epochs that ended is what one epoch costs, and
that many milliseconds out of a second is the last column. (An epoch that lasts a second finds more pages than a short one: `pages` says
how many an epoch of the period and one of a second found.) Exit status: 0; 1 where a guest did not finish; 2 for a wrong option.
"""
import argparse
import pathlib
import re
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/guest"))
from guests import BENCH, Machine, kernel  # noqa: E402

WORKLOADS = "qsort chase matmul memcpy syscall fork pagefault"


def run_once(options, period):
    """{workload: seconds}, {workload: pages of the epoch that ended last before its end}"""
    append = f'console=ttyS0 quiet bench="{options.workloads}" scale={options.scale}'
    seconds, pages, begun = {}, {}, {}
    with Machine(["-m", "512", "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel(), "-initrd", BENCH / "initramfs.gz",
                  "-append", append], monitor=True) as machine:
        if not machine.wait_for(rb"READY", 120):
            sys.exit(f"the guest did not come up{machine.story()}")
        if period:
            machine.command(f"epochs {period}")
        for name in options.workloads.split():
            for mark, times in (("BEGIN", begun), ("END", seconds)):
                if not machine.wait_for(rf"{mark} {name}\b".encode(), 600):
                    sys.exit(f"no {mark} {name}{machine.story()}")
                times[name] = time.monotonic()
            seconds[name] -= begun[name]
            if period and machine.process.poll() is None:
                try:
                    found = re.search(r"last\s+(\d+)", machine.command("info epochs"))
                    pages[name] = int(found[1]) if found else 0
                except OSError:  # the last workload, and the guest is off
                    pages[name] = 0
    return seconds, pages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--period", type=int, default=20, help="milliseconds from epoch to epoch (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of each kind, in turn; medians are printed (%(default)s)")
    parser.add_argument("--scale", default="5", help="as guestbench's (%(default)s)")
    parser.add_argument("--workloads", default=WORKLOADS, help="in guestbench's order (%(default)s)")
    options = parser.parse_args()
    plain, tracked = [], []
    for run in range(options.runs):
        for kind, period in ((plain, 0), (tracked, options.period)) if run % 2 == 0 else ((tracked, options.period), (plain, 0)):
            kind.append(run_once(options, period))
    _, slow_pages = run_once(options, 1000)
    print(f"{'workload':<12} {'plain s':>9} {'tracked s':>9} {'ratio':>7} {'pages':>15} {'ms an epoch':>12} {'% at 1/s':>9}")
    for name in options.workloads.split():
        before, after = (statistics.median(seconds[name] for seconds, _ in kind) for kind in (plain, tracked))
        epoch = (after - before) / (after * 1000 / options.period) * 1000
        pages = f"{statistics.median(pages[name] for _, pages in tracked):.0f} / {slow_pages[name]}"
        print(f"{name:<12} {before:9.3f} {after:9.3f} {after / before:7.3f} {pages:>15} {epoch:12.3f} {epoch / 10:9.2f}")


if __name__ == "__main__":
    main()
