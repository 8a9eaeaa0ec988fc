import assert from "node:assert/strict";
import type { Cgroup } from "../../../core/cgroup/cgroup.ts";
import { v1 } from "../../../core/cgroup/v1.ts";
import type { Trigger } from "../../../core/cgroup/version.ts";
import { EPOLLIN, openEpoll } from "../../../core/kernel/epoll.ts";
import { openEventfd, signalEventfd } from "../../../core/kernel/fd.ts";
import { libc } from "../../../core/kernel/libc.ts";
import { arm, mayShareEventfd, TriggerEventfd } from "../../../core/watch/triggers.ts";
import { makeDirectory } from "../../helpers/directory.ts";

// Loads the library before the tests: it stays loaded, which within a test would count as a leak.
libc();

const OOM: Trigger = { kind: "eventfd", event: "oom", file: "memory.oom_control", argument: "" };
const [FIRST, SECOND] = [7, 8];

/** A directory with the files that arming opens. The kernel's side is tested in tests/kernel. */
function makeCgroup(dir: string): Cgroup {
  for (const name of [OOM.file, "cgroup.event_control"]) {
    Deno.writeTextFileSync(`${dir}/${name}`, "");
  }
  const hierarchy = { version: v1, mount: dir, root: "/", kernel: true, writable: true };
  const rest = { device: 0, nested: [], hybrid: false, hidden: false, shifted: false };
  return { hierarchy: { ...hierarchy, ...rest }, path: "/", dir, inode: 1 };
}

Deno.test("an armed eventfd notifies until it is disarmed", () => {
  using directory = makeDirectory();
  using epoll = openEpoll();
  const { fd, disarm } = arm(makeCgroup(directory.path), OOM, FIRST, { epoll, inotify: undefined });
  assert.match(
    Deno.readTextFileSync(`${directory.path}/cgroup.event_control`),
    new RegExp(`^${fd!.number} \\d+ `),
  );
  signalEventfd(fd!);
  assert.deepEqual(epoll.block(0).events.map(({ token }) => token), [FIRST]);
  disarm();
  assert.deepEqual(epoll.block(0).events, []);
});

Deno.test("disarming twice does not affect the file that has the descriptor's number by then", () => {
  using directory = makeDirectory();
  using epoll = openEpoll();
  const { fd, disarm } = arm(makeCgroup(directory.path), OOM, FIRST, { epoll, inotify: undefined });
  disarm();
  using other = openEventfd();
  assert.equal(other.number, fd!.number);
  epoll.add(other, EPOLLIN, SECOND);
  disarm();
  signalEventfd(other);
  assert.deepEqual(epoll.block(0).events.map(({ token }) => token), [SECOND]);
});

Deno.test("an eventfd that is disarmed while it is being registered is closed only afterwards", async () => {
  using directory = makeDirectory();
  using epoll = openEpoll();
  const cgroup = makeCgroup(directory.path);
  const eventfd = new TriggerEventfd(cgroup, FIRST, epoll);
  const registered = eventfd.register([OOM], () => true, (error) => assert.fail(String(error)));
  eventfd.disarm();
  using other = openEventfd();
  await registered;
  const control = Deno.readTextFileSync(`${directory.path}/cgroup.event_control`);
  // Otherwise the kernel would register the other one.
  assert.notEqual(Number(control.split(" ")[0]), other.number);
  using after = openEventfd();
  assert.equal(Number(control.split(" ")[0]), after.number);
});

Deno.test("one eventfd for several thresholds is left to kernels that do not crash when it is closed", () => {
  const releases = ["3.10.0-1160.el7", "4.18.0-553.el8_10", "5.5.19", "5.6.0", "5.10.0-28-amd64"];
  assert.deepEqual(releases.map(mayShareEventfd), [false, false, false, true, true]);
  assert.ok(mayShareEventfd("6.18.44"));
});
