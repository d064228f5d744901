#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A busybox initramfs with the kernel's virtio modules (balloon included): mounts proc, sys and dev, loads them, asks for an
# address by DHCP, prints "SHADOWBOX READY name=..." and does what the kernel command line says:
#   job=count   prints a line a second and touches memory slowly (the demo)
#   job=script  runs /job.sh, which an archive appended to this one brings, and powers off
#   job=off     powers off
#   job=hvc     says so on the virtio console, reads a line there, answers with it, powers off
#   (nothing)   a shell on the console
# usage: initramfs.sh OUT KERNEL_DIR     (KERNEL_DIR as made by kernel.sh: OUT/cloud); writes OUT/initramfs.gz and prints its path
set -eu
. "$(dirname "$0")/recipe.sh"
takes 2 2 "$@"
out=$1; kernel=$2
needs busybox:busybox-static cpio:cpio depmod:kmod modprobe:kmod gzip:gzip awk:mawk
[ -d "$kernel/lib/modules" ] || { echo "initramfs.sh: $kernel is no directory of kernel.sh (no lib/modules in it)" >&2; exit 2; }
mkdir -p "$out"
root=$(mktemp -d); trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,proc,sys,dev,tmp,etc,modules}
cp "$(command -v busybox)" "$root/bin/busybox"
version=$(basename "$kernel"/lib/modules/*)
depmod -b "$kernel" "$version" 2>/dev/null || true
order=
for module in virtio_pci virtio_blk virtio_net virtio_balloon virtio-rng virtio_console ata_piix sd_mod button evdev; do
  for file in $(modprobe -d "$kernel" -S "$version" --show-depends $module 2>/dev/null | awk '/^insmod/{print $2}'); do
    name=$(basename "$file" .ko)
    case " $order " in *" $name "*) ;; *) cp "$file" "$root/modules/$name.ko"; order="$order $name" ;; esac
  done
done
cat >"$root/init" <<I
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in $order; do insmod /modules/\$m.ko 2>/dev/null; done
ip link set lo up
if ip link set eth0 up 2>/dev/null; then udhcpc -q -n -t 3 -s /etc/udhcpc.sh -i eth0 >/dev/null 2>&1; fi
address=\$(ip -4 addr show eth0 2>/dev/null | awk '/inet /{print \$2}')
echo "SHADOWBOX READY name=\$(sed -n 's/.*name=\([^ ]*\).*/\1/p' /proc/cmdline) cpus=\$(nproc) address=\${address:-none} modules=\$(cat /proc/modules | wc -l)"
# The power button (Ctrl-C, SIGTERM, system_powerdown outside) is an input device.
for e in /sys/class/input/event*; do
  if [ "\$(cat \$e/device/name 2>/dev/null)" = "Power Button" ]; then (head -c 1 /dev/input/\$(basename \$e) >/dev/null && poweroff -f) & fi
done
case \$(cat /proc/cmdline) in
  *job=count*) n=0; while :; do n=\$((n+1)); echo "tick \$n, \$(awk '/MemFree/{print \$2}' /proc/meminfo) KiB free"; dd if=/dev/urandom of=/tmp/f\$((n % 40)) bs=64k count=4 2>/dev/null; sleep 1; done ;;
  *job=script*) /job.sh; poweroff -f ;;
  *job=off*) poweroff -f ;;
  *job=hvc*) echo "SHADOWBOX HVC READY" >/dev/hvc0; read -r line </dev/hvc0; echo "HVC GOT \$line" >/dev/hvc0; sleep 1 ;;
  *) setsid cttyhack sh ;;
esac
poweroff -f
I
cat >"$root/etc/udhcpc.sh" <<'I'
#!/bin/busybox sh
case $1 in bound|renew) ip addr add "$ip/${mask:-24}" dev "$interface"; [ -n "$router" ] && ip route add default via "$router"; echo "nameserver ${dns%% *}" >/etc/resolv.conf ;; esac
I
chmod +x "$root/init" "$root/etc/udhcpc.sh"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -9) >"$out/initramfs.gz"
echo "$out/initramfs.gz"
