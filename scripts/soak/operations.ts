/** All operations of a soak, and their weights. */

import { cgroupOperations } from "./cgroup_operations.ts";
import { processOperations } from "./process_operations.ts";
import { programOperations } from "./program_operations.ts";
import type { World } from "./world.ts";

export interface Operation {
  readonly name: string;
  readonly weight: number;
  /** It replaces the guard or the watch, so that costs cannot be compared across it. */
  readonly isDisruptive?: true;
  /** Draws the same random numbers whatever happened before. @returns what it did, for the list of the last operations. */
  readonly run: (world: World) => string | Promise<string>;
}

const all: readonly Operation[] = [...cgroupOperations, ...processOperations, ...programOperations];
const gentle = all.filter(({ isDisruptive }) => !isDisruptive);

export const operationsOf = (isDisruptive: boolean): readonly Operation[] =>
  isDisruptive ? all : gentle;
