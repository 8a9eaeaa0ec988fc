/** All that a soak does, and how often. */

import { cgroupDeeds } from "./deeds_cgroups.ts";
import { processDeeds } from "./deeds_processes.ts";
import { programDeeds } from "./deeds_programs.ts";
import type { World } from "./world.ts";

export interface Deed {
  readonly name: string;
  readonly weight: number;
  /** After it the guard or the watch is another, so that what it takes cannot be compared any more. */
  readonly isRough?: true;
  /** Draws the same, whatever has happened meanwhile. @returns what it did, for the list of the last deeds. */
  readonly run: (world: World) => string | Promise<string>;
}

const all: readonly Deed[] = [...cgroupDeeds, ...processDeeds, ...programDeeds];
const gentle = all.filter(({ isRough }) => !isRough);

export const deedsOf = (isRough: boolean): readonly Deed[] => isRough ? all : gentle;
