# SPDX-License-Identifier: MIT
# Sourced by the recipes of this folder: help, arguments, missing programs and downloads, each with one clear line when it fails.

# takes MIN MAX "$@": --help prints the recipe's head comment; another count of arguments, or an unknown option, its usage. Status 2.
takes() {
  local min=$1 max=$2 argument; shift 2
  case ${1:-} in -h | --help) sed -n '3,$ { /^#/! q; s/^# \{0,1\}//p }' "$0"; exit 0 ;; esac
  for argument; do
    case $argument in -?*) echo "${0##*/}: unknown option '$argument' (--help lists what there is)" >&2; exit 2 ;; esac
  done
  if [ $# -lt "$min" ] || [ $# -gt "$max" ]; then
    sed -n '3,$ { /^#/! q; s/^#.*usage: /usage: /p }' "$0" >&2
    exit 2
  fi
}

# needs PROGRAM:PACKAGE...: all that are missing at once, with the command that installs them. Looks into /sbin too.
needs() {
  local pair missing= packages=
  PATH=$PATH:/usr/sbin:/sbin
  for pair; do
    command -v "${pair%%:*}" >/dev/null || { missing="$missing ${pair%%:*}"; packages="$packages ${pair##*:}"; }
  done
  [ -z "$missing" ] && return
  echo "${0##*/}: not installed:$missing; as root: apt-get install$packages" >&2
  exit 1
}

# needs_file FILE:PACKAGE...: the same for files.
needs_file() {
  local pair
  for pair; do
    [ -e "${pair%%:*}" ] || { echo "${0##*/}: ${pair%%:*} is missing; as root: apt-get install ${pair##*:}" >&2; exit 1; }
  done
}

# knows PACKAGE: the host's package lists have it; they are fetched if not, which takes root or sudo.
knows() {
  needs apt-cache:apt apt-get:apt dpkg:dpkg
  apt-cache show "$1" >/dev/null 2>&1 && return
  local sudo=
  if [ "$(id -u)" != 0 ]; then
    sudo=$(command -v sudo) || { echo "${0##*/}: the package lists do not have $1; as root: apt-get update" >&2; exit 1; }
  fi
  $sudo apt-get update -qq >&2 || { echo "${0##*/}: apt-get update failed" >&2; exit 1; }
  apt-cache show "$1" >/dev/null 2>&1 || { echo "${0##*/}: the host's package sources have no $1 (Debian 12 has)" >&2; exit 1; }
}

# download PACKAGE DIRECTORY: its .deb, not installed.
download() {
  local log
  chmod 755 "$2"  # apt's own user reads it
  log=$(cd "$2" && apt-get download -qq "$1" 2>&1 >/dev/null) && return
  echo "${0##*/}: cannot download $1: $(printf '%s' "$log" | tail -1)" >&2
  exit 1
}
