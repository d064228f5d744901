#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the packages of packages.txt that are missing. Needs root or sudo only if something is.
# usage: install-packages.sh
set -eu
. "$(dirname "$0")/recipe.sh"
takes 0 0 "$@"
cd "$(dirname "$0")/.."
missing=()
for package in $(grep -v '^#' packages.txt); do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
sudo=
if [ "$(id -u)" != 0 ]; then
  sudo=$(command -v sudo) || { echo "install-packages.sh: no root, no sudo; as root: apt-get install ${missing[*]}" >&2; exit 1; }
fi
echo "installing: ${missing[*]}" >&2
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
