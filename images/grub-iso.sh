#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A bootable CD: GRUB, a kernel and an initramfs, console on ttyS0. usage: grub-iso.sh OUT.iso VMLINUZ INITRAMFS [APPEND]
set -eu
iso=${1:?usage: grub-iso.sh OUT.iso VMLINUZ INITRAMFS [APPEND]}; vmlinuz=$2; initramfs=$3; append=${4:-console=ttyS0}
root=$(mktemp -d); trap 'rm -rf "$root"' EXIT
mkdir -p "$root/boot/grub"
cp "$vmlinuz" "$root/boot/vmlinuz"; cp "$initramfs" "$root/boot/initrd.gz"
cat >"$root/boot/grub/grub.cfg" <<G
serial --unit=0 --speed=115200
terminal_output console serial
set timeout=0
menuentry "Linux" { linux /boot/vmlinuz $append
  initrd /boot/initrd.gz
}
G
grub-mkrescue -d /usr/lib/grub/i386-pc -o "$iso" "$root" >/dev/null 2>&1
echo "$iso"
