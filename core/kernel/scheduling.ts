/** Scheduling policy, nice value and CPU affinity of the calling thread: sched(7). */

import { errno, libc } from "./libc.ts";

const SCHED_FIFO = 1;
/** Child processes get the normal policy. */
const SCHED_RESET_ON_FORK = 0x40000000;
const MIN_REALTIME_PRIORITY = 1;
const PRIO_PROCESS = 0;
const MIN_NICE = -20;
/** The kernel rejects a set that is smaller than its number of possible CPUs; no kernel is built for more than 8192. */
const CPU_SET_BYTES = 1024;

/** One bit for each CPU, as in sched_setaffinity(2). */
export type CpuSet = Uint8Array<ArrayBuffer>;

/** `undefined` on success, else the errno's name (EPERM without CAP_SYS_NICE). */
export function setSchedFifo(): string | undefined {
  const priority = new Uint8Array(new Int32Array([MIN_REALTIME_PRIORITY]).buffer);
  const done = libc().sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, priority);
  return done === 0 ? undefined : errno();
}

/** `undefined` on success, else the errno's name. On Linux each thread has its own nice value: setpriority(2). */
export const setNice = (): string | undefined =>
  libc().setpriority(PRIO_PROCESS, 0, MIN_NICE) === 0 ? undefined : errno();

/** The CPUs that this thread may run on; `undefined` if unknown. */
export const ownCpus = () => cpusOf(0);

/** Those of the main thread, which never changes its own: the affinity that this thread started with. */
export const mainCpus = () => cpusOf(Deno.pid);

function cpusOf(thread: number): CpuSet | undefined {
  const cpus = new Uint8Array(CPU_SET_BYTES);
  const n = libc().sched_getaffinity(thread, BigInt(CPU_SET_BYTES), cpus);
  return n < 0 ? undefined : cpus;
}

/** @param cpu from 0. */
export function oneCpu(cpu: number): CpuSet {
  const cpus = new Uint8Array(CPU_SET_BYTES);
  cpus[cpu >> 3] = 1 << (cpu & 7);
  return cpus;
}

export const hasCpu = (cpus: CpuSet, cpu: number): boolean =>
  (cpus[cpu >> 3]! >> (cpu & 7) & 1) === 1;

/** Moves this thread before it returns. False if its cpuset has none of the CPUs (cpuset(7)). */
export const setAffinity = (cpus: CpuSet): boolean =>
  libc().sched_setaffinity(0, BigInt(CPU_SET_BYTES), cpus) === 0;

/** Without timer slack in a thread with SCHED_FIFO: prctl(2), PR_SET_TIMERSLACK. */
export function sleepMicroseconds(us: number): void {
  libc().usleep(us);
}
