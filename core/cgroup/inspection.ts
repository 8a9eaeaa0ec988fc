/** Everything that can be told about one cgroup now, and what cannot. */

import { rankVictims } from "../policy/victim.ts";
import type { Process, Snapshot } from "../snapshot.ts";
import { type Ancestry, readAncestry } from "./ancestry.ts";
import { blindSpots } from "./blind_spots.ts";
import { type Cgroup, isThere, readControl } from "./cgroup.ts";
import { damageOf } from "./damage.ts";
import { type Fate, foresee } from "./fate.ts";
import { inInitialPidNamespace } from "./hierarchy.ts";
import { type Population, populationOf } from "./processes.ts";
import { without } from "./absent.ts";

export interface Inspection {
  readonly cgroup: Cgroup;
  readonly snapshot: Snapshot;
  readonly ancestry: Ancestry;
  /** Of the cgroup and everything beneath it; absent where nobody asked for them. */
  readonly members?: Members;
  readonly fate?: Fate;
  /** One line for each file that is there and cannot be understood. */
  readonly damaged: readonly string[];
  /** One line for each thing that is hidden from here, and why. */
  readonly cannotSee: readonly string[];
}

export interface Members {
  /** The likeliest victims first, then those that the kernel spares. */
  readonly processes: readonly (Process & { readonly badness?: number })[];
  /**
   * How many there are; absent for the machine, of which only the likeliest victims were looked at, and where a cgroup does
   * not say who is in it.
   */
  readonly total?: number;
  /** Those of which nothing can be told. */
  readonly unseen: number;
  /** Paths of the cgroups that do not say who is in them. */
  readonly unread: readonly string[];
}

/**
 * `undefined` when the cgroup is gone. Throws `OomkitError` when a control file of its own may not be read.
 *
 * @param processes how many to tell of; `Infinity` for all, 0 for none, which spares the look at who would die.
 */
export function inspect(cgroup: Cgroup, processes: number): Inspection | undefined {
  const damaged = new Set<string>();
  const snapshot = cgroup.hierarchy.dialect.snapshot((name) => {
    const text = readControl(cgroup, name);
    const damage = text === undefined ? undefined : damageOf(name, text);
    if (damage === undefined) return text;
    damaged.add(`cannot understand ${cgroup.dir}/${name}: ${damage}`);
    return undefined;
  });
  const ancestry = readAncestry(cgroup);
  const fate = processes > 0 ? foresee(cgroup, ancestry, processes) : undefined;
  const members = fate && membersOf(cgroup, fate, processes);
  if (!isThere(cgroup)) return undefined;
  const found = without({ cgroup, snapshot, ancestry, members, fate, damaged: [...damaged] });
  return { ...found, cannotSee: blindSpots(found) };
}

function membersOf(cgroup: Cgroup, fate: Fate, most: number): Members {
  const { path } = cgroup;
  // A look at every process of a machine takes long; those that matter are known already.
  if (path === "/" && fate.scope === "machine" && fate.candidates.length > 0 && most !== Infinity) {
    const likeliest = fate.candidates.map(({ process, badness }) => ({ ...process, badness }));
    return { processes: likeliest.slice(0, most), unseen: 0, unread: [] };
  }
  const { processes, unseen, unread } = within(path, fate.population) ?? populationOf(cgroup);
  const candidates = fate.capacity === undefined
    ? []
    : rankVictims(processes, fate.capacity, { pidOneIsInit: inInitialPidNamespace() });
  const ranked = candidates.map(({ process, badness }) => ({ ...process, badness }));
  const chosen = new Set(candidates.map(({ process }) => process));
  const spared = processes.filter((process) => !chosen.has(process))
    .sort((a, b) => (b.rss ?? -1) - (a.rss ?? -1));
  const shown = { processes: [...ranked, ...spared].slice(0, most), unseen, unread };
  return unread.length > 0 ? shown : { ...shown, total: processes.length };
}

/** Its part of a population that was read already; which of the unseen are its own is not known. */
function within(path: string, population: Population | undefined): Population | undefined {
  const isWhole = population?.unseen === 0 && population.unread.length === 0;
  if (population === undefined || !isWhole) return undefined;
  const beneath = path === "/" ? "/" : `${path}/`;
  const mine = ({ cgroup }: Process) => cgroup === path || cgroup.startsWith(beneath);
  return { processes: population.processes.filter(mine), unseen: 0, unread: [] };
}
