#!/bin/sh
# SPDX-License-Identifier: MIT
# coverage.sh BUILD [--write]: runs the asm guests and the cpu unit tests with row logging and checks (or rewrites) the table in
# tests/host_compare/README.md. Fails if a live row of opcodes.def has no test.
set -e
build=$1
here=$(dirname "$0")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
SB_ROW_LOG=$log "$build/tests/asm/asm_guests" > /dev/null
SB_ROW_LOG=$log "$build/tests/unit_cpu" > /dev/null
"$build/tests/host_compare/host_compare" --coverage "$log" "$here/README.md" ${2:-}
