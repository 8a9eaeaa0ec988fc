/** Events `degraded`: one for each cause, however many cgroups it affects. */

import assert from "node:assert/strict";
import { libc, SystemCallError } from "../../../core/kernel/libc.ts";
import { fallbackAfter, FallbackReport } from "../../../core/watch/fallbacks.ts";

// The limit of descriptors is read by libc, which stays loaded and would count as a leak within a test.
libc();

const paths = Array.from({ length: 40 }, (_, n) => `/app/c${n}`);

function makeReport() {
  const events: string[] = [];
  const report = new FallbackReport((cgroup, _, body) => {
    assert.equal(body.type, "degraded");
    events.push(`${cgroup} ${"requested" in body ? body.requested : ""}`);
  });
  return { report, events };
}

Deno.test("a cause is reported once, with the number of cgroups that it affects", () => {
  const { report, events } = makeReport();
  for (let round = 0; round < 2; round++) {
    for (const path of paths) {
      const error = new SystemCallError("open", "EACCES", `/sys/fs/cgroup${path}/memory.max`);
      report.report(path, fallbackAfter("limit", "poll", error));
    }
  }
  assert.deepEqual(events, ["/app/c0 limit"]);
  assert.deepEqual(report.counts().map(({ cgroups }) => cgroups), [40]);
  assert.deepEqual(report.counts()[0]!.examples, paths.slice(0, 3));
  assert.match(report.counts()[0]!.reason, /^permission denied \(.*\/app\/c0\/memory\.max\)$/);
});

Deno.test("another mechanism and another error are causes of their own", () => {
  const { report, events } = makeReport();
  const error = (code: string) => new SystemCallError("open", code, "/sys/fs/cgroup/a/file");
  report.report("/a", fallbackAfter("limit", "poll", error("EACCES")));
  report.report("/b", fallbackAfter("limit", "poll", error("EROFS")));
  report.report("/b", fallbackAfter("pressure", "none", error("EACCES")));
  assert.deepEqual(events, ["/a limit", "/b limit", "/b pressure"]);
});

Deno.test("a shortage is one cause, whatever needs the resource", () => {
  const { report, events } = makeReport();
  for (const path of paths) {
    for (const requested of ["oom", "threshold", "events"]) {
      report.report(
        path,
        fallbackAfter(requested, "poll", new SystemCallError("eventfd", "EMFILE", path)),
      );
      report.report(
        path,
        fallbackAfter(requested, "poll", new SystemCallError("inotify_init1", "EMFILE", path)),
      );
    }
  }
  assert.deepEqual(events, ["/app/c0 oom", "/app/c0 oom"]);
  assert.deepEqual(report.counts().map(({ cgroups }) => cgroups), [40, 40]);
});

Deno.test("what is present falls when a cgroup is gone or gets the mechanism, without a second event", () => {
  const { report, events } = makeReport();
  const lacks = (path: string, requested: string) =>
    report.report(path, { requested, fallback: "notify", reason: "r" });
  const present = () => Object.fromEntries(report.present());
  for (const path of ["/a", "/b"]) for (const requested of ["hold", "psi"]) lacks(path, requested);
  assert.deepEqual(present(), { hold: 2, psi: 2 });
  report.end("/a");
  assert.deepEqual(present(), { hold: 1, psi: 1 });
  report.end("/b", ["hold"]);
  assert.deepEqual(present(), { hold: 0, psi: 1 });
  lacks("/b", "hold");
  assert.deepEqual(present(), { hold: 1, psi: 1 });
  assert.equal(events.length, 2);
  assert.deepEqual(report.counts().map(({ cgroups }) => cgroups), [2, 2]);
});

Deno.test("of any number of causes few are kept, and each cgroup counts in one of them", () => {
  const { report, events } = makeReport();
  for (let pid = 0; pid < 1000; pid++) {
    const reason = `pid ${pid}: permission denied`;
    report.report(`/app/c${pid}`, { requested: "throttle", fallback: "none", reason });
  }
  assert.equal(events.length, 201);
  assert.equal(report.counts().length, 201);
  assert.equal(report.present().get("throttle"), 1000);
  for (let pid = 0; pid < 1000; pid++) report.end(`/app/c${pid}`);
  assert.equal(report.present().get("throttle"), 0);
});
