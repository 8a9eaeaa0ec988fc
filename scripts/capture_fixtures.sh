#!/bin/sh
# Writes down what this machine's kernel says about memory, as fixtures for the parsers' tests:
#
#   scripts/capture_fixtures.sh [FOLDER]        (tests/fixtures; becomes FOLDER/<kernel>-<v1|v2>/)
#
# Needs root, cgroup v1 or v2 with the memory controller, and any sh, busybox's included. It makes cgroups of 20 MiB
# below its own, lets the kernel kill a few processes in them, and removes them however it ends. Paths that would tell
# where it ran become /oomkit-capture.
set -eu

out=${1:-$(dirname "$0")/../tests/fixtures}
limit=20971520
tmp=$(mktemp -d)
base='' self='' enabled='' holder=''

die() {
  echo "capture_fixtures: $1" >&2
  exit 2
}

# Ends what still runs in the cgroups, then removes them, innermost first.
clean() {
  trap '' INT TERM HUP
  [ -z "$base" ] || find "$base" -depth -type d -path "$base/oomkit-capture-$$*" |
    while read -r cgroup; do
      [ "$cgroup" != "$self" ] || continue
      tries=0
      until rmdir "$cgroup" 2>/dev/null || [ $tries -ge 50 ]; do
        while read -r pid; do kill -9 "$pid" 2>/dev/null || :; done <"$cgroup/cgroup.procs" || :
        tries=$((tries + 1))
        sleep 0.1
      done
    done
  [ -z "$enabled" ] || echo -memory >"$base/cgroup.subtree_control" || :
  if [ -n "$self" ]; then
    echo $$ >"$base/cgroup.procs"
    rmdir "$self"
  fi
  rm -rf "$tmp"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

[ "$(id -u)" = 0 ] || die "making cgroups needs root"

# The mount of the hierarchy that has the memory controller, and this process's own cgroup in it.
mount=$(awk '$(NF-2) == "cgroup" && $NF ~ /(^|,)memory(,|$)/ { print $5; exit }' /proc/self/mountinfo)
if [ -n "$mount" ]; then
  version=v1
  own=$(sed -n 's/^[0-9]*:\([^:]*,\)\{0,1\}memory\(,[^:]*\)\{0,1\}:\(.*\)/\3/p' /proc/$$/cgroup)
else
  version=v2
  mount=$(awk '$(NF-2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
  [ -n "$mount" ] || die "no cgroup hierarchy is mounted"
  grep -qw memory "$mount/cgroup.controllers" || die "$mount has no memory controller"
  own=$(sed -n 's/^0:://p' /proc/$$/cgroup)
fi
own=${own%/}
base=$mount$own
[ -d "$base" ] || die "own cgroup $own is not below $mount"
path=$own/oomkit-capture-$$
top=$mount$path
victim=$top/victim
out=$out/$(uname -r | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')-$version
rm -rf "$out"
mkdir -p "$out/proc"

# A v2 cgroup that hands controllers on may hold no process itself, except the root.
if [ $version = v2 ] && ! grep -qw memory "$base/cgroup.subtree_control"; then
  if [ -n "$own" ]; then
    self=$top-self
    mkdir "$self"
    echo $$ >"$self/cgroup.procs"
  fi
  echo +memory >"$base/cgroup.subtree_control" 2>/dev/null ||
    die "$own holds other processes: start this in a scope of its own (systemd-run --scope -p Delegate=yes)"
  enabled=yes
fi

limit_to() {
  if [ $version = v1 ]; then
    echo 1 >"$1/memory.use_hierarchy" 2>/dev/null || :
    echo "$2" >"$1/memory.limit_in_bytes"
    # Only where there is swap: at equal limits it is memsw that is hit, and memory.failcnt stays 0.
    [ "$(wc -l </proc/swaps)" = 1 ] || echo "$2" >"$1/memory.memsw.limit_in_bytes"
  else
    echo "$2" >"$1/memory.max"
    echo 0 >"$1/memory.swap.max" 2>/dev/null || :
    echo +memory >"$1/cgroup.subtree_control"
  fi
}

neutral() {
  sed -e "s|$path|/oomkit-capture|g" -e "s|$tmp|/tmp/oomkit-capture|g"
}

read_kmsg() {
  timeout 2 dd if=/dev/kmsg bs=8192 2>/dev/null || :
}

# The OOM killer's own lines that came after record $1, with their KEY=value lines and continuations.
oom_lines() {
  read_kmsg | awk -F, -v after="$1" '
    /^ / { if (keep) print; next }
    $2 <= after { next }
    keep && $4 ~ /^c/ { print; next }
    { keep = /invoked oom-killer:|(memory|swap|kmem): usage |oom-kill:|Killed process |oom_reaper: |Tasks? in / }
    keep { print }' | neutral
}

# oom FILE CGROUP SCRIPT: runs the script in the cgroup until the kernel ends it, and keeps what was logged.
oom() {
  before=$(read_kmsg | awk -F, '/^[0-9]/ { last = $2 } END { print last + 0 }')
  status=0
  # The braces silence the shell too, which tells of a killed child.
  { (echo 0 >"$2/cgroup.procs" && exec sh -c "$3"); } 2>/dev/null || status=$?
  [ $status = 137 ] || die "the process in $2 was to be killed, but ended with status $status"
  oom_lines "$before" >"$out/$1"
}

capture() {
  mkdir "$out/$2"
  for file in "$1"/memory.* "$1"/cgroup.events; do
    name=${file##*/}
    # Some can only be written, some need a device or a debug kernel.
    cat "$file" >"$out/$2/$name" 2>/dev/null || rm -f "$out/$2/$name"
  done
}

mkdir "$top"
limit_to "$top" $limit
mkdir "$victim"

# shellcheck disable=SC2016 # expanded by the shell in the cgroup
fill='x=$(tr "\0" x </dev/zero)'
oom kmsg "$victim" 'exec tail /dev/zero'
oom kmsg_hostile "$victim" "printf a,pid=9,uid=1 >/proc/self/comm; $fill"
oom kmsg_newline "$victim" "printf 'a)\\n\\134 \\303\\244 (b' >/proc/self/comm; $fill"

# Paths so long that the summary does not fit into one record.
name=$(printf %0240d 0 | tr 0 n)
deep=$top
for _ in 1 2 3 4; do
  [ $version = v1 ] || echo +memory >"$deep/cgroup.subtree_control"
  deep=$deep/$name
  mkdir "$deep"
done
limit_to "$top/$name" $((limit / 2))
oom kmsg_long "$deep" 'exec tail /dev/zero'

if [ $version = v2 ]; then
  mkdir "$top/group"
  echo $((limit / 2)) >"$top/group/memory.max"
  echo 1 >"$top/group/memory.oom.group"
  oom kmsg_group "$top/group" 'sleep 60 & sleep 60 & exec tail /dev/zero'
  capture "$top/group" group
fi

# A live process with a name that is hard to read, in a mount namespace with a mount that is, too.
cat >"$tmp/holder" <<'HOLDER'
mkdir "a b\\c#d"
# busybox takes a # in the source for a comment.
mount -t tmpfs 'so ur#ce' "a b\\c#d" 2>/dev/null || mount -t tmpfs 'so ur ce' "a b\\c#d"
echo 0 >"$VICTIM/cgroup.procs"
kept=$(head -c 4194304 /dev/zero | tr '\0' x)
trap : USR1
printf 'a) Z 1 (b\n\\c' >/proc/self/comm
echo >ready
read -r _ <hold
HOLDER
mkfifo "$tmp/hold" "$tmp/ready"
(cd "$tmp" && VICTIM=$victim exec unshare -m sh holder 'two words' '' last) &
holder=$!
read -r _ <"$tmp/ready"
proc=/proc/$holder
sed "/oomkit-capture/!s|^\([0-9]*:[^:]*:\).*|\1/|" $proc/cgroup | neutral >"$out/proc/cgroup"
grep -E ' - (cgroup2?|proc|tmpfs so)' $proc/mountinfo | neutral >"$out/proc/mountinfo"
for file in status stat limits cmdline; do cat $proc/$file >"$out/proc/$file"; done
cat /proc/meminfo >"$out/proc/meminfo"
mkdir "$out/proc/pressure"
cat /proc/pressure/memory >"$out/proc/pressure/memory" 2>/dev/null || rm -r "$out/proc/pressure"
uname -srm | sed 's/\([0-9]\)-[^ ]*/\1/' >"$out/uname"
capture "$top" limited
capture "$victim" victim
echo >"$tmp/hold"
wait "$holder" || :
echo "capture_fixtures: wrote $out"
