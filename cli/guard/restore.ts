/** `oomkit guard --restore`: restores settings left by guards that were killed. */

import {
  journalFolder,
  restoreStale,
  runningGuards,
  untrustedReason,
} from "../../core/control/journal.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { toJson } from "../../core/events/json.ts";
import { wantsJson } from "../options/subcommand.ts";
import { print, printable, printStderr } from "../output/output.ts";
import type { GuardFlags } from "./options.ts";

/** @returns the exit status */
export function restoreSettings(targets: readonly string[], flags: GuardFlags): number {
  if (targets.length > 0) {
    throw new OomkitError(
      `cannot restore ${targets[0]} alone: --restore takes no targets`,
      "write: oomkit guard --restore",
    );
  }
  const folder = journalFolder();
  const untrusted = untrustedReason(folder);
  if (untrusted !== undefined) {
    throw new OomkitError(
      `cannot restore the settings recorded in ${shortened(folder)}: ${untrusted}`,
      "restore them by hand and remove the folder, or name another folder with OOMKIT_STATE_DIR",
    );
  }
  const restored = restoreStale(folder);
  for (const each of restored) {
    const { dir, file, before, outcome, reason } = each;
    const why = reason ? ` (${reason})` : "";
    if (wantsJson(flags)) print(toJson(each));
    else print(`${outcome.padEnd(8)}  ${printable(dir)}/${file}: ${before}${why}`);
  }
  for (const pid of runningGuards(folder)) {
    printStderr(`a guard runs with pid ${pid}; it restores its own changes when it ends`);
  }
  if (restored.length === 0) printStderr("nothing to restore");
  return restored.some(({ outcome }) => outcome === "failed") ? 2 : 0;
}
