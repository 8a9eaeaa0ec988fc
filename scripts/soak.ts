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
import { join } from "node:path";
import { root } from "./build/bundle.ts";
import { mebibytes } from "./bench/statistics.ts";
import { soakInGuest } from "./soak/in_guest.ts";
import { type Life, soak, type SoakResult } from "./soak/soak.ts";
import { progress } from "./progress.ts";
import { Mistake, note, printLine, run } from "./terminal.ts";

const options = {
  minutes: { type: "string", default: "3" },
  seed: { type: "string" },
  guest: { type: "string" },
} as const;

const MAX_SEED = 2 ** 32;

if (import.meta.main) await run("soak", main);

async function main(): Promise<number> {
  const { minutes, seed, guest } = parsed();
  const signal = interruption();
  if (guest !== undefined) {
    return await soakInGuest(guest, {
      entry: fileURLToPath(import.meta.url),
      minutes,
      seed,
      signal,
    });
  }
  const executable = Deno.env.get("OOMKIT_BIN") ?? join(root, "dist/oomkit");
  if (!isFile(executable)) throw new Mistake(`there is no ${executable}; deno task compile`);
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

export function summary({ tally, ...result }: SoakResult): string[] {
  const { operations, rounds, minutes, allocators, cgroups, longest, stopped, late } = result;
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  return [
    `${operations} operations in ${
      minutes.toFixed(1)
    } minutes, ${rounds} idle checks, ${cgroups} cgroup names, ${allocators} processes`,
    `killed by the guard ${tally.won}, by the kernel despite a guard ${tally.lost}, without a guard ${tally.unguarded}, outside the guarded subtree ${tally.outside}`,
    `left by guards that were killed: ${tally.unreported} kills without an event, ${stopped} stopped processes`,
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

function parsed(): { minutes: number; seed: number; guest: string | undefined } {
  const { values } = parse();
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

function parse() {
  try {
    return parseArgs({ args: Deno.args, options });
  } catch (error) {
    throw new Mistake(`${(error as Error).message}; known are --minutes, --seed and --guest`);
  }
}

/** The first signal asks the soak to end; a running operation is waited for. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => controller.abort());
  }
  return controller.signal;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
