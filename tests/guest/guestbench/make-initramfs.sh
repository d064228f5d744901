#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds OUT/guestbench (static) and OUT/initramfs.gz: busybox, guestbench, and an /init
# that mounts proc/sys/dev, prints READY, and then does what the kernel command line says:
#   bench="name name ..."  run those workloads, then power off
#   bench=all              run them all, then power off
#   scale=N                beside bench=: N times the work (ratios to the bare machine want 5 or more)
#   jobs=2                 beside bench=: a second, silent copy runs beside the first
# It prints READY and the number of CPUs online.
#   (nothing)              a shell on the console
# Needs: gcc, busybox-static, cpio.      usage: make-initramfs.sh OUT
set -eu
here=$(cd "$(dirname "$0")" && pwd); out=${1:?usage: make-initramfs.sh OUT}; mkdir -p "$out"
gcc -O2 -static -o "$out/guestbench" "$here/guestbench.c" -lm
root=$(mktemp -d); trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp"
cp "$(command -v busybox || echo /bin/busybox)" "$root/bin/busybox"; cp "$out/guestbench" "$root/bin/"
cat >"$root/init" <<'I'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
echo "CPUS $(nproc)"
echo READY
b=$(sed -n 's/.*bench="\([^"]*\)".*/\1/p; t; s/.*bench=\([^ ]*\).*/\1/p' /proc/cmdline)
case $(cat /proc/cmdline) in *jobs=2*) set -- second ;; esac
n=$(sed -n 's/.*scale=\([0-9]*\).*/\1/p' /proc/cmdline)
case $b in
  "") setsid cttyhack sh ;;
  all) [ $# = 0 ] || guestbench -s "${n:-1}" >/dev/null & guestbench -s "${n:-1}" ;;
  *) [ $# = 0 ] || guestbench -s "${n:-1}" $b >/dev/null & guestbench -s "${n:-1}" $b ;;
esac
echo DONE
poweroff -f
I
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -9) >"$out/initramfs.gz"
