/** `oomkit guard --restore`: puts back what others have left. */

import {
  journalFolder,
  restoreStale,
  runningGuards,
  untrustedReason,
} from "../../core/control/journal.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { toJson } from "../../core/events/json.ts";
import type { GuardFlags } from "./options.ts";
import { wantsJson } from "../options/option.ts";
import { print, printable, printStderr } from "../output/output.ts";

/** The exit code. */
export function release(targets: readonly string[], flags: GuardFlags): number {
  if (targets.length > 0) {
    throw new OomkitError(
      `cannot release ${targets[0]}: everything that guards have left is put back at once`,
      "write: oomkit guard --restore",
    );
  }
  const folder = journalFolder();
  const untrusted = untrustedReason(folder);
  if (untrusted !== undefined) {
    throw new OomkitError(
      `cannot put back what is recorded in ${shortened(folder)}: ${untrusted}`,
      "look at what is there, put the files back by hand, and remove it; or name another folder with OOMKIT_STATE_DIR",
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
    printStderr(
      `the guard with pid ${pid} is at work; what it has changed it puts back itself when it ends`,
    );
  }
  if (restored.length === 0) printStderr("there was nothing to put back");
  return restored.some(({ outcome }) => outcome === "failed") ? 2 : 0;
}
