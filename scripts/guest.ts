/**
 * Runs a command, or tests, on a real kernel with a chosen cgroup layout, in an emulated machine:
 *
 *     scripts/guest --cgroup v2 -- sh -c 'cat /sys/fs/cgroup/cgroup.controllers'
 *     scripts/guest --cgroup v1 tests/kernel/watch_test.ts
 */

import { parseArgs } from "node:util";
import { resolve } from "node:path";
import { omitUndefined } from "../core/omit_undefined.ts";
import { root } from "./command.ts";
import { isThere } from "./files.ts";
import { type Run, runInGuest, runTestsInGuest, testFiles } from "./guest_kernel/guest.ts";
import { isKernelRelease, kernelOfRelease, kernelReleases } from "./guest_kernel/debian_kernels.ts";
import { type Architecture, type Hierarchy, type Kernel, kernelAt } from "./guest_kernel/image.ts";
import { interruption, Mistake, note, parsed, pass, progress, run } from "./terminal.ts";

const usage = `usage: scripts/guest [option…] -- command [argument…]
       scripts/guest [option…] [test file…]        without a file: all of tests/kernel

  --cgroup v2|v1|hybrid   the hierarchy (v2)
  --arch arm64            Debian's kernel for arm64, with dist/oomkit-aarch64; --program and --bin
                          take programs for it
  --disk MIB              an ext4 disk at /disk with reclaimable page cache (none)
  --memory MIB            of the machine (3072)
  --timeout SECONDS       after which it is switched off (600)
  --add HOST=GUEST        a file or directory of this machine, and where it goes
  --program HOST=GUEST    a program, which takes its shared libraries along
  --env NAME=VALUE        for the command
  --out DIRECTORY         gets what the command leaves in /out
  --filter TEXT           only tests with this text in their name
  --bin FILE              becomes /oomkit (dist/oomkit)
  --deno                  puts Deno into the guest for a command, too
  --kernel RELEASE|FILE   5.10, 6.1 or 6.12: Debian's cloud kernel, downloaded unless it is
                          installed; or a kernel (the newest /boot/vmlinuz-*-cloud-amd64)
  --boot TEXT             more parameters of the kernel, such as psi=0
  --console               shows what the kernel printed, at the end`;

const options = {
  arch: { type: "string", default: "amd64" },
  cgroup: { type: "string", default: "v2" },
  disk: { type: "string" },
  memory: { type: "string" },
  timeout: { type: "string" },
  add: { type: "string", multiple: true },
  program: { type: "string", multiple: true },
  env: { type: "string", multiple: true },
  out: { type: "string" },
  filter: { type: "string" },
  bin: { type: "string" },
  deno: { type: "boolean", default: false },
  kernel: { type: "string" },
  boot: { type: "string" },
  console: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

async function main(): Promise<number> {
  const dashes = Deno.args.indexOf("--");
  const command = dashes < 0 ? [] : Deno.args.slice(dashes + 1);
  const args = dashes < 0 ? Deno.args : Deno.args.slice(0, dashes);
  const { values, positionals } = parsed(
    () => parseArgs({ args, options, allowPositionals: true }),
    "see scripts/guest --help",
  );
  if (values.help) {
    note(usage);
    return 0;
  }
  const signal = interruption();
  const architecture = architectureNamed(values.arch);
  const machine: Omit<Run, "command" | "deno"> = {
    architecture,
    cgroup: hierarchy(values.cgroup),
    environment: pairs("--env", values.env ?? []),
    files: byGuestPath("--add", values.add),
    programs: byGuestPath("--program", values.program),
    signal,
    onOutput: pass,
    onStage: (what, ...far) => progress.show(`guest: ${what}`, ...far),
    ...omitUndefined({
      disk: number(values.disk),
      memory: number(values.memory),
      limit: number(values.timeout),
      out: path(values.out),
      boot: values.boot,
      executable: path(values.bin),
      kernel: await kernelNamed(values.kernel, architecture, signal),
    }),
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

function hierarchy(word: string): Hierarchy {
  if (word === "v2" || word === "v1" || word === "hybrid") return word;
  throw new Mistake(`cannot boot the hierarchy "${word}": it must be v2, v1 or hybrid`);
}

function architectureNamed(word: string): Architecture {
  if (word === "amd64" || word === "arm64") return word;
  throw new Mistake(`cannot emulate "${word}": it must be amd64 or arm64`);
}

async function kernelNamed(
  word: string | undefined,
  architecture: Architecture,
  signal: AbortSignal,
): Promise<Kernel | undefined> {
  if (word === undefined) return undefined;
  if (isKernelRelease(word)) {
    progress.show(`guest: getting Linux ${word}`);
    return await kernelOfRelease(word, architecture, signal);
  }
  if (isThere(word)) return kernelAt(resolve(word));
  throw new Mistake(
    `cannot boot the kernel "${word}": it must be ${kernelReleases.join(", ")} or a file`,
  );
}

const path = (text: string | undefined) => text === undefined ? undefined : resolve(text);

function number(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new Mistake(`cannot use "${text}": it must be a whole number`);
  return Number(text);
}

function pairs(option: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(texts.map((text) => {
    const at = text.indexOf("=");
    if (at < 1) throw new Mistake(`cannot use ${option} "${text}": an equals sign must part it`);
    return [text.slice(0, at), text.slice(at + 1)];
  }));
}

/** Host paths by guest path. */
function byGuestPath(option: string, texts: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    Object.entries(pairs(option, texts)).map(([from, to]) => [to, resolve(from)]),
  );
}

if (import.meta.main) await run("guest", main);
