/** A simulation that fills the machine itself: where that is allowed, and what is known of the machine afterwards. */

import { exists, tryReadText } from "../cgroup/files.ts";
import { type Hierarchy, showsMachine } from "../cgroup/hierarchy.ts";
import { MACHINE_FILES, readMachine, readMachineUsage } from "../cgroup/machine.ts";
import { OomkitError } from "../errors.ts";
import { delay } from "../timing.ts";
import type { MachineVerdict, Outcome } from "./event.ts";
import { createSandbox } from "./sandbox.ts";
import type { SimulationTarget } from "./plan.ts";
import { Ticker, type Ticks } from "./ticker.ts";

/** A program that kills processes when the machine runs short of memory. */
export interface Killer {
  readonly pid: number;
  readonly name: string;
  /** Processes that it has killed so far; absent where it does not tell. */
  readonly kills?: number;
}

export type FindKillers = () => Promise<readonly Killer[]>;

/** What decides whether this machine may be filled. */
export interface MachineIdentity {
  readonly hostname: string | undefined;
  readonly isVirtual: boolean;
  /** All its cgroups and processes are visible: not a container. */
  readonly isWhole: boolean;
}

/** Vendors of virtual machines, as their firmware names them. */
const VIRTUAL_VENDORS = /QEMU|KVM|VMware|innotek|Xen|Amazon EC2|Google|Bochs|Parallels/i;

export const readIdentity = (hierarchy: Hierarchy): MachineIdentity => ({
  hostname: readMachine().hostname,
  // The flag is x86's, set by the hypervisor (CPUID leaf 1, ECX bit 31); others have a node in the device tree or a vendor.
  isVirtual: /^flags\s*:.*\bhypervisor\b/m.test(tryReadText("/proc/cpuinfo") ?? "") ||
    exists("/proc/device-tree/hypervisor") ||
    VIRTUAL_VENDORS.test(tryReadText("/sys/class/dmi/id/sys_vendor") ?? ""),
  isWhole: showsMachine(hierarchy),
});

/**
 * Many servers are virtual machines, so that being one is not enough: its name is the consent, which does not hold for another machine
 * that gets the same command or variable. Throws {@link OomkitError} otherwise.
 */
export function checkDisposable(named: string | undefined, machine: MachineIdentity): void {
  const refuse = (why: string, hint: string) => {
    throw new OomkitError(`cannot fill the machine: ${why}`, hint);
  };
  const guest = "use a virtual machine that may be lost";
  if (named === undefined) {
    refuse(
      "processes of any service may be killed, and it may stand still",
      `${guest}, and give its hostname: --disposable NAME`,
    );
  }
  if (!machine.isWhole) {
    refuse(
      "its cgroups and processes are not all visible here",
      "run oomkit outside of containers",
    );
  }
  if (!machine.isVirtual) refuse("it is not a virtual machine", guest);
  if (named !== machine.hostname) {
    refuse(
      `--disposable names "${named}", and this machine is "${
        machine.hostname ?? "without a name"
      }"`,
      guest,
    );
  }
}

/** Bytes. Throws {@link OomkitError} where they are unknown. */
export function machineSize(): NonNullable<SimulationTarget["machine"]> {
  const { total, swapTotal = 0 } = readMachine().memory;
  if (total !== undefined && readMachineUsage(MACHINE_FILES)) {
    return { memory: total, swap: swapTotal };
  }
  throw new OomkitError("cannot fill the machine: /proc/meminfo does not tell how much it has");
}

/**
 * The machine, to be filled from a cgroup without a limit, so that what kills whole cgroups kills no other process with the allocators.
 * Throws {@link OomkitError} where it cannot be created.
 */
export function machineTarget(
  hierarchy: Hierarchy,
  machine: NonNullable<SimulationTarget["machine"]>,
): SimulationTarget {
  const sandbox = createSandbox(hierarchy, { prefix: "oomkit-sim", keepsSwap: true });
  if ("refused" in sandbox) {
    throw new OomkitError(`cannot fill the machine: ${sandbox.refused}`, "run it as root");
  }
  return { cgroup: sandbox.cgroup, sandbox, limit: machine.memory + machine.swap, machine };
}

/** A guard reports a kill when the victim has exited. */
const MS_FOR_REPORT = 3000;
const MS_BETWEEN_LOOKS = 100;

/** Follows the machine during a run. */
export class MachineObserver implements AsyncDisposable {
  readonly #before = readMachine().oomKill;
  #ticks: Promise<Ticks | undefined> | undefined;

  private constructor(
    private readonly ticker: Ticker,
    private readonly findKillers: FindKillers,
    private readonly killers: readonly Killer[],
  ) {}

  /** @param program the words that start this program. */
  static async start(
    program: readonly string[],
    findKillers: FindKillers = () => Promise.resolve([]),
  ): Promise<MachineObserver> {
    const killers = await findKillers();
    return new MachineObserver(await Ticker.start(program), findKillers, killers);
  }

  /** Ends the measurement. @returns processes that the kernel has killed since the start, on the whole machine. */
  async stop(): Promise<bigint | undefined> {
    await (this.#ticks ??= this.ticker.stop());
    const { oomKill } = readMachine();
    return oomKill === undefined || this.#before === undefined ? undefined : oomKill - this.#before;
  }

  async verdict(outcome: Outcome): Promise<Omit<MachineVerdict, "memory" | "swap">> {
    const ticks = await this.#ticks;
    return {
      available_min: ticks?.available_min ?? null,
      longest_pause_ms: ticks?.longest_pause_ms ?? null,
      killed_by: await this.#killedBy(outcome),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #killedBy(outcome: Outcome): Promise<MachineVerdict["killed_by"]> {
    if (outcome === "oom_kill") return { kind: "kernel", pid: null, name: null };
    if (outcome !== "user_kill") return null;
    const guard = await this.#guardThatKilled();
    if (guard) return { kind: "guard", pid: guard.pid, name: guard.name };
    const others = this.killers.filter(({ kills }) => kills === undefined);
    // Which of several it was cannot be seen.
    const [other] = others.length === 1 ? others : [];
    return { kind: "other", pid: other?.pid ?? null, name: other?.name ?? null };
  }

  async #guardThatKilled(): Promise<Killer | undefined> {
    const guards = this.killers.filter(({ kills }) => kills !== undefined);
    if (guards.length === 0) return undefined;
    for (const deadline = performance.now() + MS_FOR_REPORT;; await delay(MS_BETWEEN_LOOKS)) {
      const now = await this.findKillers();
      const guard = guards.find(({ pid, kills }) =>
        now.some((each) => each.pid === pid && (each.kills ?? 0) > kills!)
      );
      if (guard || performance.now() > deadline) return guard;
    }
  }
}
