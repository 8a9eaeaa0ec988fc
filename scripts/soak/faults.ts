/** All that a soak does, and how often. */

import { cgroupFaults } from "./cgroup_faults.ts";
import { processFaults } from "./process_faults.ts";
import { programFaults } from "./program_faults.ts";
import type { World } from "./world.ts";

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** After it the guard or the watch is another, so that what it takes cannot be compared any more. */
  readonly isDisruptive?: true;
  /** Draws the same, whatever has happened meanwhile. @returns what it did, for the list of the last deeds. */
  readonly run: (world: World) => string | Promise<string>;
}

const all: readonly Fault[] = [...cgroupFaults, ...processFaults, ...programFaults];
const gentle = all.filter(({ isDisruptive }) => !isDisruptive);

export const faultsOf = (isDisruptive: boolean): readonly Fault[] => isDisruptive ? all : gentle;
