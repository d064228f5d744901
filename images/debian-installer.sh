#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The kernel and initrd of Debian's network installer (text), out of Debian's own package of them, which is downloaded and not installed.
# usage: debian-installer.sh OUT      writes OUT/linux and OUT/initrd.gz, prints OUT
set -eu
out=${1:?usage: debian-installer.sh OUT}
package=debian-installer-12-netboot-amd64
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
apt-cache show $package >/dev/null 2>&1 || $sudo apt-get update -qq
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
(cd "$work" && apt-get download -qq $package >/dev/null 2>"$work/log") || { cat "$work/log" >&2; exit 1; }
mkdir -p "$out"
for file in linux initrd.gz; do
  dpkg --fsys-tarfile "$work"/*.deb | tar -xO "./usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/$file" >"$out/$file.part"
  mv "$out/$file.part" "$out/$file"
done
echo "$out"
