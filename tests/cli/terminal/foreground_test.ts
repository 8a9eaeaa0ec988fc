import assert from "node:assert/strict";
import { hasJobControl } from "../../../cli/terminal/foreground.ts";
import type { TerminalGroups } from "../../../core/parse/procfs.ts";

/** Parent, group and session of some processes; 9 is asked about. */
const has = (processes: Record<number, readonly [number, number, number]>) =>
  hasJobControl((pid): TerminalGroups | undefined => {
    const found = processes[pid === "self" ? 9 : pid];
    if (found === undefined) return undefined;
    const [parent, own, session] = found;
    return { parent, own, session, foreground: own };
  });

const shell = [2, 5, 5] as const;

Deno.test("a job of a shell can be resumed, also if a script started it", () => {
  assert.ok(has({ 5: shell, 9: [5, 9, 5] }));
  assert.ok(has({ 5: shell, 8: [5, 8, 5], 9: [8, 8, 5] }));
});

Deno.test("a session leader or an orphaned group could not be resumed", () => {
  assert.ok(!has({ 2: [1, 2, 2], 9: [2, 9, 9] }), "ssh -t host oomkit guard");
  assert.ok(!has({ 2: [1, 2, 2], 8: [2, 8, 8], 9: [8, 8, 8] }), "and in a script");
  assert.ok(!has({ 9: [0, 9, 9] }), "in a container");
  assert.ok(!has({}), "without /proc");
});
