#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Two unmodified Debian kernels at once, on a pool of machine pages smaller than the sum of their memories: in two windows where there is a
# display, else their consoles and a table of the pool in this terminal, until Ctrl-C.
set -eu
cd "$(dirname "$0")"
images/install-packages.sh
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DSHADOWBOX_TESTS=OFF >build.log 2>&1 || { tail -20 build.log; exit 1; }
echo "building (a few minutes the first time; log: build.log)"
cmake --build build -j "$(nproc)" >>build.log 2>&1 || { grep -E 'error|FAILED' build.log | head -30; exit 1; }
images=$PWD/build/images
vmlinuz=$(images/kernel.sh "$images" cloud)
[ "$images/cloud-initramfs/initramfs.gz" -nt images/initramfs.sh ] || images/initramfs.sh "$images/cloud-initramfs" "$images/cloud" >/dev/null
display=none; console=ttyS0
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then display=sdl; console="ttyS0 console=tty0"; fi
config=build/demo.toml
printf '[host]\npool = "320M"\n' >"$config"
for name in ada grace; do
  cat >>"$config" <<T

[[vm]]
name = "$name"
memory = "256M"
kernel = "$vmlinuz"
initrd = "$images/cloud-initramfs/initramfs.gz"
append = "console=$console quiet job=count name=$name"
serial = "stdio"
T
done
echo "two guests of 256 MiB on a pool of 320 MiB; Ctrl-C ends"
exec build/shadowbox -display $display --pool-table "$config"
