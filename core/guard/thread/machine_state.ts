/** What is particular to the machine: its limit changes, it is polled at its own pace, and pressure may be a condition. */

import { parsePressure } from "../../parse/cgroupfs.ts";
import { levelBytesIn } from "../../policy/levels.ts";
import { machinePollInterval } from "../../policy/poll_interval.ts";
import { pressureInterval } from "../../policy/pressure_window.ts";
import type { ResolvedPolicy } from "../policy.ts";
import { type CgroupState, lacksPressure } from "./cgroup_state.ts";

/** The main thread finds the new limit within seconds, in which usage would be compared with the levels of the old one. */
export function followMachineLimit(state: CgroupState): void {
  const limit = state.files.machineLimit?.() ?? state.settings.limit;
  if (limit === state.settings.limit) return;
  const levelBytes = levelBytesIn(state.policy, limit, state.settings.mode);
  if (levelBytes) state.settings = { ...state.settings, limit, levelBytes };
}

/** Until the lowest level that kills, or the highest one, may be reached. A level that waits for pressure is polled for that. */
export function machineIntervalFor(state: UnderPressure, value: number): number {
  const { policy, settings: { levelBytes } } = state;
  const { killing } = policyUnderPressure(state);
  const urgent = Math.min(levelBytes.imminent, ...[...killing].map((at) => levelBytes[at]));
  const longest = policy.pressure ? pressureInterval(policy.pressure) : Infinity;
  const interval = machinePollInterval(urgent - value, navigator.hardwareConcurrency);
  return policy.poll ?? Math.min(longest, interval);
}

type UnderPressure = Pick<CgroupState, "policy" | "settings" | "pressure">;

export function updatePressure({ pressure, policy, files }: CgroupState, now: number): void {
  if (pressure === undefined || policy.pressure === undefined) return;
  const total = parsePressure(files.pressureFile?.text() ?? "")?.[policy.pressure.kind]?.total;
  const isReached = total !== undefined && pressure.window.isReached(now, Number(total));
  pressure.isNew = isReached && !pressure.isReached;
  pressure.isReached = isReached;
  if (total !== undefined) pressure.window.add(now, Number(total));
}

/** The policy as it applies now. */
export function policyUnderPressure(state: UnderPressure): ResolvedPolicy {
  const { policy, pressure } = state;
  if (lacksPressure(state)) {
    const killing = [...policy.killing].filter((level) => level === "imminent");
    return { ...policy, killing: new Set(killing) };
  }
  // A dry run evaluates a kill when a level triggers, which it may have done before.
  return pressure?.isNew ? { ...policy, dryRun: false } : policy;
}
