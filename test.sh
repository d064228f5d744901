#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and runs every test: units, layers, host-CPU comparison, small guests, real guests.
#   ./test.sh            all
#   ./test.sh --quick    without the real guests
#   ./test.sh --tsan     units and small guests under the thread sanitizer, in build-tsan
#   ./test.sh --asan     the same under the address and undefined-behaviour sanitizers, in build-asan
#   ./test.sh --tidy     clang-tidy's list (.clang-tidy) over all sources of the product: minutes
set -eu
cd "$(dirname "$0")"
images/install-packages.sh
jobs=$(nproc)

# build_in DIRECTORY [cmake option...]: the log is DIRECTORY.log.
build_in() {
    echo "building (log: $1.log)"
    cmake -S . -B "$1" -G Ninja -DCMAKE_BUILD_TYPE=Release "${@:2}" >"$1.log" 2>&1 || { tail -20 "$1.log"; exit 1; }
    cmake --build "$1" -j "$jobs" >>"$1.log" 2>&1 || { grep -E 'error|FAILED' "$1.log" | head -30; exit 1; }
}
# sanitized DIRECTORY OPTION: coverage of rows is the plain build's business.
sanitized() {
    build_in "$1" "-D$2=ON"
    export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 ${TSAN_OPTIONS:-}"
    export UBSAN_OPTIONS="print_stacktrace=1 ${UBSAN_OPTIONS:-}"
    exec ctest --test-dir "$1" --output-on-failure -j "$jobs" -E row_coverage
}

case "${1:-}" in
    --tsan) sanitized build-tsan SHADOWBOX_TSAN ;;
    --asan) sanitized build-asan SHADOWBOX_ASAN ;;
    --tidy)
        build_in build  # generated headers and compile_commands.json
        exec run-clang-tidy -quiet -p build -j "$jobs" "$PWD/(core|mmu|cpu|devices|bios|vmm|ui)/" ;;
esac
build_in build
ctest --test-dir build --output-on-failure -j "$jobs"
[ "${1:-}" = --quick ] && exit 0
echo "making guest images (kept in build/images)"
tests/guest/prepare.sh build/images
exec python3 tests/guest/run.py
