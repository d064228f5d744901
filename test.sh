#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and runs every test: units, layers, host-CPU comparison, small guests, real guests.
#   ./test.sh            all
#   ./test.sh --quick    without the real guests
set -eu
cd "$(dirname "$0")"
images/install-packages.sh
jobs=$(nproc)
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release >build.log 2>&1 || { tail -20 build.log; exit 1; }
echo "building (log: build.log)"
cmake --build build -j "$jobs" >>build.log 2>&1 || { grep -E 'error|FAILED' build.log | head -30; exit 1; }
ctest --test-dir build --output-on-failure -j "$jobs"
[ "${1:-}" = --quick ] && exit 0
echo "making guest images (kept in build/images)"
tests/guest/prepare.sh build/images
exec python3 tests/guest/run.py
