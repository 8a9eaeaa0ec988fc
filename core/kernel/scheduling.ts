/** How soon this thread runs when it is woken: sched(7). Each call is about the thread that makes it. */

import { errno, libc } from "./libc.ts";

const SCHED_FIFO = 1;
/** Not the child of a fork: those are started by others and have no business at the front. */
const SCHED_RESET_ON_FORK = 0x40000000;
const LOWEST_REALTIME = 1;
const PRIO_PROCESS = 0;
const HIGHEST_NICE = -20;

/** `undefined` when it was permitted (CAP_SYS_NICE), else the errno's name. */
export function goRealtime(): string | undefined {
  const priority = new Uint8Array(new Int32Array([LOWEST_REALTIME]).buffer);
  const done = libc().sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, priority);
  return done === 0 ? undefined : errno();
}

/** `undefined` when it was permitted, else the errno's name. On Linux the nice value is each thread's own: setpriority(2). */
export function goFirst(): string | undefined {
  return libc().setpriority(PRIO_PROCESS, 0, HIGHEST_NICE) === 0 ? undefined : errno();
}
