/** Whether a process that exits without the guard's doing is a reason to kill no other one yet. Pure. */

/** What is known of the process. */
export interface Exit {
  /** Bytes that it holds, or held; `undefined` where that is not known. */
  readonly rss: number | undefined;
  /** Its address space is gone already, so that it cannot be seen how much is still to be freed. */
  readonly isFreeing: boolean;
}

export interface ExitWait {
  /** Milliseconds so far, and at most. */
  readonly waited: number;
  readonly longest: number;
  /** Bytes above the level. */
  readonly missing: number;
  /** The limit may be reached before a victim is selected. */
  readonly isUrgent: boolean;
  readonly isMachine: boolean;
}

/** In this time the kernel has freed the memory of its own victim, or goes on without it (mm/oom_kill.c, oom_reap_task); twice that. */
const MAX_MS_TO_BEGIN = 2000;

export function waitsForExit(
  { rss, isFreeing }: Exit,
  { waited, longest, missing, isUrgent, isMachine }: ExitWait,
): boolean {
  if (waited >= longest) return false;
  const isEnough = rss !== undefined && rss >= missing;
  // A process that exits by itself may have little to free, and the kernel does not wait for it (mm/oom_kill.c, oom_evaluate_task).
  if (isFreeing) return isEnough || !isUrgent;
  // Of the machine it may be any process, also one that cannot exit as long as a file server does not answer.
  return !isMachine || (isEnough && waited < MAX_MS_TO_BEGIN);
}
