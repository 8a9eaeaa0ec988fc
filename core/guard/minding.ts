/** What a guard changes is on record before, and somebody minds it from the first change on. */

import { type Journal, openJournal } from "../act/journal.ts";
import { type Minder, startMinder } from "../act/minder.ts";
import { mayStop, type Plans } from "./plan.ts";

export interface Minding {
  readonly journal: Journal;
  /** To be called before anybody is struck by them. Returns why nothing can be on record of who is stopped meanwhile. */
  expectStops(plans: Plans): string | undefined;
  /** Dismisses who minds it, unless something is left for him. */
  end(isAllPutBack: boolean): Promise<void>;
}

/** @param release the command that puts back what is left. */
export function createMinding(stateFolder: string, release: readonly string[]): Minding {
  const files = openJournal(stateFolder);
  let minder: Minder | undefined;
  const mind = () => void (minder ??= startMinder(release));
  return {
    journal: {
      ...files,
      change(...change) {
        mind();
        return files.change(...change);
      },
    },
    expectStops(plans) {
      if (!mayStop(plans)) return undefined;
      mind();
      return files.expectPauses();
    },
    async end(isAllPutBack) {
      if (isAllPutBack) await minder?.dismiss();
    },
  };
}
