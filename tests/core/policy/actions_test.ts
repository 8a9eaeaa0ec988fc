import assert from "node:assert/strict";
import {
  ACTION_KINDS,
  ACTIONS,
  actionSyntax,
  actionText,
  actionWord,
  killActionOf,
  parseActions,
  recordedAction,
  recordedActionText,
} from "../../../core/policy/actions.ts";
import schema from "../../../docs/schema/event.schema.json" with { type: "json" };

const texts = (text: string) => parseActions(text, "SIGUSR1").map(actionText);

Deno.test("a list of actions is read in its order, with spaces around the commas", () => {
  assert.deepEqual(texts("noop"), ["noop"]);
  assert.deepEqual(texts(" reclaim , signal:usr2,container"), [
    "reclaim",
    "signal:SIGUSR2",
    "container",
  ]);
});

Deno.test("a signal without a name is the default of the level", () => {
  assert.deepEqual(texts("signal"), ["signal:SIGUSR1"]);
  assert.throws(() => texts("signal:"), /cannot send ""; use one of SIGHUP/);
  assert.throws(() => texts("signal:SIGKILL"), /cannot send "SIGKILL"/);
});

Deno.test("a command takes the rest of the list, since it may contain commas and colons", () => {
  assert.deepEqual(texts("reclaim, exec:echo a,b:c"), ["reclaim", "exec:echo a,b:c"]);
  assert.throws(() => texts("exec"), /needs a command/);
  assert.throws(() => texts("exec:"), /needs a command/);
});

Deno.test("anything else is refused with the actions that exist", () => {
  for (const text of ["", "noop,", "shout", "process:7", "toString"]) {
    assert.throws(() => texts(text), /is not an action; use noop, signal\[:SIG\], .*exec:COMMAND/);
  }
  assert.throws(() => texts("Process"), /is not an action; did you mean process\? \(use noop, /);
  assert.throws(() => texts("signal:SIGUSER1"), /"SIGUSER1"; did you mean SIGUSR1\? \(use one of/);
  assert.throws(() => texts("signal:SIGFOO"), /cannot send "SIGFOO"; use one of SIGHUP/);
});

Deno.test("help and completion are derived from the table", () => {
  assert.deepEqual(ACTION_KINDS.map(actionSyntax), [
    "noop",
    "signal[:SIG]",
    "reclaim",
    "process",
    "container",
    "exec:COMMAND",
  ]);
  assert.equal(actionWord("signal"), "signal");
  assert.equal(actionWord("exec"), "exec:");
});

Deno.test("a recording keeps the signal and leaves out the command", () => {
  const actions = parseActions("noop,signal:SIGHUP,reclaim,process,exec:secret", "SIGUSR1");
  const recorded = ["noop", "signal:SIGHUP", "reclaim", "process", "exec"];
  assert.deepEqual(actions.map(recordedActionText), recorded);
  assert.deepEqual(recorded.map(recordedAction).map(recordedActionText), recorded);
});

Deno.test("an action of a newer version's recording is read as noop", () => {
  assert.deepEqual(recordedAction("compact:fast"), { kind: "noop" });
});

Deno.test("the action that kills is found wherever it stands in the list", () => {
  assert.equal(killActionOf(parseActions("reclaim,container,exec:x", "SIGUSR1")), "container");
  assert.equal(killActionOf(parseActions("reclaim,exec:container", "SIGUSR1")), undefined);
});

Deno.test("the schema of events names all actions and outcomes of the table", () => {
  const { action, outcome } = schema.$defs.action.properties;
  assert.deepEqual(
    new Set(action.enum),
    new Set(ACTION_KINDS.filter((kind) => ACTIONS[kind].runs !== "never")),
  );
  assert.deepEqual(
    new Set(outcome.enum),
    new Set(ACTION_KINDS.flatMap((kind): readonly string[] => ACTIONS[kind].outcomes)),
  );
});
