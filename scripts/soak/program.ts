/** A program under test that runs for a long time: its lines are checked as they come. */

import { tryReadText } from "../../core/cgroup/files.ts";
import { signalTo } from "./allocators.ts";

export interface Program {
  readonly name: "guard" | "watch";
  readonly pid: number;
  readonly words: readonly string[];
  /** Milliseconds since the epoch. */
  readonly started: number;
  armed?: number;
  ended?: { readonly at: number; readonly code: number; readonly signal: string | null };
  /** The signal by which the soak ended it, and when. */
  ending?: { readonly at: number; readonly signal: Deno.Signal };
  /** Periods in which it was stopped by SIGSTOP. */
  readonly stops: { readonly from: number; to?: number }[];
  readonly events: ReportedEvent[];
  readonly stderrLines: string[];
  /** Resolves to false when it ended instead. */
  readonly ready: Promise<boolean>;
  readonly gone: Promise<void>;
}

/** An event as it left the program; the schema has checked it. */
// deno-lint-ignore no-explicit-any
export type ReportedEvent = any;

export interface Hearing {
  /** Called with each line; throws nothing. */
  line(program: Program, event: ReportedEvent): void;
  stderrLine(program: Program, line: string): void;
  /** It is no JSON. */
  broken(program: Program, line: string): void;
}

const ARMED = { guard: /^guarding /, watch: /^watching / };

export function startProgram(
  name: Program["name"],
  executable: string,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
  hearing: Hearing,
): Program {
  const child = new Deno.Command(executable, {
    args: [name, ...words],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...env },
  }).spawn();
  const ready = Promise.withResolvers<boolean>();
  const program: Program = {
    name,
    pid: child.pid,
    words,
    started: Date.now(),
    stops: [],
    events: [],
    stderrLines: [],
    ready: ready.promise,
    gone: end(),
  };
  async function end() {
    await Promise.all([
      eachLine(child.stderr, (line) => {
        program.stderrLines.push(line);
        hearing.stderrLine(program, line);
        if (!ARMED[name].test(line)) return;
        program.armed ??= Date.now();
        ready.resolve(true);
      }),
      eachLine(child.stdout, (line) => {
        const event = parsed(line);
        if (event === undefined) return hearing.broken(program, line);
        program.events.push(event);
        hearing.line(program, event);
      }),
      child.status.then(({ code, signal }) => {
        program.ended = { at: Date.now(), code, signal };
        ready.resolve(false);
      }),
    ]);
  }
  return program;
}

function parsed(line: string): ReportedEvent | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** A last line without its end counts as one: it was cut off by a SIGKILL, or is broken. */
async function eachLine(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    lines.forEach(take);
  }
  if (rest !== "") take(rest);
}

/** Whether it has been at work all the time since `from`, for at least `ms`. */
export function wasAtWork(program: Program, from: number, to: number): boolean {
  const { armed, ended, ending, stops } = program;
  if (armed === undefined || armed > from) return false;
  if ((ending?.at ?? ended?.at ?? Infinity) < to) return false;
  return stops.every((stop) => (stop.to ?? Infinity) < from || stop.from > to);
}

/** An emulated machine takes its time. */
const END_MS = 60_000;

/** Returns when it is gone and all its output is read. */
export async function endProgram(program: Program, signal: Deno.Signal): Promise<void> {
  program.ending = { at: Date.now(), signal };
  continueProgram(program);
  signalTo(program.pid, signal);
  const late = setTimeout(() => signalTo(program.pid, "SIGABRT"), END_MS);
  await program.gone;
  clearTimeout(late);
}

export function continueProgram(program: Program): void {
  signalTo(program.pid, "SIGCONT");
  for (const stop of program.stops) stop.to ??= Date.now();
}

/** The shell that puts things back when a guard is killed. */
export function restoreWatchdogOf(guard: number): number | undefined {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = tryReadText(`/proc/${name}/stat`) ?? "";
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    if (parent === guard && tryReadText(`/proc/${name}/cmdline`)?.includes("oomkit-restore")) {
      return Number(name);
    }
  }
  return undefined;
}
