/** A watch in this process over a directory that is laid out like a memory hierarchy. */

import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { libc } from "../../../core/kernel/libc.ts";
import type { EventType, OomkitEvent } from "../../../core/events/event.ts";
import { startWatch, type Summary, type WatchOptions } from "../../../core/watch/watch.ts";
import type { Tree } from "../../helpers/trees.ts";

// It stays loaded for good, which within a test would be a leak.
libc();

export type Event<Type extends EventType> = Extract<OomkitEvent, { type: Type }>;

export interface WatchedTree extends AsyncDisposable {
  readonly events: readonly OomkitEvent[];
  readonly sources: readonly string[];
  readonly done: Promise<void>;
  ofType<Type extends EventType>(type: Type): Event<Type>[];
  /** The first of this type, past or to come, for which `wanted` holds. */
  next<Type extends EventType>(
    type: Type,
    requested?: (event: Event<Type>) => boolean,
  ): Promise<Event<Type>>;
  /** Ends the watch; everything that happened before is told by then. */
  stop(): Promise<Summary>;
}

/** @param targets cgroup paths of the tree */
export function watchTree(
  tree: Tree,
  targets: readonly string[],
  options: Partial<WatchOptions> = {},
): WatchedTree {
  const hierarchy = discover(tree.dir);
  const cgroups = targets.map((path) => openCgroup(hierarchy, path)!);
  const events: OomkitEvent[] = [];
  let waiting: {
    requested: (event: OomkitEvent) => boolean;
    found: (event: OomkitEvent) => void;
  }[] = [];
  const watching = startWatch(
    { targets: cgroups, recursive: false, thresholds: [], pressure: [], psi: [], ...options },
    (event) => {
      events.push(event);
      waiting = waiting.filter(({ requested, found }) => !requested(event) || found(event));
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
    next<Type extends EventType>(type: Type, requested = (_: Event<Type>) => true) {
      const fits = (event: OomkitEvent) => event.type === type && requested(event as Event<Type>);
      const found = events.find(fits);
      if (found) return Promise.resolve(found as Event<Type>);
      const { promise, resolve } = Promise.withResolvers<Event<Type>>();
      waiting.push({ requested: fits, found: (event) => resolve(event as Event<Type>) });
      return promise;
    },
    stop,
    [Symbol.asyncDispose]: async () => void await stop(),
  };
}
