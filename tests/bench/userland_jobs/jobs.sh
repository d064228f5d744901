#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs in the guest, started by userland.py over the serial line: the jobs named, each between the lines "BEGIN name" and "END name",
# then "SUM name checksum status" of what it wrote. Everything lies in /tmp/userland, a tmpfs; no job depends on time, place or randomness.
# usage: jobs.sh JOB...
cd "$(dirname "$0")" || exit 1
export LC_ALL=C PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PERL_HASH_SEED=0

job_python3() { python3 job.py; }
job_perl() { perl job.pl; }
job_gzip() { gzip -nc text; gzip -1 -nc text; }
job_gunzip() { for i in 1 2 3 4 5 6 7 8; do gzip -dc text.gz; done | tail -c 1000; }
job_xz() { head -c 2500000 text | xz -2 -c; }
job_sha256sum() { for i in 1 2 3 4 5 6 7 8; do cat text | sha256sum; done; }
job_gcc() { for i in 1 2; do gcc -O2 -DCOPY=$i -c guestbench.c -o gcc.o && cat gcc.o; done; }
job_sort() { for i in 1 2; do sort -k 2 -k 1,1 lines | cksum; sort -rn lines | cksum; done; }
job_awk() { for i in 1 2 3 4 5; do mawk -v k=$i '{ n[$2 % 997] += $1 * k; s = s + length($3) } END { for (i = 0; i < 997; i++) print i, n[i]; print s }' lines; done; }
job_sqlite3() { sqlite3 :memory: <job.sql; }
job_shell() { i=0; while [ $i -lt 250 ]; do /bin/true; i=$((i + $(expr 1))); done; echo $i; }
job_tar() { for i in 1 2 3 4 5 6; do tar -C /usr --sort=name --mtime=@0 --owner=0 --group=0 -cf - include lib/python3 | cksum; done; }

# Reads every program once, so that no job waits for the disk, and makes the files.
prepare() {
    python3 make_files.py
    gzip -nc text >text.gz
    find /usr/include /usr/lib/python3 /usr/lib/python3.11 /usr/lib/gcc -type f -exec cat {} + | cksum
    for job in python3 perl sqlite3; do $job --version >/dev/null; done
    cat /usr/bin/as /usr/bin/xz /usr/bin/sort /usr/bin/mawk /usr/bin/tar /bin/true | cksum
    gcc --version | head -1
}

for job in "$@"; do
    case $job in
    prepare) prepare; echo "PREPARED"; continue ;;
    esac
    echo "BEGIN $job"
    job_"$job" >out 2>&1
    status=$?
    echo "END $job"
    echo "SUM $job $(sha256sum <out | cut -c 1-16) $status"
done
