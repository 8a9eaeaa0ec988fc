/** Every source of a watch but the counters is optional: whichever of its steps fails, the watch goes on with the fallback. */

import assert from "node:assert/strict";
import { borrowFd, openFd, signalEventfd } from "../../core/kernel/fd.ts";
import { libc } from "../../core/kernel/libc.ts";
import type { WatchOptions } from "../../core/watch/options.ts";
import { watchTree } from "../core/watch/watched_tree.ts";
import { makeTree } from "../helpers/trees.ts";
import { inject, type Moment, type Wound } from "./injection.ts";
import { faultsAt } from "./kinds.ts";

const MIB = 1024 ** 2;
const COUNTS = {
  1: (kills: number) => `oom_kill_disable 0\nunder_oom 0\noom_kill ${kills}\n`,
  2: (kills: number) => `low 0\nhigh 0\nmax 0\noom ${kills}\noom_kill ${kills}\noom_group_kill 0\n`,
};
const FILES = {
  1: {
    "memory.usage_in_bytes": 20 * MIB,
    "memory.max_usage_in_bytes": 21 * MIB,
    "memory.limit_in_bytes": 64 * MIB,
    "memory.failcnt": 0,
    "memory.oom_control": COUNTS[1](3),
    "memory.pressure_level": "",
    "cgroup.event_control": "",
    "cgroup.procs": "",
  },
  2: {
    "memory.current": 20 * MIB,
    "memory.peak": 21 * MIB,
    "memory.max": 64 * MIB,
    "memory.events": COUNTS[2](3),
    "memory.events.local": COUNTS[2](3),
    "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
    "cgroup.events": "populated 1\nfrozen 0\n",
    "cgroup.procs": "",
  },
};
const COUNTER_FILES = {
  1: ["memory.oom_control"],
  2: ["memory.events.local", "memory.events"],
};

interface Step {
  readonly version: 1 | 2;
  /** A file of the machine, or of the target (`a/…`), or of its parent (`./…`). */
  readonly path: string;
  readonly moments: readonly Moment[];
  /** Of the `degraded` event; absent where only a detail is left out. */
  readonly requested?: string;
}

const STEPS: readonly Step[] = [
  {
    version: 2,
    path: "/dev/kmsg",
    moments: ["look", "open", "seek", "add", "read"],
    requested: "kernel log",
  },
  { version: 2, path: "epoll", moments: ["create"], requested: "notifications" },
  { version: 2, path: "eventfd", moments: ["create", "add"], requested: "notifications" },
  { version: 2, path: "inotify", moments: ["create", "add", "read"], requested: "inotify" },
  {
    version: 2,
    path: "a/memory.events",
    moments: ["watch"],
    requested: "events: inotify on memory.events",
  },
  { version: 2, path: "a", moments: ["watch"], requested: "cgroup creation/removal" },
  { version: 2, path: "./memory.events", moments: ["watch", "open", "read"] },
  { version: 2, path: "a/memory.peak", moments: ["open", "read"] },
  { version: 2, path: "a/cgroup.procs", moments: ["open", "read"] },
  {
    version: 2,
    path: "a/memory.pressure",
    moments: ["open", "write", "add"],
    requested: "pressure: PSI trigger on memory.pressure",
  },
  {
    version: 1,
    path: "a/cgroup.event_control",
    moments: ["open", "write"],
    requested: "oom: eventfd on memory.oom_control",
  },
];

const EAGAIN = 11;
const ENOSPC = 28;

/** Every errno, except the ordinary end of a read. */
const wounds = (path: string, moment: Moment): Wound[] =>
  faultsAt(moment)
    .filter(({ errno }) => errno !== undefined && !(moment === "read" && errno === EAGAIN))
    .map((fault) => ({ path, fault, from: 1 }));

function watchWith(version: 1 | 2) {
  const tree = makeTree(version, { "/": FILES[version], "/a": FILES[version] });
  const psi = version === 2 ? [{ kind: "some" as const, stall: 100_000, window: 1_000_000 }] : [];
  const levels = version === 1 ? [{ level: "low" as const, mode: "default" as const }] : [];
  const start = (options: Partial<WatchOptions> = {}) =>
    watchTree(tree, ["/a"], {
      recursive: true,
      thresholds: [{ bytes: 48 * MIB }],
      psi,
      pressureLevels: levels,
      ...options,
    }, true);
  const count = (kills: number) => {
    for (const file of COUNTER_FILES[version]) tree.write("/a", file, COUNTS[version](kills));
  };
  return { tree, start, count, [Symbol.dispose]: tree[Symbol.dispose] };
}

const pathIn = (dir: string, path: string) =>
  /^(\.|a)(\/|$)/.test(path) ? `${dir}/${path}`.replace("/./", "/") : path;

for (const { version, path, moments, requested } of STEPS) {
  for (const moment of moments) {
    Deno.test(`v${version}: a watch goes on, and says so, whatever error ${moment} of ${path} gives`, async () => {
      using watch = watchWith(version);
      for (const wound of wounds(pathIn(watch.tree.dir, path), moment)) {
        watch.count(3);
        using injection = inject([wound]);
        await using watched = watch.start();
        // A watch that ends for an error does not report this.
        const isFailed = watched.done.then(() => "ended", String);
        watch.count(4);
        const kill = watched.next("oom_kill");
        const first = await Promise.race([kill.then(() => "a kill"), isFailed]);
        assert.equal(first, "a kill", wound.fault.name);
        assert.ok(injection.hits.has(wound), `${wound.fault.name} was not tried`);
        const names = watched.ofType("degraded").map(({ requested }) => requested);
        // When inotify watches run out, all that needs one has the same cause.
        const isShortage = moment === "watch" && wound.fault.errno === ENOSPC;
        if (requested !== undefined) {
          const expected = isShortage ? "inotify" : requested;
          assert.ok(names.includes(expected), `${wound.fault.name}: ${names}`);
        }
      }
    });
  }
}

const lost = (errno: number, rest: Partial<Wound> = {}): Wound => ({
  path: "/dev/kmsg",
  fault: { name: `errno ${errno}`, moment: "read", errno },
  from: 1,
  ...rest,
});

const EIO = 5;

Deno.test("v1: an eventfd that cannot be read is replaced by a poll", async () => {
  using watch = watchWith(1);
  watch.count(3);
  const fault = { name: "errno 5", moment: "read", errno: EIO } as const;
  using _ = inject([{ path: "eventfd", fault, from: 1 }]);
  // Only the OOM's eventfd is registered.
  await using watched = watch.start({ thresholds: [], pressureLevels: [] });
  const registered = Deno.readTextFileSync(`${watch.tree.dir}/a/cgroup.event_control`);
  signalEventfd(borrowFd(Number(registered.split(" ")[0]), "eventfd"));
  const { requested } = await watched.next("degraded", ({ reason }) => reason.includes("EIO"));
  assert.equal(requested, "oom: eventfd on memory.oom_control");
  watch.count(4);
  await watched.next("oom_kill");
});

Deno.test("a watch polls when its epoll set fails, and can be stopped", async () => {
  using watch = watchWith(2);
  watch.count(3);
  const before = new Set(epollSets());
  await using watched = watch.start();
  const [number] = epollSets().filter((each) => !before.has(each));
  libc().close(number!);
  // So that the number belongs to no other file when the watch closes it.
  using other = openFd("/dev/null");
  assert.equal(other.number, number);
  // Ends the wait that was begun before.
  watch.count(4);
  await watched.next("oom_kill");
  watch.count(5);
  const { fallback } = await watched.next(
    "degraded",
    (event) => event.requested === "notifications",
  );
  assert.match(fallback, /^poll every /);
  watch.count(6);
  const summary = await watched.stop();
  assert.equal(summary.cgroups.find(({ cgroup }) => cgroup === "/a")?.oom_kill, 3n);
});

const epollSets = () =>
  [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name)).filter((number) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${number}`) === "anon_inode:[eventpoll]";
    } catch {
      // That of the list itself, which is closed by now.
      return false;
    }
  });

Deno.test("the kernel log is read on after records were overwritten, and after an interruption", async () => {
  using watch = watchWith(2);
  const [EINTR, EPIPE] = [4, 32];
  for (const errno of [EINTR, EPIPE]) {
    const wound = lost(errno, { times: 2 });
    using injection = inject([wound]);
    await using watched = watch.start();
    assert.ok(injection.hits.has(wound));
    assert.ok(watched.sources.includes("kernel log: /dev/kmsg"), watched.sources.join());
  }
});

Deno.test("a kernel log that always fails is not named as a source", async () => {
  using watch = watchWith(2);
  const EPIPE = 32;
  using _ = inject([lost(EPIPE)]);
  await using watched = watch.start();
  const [line, ...others] = watched.sources.filter((source) => source.startsWith("kernel log"));
  assert.equal(line, "kernel log unavailable: kills counted, victims unnamed (EPIPE (/dev/kmsg))");
  assert.deepEqual(others, []);
});

Deno.test("when inotify watches run out for many cgroups, one event says so and the summary counts them", async () => {
  const names = Array.from({ length: 40 }, (_, n) => `/a/c${n}`);
  using tree = makeTree(2, Object.fromEntries(["/a", ...names].map((path) => [path, FILES[2]])));
  const fault = { name: "ENOSPC", moment: "watch", errno: ENOSPC } as const;
  const faults = names.flatMap((path) =>
    ["", "/memory.events", "/memory.max"].map((file) => ({
      path: `${tree.dir}${path}${file}`,
      fault,
      from: 1,
    }))
  );
  using _ = inject(faults);
  await using watched = watchTree(tree, ["/a"], { recursive: true });
  tree.add("/a/late");
  await watched.next("cgroup_created");
  const { degraded } = await watched.stop();
  assert.deepEqual(watched.ofType("degraded").map(({ requested }) => requested), ["inotify"]);
  assert.deepEqual(degraded.map(({ requested, cgroups }) => [requested, cgroups]), [[
    "inotify",
    40,
  ]]);
});
