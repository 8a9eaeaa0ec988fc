/** The program's own standing with the kernel's OOM killer: proc(5), /proc/PID/oom_score_adj. */

import { tryReadText } from "../cgroup/files.ts";
import { writeControl } from "./write.ts";

const FILE = "/proc/self/oom_score_adj";

export interface OwnOomScoreAdj {
  /** Why it is as it was; absent when it was set. */
  readonly refused?: string;
  /** Puts back what was there before. */
  restore(): void;
}

/**
 * Sets oom_score_adj of this program. Lowering it takes CAP_SYS_RESOURCE. Children started meanwhile inherit it, and may
 * raise theirs.
 *
 * @param adj -1000 (never killed) to 1000.
 */
export function setOwnOomScoreAdj(adj: number): OwnOomScoreAdj {
  const before = tryReadText(FILE);
  const refused = before === undefined ? "/proc is not readable" : writeControl(FILE, String(adj));
  if (refused !== undefined) return { refused, restore() {} };
  return { restore: () => void writeControl(FILE, before!) };
}

/** The same for who wants to be spared: what others have set lower, as the kubelet does (-997), stays. */
export function lowerOwnOomScoreAdj(adj: number): OwnOomScoreAdj {
  const before = tryReadText(FILE);
  return before !== undefined && Number(before) <= adj ? { restore() {} } : setOwnOomScoreAdj(adj);
}
