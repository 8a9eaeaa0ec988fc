/** Runs `simulate --json`, with each line checked against the schema. */

import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import schema from "../../docs/schema/simulate.schema.json" with { type: "json" };
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { oomkit, type Ran, runOomkit, type RunOptions } from "./run_oomkit.ts";

const isLine = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

// deno-lint-ignore no-explicit-any
export type Line = any;

/** Throws when a line does not match the schema. */
export function parseLine(text: string): Line {
  const line = JSON.parse(text);
  assert.ok(isLine(line), `${text}\n${JSON.stringify(isLine.errors, null, 1)}`);
  return line;
}

export interface Simulated extends Ran {
  readonly lines: readonly Line[];
  readonly start: Line;
  readonly verdict: Line;
  ofType(type: string): Line[];
}

function simulated(ran: Ran): Simulated {
  const lines = ran.stdout.trimEnd().split("\n").filter((text) => text !== "").map(parseLine);
  const ofType = (type: string) => lines.filter((line) => line.type === type);
  assert.ok(lines.length > 0, `nothing on stdout; stderr: ${ran.stderr}`);
  assert.equal(lines.at(-1).type, "verdict", ran.stdout + ran.stderr);
  return { ...ran, lines, start: ofType("start")[0], verdict: lines.at(-1), ofType };
}

export async function simulateJson(
  args: readonly string[],
  options: RunOptions = {},
): Promise<Simulated> {
  return simulated(await runOomkit(["simulate", "--json", ...args], options));
}

export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** The next line of this type; throws when the run ends before one comes. */
  next(type: string): Promise<Line>;
  kill(signal: Deno.Signal): void;
  /** Everything, once the run has ended. */
  end(): Promise<Simulated>;
  readonly status: Promise<Deno.CommandStatus>;
}

/** Starts a simulation, which is ended when the test disposes of it. */
export function startSimulation(args: readonly string[]): Running {
  const [command, ...words] = oomkit();
  const child = new Deno.Command(command!, {
    args: [...words, "simulate", "--json", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let seen = 0;
  const more = async () => {
    const { value, done } = await reader.read();
    text += value ?? "";
    return !done;
  };
  const kill = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch {
      // It has exited.
    }
  };
  const drain = async () => {
    while (await more());
  };
  return {
    pid: child.pid,
    status: child.status,
    kill,
    async next(type) {
      for (;;) {
        const lines = text.split("\n");
        while (seen < lines.length - 1) {
          const line = parseLine(lines[seen++]!);
          if (line.type === type) return line;
        }
        if (!await more()) throw new Error(`no ${type} event: ${text}${await stderr}`);
      }
    },
    async end() {
      await drain();
      const { code } = await child.status;
      return simulated({ code, stdout: text, stderr: await stderr });
    },
    async [Symbol.asyncDispose]() {
      // SIGKILL would leave its cgroup behind.
      kill("SIGINT");
      const hung = setTimeout(() => kill("SIGKILL"), 120_000);
      await drain();
      await child.status;
      await stderr;
      clearTimeout(hung);
    },
  };
}

export const exists = (path: string) => openCgroup(discover(), path) !== undefined;
export const isAlive = (pid: number) => {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

/** The cgroup and the processes of a run are gone. */
export function assertGone({ start }: Pick<Simulated, "start">): void {
  assert.equal(exists(start.cgroup), false, `${start.cgroup} is still there`);
  for (const pid of start.pids) assert.equal(isAlive(pid), false, `${pid} is still alive`);
}
