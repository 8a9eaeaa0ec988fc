/** The machine's files in the place of a cgroup's control files. */

import type { MachineFiles } from "../../cgroup/machine.ts";
import {
  type ControlFile,
  type LazyControlFile,
  openerOf,
  openWithinBudget,
  tryOpenControlFile,
} from "../../kernel/control_file.ts";
import { machineStat, type MachineUsage, parseMachineUsage } from "../../parse/machine_usage.ts";

const ABSENT: LazyControlFile = {
  text: () => undefined,
  number: () => undefined,
  rest() {},
  close() {},
};

export interface OpenMachineFiles {
  readonly usageFile: ControlFile;
  /** The rows of memory.stat that a kill is decided by. */
  readonly statFile: LazyControlFile;
  /** The machine has no such file. */
  readonly limitFile: LazyControlFile;
  /** Bytes, at the last read of usage. */
  machineLimit(): number;
  readonly pressureFile: ControlFile | undefined;
}

/** Kept open: when memory has run out, opening a file would need some. */
export function openMachineFiles({ meminfo, arcstats, pressure }: MachineFiles): OpenMachineFiles {
  const file = openWithinBudget(meminfo);
  let zfs: ControlFile | undefined;
  const openZfs = openerOf(arcstats);
  let limit = NaN;
  const read = (): MachineUsage | undefined => {
    // The module may be loaded later.
    zfs ??= openZfs();
    const found = parseMachineUsage(file.text() ?? "", zfs?.text());
    if (found) limit = found.limit;
    return found;
  };
  const text = () => {
    const found = read();
    return found && machineStat(found);
  };
  const usageFile: ControlFile = {
    text,
    number: () => read()?.usage,
    close() {
      file.close();
      zfs?.close();
    },
  };
  return {
    usageFile,
    statFile: { ...ABSENT, text },
    limitFile: ABSENT,
    machineLimit: () => limit,
    pressureFile: tryOpenControlFile(pressure),
  };
}
