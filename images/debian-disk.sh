#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A Debian 12 disk image (2 GiB raw, one ext4 partition, GRUB in the MBR gap) made by mmdebstrap: boots through SeaBIOS to a login prompt
# on the screen and on ttyS0, with systemd and an address from DHCP. root has no password. Needs no loop device.
# With --ssh an ssh server answers, and root's password is "shadowbox", on the console too:
#   shadowbox -nographic -nic user,hostfwd=tcp::2222-:22 OUT.img      ssh -p 2222 root@localhost
# usage: debian-disk.sh [--ssh] [--include PACKAGE,...] OUT.img    with more packages; set MIRROR to use another Debian mirror than the host's
set -eu
. "$(dirname "$0")/recipe.sh"
more=
password='sed -i "s|^root:[^:]*:|root::|" "$1/etc/shadow"'
while :; do
  case ${1:-} in
    --ssh) more=$more,openssh-server; shift
      password='echo root:shadowbox | chroot "$1" chpasswd; echo "PermitRootLogin yes" >"$1/etc/ssh/sshd_config.d/root.conf"' ;;
    --include) [ $# -ge 2 ] || break; more=$more,$2; shift 2 ;;
    *) break ;;
  esac
done
takes 1 1 "$@"
needs mmdebstrap:mmdebstrap sfdisk:fdisk mke2fs:e2fsprogs grub-mkimage:grub-common
needs_file /usr/lib/grub/i386-pc/boot.img:grub-pc-bin
img=$1
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
echo "debian-disk.sh: unpacking Debian packages (a few minutes)" >&2
mmdebstrap --mode=auto --variant=minbase --include=linux-image-amd64,systemd-sysv,systemd-resolved,udev,kmod,iproute2,login,passwd,dbus,ifupdown-$more \
  --aptopt='Apt::Install-Recommends "false"' \
  --customize-hook="$password" \
  --customize-hook='echo shadowbox >"$1/etc/hostname"' \
  --customize-hook='printf "/dev/root / ext4 defaults 0 1\n" >"$1/etc/fstab"' \
  --customize-hook='mkdir -p "$1/etc/systemd/network"; printf "[Match]\nName=e*\n[Network]\nDHCP=ipv4\n" >"$1/etc/systemd/network/20-wired.network"' \
  --customize-hook='chroot "$1" systemctl enable systemd-networkd serial-getty@ttyS0 >/dev/null' \
  --customize-hook='printf "\\\\n \\\\l address \\\\4\n\n" >"$1/etc/issue"' \
  --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/usr/share/doc/*' \
  bookworm "$work/root.tar" ${MIRROR:-} >&2 2>"$work/log" || { tail -5 "$work/log" >&2; exit 1; }
mkdir "$work/root"; tar -C "$work/root" -xf "$work/root.tar" --exclude=./dev/*
mkdir -p "$work/root/boot/grub/i386-pc"
cp /usr/lib/grub/i386-pc/*.mod /usr/lib/grub/i386-pc/*.lst "$work/root/boot/grub/i386-pc/"
kernel=$(basename "$work"/root/boot/vmlinuz-*)
uuid=5ad0b0c5-0000-4000-8000-0000000b0c55
sed -i "s|^/dev/root|UUID=$uuid|" "$work/root/etc/fstab"
cat >"$work/root/boot/grub/grub.cfg" <<G
serial --unit=0 --speed=115200
terminal_output console serial
set timeout=1
menuentry "Debian" { linux /boot/$kernel root=UUID=$uuid ro console=tty0 console=ttyS0
  initrd /boot/initrd.img-${kernel#vmlinuz-}
}
G
size=$((2 * 1024)); first=2048
truncate -s ${size}M "$img.part"
printf 'label: dos\nstart=%d, type=83, bootable\n' $first | sfdisk -q "$img.part"
mke2fs -q -t ext4 -U $uuid -E offset=$((first * 512)) -d "$work/root" "$img.part" $((size * 1024 - first / 2 - 64))k >/dev/null
grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$work/core.img" biosdisk part_msdos ext2 normal linux serial terminal configfile
dd if=/usr/lib/grub/i386-pc/boot.img of="$img.part" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$img.part" bs=512 seek=1 conv=notrunc status=none
mv "$img.part" "$img"
echo "$img"
