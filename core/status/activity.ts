/** What a guard and the kernel have done since the guard started: counts and the last action of each cgroup. Bounded. Pure. */

import { parentPath } from "../cgroup_path.ts";
import { type EventOf, isPriorityEvent, type OomkitEvent } from "../events/event.ts";
import { isKillAction } from "../policy/actions.ts";
import type { LastAction } from "./format.ts";

/** Actions of the guard, and cgroups with something to remember. */
const MAX_LAST_ACTIONS = 10;
const MAX_CGROUPS = 2000;

export class Activity {
  /** Newest first, without reclaims. */
  #lastActions: readonly LastAction[] = [];
  readonly #lastByCgroup = new Map<string, LastAction>();
  readonly #victims = new Map<string, number>();
  readonly #guardKills = new Map<string, number>();
  #victimsTotal = 0;
  #guardKillsTotal = 0;

  /** @param event with its message. */
  add(event: OomkitEvent): void {
    if (event.type === "oom_kill") {
      this.#victimsTotal += 1;
      increment(this.#victims, event.cgroup);
    }
    if (event.type === "action") this.#addAction(event);
  }

  get lastActions(): readonly LastAction[] {
    return this.#lastActions;
  }

  get totals(): { readonly victims: number; readonly guardKills: number } {
    return { victims: this.#victimsTotal, guardKills: this.#guardKillsTotal };
  }

  lastActionIn = (path: string): LastAction | undefined => this.#lastByCgroup.get(path);

  guardKillsIn = (path: string): number => this.#guardKills.get(path) ?? 0;

  /** The kernel's, by each cgroup that the victims were in or below. */
  victimsInSubtrees(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const [victimPath, count] of this.#victims) {
      for (let path = victimPath;; path = parentPath(path)) {
        sums.set(path, (sums.get(path) ?? 0) + count);
        if (path === "/") break;
      }
    }
    return sums;
  }

  #addAction(event: EventOf<"action">): void {
    const { ts, cgroup, action, level, outcome, dry_run, message = "" } = event;
    const entry = { ts, cgroup, action, level, outcome, dry_run, message };
    keepBounded(this.#lastByCgroup, cgroup, entry);
    if (isPriorityEvent(event)) {
      this.#lastActions = [entry, ...this.#lastActions].slice(0, MAX_LAST_ACTIONS);
    }
    if (!isKillAction(action) || outcome !== "killed" || dry_run) return;
    this.#guardKillsTotal += 1;
    increment(this.#guardKills, cgroup);
  }
}

const increment = (counts: Map<string, number>, path: string) =>
  keepBounded(counts, path, (counts.get(path) ?? 0) + 1);

/** Beyond the bound the cgroup that changed longest ago is dropped. */
function keepBounded<T>(entries: Map<string, T>, path: string, value: T): void {
  entries.delete(path);
  if (entries.size >= MAX_CGROUPS) entries.delete(entries.keys().next().value!);
  entries.set(path, value);
}
