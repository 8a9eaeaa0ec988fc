/** A watch in this process of a directory that is laid out like a memory hierarchy. */

import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { libc } from "../../../core/kernel/libc.ts";
import type { EventType, OomkitEvent } from "../../../core/events/event.ts";
import type { WatchOptions } from "../../../core/watch/options.ts";
import { startWatch, type Summary } from "../../../core/watch/watch.ts";
import type { Tree } from "../../helpers/trees.ts";

// It stays loaded, which would count as a leak within a test.
libc();

export type Event<Type extends EventType> = Extract<OomkitEvent, { type: Type }>;

export interface WatchedTree extends AsyncDisposable {
  readonly events: readonly OomkitEvent[];
  readonly sources: readonly string[];
  readonly done: Promise<void>;
  ofType<Type extends EventType>(type: Type): Event<Type>[];
  /** The first event of this type, past or future, for which `isWanted` holds. */
  next<Type extends EventType>(
    type: Type,
    isWanted?: (event: Event<Type>) => boolean,
  ): Promise<Event<Type>>;
  /** Ends the watch after everything that happened before is reported. */
  stop(): Promise<Summary>;
}

/**
 * @param targets cgroup paths of the tree
 * @param kernel as if the tree were the kernel's, so that what only a kernel has is tried: its log, eventfds, PSI triggers.
 */
export function watchTree(
  tree: Tree,
  targets: readonly string[],
  { recursive = false, ...options }: Partial<WatchOptions> & { readonly recursive?: boolean } = {},
  kernel = false,
): WatchedTree {
  const hierarchy = { ...discover(tree.dir), kernel };
  const scopes = targets.map((path) => ({ cgroup: openCgroup(hierarchy, path)!, recursive }));
  const events: OomkitEvent[] = [];
  let waiting: {
    fits: (event: OomkitEvent) => boolean;
    found: (event: OomkitEvent) => void;
  }[] = [];
  const watching = startWatch(
    { scopes, thresholds: [], pressureLevels: [], psi: [], ...options },
    (event) => {
      events.push(event);
      waiting = waiting.filter(({ fits, found }) => !fits(event) || found(event));
    },
  );
  let stopping: Promise<Summary> | undefined;
  const stop = () => stopping ??= watching.stop();
  return {
    events,
    sources: watching.sources,
    done: watching.done,
    ofType: <Type extends EventType>(type: Type) =>
      events.filter((event): event is Event<Type> => event.type === type),
    next<Type extends EventType>(type: Type, isWanted = (_: Event<Type>) => true) {
      const fits = (event: OomkitEvent) => event.type === type && isWanted(event as Event<Type>);
      const found = events.find(fits);
      if (found) return Promise.resolve(found as Event<Type>);
      const { promise, resolve } = Promise.withResolvers<Event<Type>>();
      waiting.push({ fits, found: (event) => resolve(event as Event<Type>) });
      return promise;
    },
    stop,
    [Symbol.asyncDispose]: async () => void await stop(),
  };
}
