/**
 * Random operations and faults against the executable, on this kernel or an emulated one, for a given time:
 *
 *     deno task soak --minutes 3 [--seed 7] [--guest v2]
 *
 * The seed repeats the operations; the kernel's reaction may differ. Needs the right to make cgroups: one
 * of its own, oomkit-soak-…, limited, and removed on every way out. Exit: 0 when everything held, 1 when something did
 * not, 2 when it cannot run.
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { omitUndefined } from "../core/omit_undefined.ts";
import { mebibytes } from "./bench/statistics.ts";
import { bundle } from "./build/bundle.ts";
import { executable } from "./command.ts";
import { isThere } from "./files.ts";
import { runInGuest } from "./guest_kernel/guest.ts";
import type { Life } from "./soak/idle.ts";
import { soak, type SoakResult } from "./soak/soak.ts";
import { interruption, Mistake, note, parsed, pass, printLine, progress, run } from "./terminal.ts";

const options = {
  minutes: { type: "string", default: "3" },
  seed: { type: "string" },
  guest: { type: "string" },
} as const;

const MAX_SEED = 2 ** 32;

async function main(): Promise<number> {
  const { minutes, seed, guest } = settings();
  const signal = interruption();
  if (guest !== undefined) return await soakInGuest(guest, minutes, seed, signal);
  if (!isThere(executable)) throw new Mistake(`there is no ${executable}; deno task compile`);
  note(`soak: ${minutes} minutes with seed ${seed}`);
  const result = await soak({
    seed,
    minutes,
    executable,
    signal,
    progress: (line) => progress.show(`soak for ${minutes} minutes: ${line}`),
  });
  progress.end();
  for (const line of summary(result)) printLine(line);
  if (result.findings.length === 0) return 0;
  printLine(
    `the last operations:\n${result.lastOperations.map((fault) => `  ${fault}`).join("\n")}`,
  );
  printLine(
    `events: ${[...result.events].map(([what, count]) => `${count} × ${what}`).join(", ")}`,
  );
  for (const finding of result.findings) printLine(`VIOLATED: ${finding}`);
  printLine(`again: deno task soak --minutes ${minutes} --seed ${seed}`);
  return 1;
}

function summary({ counts, ...result }: SoakResult): string[] {
  const { operations, rounds, minutes, allocators, cgroups, longest, stopped, late } = result;
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  return [
    `${operations} operations in ${
      minutes.toFixed(1)
    } minutes, ${rounds} idle checks, ${cgroups} cgroup names, ${allocators} processes`,
    `killed by the guard ${counts.won}, by the kernel despite a guard ${counts.lost}, without a guard ${counts.unguarded}, outside the guarded subtree ${counts.outside}`,
    `left by guards that were killed: ${counts.unreported} kills without an event, ${stopped} stopped processes`,
    `events at most ${seconds(late.guard)} s late from the guard, ${
      seconds(late.watch)
    } s from the watch`,
    ...longest.map(lifeLine),
  ];
}

function lifeLine({ name, rests, first, last }: Life): string {
  const change = (from: number, to: number) => from === to ? `${to}` : `${from} → ${to}`;
  return `the longest-running ${name}, ${rests} idle checks: ${mebibytes(first.anonymous)} → ${
    mebibytes(last.anonymous)
  } anonymous, open files ${change(first.descriptors, last.descriptors)}, epoll entries ${
    change(first.epollEntries, last.epollEntries)
  }, inotify watches ${change(first.inotifyWatches, last.inotifyWatches)}`;
}

function settings(): { minutes: number; seed: number; guest: string | undefined } {
  const { values } = parsed(
    () => parseArgs({ args: Deno.args, options }),
    "known are --minutes, --seed and --guest",
  );
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) {
    throw new Mistake(`cannot soak for --minutes ${values.minutes}: it must be above 0`);
  }
  const seed = values.seed === undefined ? Date.now() % MAX_SEED : Number(values.seed);
  if (Number.isInteger(seed) && seed >= 0 && seed < MAX_SEED) {
    return { minutes, seed, guest: values.guest };
  }
  throw new Mistake(
    `cannot begin with --seed ${values.seed}: it must be a whole number below 2^32`,
  );
}

/** Seconds for start-up and the last checks. */
const BEFORE_AND_AFTER = 400;
const MACHINE_MEMORY = 3072;
const DISK = 1024;

/**
 * The same soak in an emulated machine, which has neither the sources nor the packages.
 * @param version of the cgroups: `v1` or `v2`. @returns its exit code.
 */
async function soakInGuest(
  version: string,
  minutes: number,
  seed: number,
  signal: AbortSignal,
): Promise<number> {
  if (version !== "v1" && version !== "v2") {
    throw new Mistake(`cannot soak in a guest of "${version}": it must be v1 or v2`);
  }
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-soak-" });
  try {
    await bundle(fileURLToPath(import.meta.url), directory);
    const words = ["--minutes", String(minutes), "--seed", String(seed)];
    const { code, failure, console } = await runInGuest({
      cgroup: version,
      deno: true,
      command: ["deno", "run", "-A", "--no-check", "--no-config", "/soak/soak.js", ...words],
      environment: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", TMPDIR: "/disk", TERM: "dumb" },
      files: { "/soak": directory },
      memory: MACHINE_MEMORY,
      disk: DISK,
      limit: Math.round(60 * minutes) + BEFORE_AND_AFTER,
      signal,
      onOutput: pass,
      onStage: (what) => progress.show(`soak: ${what} in the guest`),
      ...omitUndefined({ executable: Deno.env.get("OOMKIT_BIN") }),
    });
    if (code !== undefined) return code;
    note(console.trimEnd());
    throw new Mistake(`no result from the guest: ${failure}`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

if (import.meta.main) await run("soak", main);
