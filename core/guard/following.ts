/** The kernel's own events in the guarded parts, which are also what tells of cgroups that come and go and of limits. */

import { isThere, openCgroup } from "../cgroup/cgroup.ts";
import type { OomkitEvent } from "../report/event.ts";
import { startWatch, type Watching } from "../watch/watch.ts";
import type { Scope } from "./scope.ts";

export interface EventForwarder {
  /** A target was removed, or is there again: what is followed is not what it was. */
  isStale(): boolean;
  /** Follows what is there now. */
  renew(): void;
  sources(): readonly string[];
  /** Ends with the summary. */
  stop(): Promise<void>;
}

/** A watch of its targets ends with them; a guard waits for them to come again, as a service's cgroup does. */
export function createEventForwarder(
  scopes: () => readonly Scope[],
  follow: (event: OomkitEvent) => void,
  fail: (error: unknown) => void,
): EventForwarder {
  let watching: Watching | undefined;
  let targets = there(scopes());
  let sources: readonly string[] = [];
  const ending = new Set<Promise<unknown>>();

  const end = (old: Watching | undefined) => {
    if (old === undefined) return;
    const ended = old.stop().catch(fail).finally(() => ending.delete(ended));
    ending.add(ended);
  };

  return {
    isStale() {
      const now = there(scopes());
      return now.length !== targets.length || !targets.every(isThere);
    },
    renew() {
      end(watching);
      watching = undefined;
      targets = there(scopes());
      if (targets.length === 0) return;
      watching = startWatch({
        targets,
        recursive: scopes().some(({ recursive }) => recursive),
        thresholds: [],
        pressure: [],
        psi: [],
      }, follow);
      sources = watching.sources;
      watching.done.catch(fail);
    },
    sources: () => sources,
    async stop() {
      end(watching);
      await Promise.all(ending);
    },
  };
}

/** Each cgroup once, as it is there now. */
function there(scopes: readonly Scope[]) {
  const found = scopes.flatMap(({ cgroup: { hierarchy, path } }) =>
    openCgroup(hierarchy, path) ?? []
  );
  return [...new Map(found.map((cgroup) => [cgroup.path, cgroup])).values()];
}
