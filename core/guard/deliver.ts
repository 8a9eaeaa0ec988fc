/** One blow: at a process, or at all that it belongs to. */

import { type Failure, SIGKILL, strikeAll, strikeProcess } from "../act/strike.ts";
import type { Pick } from "./aim.ts";
import { sparedBy, wholeOf } from "./casualties.ts";
import type { Deed } from "./plan.ts";
import type { Ward } from "./ward.ts";

/** @param present who is there, by pid. @returns why it failed; `undefined` when it did not. */
export function deliver(
  { orders }: Ward,
  pick: Pick,
  present: ReadonlySet<number>,
  deed: Deed,
  signal: number,
): Failure {
  const whole = wholeOf(pick, deed);
  // Whoever fills it first: to go through a cgroup takes a millisecond, in which it would meet the limit. But nobody is
  // asked twice: to many a program a second SIGTERM means to leave everything as it is.
  const isFirst = !whole || signal === SIGKILL;
  const first: Failure = isFirst ? strikeProcess(pick, present, signal, orders.dryRun) : undefined;
  if (!whole || (first !== undefined && first !== "gone")) return first;
  return strikeAll(whole, signal, orders.dryRun, sparedBy(pick, deed, orders), false);
}
