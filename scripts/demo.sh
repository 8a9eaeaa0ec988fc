#!/bin/sh
# The README's examples, on a real v2 kernel:
#     deno task compile && scripts/guest --cgroup v2 --add scripts/demo.sh=/demo.sh -- sh /demo.sh
export NO_COLOR=1
cd /sys/fs/cgroup || exit 2
pod=kubepods/burstable/pod3d6329e5-455f-11e9-a7e5-06925242d7ea
container=$pod/223d4795cc3b33e28e702f72e0497e1153c4a809de6b4363f27acc12a6781cdb
neighbour=$pod/9f1cb15c3b6be1d6a0a5b7d2f8f8d0b4c3f7c8e9a1b2c3d4e5f60718293a4b5c
for dir in kubepods kubepods/burstable "$pod"; do
  mkdir "$dir"
  echo +memory >"$dir/cgroup.subtree_control"
done
mkdir "$container" "$neighbour"
echo 64M >"$pod/memory.max"
echo 48M >"$container/memory.max"

# hold CGROUP BYTES: a process in CGROUP that keeps BYTES in memory.
hold() {
  (echo 0 >"$1/cgroup.procs" && head -c "$2" /dev/zero | tail -c "$2" | sleep 1000) &
}
hold "$neighbour" 26000000
hold "$container" 18000000
until [ "$(cat "$pod/memory.current")" -gt 44000000 ]; do sleep 0.1; done

/oomkit inspect 223d4795
/oomkit inspect --check --min-headroom 50% 223d4795
echo "exit $?"
/oomkit inspect --tree /kubepods
/oomkit watch -r '/kubepods/**' --until oom_kill 2>/tmp/armed &
watch=$!
until [ -s /tmp/armed ]; do sleep 0.1; done
cat /tmp/armed
(echo 0 >"$container/cgroup.procs" && exec tail /dev/zero)
wait $watch
/oomkit watch --limit 32M -- sh -c 'echo building; exec tail /dev/zero'
echo "exit $?"
/oomkit guard 223d4795 --policy process --explain >/tmp/guard 2>&1 &
guard=$!
until grep -q '^guarding' /tmp/guard; do sleep 0.1; done
(echo 0 >"$container/cgroup.procs" && exec tail /dev/zero)
until grep -q ' action ' /tmp/guard; do sleep 0.1; done
kill -INT $guard
wait $guard
echo "exit $?"
cat /tmp/guard
cat "$container/memory.events"
/oomkit simulate --mb 20 --rate 8M/s --plot
