#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Downloads a Debian kernel package and unpacks it, without installing it: OUT/KIND/boot/vmlinuz-*, OUT/KIND/lib/modules.
# usage: kernel.sh OUT [cloud|generic]      prints the path of vmlinuz
set -eu
. "$(dirname "$0")/recipe.sh"
takes 1 2 "$@"
out=$1; kind=${2:-cloud}
case $kind in cloud) meta=linux-image-cloud-amd64 ;; generic) meta=linux-image-amd64 ;; *) echo "kernel.sh: unknown kind '$kind'" >&2; exit 2 ;; esac
dir=$out/$kind
if ! ls "$dir"/boot/vmlinuz-* >/dev/null 2>&1; then
  knows $meta
  rm -rf "$dir"; mkdir -p "$dir/deb"
  package=$(apt-cache depends $meta | awk '/Depends: linux-image/{print $2; exit}')
  download "$package" "$dir/deb"
  dpkg -x "$dir"/deb/*.deb "$dir"
  rm -rf "$dir/deb"
fi
ls "$dir"/boot/vmlinuz-*
