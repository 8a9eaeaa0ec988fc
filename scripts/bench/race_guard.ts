/** `oomkit guard --json` beside a race. What it tells goes to a file: nobody has to run in order to take it from a pipe. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { Mistake } from "../terminal.ts";
import type { RaceMode } from "./race_cells.ts";
import { endChild, pause, startChild, within } from "./race_children.ts";
import { executable } from "./start_up.ts";

export interface RaceGuard extends AsyncDisposable {
  readonly pid: number;
  /** What it said when it had begun. */
  readonly said: string;
  /** All that was told of a cgroup so far. */
  told(cgroup: string): readonly OomkitEvent[];
  /** `undefined` when it is not told within `ms`. */
  find<Type extends OomkitEvent["type"]>(
    type: Type,
    cgroup: string,
    ms: number,
  ): Promise<Extract<OomkitEvent, { type: Type }> | undefined>;
}

/** An emulated machine takes its time, and v1 to arm a thousand cgroups. */
const START_MS = 300_000;
const STOP_MS = 20_000;
const LOOK_MS = 4;
/** Should this program be killed, it must not guard for ever. */
const LONGEST = "3h";
/** It is the same process that becomes the guard. */
const SCRIPT = 'echo 0 >"$PROCS" && exec "$0" "$@" >"$OUT" 2>"$ERR"';

/** The same on a terminal; what it draws goes nowhere, what it tells to its log file. Its words have no blanks. */
const LIVE_SCRIPT =
  'stty cols 160 rows 50; echo 0 >"$PROCS"; exec $GUARD --log-file "$OUT" --event-types all 2>"$ERR"';

/** @param options.home the cgroup that it is to run in; none: where this program is. */
export async function startRaceGuard(
  mode: RaceMode,
  parent: Cgroup,
  folder: string,
  { home, isLive = false }: { readonly home?: Cgroup; readonly isLive?: boolean } = {},
): Promise<RaceGuard> {
  const [out, err] = ["out", "err"].map((name) => `${folder}/guard-${mode}.${name}`);
  const options = ["-r", parent.path, "--policy", "process", "--mode", mode, "--for", LONGEST];
  const child = startChild(
    isLive
      ? ["script", "--quiet", "--command", LIVE_SCRIPT, "/dev/null"]
      : ["sh", "-c", SCRIPT, executable, "guard", "--json", ...options],
    {
      stdin: "null",
      stdout: "null",
      // There the terminal tells of its own end, too.
      stderr: isLive ? "null" : "inherit",
      env: {
        OUT: out!,
        ERR: err!,
        PROCS: home ? `${home.dir}/cgroup.procs` : "/dev/null",
        GUARD: [executable, "guard", "--live", ...options].join(" "),
        TERM: "xterm-256color",
      },
    },
    "SIGTERM",
  );
  const end = async () => {
    endChild(child, "SIGTERM");
    if (!await within(STOP_MS, child.status)) endChild(child);
    await child.status;
  };
  const said = await firstLine(err!, child);
  if (!said.startsWith("guarding ")) {
    await end();
    throw new Mistake(`cannot guard: ${said || "it says nothing"}`);
  }
  const take = follow(out!);
  const events = new Map<string, OomkitEvent[]>();
  const told = (cgroup: string): readonly OomkitEvent[] => {
    for (const event of take()) {
      if (event.type === "summary") continue;
      const known = events.get(event.cgroup);
      if (known) known.push(event);
      else events.set(event.cgroup, [event]);
    }
    return events.get(cgroup) ?? [];
  };
  return {
    pid: child.pid,
    said,
    told,
    async find(type, cgroup, ms) {
      for (const deadline = performance.now() + ms;; await pause(LOOK_MS)) {
        const found = told(cgroup).find((event) => event.type === type);
        if (found) return found as Extract<OomkitEvent, { type: typeof type }>;
        if (performance.now() > deadline) return undefined;
      }
    },
    [Symbol.asyncDispose]: end,
  };
}

async function firstLine(path: string, child: Deno.ChildProcess): Promise<string> {
  let hasEnded = false;
  void child.status.then(() => hasEnded = true);
  for (const deadline = performance.now() + START_MS;; await pause(LOOK_MS)) {
    const text = peek(path);
    if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
    if (hasEnded || performance.now() > deadline) return text;
  }
}

function peek(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // The shell has not made it yet.
    return "";
  }
}

/** @returns takes what has been added since the last time. */
function follow(path: string): () => OomkitEvent[] {
  const file = Deno.openSync(path);
  const buffer = new Uint8Array(64 * 1024);
  const decoder = new TextDecoder();
  let rest = "";
  return () => {
    for (let n = file.readSync(buffer); n; n = file.readSync(buffer)) {
      rest += decoder.decode(buffer.subarray(0, n), { stream: true });
    }
    const lines = rest.split("\n");
    rest = lines.pop()!;
    return lines.map((line): OomkitEvent => JSON.parse(line));
  };
}
