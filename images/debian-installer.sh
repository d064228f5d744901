#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The kernel and initrd of Debian's network installer (text), out of Debian's own package of them, which is downloaded and not installed.
# usage: debian-installer.sh OUT      writes OUT/linux and OUT/initrd.gz, prints OUT
# run: shadowbox -m 1G -kernel OUT/linux -initrd OUT/initrd.gz -append 'vga=normal fb=false'    (in a window)
#      shadowbox -m 1G -nographic -kernel OUT/linux -initrd OUT/initrd.gz -append console=ttyS0
set -eu
. "$(dirname "$0")/recipe.sh"
takes 1 1 "$@"
out=$1 package=debian-installer-12-netboot-amd64
knows $package
needs tar:tar
mkdir -p "$out"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
download $package "$work"
for file in linux initrd.gz; do
  dpkg --fsys-tarfile "$work"/*.deb | tar -xO "./usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/$file" >"$out/$file.part"
  mv "$out/$file.part" "$out/$file"
done
echo "$out"
