#!/bin/busybox sh
# Process 1 of the guest: lays out the machine, runs /guest/command, hands back its output and its exit code.
# /guest/settings says: cgroup (v2, v1 or hybrid), limit (seconds), disk (yes or no).
. /guest/settings

# pivot_root, which container runtimes use, refuses the kernel's first root: stand on a mount of it instead.
if [ "$1" != moved ]; then
  mount --bind / /mnt
  cd /mnt || exit 1
  mount --move . /
  exec chroot . /guest/init moved
fi

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/ttyS0 2>&1
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
ln -s /proc/self/fd /dev/fd
ip link set lo up
hostname guest
ulimit -c 0

v1_controllers() {
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  while read -r name hierarchy count enabled; do
    [ "$enabled" = 1 ] || continue
    mkdir "/sys/fs/cgroup/$name"
    mount -t cgroup -o "$name" "$name" "/sys/fs/cgroup/$name"
  done </proc/cgroups
  # As systemd does: before Linux 5.11 a limit does not apply to child cgroups otherwise.
  [ ! -e /sys/fs/cgroup/memory/memory.use_hierarchy ] ||
    echo 1 >/sys/fs/cgroup/memory/memory.use_hierarchy
}

case $cgroup in
  v2)
    mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
    for name in $(cat /sys/fs/cgroup/cgroup.controllers); do
      echo "+$name" >/sys/fs/cgroup/cgroup.subtree_control
    done
    ;;
  v1) v1_controllers ;;
  hybrid)
    v1_controllers
    mkdir /sys/fs/cgroup/unified
    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
    ;;
esac

if [ "$disk" = yes ]; then
  for module in /guest/modules/*; do insmod "$module"; done
  mount -t ext4 /dev/vda /disk && chmod 1777 /disk
fi

# The host ends the machine after the same time; this one is for a host that is gone.
(sleep "$limit" && echo late >/dev/ttyS3 && poweroff -f) &

for port in 1 2 3; do stty -F /dev/ttyS$port raw -echo; done
cd /root
/bin/sh /guest/command >/dev/ttyS1 2>/dev/ttyS2
code=$?

# A change of settings waits until everything written has left the port.
for port in 1 2; do stty -F /dev/ttyS$port raw; done
{
  echo "exit $code"
  tar -cf - -C /out .
} >/dev/ttyS3
stty -F /dev/ttyS3 raw
poweroff -f
