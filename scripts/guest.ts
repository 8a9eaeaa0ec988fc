/**
 * Runs a command, or tests, on a real kernel with a chosen cgroup layout, in an emulated machine:
 *
 *     scripts/guest --cgroup v2 -- sh -c 'cat /sys/fs/cgroup/cgroup.controllers'
 *     scripts/guest --cgroup v1 tests/kernel/watch_test.ts
 */

import { parseArgs } from "node:util";
import { resolve } from "node:path";
import { root } from "./build/bundle.ts";
import { type Run, runInGuest, runTestsInGuest } from "./guest_kernel/guest.ts";
import type { Hierarchy } from "./guest_kernel/image.ts";
import { testFiles } from "./guest_kernel/test_files.ts";
import { progress } from "./progress.ts";
import { Mistake, note, pass, run } from "./terminal.ts";

const usage = `usage: scripts/guest [option…] -- command [argument…]
       scripts/guest [option…] [test file…]        without a file: all of tests/kernel

  --cgroup v2|v1|hybrid   the hierarchy (v2)
  --disk MIB              an ext4 disk at /disk with reclaimable page cache (none)
  --memory MIB            of the machine (3072)
  --timeout SECONDS       after which it is switched off (600)
  --add HOST=GUEST        a file or folder of this machine, and where it goes
  --env NAME=VALUE        for the command
  --out FOLDER            gets what the command leaves in /out
  --filter TEXT           only tests with this text in their name
  --bin FILE              becomes /oomkit (dist/oomkit)
  --deno                  puts Deno into the guest for a command, too
  --kernel FILE           (the newest /boot/vmlinuz-*-cloud-amd64)
  --console               shows what the kernel printed, at the end`;

const options = {
  cgroup: { type: "string", default: "v2" },
  disk: { type: "string" },
  memory: { type: "string" },
  timeout: { type: "string" },
  add: { type: "string", multiple: true },
  env: { type: "string", multiple: true },
  out: { type: "string" },
  filter: { type: "string" },
  bin: { type: "string" },
  deno: { type: "boolean", default: false },
  kernel: { type: "string" },
  console: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

if (import.meta.main) await run("guest", main);

async function main(): Promise<number> {
  const dashes = Deno.args.indexOf("--");
  const command = dashes < 0 ? [] : Deno.args.slice(dashes + 1);
  const { values, positionals } = parse(dashes < 0 ? Deno.args : Deno.args.slice(0, dashes));
  if (values.help) {
    note(usage);
    return 0;
  }
  const machine: Omit<Run, "command" | "deno"> = {
    cgroup: hierarchy(values.cgroup),
    environment: pairs("--env", values.env ?? []),
    files: swapped(pairs("--add", values.add ?? [])),
    signal: interruption(),
    onOutput: pass,
    onStage: (what, ...far) => progress.show(`guest: ${what}`, ...far),
    ...number("disk", values.disk),
    ...number("memory", values.memory),
    ...number("limit", values.timeout),
    ...(values.out === undefined ? {} : { out: resolve(values.out) }),
    ...(values.bin === undefined ? {} : { executable: resolve(values.bin) }),
    ...(values.kernel === undefined ? {} : { kernel: resolve(values.kernel) }),
  };
  const filter = values.filter === undefined ? [] : [`--filter=${values.filter}`];
  const outcome = command.length > 0
    ? await runInGuest({ ...machine, command, deno: values.deno })
    : await runTestsInGuest(
      positionals.length > 0 ? positionals : testFiles(`${root}tests/kernel`),
      machine,
      filter,
    );
  if (values.console || outcome.code === undefined) note(outcome.console.trimEnd());
  if (outcome.code === undefined) throw new Mistake(`no result from the guest: ${outcome.failure}`);
  return outcome.code;
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new Mistake(`${(error as Error).message}; see scripts/guest --help`);
  }
}

function hierarchy(word: string): Hierarchy {
  if (word === "v2" || word === "v1" || word === "hybrid") return word;
  throw new Mistake(`cannot boot the hierarchy "${word}": it must be v2, v1 or hybrid`);
}

function number<Name extends string>(name: Name, text: string | undefined) {
  if (text === undefined) return {};
  if (!/^\d+$/.test(text)) throw new Mistake(`cannot use "${text}": it must be a whole number`);
  return { [name]: Number(text) };
}

function pairs(option: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(texts.map((text) => {
    const at = text.indexOf("=");
    if (at < 1) throw new Mistake(`cannot use ${option} "${text}": an equals sign must part it`);
    return [text.slice(0, at), text.slice(at + 1)];
  }));
}

function swapped(record: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([from, to]) => [to, resolve(from)]));
}

/** Ends the machine when this script is interrupted. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => controller.abort());
  }
  return controller.signal;
}
