/** What a guard changes is on record before, and somebody minds it from the first change on. */

import { type Journal, openJournal } from "../act/journal.ts";
import { type RestoreWatchdog, startRestoreWatchdog } from "../act/minder.ts";
import { maySuspend, type PolicySet } from "./plan.ts";

export interface RestoreGuard {
  readonly journal: Journal;
  /** To be called before anybody is struck by them. Returns why nothing can be on record of who is stopped meanwhile. */
  prepareSuspensions(policies: PolicySet): string | undefined;
  /** Dismisses who minds it, unless something is left for him. */
  end(isAllPutBack: boolean): Promise<void>;
}

/** @param release the command that puts back what is left. */
export function createRestoreGuard(stateFolder: string, release: readonly string[]): RestoreGuard {
  const files = openJournal(stateFolder);
  let restoreWatchdog: RestoreWatchdog | undefined;
  const mind = () => void (restoreWatchdog ??= startRestoreWatchdog(release));
  return {
    journal: {
      ...files,
      change(...change) {
        mind();
        return files.change(...change);
      },
    },
    prepareSuspensions(policies) {
      if (!maySuspend(policies)) return undefined;
      mind();
      return files.prepareSuspensionLog();
    },
    async end(isAllPutBack) {
      if (isAllPutBack) await restoreWatchdog?.dismiss();
    },
  };
}
