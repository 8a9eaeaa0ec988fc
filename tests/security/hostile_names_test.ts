/** Hostile names on their way into JSON, shells, variables and terminals. */

import assert from "node:assert/strict";
import { runHook } from "../../core/control/hook.ts";
import { printable } from "../../cli/output/output.ts";
import { environmentOf } from "../../core/events/environment.ts";
import { type Body, makeEvent } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";

// deno-lint-ignore no-control-regex
const TERMINAL_CONTROLS = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
const ALL_CHARACTERS = Array.from({ length: 0x3000 }, (_, code) => String.fromCharCode(code)).join(
  "",
);

Deno.test("JSON has no character that a terminal obeys, and the same meaning", () => {
  const text = toJson({ [ALL_CHARACTERS]: ALL_CHARACTERS });
  assert.doesNotMatch(text, TERMINAL_CONTROLS);
  assert.deepEqual(JSON.parse(text), { [ALL_CHARACTERS]: ALL_CHARACTERS });
});

Deno.test("text has no character that a terminal obeys", () => {
  assert.doesNotMatch(printable(ALL_CHARACTERS), TERMINAL_CONTROLS);
});

const HOSTILE = `$(touch "$MARK")\`touch "$MARK"\`;touch "$MARK"\n'"\\ && touch "$MARK" #\x1b[2J\0`;

const hostileEvent = () =>
  makeEvent(0, `/x/${HOSTILE}`, "kmsg", {
    type: "oom_kill",
    victim: {
      ...{ pid: 7, comm: HOSTILE, uid: 0, anon_rss: 0, file_rss: 0, shmem_rss: 0 },
      oom_score_adj: 0,
    },
  } as unknown as Body);

Deno.test("a process name in an event is data to the shell of a hook", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const event = hostileEvent();
    const env = { ...environmentOf(event), MARK: `${directory}/mark`, OUT: `${directory}/out` };
    const command = 'cat > "$OUT.json"; printf "%s" "$OOMKIT_EVENT_VICTIM_COMM" > "$OUT"';
    assert.deepEqual(await runHook(command, toJson(event), 10_000, undefined, env), { code: 0 });
    assert.equal(Deno.readTextFileSync(`${directory}/out`), HOSTILE.replace("\0", ""));
    const { victim } = JSON.parse(Deno.readTextFileSync(`${directory}/out.json`));
    assert.equal(victim.comm, HOSTILE);
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["out", "out.json"]);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("an event sets only OOMKIT_EVENT_ variables of bounded length", () => {
  const found = environmentOf(
    makeEvent(0, `/${"x".repeat(1e6)}`, "none", { type: "cgroup_created" }),
  );
  for (const [name, value] of Object.entries(found)) {
    assert.match(name, /^OOMKIT_EVENT_[A-Z0-9_]+$/);
    assert.ok(value.length <= 4096);
  }
  assert.equal(found.OOMKIT_EVENT_CGROUP, undefined);
});
