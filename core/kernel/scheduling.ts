/** How soon this thread runs when it is woken, and where: sched(7). Each call is about the thread that makes it. */

import { errno, libc } from "./libc.ts";

const SCHED_FIFO = 1;
/** Not the child of a fork: those are started by others and have no business at the front. */
const SCHED_RESET_ON_FORK = 0x40000000;
const LOWEST_REALTIME = 1;
const PRIO_PROCESS = 0;
const HIGHEST_NICE = -20;
/** A kernel takes no fewer than it may have CPUs; none is built for more than 8192. */
const CPU_SET_BYTES = 1024;

/** A bit for each CPU, as sched_setaffinity(2) takes them. */
export type CpuSet = Uint8Array<ArrayBuffer>;

/** `undefined` when it was permitted (CAP_SYS_NICE), else the errno's name. */
export function setSchedFifo(): string | undefined {
  const priority = new Uint8Array(new Int32Array([LOWEST_REALTIME]).buffer);
  const done = libc().sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, priority);
  return done === 0 ? undefined : errno();
}

/** `undefined` when it was permitted, else the errno's name. On Linux the nice value is each thread's own: setpriority(2). */
export function setNice(): string | undefined {
  return libc().setpriority(PRIO_PROCESS, 0, HIGHEST_NICE) === 0 ? undefined : errno();
}

/** Where this thread may run; `undefined` where the kernel does not say. */
export const ownCpus = () => cpusOf(0);

/** The same of the main thread, which is sent nowhere: where this one might be had it never been sent anywhere either. */
export const mainCpus = () => cpusOf(Deno.pid);

function cpusOf(thread: number): CpuSet | undefined {
  const cpus = new Uint8Array(CPU_SET_BYTES);
  const n = libc().sched_getaffinity(thread, BigInt(CPU_SET_BYTES), cpus);
  return n < 0 ? undefined : cpus;
}

/** @param cpu counted from 0. */
export function oneCpu(cpu: number): CpuSet {
  const cpus = new Uint8Array(CPU_SET_BYTES);
  cpus[cpu >> 3] = 1 << (cpu & 7);
  return cpus;
}

export function hasCpu(cpus: CpuSet, cpu: number): boolean {
  return (cpus[cpu >> 3]! >> (cpu & 7) & 1) === 1;
}

/** This thread is there when it returns. False where none of them is in its cpuset (cpuset(7)). */
export function setAffinity(cpus: CpuSet): boolean {
  return libc().sched_setaffinity(0, BigInt(CPU_SET_BYTES), cpus) === 0;
}

/** A thread with SCHED_FIFO has no timer slack: prctl(2), PR_SET_TIMERSLACK. */
export function sleepMicroseconds(us: number): void {
  libc().usleep(us);
}
