/** The same soak in an emulated machine, which has neither the sources nor the packages. */

import { bundle } from "../build/bundle.ts";
import { runInGuest } from "../guest_kernel/guest.ts";
import { progress } from "../progress.ts";
import { Mistake, note, pass } from "../terminal.ts";

export interface GuestSoak {
  /** The script that soaks, as a path. */
  readonly entry: string;
  readonly minutes: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** Seconds for start-up and the last checks. */
const BEFORE_AND_AFTER = 400;
const MACHINE_MEMORY = 3072;
const DISK = 1024;

/** @param version of the cgroups: `v1` or `v2`. @returns its exit code. */
export async function soakInGuest(version: string, run: GuestSoak): Promise<number> {
  if (version !== "v1" && version !== "v2") {
    throw new Mistake(`cannot soak in a guest of "${version}": it must be v1 or v2`);
  }
  const folder = Deno.makeTempDirSync({ prefix: "oomkit-soak-" });
  try {
    await bundle(run.entry, folder);
    const words = ["--minutes", String(run.minutes), "--seed", String(run.seed)];
    const executable = Deno.env.get("OOMKIT_BIN");
    const { code, failure, console } = await runInGuest({
      cgroup: version,
      deno: true,
      command: ["deno", "run", "-A", "--no-check", "--no-config", "/soak/soak.js", ...words],
      environment: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", TMPDIR: "/disk", TERM: "dumb" },
      files: { "/soak": folder },
      memory: MACHINE_MEMORY,
      disk: DISK,
      limit: Math.round(60 * run.minutes) + BEFORE_AND_AFTER,
      signal: run.signal,
      onOutput: pass,
      onStage: (what) => progress.show(`soak: ${what} in the guest`),
      ...(executable === undefined ? {} : { executable }),
    });
    if (code !== undefined) return code;
    note(console.trimEnd());
    throw new Mistake(`no result from the guest: ${failure}`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}
