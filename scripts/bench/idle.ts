/**
 * Costs of watching and guarding idle cgroups: CPU time, and how often each thread wakes up. All programs are measured during the same
 * time; they are idle.
 */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { readInto } from "../../core/kernel/fd.ts";
import { MAX_RECORD_BYTES, openKernelLog } from "../../core/kernel/kernel_log.ts";
import { SystemCallError } from "../../core/kernel/libc.ts";
import { resyncInterval } from "../../core/policy/poll_interval.ts";
import { delay } from "../../core/timing.ts";
import { MIB } from "../cgroups.ts";
import { executable } from "../command.ts";
import { progress } from "../terminal.ts";
import {
  createBenchCgroup,
  endChild,
  makeBenchDirectory,
  makeChildren,
  startChild,
} from "./cleanup.ts";
import { type Costs, costsOf, REST_TARGETS, restOf, restText } from "./costs.ts";
import { FLOORS } from "./footprint.ts";
import { startRaceGuard, startWatch } from "./programs.ts";
import { makeEmptyProgram, versionOf } from "./start_up.ts";
import { against, type Measured, mebibytes, row } from "./statistics.ts";

const MANY = 1000;
/** The time between two full reads of many cgroups: each program makes one. */
const MEASURED_MS = resyncInterval(MANY, true);
/** A cgroup is at rest after 10 s, and V8 collects the garbage of the start within a minute. */
const SETTLE_MS = 60_000;

interface Subject extends AsyncDisposable {
  readonly what: string;
  readonly pid: number;
  /** Percent of a core; absent for the floor. */
  readonly target?: number;
  /** Milliseconds; absent for the floor. */
  readonly armedAfter?: number;
}

export async function idle(): Promise<Measured> {
  const parent = createBenchCgroup(Infinity);
  const nodes = makeChildren(parent, REST_TARGETS.size);
  await using subjects = new AsyncDisposableStack();
  const all: Subject[] = [];
  const add = async (what: string, start: () => Promise<Subject>) => {
    progress.show(`bench: idle, starting ${what}`, all.length, 2 * REST_TARGETS.size + 2);
    all.push(subjects.use(await start()));
  };
  const [name, text] = FLOORS.at(-1)!;
  await add(name, () => startFloor(name, text));
  for (const [at, [count, target]] of [...REST_TARGETS].entries()) {
    const node = nodes[at]!;
    makeChildren(node, count, 64 * MIB);
    const of = (what: string) => `${what}, ${count} cgroups`;
    await add(of("watch -r"), () => startedWatch(of("watch -r"), node, target));
    await add(of("guard -r"), () => startedGuard(of("guard -r"), node, target));
    if (count !== MANY) continue;
    const options = ["--threshold", "90%"];
    const what = of(["watch -r", ...options].join(" "));
    await add(what, () => startedWatch(what, node, target, ...options));
  }
  progress.show("bench: idle, settling", 0, 1);
  await delay(SETTLE_MS);
  progress.show(`bench: idle, measuring ${MEASURED_MS / 1000} s`, 0, 1);
  const loggedLines = followKernelLog();
  const rests = await Promise.all(all.map(({ pid }) => restOf(pid, MEASURED_MS)));
  const rows = all.map(({ what, target }, at) => {
    const { share } = rests[at]!;
    return row(what, [share], target === undefined ? "floor" : against(target, share, "%"));
  });
  const armed = all.flatMap(({ what, armedAfter }) =>
    armedAfter === undefined ? [] : [row(what, [armedAfter])]
  );
  return {
    tables: [
      { title: `at rest, ${MEASURED_MS / 1000} s`, unit: "% of a core", rows },
      { title: "until it is armed", unit: "ms", rows: armed },
    ],
    lines: [
      ...all.map(({ what, pid }, at) =>
        `${what}: ${restText(rests[at]!)}; ${memoryText(costsOf(pid))}`
      ),
      `kernel log: ${loggedLines()} lines meanwhile: each wakes all but the floor, so that many hide the rest`,
    ],
  };
}

async function startFloor(what: string, text: string): Promise<Subject> {
  const directory = makeBenchDirectory();
  const program = await makeEmptyProgram(`${directory}/empty`, versionOf(executable), text);
  const child = startChild([program], { stdin: "null" });
  return {
    what,
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      endChild(child);
      await child.status;
    },
  };
}

function startedWatch(
  what: string,
  parent: Cgroup,
  target: number,
  ...options: readonly string[]
): Promise<Subject> {
  return started(what, target, () => startWatch(["-r", parent.path, ...options]));
}

/** In the default mode. */
function startedGuard(what: string, parent: Cgroup, target: number): Promise<Subject> {
  const mode = parent.hierarchy.version.canThrottle ? "throttle" : "hold-near-limit";
  return started(what, target, () => startRaceGuard(mode, parent, makeBenchDirectory()));
}

/** @param start resolves when everything is armed. */
async function started(
  what: string,
  target: number,
  start: () => Promise<AsyncDisposable & { readonly pid: number }>,
): Promise<Subject> {
  const from = performance.now();
  const program = await start();
  const armedAfter = performance.now() - from;
  return {
    what,
    pid: program.pid,
    target,
    armedAfter,
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

/** @returns a function that counts the lines since. */
function followKernelLog(): () => string {
  try {
    const log = openKernelLog();
    const buffer = new Uint8Array(MAX_RECORD_BYTES);
    return () => {
      using _ = log;
      let [lines, isPart] = [0, false];
      for (let isRead = true; isRead;) {
        try {
          isRead = readInto(log, buffer) !== undefined;
          if (isRead) lines += 1;
        } catch (error) {
          // Lines were overwritten before they were read: the next read returns the oldest that is left.
          if (!(error instanceof SystemCallError) || error.code !== "EPIPE") throw error;
          isPart = true;
        }
      }
      return isPart ? `more than ${lines}` : String(lines);
    };
  } catch {
    return () => "an unknown number of";
  }
}

const memoryText = ({ resident, anonymous, descriptors }: Costs): string =>
  `${mebibytes(resident)} resident, ${
    mebibytes(anonymous)
  } of it anonymous, ${descriptors} open files`;
