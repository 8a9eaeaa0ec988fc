import assert from "node:assert/strict";
import type { Report } from "../../core/guard/thread/protocol.ts";
import { SystemCallError } from "../../core/kernel/libc.ts";
import { OomkitError } from "../../core/errors.ts";
import { gather, type Guarded, guardTree, LIMIT } from "./guarded_tree.ts";
import type { Access } from "./injection.ts";
import { isUndetectable } from "./kinds.ts";
import { hurt, substitute, sweep } from "./sweep.ts";

const versions = [1, 2] as const;
const blowsOf = (messages: readonly Report[]) =>
  messages.filter((each): each is Extract<Report, { type: "kill" }> => each.type === "kill").map((
    { kill },
  ) => kill);

/** What a caller is told to expect, and nothing else. */
function assertDeclared(thrown: unknown, path: string): void {
  assert.ok(thrown instanceof OomkitError || thrown instanceof SystemCallError, String(thrown));
  assert.ok(thrown.message.includes(path), `${thrown.message} does not name ${path}`);
}

/** Not the tree around it, and not the machine's. */
const concerns = ({ tree }: Guarded, pids: readonly number[]) => ({ path }: Access) =>
  path.startsWith(tree.dir) || path === "/proc/meminfo" ||
  pids.some((pid) => path.startsWith(`/proc/${pid}/`));

for (const version of versions) {
  for (const softLimit of [false, true]) {
    const limits = softLimit ? "a soft limit" : "a limit";
    Deno.test(`v${version}: whatever is misread, nobody is struck who is far from ${limits}`, async () => {
      await using crowd = gather();
      using guarded = guardTree(version, { usage: 30, inactiveFile: 4, pids: crowd.pids }, {
        softLimit,
      });
      const truth = guarded.run();
      assert.deepEqual(truth.messages, []);
      const { tried } = sweep(() => guarded.run(), (wound, outcome) => {
        if ("thrown" in outcome) return assertDeclared(outcome.thrown, wound.path);
        const { messages, limit } = outcome.result;
        assert.deepEqual(blowsOf(messages), []);
        assert.ok(
          messages.every(({ type: say }) => say !== "level_reached"),
          Deno.inspect(messages),
        );
        // The soft one may be what cannot be read; a limit that is lower than the true ones is made up.
        assert.ok(limit === undefined || limit === truth.limit || limit === LIMIT, String(limit));
      }, concerns(guarded, crowd.pids));
      assert.ok(tried > 100, String(tried));
    });
  }
}

for (const version of versions) {
  Deno.test(`v${version}: whatever is misread, only who may be struck is struck, and for what is true`, async () => {
    await using crowd = gather();
    const [one, spared] = crowd.pids;
    // This near the limit the first who may be taken is.
    const state = { usage: 63.875, inactiveFile: 0, pids: [spared, one] };
    using guarded = guardTree(version, state);
    // A tenth of it would spare nobody.
    const preference = substitute(`/proc/${spared}/oom_score_adj`, "-1000\n");
    const mayBeStruck = new Set<number | undefined>([one, undefined]);
    const { tried } = sweep(
      () => guarded.run(),
      (wound, outcome) => {
        if ("thrown" in outcome) return assertDeclared(outcome.thrown, wound.path);
        for (const { victim, before, limit, candidates } of blowsOf(outcome.result.messages)) {
          if (isUndetectable(wound.fault, wound.path)) continue;
          assert.ok(mayBeStruck.has(victim?.pid), `${victim?.pid} for ${one}, ${spared} is spared`);
          assert.equal(before, 63.875 * 1024 ** 2);
          assert.equal(limit, LIMIT);
          for (const { pid, rss } of candidates) {
            assert.ok(crowd.pids.includes(pid));
            assert.notEqual(rss, 0);
          }
        }
      },
      concerns(guarded, crowd.pids),
      preference,
    );
    assert.ok(tried > 100, String(tried));
    const { outcome: truth } = hurt(() => guarded.run(), preference);
    assert.ok("result" in truth);
    assert.deepEqual(blowsOf(truth.result.messages).map(({ victim }) => victim?.pid), [one]);
  });
}

for (const [base, why] of [["working-set", "idle cache"], ["usage", "cache"]] as const) {
  Deno.test(`full of ${why} by its ${base}, nobody dies, whatever else than memory.stat is misread`, async () => {
    await using crowd = gather();
    using guarded = guardTree(2, { usage: 63.5, inactiveFile: 40, pids: crowd.pids }, {
      metric: base,
    });
    assert.deepEqual(blowsOf(guarded.run().messages), []);
    const others = concerns(guarded, crowd.pids);
    sweep(() => guarded.run(), (wound, outcome) => {
      if ("thrown" in outcome) return assertDeclared(outcome.thrown, wound.path);
      assert.deepEqual(blowsOf(outcome.result.messages), []);
    }, (access) => others(access) && !access.path.endsWith("/memory.stat"));
  });
}

Deno.test("who may be spared by what cannot be read of him is not struck", async () => {
  await using crowd = gather();
  const [one, other] = crowd.pids;
  const preferences = { prefer: [], avoid: [], ignore: [/^keep me$/] };
  // This near the limit the first who may be taken is.
  const state = { usage: 63.875, inactiveFile: 0, pids: [other, one] };
  using guarded = guardTree(1, state, { preferences });
  for (const file of ["oom_score_adj", "cmdline"]) {
    for (const moment of ["open", "read"] as const) {
      for (const errno of [3, 5, 13]) {
        const fault = { name: `errno ${errno}`, moment, errno };
        const { outcome } = hurt(() => guarded.run(), [
          { path: `/proc/${other}/${file}`, fault, from: 1 },
        ]);
        assert.ok("result" in outcome);
        const victims = blowsOf(outcome.result.messages).map(({ victim }) => victim?.pid);
        assert.deepEqual(victims, [one], `${file}, ${moment}, ${errno}`);
      }
    }
  }
});
