/** `oomkit status`: what the running guards do. */

import { OomkitError, shortened } from "../../core/errors.ts";
import { timestamp } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import { findGuards, type FoundGuards } from "../../core/status/running_guards.ts";
import { ERROR, type ExitCode, type Finish, NOT_OK, OK } from "../exit.ts";
import { type FlagsOf, parseWhole, value, withHelp } from "../options/option.ts";
import { type Common, subcommand, wantsJson } from "../options/subcommand.ts";
import { print, printable, printStderr } from "../output/output.ts";
import { SUMMARIES } from "../summaries.ts";
import { terminalWidth } from "../terminal/capabilities.ts";
import { chooseStyle } from "../terminal/palette.ts";
import { guardLines } from "./text.ts";

const DEFAULT_ROWS = 20;

const STATUS_OPTIONS = {
  rows: value("-n, --rows <count>", "cgroups to list of each guard (default: 20; all in JSON)", {
    group: "contents",
    isBasic: true,
    parse: parseWhole(0),
  }),
};

type StatusFlags = Common & FlagsOf<typeof STATUS_OPTIONS>;

export function statusCommand(finish: Finish) {
  const command = subcommand("status", SUMMARIES.status.description, STATUS_OPTIONS)
    .argument("[pids...]", "pids of guards (default: all that may be asked)");
  return withHelp(command, {
    examples: ["oomkit status", "oomkit status -n 100", "oomkit status --json"],
    notes: NOTES,
    exitStatus: {
      "0": "a guard runs, and each one that was named",
      "1": "no guard runs, or one that was named does not",
      "2": "a guard did not answer, or no permission",
    },
  }).action(async (pids, flags, self) => {
    if (self.getOptionValueSource("root") === "cli") {
      throw new OomkitError("cannot use --root: status asks running guards", "leave it out");
    }
    finish(await show(pids.map(parsePid), flags));
  });
}

const NOTES = `Root sees the guards of all users, other users see their own. Each guard answers
on a socket in its state directory: /run/oomkit, $XDG_RUNTIME_DIR/oomkit or
OOMKIT_STATE_DIR. Of a guard in a container, run status there: with kubectl exec
or docker exec.

The cgroups nearest to their limits come first. STATE: throttled (memory.high
slows its allocators down), held (the kernel's OOM killer is off), waiting (its
allocators wait for a kill), degraded (the requested mode is not available).`;

function parsePid(text: string): number {
  const [, pid] = /^(?:pid:)?([1-9]\d{0,9})$/.exec(text) ?? [];
  if (pid !== undefined) return Number(pid);
  throw new OomkitError(`cannot use "${shortened(text)}": it is not a pid`, "see: oomkit status");
}

async function show(pids: readonly number[], flags: StatusFlags): Promise<ExitCode> {
  const found = await findGuards(pids);
  const { guards, failures, directories } = found;
  if (wantsJson(flags)) {
    print(toJson({ v: 2, ts: timestamp(Date.now()), directories, guards, failures }, 2));
  } else if (guards.length > 0) {
    const style = chooseStyle(flags.color);
    const width = Deno.stdout.isTerminal() ? terminalWidth() : Infinity;
    const rows = flags.rows ?? DEFAULT_ROWS;
    const blocks = guards.map((guard) => guardLines(guard, rows, { style, width }).join("\n"));
    print(blocks.join("\n\n"));
  }
  for (const { pid, path, reason } of failures) {
    const [what, hint] = pid === null
      ? [`cannot look for guards in ${path}`, Deno.uid() === 0 ? "" : "; run as root"]
      : [`cannot ask the guard with pid ${pid} at ${path}`, ""];
    printStderr(`oomkit: ${printable(`${what}: ${reason}${hint}`)}`);
  }
  const missing = missingText(pids, found);
  if (missing !== undefined) printStderr(`oomkit: ${printable(missing)}`);
  // Any user can cause a failure elsewhere; a guard that was named and found is not affected.
  const isComplete = pids.length > 0 &&
    pids.every((each) => guards.some(({ pid }) => pid === each));
  if (failures.length > 0 && !isComplete) return ERROR;
  return missing === undefined ? OK : NOT_OK;
}

/** Which of the guards do not run; `undefined` if they all do. */
function missingText(
  pids: readonly number[],
  { guards, failures, directories }: FoundGuards,
): string | undefined {
  const known = new Set([...guards, ...failures].map(({ pid }) => pid));
  const missing = pids.filter((pid) => !known.has(pid));
  const isNone = pids.length === 0 && known.size === 0;
  if (missing.length === 0 && !isNone) return undefined;
  const what = isNone ? "no guard runs" : `no guard runs with pid ${missing.join(", ")}`;
  const others = Deno.uid() === 0 ? "" : "; root sees those of other users";
  return `${what}: looked in ${directories.join(", ")}${others}`;
}
