import assert from "node:assert/strict";
import { makeEvent } from "../../../core/events/event.ts";
import { LogFile } from "../../../core/receivers/log_file.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

const eventOf = (cgroup: string) => makeEvent(0, cgroup, "none", { type: "cgroup_created" });

interface Directory extends Disposable {
  readonly log: string;
}

function makeDirectory(): Directory {
  const path = Deno.makeTempDirSync({ prefix: "oomkit-log-" });
  return {
    log: `${path}/events.log`,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

const cgroupsIn = (path: string) =>
  Deno.readTextFileSync(path).trim().split("\n").map((line) => JSON.parse(line).cgroup);

Deno.test("events are appended to the log, one line each", async () => {
  using directory = makeDirectory();
  for (const names of [["/a", "/b"], ["/c"]]) {
    const log = new LogFile(directory.log, assert.fail);
    for (const name of names) log.report(eventOf(name));
    await log.close();
  }
  assert.deepEqual(cgroupsIn(directory.log), ["/a", "/b", "/c"]);
});

Deno.test("only the owner and the group may read the log", async () => {
  using directory = makeDirectory();
  await new LogFile(directory.log, assert.fail).close();
  assert.equal(Deno.statSync(directory.log).mode! & 0o007, 0);
});

Deno.test("after the log was moved away and reopened, events go to a new file, and none is lost", async () => {
  using directory = makeDirectory();
  const log = new LogFile(directory.log, assert.fail);
  log.report(eventOf("/a"));
  while (log.counts().sent < 1) await new Promise((resolve) => setTimeout(resolve));
  Deno.renameSync(directory.log, `${directory.log}.1`);
  log.reopen();
  log.report(eventOf("/b"));
  await log.close();
  assert.deepEqual(cgroupsIn(`${directory.log}.1`), ["/a"]);
  assert.deepEqual(cgroupsIn(directory.log), ["/b"]);
});

Deno.test("a line that does not fit is removed again, so that every line is complete", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 209715200 } });
  using directory = makeDirectory();
  // The limit on the file size simulates a full disk: only a part of the first line fits. No other file that is written is as large.
  const most = 1024 ** 3;
  const before = most - 100;
  Deno.writeTextFileSync(directory.log, "");
  Deno.truncateSync(directory.log, before);
  const words = ["watch", "--root", tree.dir, "--for", "1ms", "--log-file", directory.log, "/a"];
  const { code, stderr } = await runOomkit(words, {
    wrap: ["prlimit", `--fsize=${most}`, "sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"],
  });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /cannot write to .*events\.log: File too large/);
  assert.equal(Deno.statSync(directory.log).size, before);
});
