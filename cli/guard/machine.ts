/** The machine as a target of `guard`: where it can be guarded, its rule, and what is never killed for it. */

import { resolve } from "node:path";
import { type OomDaemon, oomDaemons } from "../../core/cgroup/oom_daemons.ts";
import { globToRegExp } from "../../core/cgroup/glob.ts";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { type Hierarchy, showsMachine } from "../../core/cgroup/hierarchy.ts";
import { MACHINE_FILES, readMachine, readMachineUsage } from "../../core/cgroup/machine.ts";
import {
  listRecords,
  type RecordFile,
  stateDirectory,
} from "../../core/control/state_directory.ts";
import { OomkitError } from "../../core/errors.ts";
import { type GuardPolicy, killLevel } from "../../core/guard/policy.ts";
import type { Essential } from "../../core/policy/victims.ts";
import type { Scope } from "../../core/watch/scopes.ts";
import type { Rule } from "../config/rules.ts";
import { printable, printStderr } from "../output/output.ts";
import type { GuardFlags } from "./options.ts";

/** In a list of essentials: those of {@link ESSENTIALS}. */
const DEFAULT = "default";

/**
 * Programs of the service manager, of log-ins and sessions, and of the container runtime; `*` within a name. pid 1, kernel threads and
 * oomkit with its parents are never killed in any case.
 */
const ESSENTIALS: readonly string[] = [
  ...[
    "init",
    "systemd",
    "systemd-*",
    "(sd-pam)",
    "dbus-daemon",
    "dbus-broker*",
    "udevd",
    "elogind",
  ],
  ...["sshd", "sshd-*", "dropbear", "login", "agetty", "getty", "polkitd"],
  ...[
    "gdm*",
    "sddm*",
    "lightdm",
    "greetd",
    "Xorg",
    "Xwayland",
    "gnome-shell",
    "kwin_*",
    "plasmashell",
    "sway",
  ],
  ...["containerd", "containerd-shim*", "dockerd", "docker-proxy", "cri-dockerd"],
  ...["crio", "conmon", "conmonrs", "podman"],
  // Also as k3s names itself for the kernel: k3s-server, k3s-agent.
  ...["kubelet", "kubelite", "k3s", "k3s-*", "k0s", "rke2", "oomkit"],
];

/** The default ones are in the place of the word `default`. */
export const essentialsOf = (
  { essentials = [DEFAULT] }: Pick<GuardFlags, "essentials">,
): Essential[] =>
  essentials.flatMap((name) => name === DEFAULT ? ESSENTIALS : [name])
    .map((name) => ({ name, expression: essentialExpression(name) }));

/** The kernel cuts off the name of a process after so many bytes: linux/sched.h, TASK_COMM_LEN. */
const MAX_COMM_BYTES = 15;

/** Matches the command line, or the title, of a process of this name, with any directory before it; also a name that is cut off. */
function essentialExpression(name: string): RegExp {
  const glob = sourceOf(name);
  const literal = name.split("*")[0]!;
  const short = literal.length > MAX_COMM_BYTES
    ? `|${sourceOf(literal.slice(0, MAX_COMM_BYTES))}$`
    : "";
  return new RegExp(`^-?([^ ]*/)?(${glob}(?=[ :]|$)${short})`, "u");
}

/** Of a glob, within a line. */
const sourceOf = (glob: string) => globToRegExp(glob).source.replace(/^\^/, "").replace(/\$$/, "");

/** Where the machine is a target: by the option, by the path of the root, or by a rule. */
export function guardsMachine(
  hierarchy: Hierarchy,
  targets: readonly string[],
  { machine, recursive }: GuardFlags,
  rules: readonly Rule[],
): boolean {
  const isNamed = machine === true ||
    rules.some(({ selector, isExempt }) => selector.machine && !isExempt);
  const isRoot = targets.some((target) => namesRoot(hierarchy, target)) && recursive !== true &&
    showsMachine(hierarchy);
  if (isNamed && !showsMachine(hierarchy)) {
    throw new OomkitError(
      "cannot guard the machine: its cgroups and processes are not all visible here",
      "run oomkit outside of containers, or with the machine's pid and cgroup namespaces",
    );
  }
  return isNamed || isRoot;
}

/** As `/`, `//` or the directory. */
const namesRoot = ({ mount, root }: Hierarchy, target: string): boolean =>
  target.startsWith("/") && [mount, root].includes(resolve(target));

/** The targets beside the machine. */
export const targetsBeside = (
  hierarchy: Hierarchy,
  targets: readonly string[],
  { recursive }: Pick<GuardFlags, "recursive">,
): readonly string[] =>
  recursive === true ? targets : targets.filter((target) => !namesRoot(hierarchy, target));

/** Throws {@link OomkitError} where the machine is asked for beside a pod. */
export function checkNoMachine({ machine }: GuardFlags, rules: readonly Rule[]): void {
  if (machine !== true && !rules.some(({ selector }) => selector.machine)) return;
  throw new OomkitError(
    "cannot guard the machine and a pod together: a pod sees its own processes only",
    "run a guard for each",
  );
}

/** Throws {@link OomkitError} where the machine's usage is unknown. */
export function machineScope(hierarchy: Hierarchy): Scope {
  const root = openCgroup(hierarchy, hierarchy.root);
  if (root === undefined || readMachineUsage(MACHINE_FILES) === undefined) {
    throw new OomkitError(
      "cannot guard the machine: /proc/meminfo has no MemTotal and MemAvailable that fit together",
    );
  }
  return { cgroup: { ...root, machine: MACHINE_FILES }, recursive: false };
}

/** Of a file that has none for the machine: the options of the table apply. */
export const IMPLICIT_RULE: Rule = {
  name: "machine",
  number: 0,
  where: "the machine",
  isExempt: false,
  selector: { machine: true },
  flags: {},
};

/** Throws {@link OomkitError} for what a guard of the machine cannot do. */
export function checkMachinePolicy({ actions, pressure }: GuardPolicy): void {
  if (pressure) checkPressure(actions);
  const refused = Object.values(actions).flat().find(({ kind }) =>
    kind === "signal" || kind === "reclaim"
  );
  if (refused === undefined) return;
  throw new OomkitError(
    `cannot use ${refused.kind} for the machine: ${
      refused.kind === "signal"
        ? "it would signal the processes of all services"
        : "the kernel reclaims by itself"
    }`,
    "use noop, process, container or exec:…, or set the actions in a [[guard.rule]] with machine = true",
  );
}

function checkPressure(actions: GuardPolicy["actions"]): void {
  if (!["warn", "critical"].includes(killLevel(actions) ?? "")) {
    throw new OomkitError(
      "cannot use --psi: only a kill below the imminent level waits for pressure",
      "add --on-critical process",
    );
  }
  if (readMachine().pressure !== undefined) return;
  throw new OomkitError(
    "cannot use --psi: the kernel has no PSI (/proc/pressure/memory)",
    "boot with psi=1, or leave it out",
  );
}

/** Throws {@link OomkitError} for an option of the machine where it would have no effect. */
export function checkMachineOptions(
  flags: GuardFlags,
  rules: readonly Rule[],
  hasMachine: boolean,
): void {
  for (const option of ["psi", "essentials"] as const) {
    const misplaced = rules.find(({ selector, flags }) => option in flags && !selector.machine);
    if (misplaced === undefined && (flags[option] === undefined || hasMachine)) continue;
    throw new OomkitError(
      `cannot use --${option}${
        misplaced ? ` in the rule "${printable(misplaced.name)}"` : ""
      }: it is for the machine only`,
      misplaced ? "set it in a rule with machine = true" : "add --machine",
    );
  }
}

/** Throws {@link OomkitError} where a mode was asked for by the machine's rule, or nothing else is guarded. */
export function checkMachineMode(
  { mode }: GuardFlags,
  rules: readonly Rule[],
  scopes: readonly Scope[],
): void {
  const rule = rules.find(({ selector }) => selector.machine);
  const isOnly = scopes.every(({ cgroup }) => cgroup.machine);
  const requested = rule?.flags["mode"] ?? (isOnly ? mode : "auto");
  if (requested === "auto" || requested === "notify") return;
  throw new OomkitError(
    `cannot use --mode ${requested} for the machine: it has no control file`,
    "use notify",
  );
}

/** How long another guard may take to answer what it guards (milliseconds). */
const ANSWER_MS = 500;

/** What is never killed for the machine, and which other programs kill for it. @param policy of the machine. */
export async function printMachineNotes(
  { preferences }: Pick<GuardPolicy, "preferences">,
  isQuiet: boolean,
): Promise<void> {
  const names = (preferences.essentials ?? []).map(({ name }) => name);
  if (!isQuiet) {
    const all = ["pid 1", "kernel threads", "oomkit", names.map(printable).join(" ")];
    printStderr(`never killed for the machine: ${all.filter((each) => each !== "").join(", ")}`);
  }
  for (const { pid, comm } of [...oomDaemons(), ...await otherGuards()]) {
    printStderr(
      `${
        printable(comm)
      } (pid ${pid}) also kills processes when the machine runs short of memory; stop one of the two`,
    );
  }
}

/** Only where there is another guard what reads its answer is loaded. */
async function otherGuards(): Promise<OomDaemon[]> {
  const isOther = ({ kind, pid }: RecordFile) => kind === "socket" && pid !== Deno.pid;
  if (!listRecords(stateDirectory()).some(isOther)) return [];
  const { findGuards, killsForMachine } = await import("../../core/status/running_guards.ts");
  const { guards } = await findGuards([], undefined, ANSWER_MS);
  return guards.filter((status) => status.pid !== Deno.pid && killsForMachine(status))
    .map(({ pid }) => ({ pid, comm: "oomkit" }));
}
