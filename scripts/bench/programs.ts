/** `oomkit watch` and `oomkit guard` during a measurement. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { tryReadText } from "../../core/cgroup/files.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { microseconds } from "../../core/kernel/clock.ts";
import { delay } from "../../core/timing.ts";
import { executable } from "../command.ts";
import { Mistake } from "../terminal.ts";
import { endChild, startChild, within } from "./cleanup.ts";
import type { RaceMode } from "./race_results.ts";

/** The lines of such a program are read as they come. */
export interface Watch extends AsyncDisposable {
  readonly pid: number;
  /** The next event, with the microseconds since the epoch at which it was read. */
  nextLine(): Promise<{ readonly line: string; readonly at: number }>;
}

/** Returns when it is armed. */
export function startWatch(args: readonly string[]): Promise<Watch> {
  return startBeside(["watch", "--json", ...args], "watching ");
}

/** Returns when it guards. It ends by itself when this program is killed. */
export function startDryGuard(args: readonly string[]): Promise<Watch> {
  const dry = ["guard", "--json", "--dry-run", "--policy", "process", "--for", "30m", ...args];
  return startBeside(dry, "guarding ");
}

/** @param word the first word of its start line. */
async function startBeside(args: readonly string[], word: string): Promise<Watch> {
  const options = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
  const child = startChild([executable, ...args], options, "SIGTERM");
  const said = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  const events = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const armed = (await said.read()).value ?? "";
  const end = async () => {
    endChild(child, "SIGTERM");
    await Promise.all([drain(said), drain(events), child.status]);
  };
  if (!armed.startsWith(word)) {
    await end();
    throw new Mistake(`cannot ${args[0]}: ${armed.trim()}`);
  }
  let rest = "";
  return {
    pid: child.pid,
    async nextLine() {
      for (let ended = false; !ended;) {
        const [line, ...later] = rest.split("\n");
        if (later.length > 0) {
          rest = later.join("\n");
          return { line: line!, at: microseconds() };
        }
        const { done, value } = await events.read();
        ended = done;
        rest += value ?? "";
      }
      throw new Mistake("cannot measure: the watch has ended");
    },
    [Symbol.asyncDispose]: end,
  };
}

async function drain(reader: ReadableStreamDefaultReader<string>): Promise<void> {
  while (!(await reader.read()).done);
}

export interface Kill {
  readonly pid: number;
  /** Milliseconds since the epoch. */
  readonly ts: number;
  /** From the level that was seen to the signal. */
  readonly signalMs: number | undefined;
}

/** A guard with its output in a file, so that no reader of a pipe takes CPU time meanwhile. */
export interface RaceGuard extends AsyncDisposable {
  readonly pid: number;
  /** Its start line. */
  readonly said: string;
  /** Processes of a cgroup that it has killed so far. */
  kills(cgroup: string): readonly Kill[];
  /** `undefined` when no such event came within `ms`. */
  find<Type extends OomkitEvent["type"]>(
    type: Type,
    cgroup: string,
    ms: number,
  ): Promise<Extract<OomkitEvent, { type: Type }> | undefined>;
}

/** An emulated machine is slow, and so is arming a thousand cgroups on v1. */
const START_MS = 300_000;
const STOP_MS = 20_000;
const LOOK_MS = 4;
/** Ends the guard when this program is killed. */
const LONGEST = "3h";
/** The shell's process becomes the guard. */
const SCRIPT = 'echo 0 >"$PROCS" && exec "$0" "$@" >"$OUT" 2>"$ERR"';

/** The same on a terminal with discarded output; events go to the log file. The arguments contain no spaces. */
const LIVE_SCRIPT =
  'stty cols 160 rows 50; echo 0 >"$PROCS"; exec $GUARD --log-file "$OUT" --event-types all 2>"$ERR"';

/** @param options.home the cgroup to run in; default: that of this program. */
export async function startRaceGuard(
  mode: RaceMode,
  parent: Cgroup,
  directory: string,
  { home, isLive = false }: { readonly home?: Cgroup; readonly isLive?: boolean } = {},
): Promise<RaceGuard> {
  const [out, err] = ["out", "err"].map((name) => `${directory}/guard-${mode}.${name}`);
  const options = ["-r", parent.path, "--policy", "process", "--mode", mode, "--for", LONGEST];
  const child = startChild(
    isLive
      ? ["script", "--quiet", "--command", LIVE_SCRIPT, "/dev/null"]
      : ["sh", "-c", SCRIPT, executable, "guard", "--json", ...options],
    {
      stdin: "null",
      stdout: "null",
      // script(1) prints the end of the terminal as well.
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
  const byCgroup = new Map<string, OomkitEvent[]>();
  const events = (cgroup: string): readonly OomkitEvent[] => {
    for (const event of take()) {
      if (event.type === "summary") continue;
      const known = byCgroup.get(event.cgroup);
      if (known) known.push(event);
      else byCgroup.set(event.cgroup, [event]);
    }
    return byCgroup.get(cgroup) ?? [];
  };
  return {
    pid: child.pid,
    said,
    kills: (cgroup) => events(cgroup).flatMap(killsIn),
    async find(type, cgroup, ms) {
      for (const deadline = performance.now() + ms;; await delay(LOOK_MS)) {
        const found = events(cgroup).find((event) => event.type === type);
        if (found) return found as Extract<OomkitEvent, { type: typeof type }>;
        if (performance.now() > deadline) return undefined;
      }
    },
    [Symbol.asyncDispose]: end,
  };
}

function killsIn(event: OomkitEvent): Kill[] {
  if (event.type !== "action" || !("victim" in event) || event.signal !== "SIGKILL") return [];
  const { victim, ts, signal_ms } = event;
  return victim ? [{ pid: victim.pid, ts: Date.parse(ts), signalMs: signal_ms ?? undefined }] : [];
}

async function firstLine(path: string, child: Deno.ChildProcess): Promise<string> {
  let hasEnded = false;
  void child.status.then(() => hasEnded = true);
  for (const deadline = performance.now() + START_MS;; await delay(LOOK_MS)) {
    // The shell creates the file.
    const text = tryReadText(path) ?? "";
    if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
    if (hasEnded || performance.now() > deadline) return text;
  }
}

/** @returns a function that takes what was added since the last call. */
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

/** Why a program cannot be run; `undefined` when it can. */
export function whyNot([program, ...args]: readonly string[]): string | undefined {
  try {
    const { success, stderr } = new Deno.Command(program!, { args, stdin: "null" }).outputSync();
    const said = new TextDecoder().decode(stderr).trim().split("\n")[0];
    return success ? undefined : `it says "${said}"`;
  } catch {
    return "it is not installed";
  }
}
