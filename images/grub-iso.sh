#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A bootable CD: GRUB, a kernel and an initramfs, console on ttyS0. Prints OUT.iso.
# usage: grub-iso.sh OUT.iso VMLINUZ INITRAMFS [APPEND]
set -eu
. "$(dirname "$0")/recipe.sh"
takes 3 4 "$@"
needs grub-mkrescue:grub-common xorriso:xorriso mformat:mtools
needs_file /usr/lib/grub/i386-pc/boot.img:grub-pc-bin
iso=$1; vmlinuz=$2; initramfs=$3; append=${4:-console=ttyS0}
root=$(mktemp -d); trap 'rm -rf "$root" "$root.log"' EXIT
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
grub-mkrescue -d /usr/lib/grub/i386-pc -o "$iso" "$root" >"$root.log" 2>&1 || { tail -5 "$root.log" >&2; exit 1; }
echo "$iso"
