#!/bin/sh
# Installs the oomkit executable from the files of a release:
#
#   sh install.sh [--sha256 DIGEST] [--dir DIRECTORY] BASE_URL
#
# The download is compared with --sha256, or else with SHA256SUMS of the same release. Only a digest from another source, such
# as your own configuration, also proves where the file is from.
set -eu

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

digest=
directory=/usr/local/bin
base=
while [ $# -gt 0 ]; do
  case $1 in
    --sha256) digest=${2:?--sha256 needs a digest}; shift 2 ;;
    --dir) directory=${2:?--dir needs a directory}; shift 2 ;;
    -*) fail "unknown option $1; known are --sha256 and --dir" ;;
    *) base=${1%/}; shift ;;
  esac
done
[ -n "$base" ] || fail "the URL of a release is missing; write: sh install.sh BASE_URL"

[ "$(uname -s)" = Linux ] || fail "oomkit is for Linux, this is $(uname -s)"
machine=$(uname -m)
case $machine in
  x86_64 | aarch64) ;;
  *) fail "there is no executable for $machine, only for x86_64 and aarch64" ;;
esac
name=oomkit-linux-$machine

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fetch() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --output "$work/$1" "$base/$1"
  elif command -v wget >/dev/null; then
    wget -q -O "$work/$1" "$base/$1"
  else
    fail "curl or wget is required"
  fi || fail "cannot download $base/$1"
}

if [ -z "$digest" ]; then
  fetch SHA256SUMS
  digest=$(awk -v name="$name" '$2 == name { print $1 }' "$work/SHA256SUMS")
  [ -n "$digest" ] || fail "SHA256SUMS of $base has no $name"
fi
fetch "$name"
echo "$digest  $work/$name" | sha256sum -c - >/dev/null 2>&1 ||
  fail "the checksum of $base/$name is $(sha256sum "$work/$name" | cut -d' ' -f1), not $digest: nothing is installed"

mkdir -p "$directory"
# First beside it and then renamed: a running guard keeps its file.
install -m 755 "$work/$name" "$directory/.oomkit.$$"
mv -f "$directory/.oomkit.$$" "$directory/oomkit"
"$directory/oomkit" --version
