/** The program's own oom_score_adj: proc(5), /proc/PID/oom_score_adj. */

import { tryReadText } from "../cgroup/files.ts";
import { writeControl } from "./write.ts";

const FILE = "/proc/self/oom_score_adj";

export interface OwnOomScoreAdj {
  /** Why it is unchanged; absent when it was set. */
  readonly refused?: string;
  /** Sets the previous value again. */
  restore(): void;
}

/**
 * Sets oom_score_adj of this program. Lowering it needs CAP_SYS_RESOURCE. Children started meanwhile inherit it, and may raise
 * theirs.
 *
 * @param adj -1000 (never killed) to 1000.
 */
export function setOwnOomScoreAdj(adj: number): OwnOomScoreAdj {
  const before = tryReadText(FILE);
  const refused = before === undefined ? "/proc is not readable" : writeControl(FILE, String(adj));
  if (refused !== undefined) return { refused, restore() {} };
  return { restore: () => void writeControl(FILE, before!) };
}

/** The same, but a lower value, as the kubelet sets it (-997), stays. */
export function lowerOwnOomScoreAdj(adj: number): OwnOomScoreAdj {
  const before = tryReadText(FILE);
  return before !== undefined && Number(before) <= adj ? { restore() {} } : setOwnOomScoreAdj(adj);
}
