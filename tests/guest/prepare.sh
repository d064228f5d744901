#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the images that the guest tests boot, below OUT (build/images): what is there already is kept.
# usage: prepare.sh OUT
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/images/recipe.sh"
takes 1 1 "$@"
out=$1
mkdir -p "$out"; out=$(cd "$out" && pwd)
vmlinuz=$("$here/images/kernel.sh" "$out" cloud)
"$here/images/kernel.sh" "$out" generic >/dev/null
[ "$out/cloud-initramfs/initramfs.gz" -nt "$here/images/initramfs.sh" ] || "$here/images/initramfs.sh" "$out/cloud-initramfs" "$out/cloud" >/dev/null
[ -e "$out/guestbench/initramfs.gz" ] || "$here/tests/guest/guestbench/make-initramfs.sh" "$out/guestbench"
[ -e "$out/grub.iso" ] || "$here/images/grub-iso.sh" "$out/grub.iso" "$vmlinuz" "$out/cloud-initramfs/initramfs.gz" "console=ttyS0 quiet job=off name=cd" >/dev/null
[ -e "$out/installer/initrd.gz" ] || "$here/images/debian-installer.sh" "$out/installer" >/dev/null
[ -e "$out/debian.img" ] || "$here/images/debian-disk.sh" "$out/debian.img" >/dev/null
