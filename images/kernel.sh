#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Downloads a Debian kernel package and unpacks it, without installing it: OUT/KIND/boot/vmlinuz-*, OUT/KIND/lib/modules.
# usage: kernel.sh OUT [cloud|generic]      prints the path of vmlinuz
set -eu
out=${1:?usage: kernel.sh OUT [cloud|generic]}; kind=${2:-cloud}
case $kind in cloud) meta=linux-image-cloud-amd64 ;; generic) meta=linux-image-amd64 ;; *) echo "kernel.sh: unknown kind '$kind'" >&2; exit 2 ;; esac
dir=$out/$kind
if ! ls "$dir"/boot/vmlinuz-* >/dev/null 2>&1; then
  rm -rf "$dir"; mkdir -p "$dir/deb"
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  apt-cache show $meta >/dev/null 2>&1 || $sudo apt-get update -qq
  package=$(apt-cache depends $meta | awk '/Depends: linux-image/{print $2; exit}')
  (cd "$dir/deb" && apt-get download -qq "$package" >/dev/null)
  dpkg -x "$dir"/deb/*.deb "$dir"
  rm -rf "$dir/deb"
fi
ls "$dir"/boot/vmlinuz-*
