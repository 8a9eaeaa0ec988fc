/**
 * Measures on this machine what docs/performance.md tells: `deno task bench [start-up] [sweep] [latency] [idle]
 * [footprint] [race]`. What follows the first `--option` is for the last two: scripts/bench/race_cells.ts and footprint.ts.
 *
 * Of the executable: `deno task compile` first. Needs the right to make cgroups; they are called oomkit-bench-… and are
 * removed on every way out.
 */

import { removeBenchCgroups } from "./bench/cgroups.ts";
import { footprint } from "./bench/footprint.ts";
import { idle } from "./bench/idle.ts";
import { latency } from "./bench/latency.ts";
import { race } from "./bench/race.ts";
import { executable, startUp, versionOf } from "./bench/start_up.ts";
import { sweep } from "./bench/sweep.ts";
import { Mistake, run, say } from "./terminal.ts";

const firstOption = Deno.args.findIndex((arg) => arg.startsWith("-"));
const named = firstOption < 0 ? Deno.args : Deno.args.slice(0, firstOption);
const options = Deno.args.slice(named.length);

const benches: Readonly<Record<string, () => Promise<string[]>>> = {
  "start-up": startUp,
  sweep,
  latency,
  idle,
  footprint: () => footprint(options),
  race: () => race(options),
};

await run("bench", async () => {
  const names = named.length === 0 ? Object.keys(benches) : named;
  const unknown = names.find((name) => benches[name] === undefined);
  if (unknown !== undefined) {
    const known = Object.keys(benches).join(", ");
    throw new Mistake(`cannot measure "${unknown}": it must be one of ${known}`);
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => void removeBenchCgroups().finally(() => Deno.exit(130)));
  }
  say(conditions());
  for (const name of names) {
    await removeBenchCgroups();
    try {
      const lines = await benches[name]!();
      say(`\n${lines.join("\n")}`);
    } finally {
      await removeBenchCgroups();
    }
  }
  return 0;
});

function conditions(): string {
  const cores = navigator.hardwareConcurrency;
  const load = Deno.loadavg()[0]!.toFixed(2);
  const machine = `Linux ${Deno.osRelease()}, ${Deno.build.arch}, ${cores} cores, load ${load}`;
  return `${versionOf(executable)}\n${machine}; measured by Deno ${Deno.version.deno}`;
}
