/** All operations of a soak, and their weights. */

import { cgroupOperations } from "./cgroup_operations.ts";
import { processOperations } from "./process_operations.ts";
import { programOperations } from "./program_operations.ts";
import type { Operation } from "./world.ts";

const all: readonly Operation[] = [...cgroupOperations, ...processOperations, ...programOperations];
const gentle = all.filter(({ isDisruptive }) => !isDisruptive);

export const operationsOf = (isDisruptive: boolean): readonly Operation[] =>
  isDisruptive ? all : gentle;
