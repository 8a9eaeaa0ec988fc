import { journalFolder, livingOwners, restoreLeftovers } from "../core/act/journal.ts";
import { openCgroup } from "../core/cgroup/cgroup.ts";
import { directoryOf, discover, type Hierarchy } from "../core/cgroup/hierarchy.ts";
import { ownLineage } from "../core/cgroup/lineage.ts";
import { cgroupsOfProcesses } from "../core/cgroup/pod.ts";
import { ownCgroup, parseGlob, resolveTarget } from "../core/cgroup/resolve.ts";
import { OomkitError } from "../core/errors.ts";
import { type Guarding, startGuard } from "../core/guard/guard.ts";
import { deadlyLevel, type GuardPlan } from "../core/guard/plan.ts";
import { whyNoSignal } from "../core/guard/reach.ts";
import type { Scope } from "../core/guard/scope.ts";
import type { OomkitEvent } from "../core/report/event.ts";
import { toJson } from "../core/report/json.ts";
import { oomGuardEvent } from "../core/report/oom_guard.ts";
import { openWebhook } from "../core/report/webhook.ts";
import { openServiceManager } from "../core/act/service_manager.ts";
import { eventText } from "./event_text.ts";
import { checkPreferences, explain } from "./guard_explain.ts";
import { catchFaults, openGuardOutput } from "./guard_output.ts";
import { guardBase, type GuardFlags } from "./guard_options.ts";
import { planOf } from "./guard_plan.ts";
import type { Finish } from "./main.ts";
import { wantsJson } from "./options.ts";
import { print, printable, say } from "./output.ts";
import { selfCommand } from "./self_command.ts";
import { ENDING, onSignals } from "./signals.ts";
import { chooseStyle } from "./style.ts";

export function guardCommand(finish: Finish) {
  return guardBase()
    .argument("[targets...]", "cgroups; none: the own one, or all beneath --root")
    .addHelpText("after", HELP)
    .action(async (targets, flags, self) => {
      const source = (name: string) => self.getOptionValueSource(name);
      finish(flags.release ? release(targets, flags) : await guard(targets, flags, source));
    });
}

const HELP = `
Targets: a cgroup path, a directory, a glob ('/kubepods/**'), pid:N, unit:NAME,
pod:UID, a container id or its beginning, a runc name.

Levels: warn (65%), critical (90%), and the threshold, a margin below the limit.
Nothing is signalled or killed until it is asked for:

  oomkit guard -r /kubepods --policy process --avoid postgres
  oomkit guard pid:4242 --on-warn signal --on-critical signal,reclaim
  oomkit guard my.service --policy container --grace 5s --dry-run

Modes: notify changes nothing. tripwire (v2) sets memory.high at the threshold,
so that the kernel slows the allocator down meanwhile; hold (v1) switches the
kernel's killer off. Both are put back on every way out. auto: tripwire on v2
when something is to be killed, else notify.

The variables of OOMHero work as they stand: WARNING, CRITICAL, WARNING_SIGNAL,
CRITICAL_SIGNAL, COOLDOWN; so do oom-guard's flags.

Exit: 0; 2 when what was asked for cannot be done.`;

/** Puts back what others have left. */
function release(targets: readonly string[], flags: GuardFlags): number {
  if (targets.length > 0) {
    throw new OomkitError(
      `cannot release ${targets[0]}: everything that guards have left is put back at once`,
      "write: oomkit guard --release",
    );
  }
  const folder = journalFolder();
  const restored = restoreLeftovers(folder);
  for (const each of restored) {
    const { dir, file, before, outcome, reason } = each;
    if (wantsJson(flags)) print(toJson(each));
    else {print(
        `${outcome.padEnd(8)}  ${printable(dir)}/${file}: ${before}${reason ? ` (${reason})` : ""}`,
      );}
  }
  for (const pid of livingOwners(folder)) {
    say(
      `the guard with pid ${pid} is at work; what it has changed it puts back itself when it ends`,
    );
  }
  if (restored.length === 0) say("there was nothing to put back");
  return restored.some(({ outcome }) => outcome === "failed") ? 2 : 0;
}

async function guard(
  targets: readonly string[],
  flags: GuardFlags,
  sourceOf: (name: string) => string | undefined,
): Promise<number> {
  const untouchable = ownLineage();
  const { plan, mode, walkEvery, rearmEvery, isPod } = planOf(
    flags,
    sourceOf,
    targets,
    untouchable,
  );
  const hierarchy = isPod ? undefined : discover(flags.root);
  if (hierarchy) checkMode(hierarchy, plan, mode);
  if (hierarchy) checkTree(hierarchy, plan);
  const scopes = hierarchy ? scopesOf(hierarchy, targets, flags) : [];
  if (!isPod) checkPreferences(plan, scopes);

  const json = wantsJson(flags);
  const style = chooseStyle(flags.color);
  const webhook = flags.webhookUrl === undefined ? undefined : openWebhook(flags.webhookUrl, say);
  const around = {
    hostname: Deno.hostname(),
    directoryOf: (path: string) => (hierarchy && directoryOf(hierarchy, path)) ?? path,
  };
  const emit = (event: OomkitEvent, stat = "") => {
    const foreign = event.type === "action" && (webhook || flags.eventFormat === "oom-guard")
      ? oomGuardEvent(event, { ...around, stat })
      : undefined;
    if (foreign) webhook?.send(foreign);
    if (flags.eventFormat === "oom-guard") {
      if (foreign) print(foreign);
      return;
    }
    print(json ? toJson(event) : eventText(event, style));
    if (flags.explain && !json && event.type === "action") explain(event.candidates, style);
  };

  // Before anybody is told that the guard has begun: what ends it from then on must put back what it has changed.
  const { promise: asked, resolve: end } = Promise.withResolvers<void>();
  const offSignals = onSignals(ENDING, () => end());
  const faults = catchFaults();
  const output = openGuardOutput();
  const manager = openServiceManager();
  let guarding: Guarding | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    guarding = await startGuard({
      plan,
      mode,
      scopes,
      ...(isPod ? { findCgroups: () => cgroupsOfProcesses(untouchable) } : {}),
      walkEvery,
      rearmEvery,
      hookTimeout: flags.hookTimeout,
      holdTimeout: flags.holdTimeout,
      stateFolder: journalFolder(),
      release: [...selfCommand(), "guard", "--release"],
    }, emit);
    checkReach(guarding, scopes, plan, mode);
    for (const entry of flags.explain && !json ? guarding.entries : []) {
      print(`who would be taken in ${printable(entry.cgroup.path)} now:`);
      explain(guarding.candidates(entry), style);
    }
    const line = startLine(guarding, plan);
    say(line);
    manager?.ready(line, guarding.isAlive);
    if (flags.for !== undefined) timer = setTimeout(end, flags.for);
    await Promise.race([guarding.done, asked, output.broken, faults.thrown]);
  } finally {
    clearTimeout(timer);
    manager?.stopping();
    try {
      await guarding?.stop();
    } finally {
      await webhook?.close();
      await output.close();
      faults.off();
      offSignals();
    }
  }
  // What was thrown on the way out is no ordinary end either.
  await Promise.race([faults.thrown, Promise.resolve()]);
  return 0;
}

/** A mode that is named is meant; only `auto` may take a quieter one. */
function checkMode(
  { dialect: { version }, writable, kernel }: Hierarchy,
  plan: GuardPlan,
  mode: string,
) {
  const wrong = (why: string, right: string) => {
    throw new OomkitError(`cannot use --mode ${mode}: ${why}`, right);
  };
  if (mode === "auto" || mode === "notify") return;
  if (mode === "tripwire" && version === 1) {
    wrong("cgroup v1 has no memory.high", "use hold or notify");
  }
  if (mode === "hold" && version === 2) {
    wrong("cgroup v2 cannot switch the killer off", "use tripwire or notify");
  }
  if (mode === "hold" && deadlyLevel(plan.actions) === undefined) {
    wrong(
      "nothing is to be killed, and the allocators would wait for ever",
      "add --policy process",
    );
  }
  if (!kernel) wrong("this tree is not a kernel's", "use notify");
  if (!writable) wrong("the cgroup file system is read-only", "use notify");
}

/** The pids in a copy of a tree, or in one that was made up, are anybody's on this machine. */
function checkTree({ kernel }: Hierarchy, { actions, dryRun }: GuardPlan) {
  if (kernel || dryRun) return;
  const harmful = Object.values(actions).flat().find(({ kind }) =>
    kind !== "noop" && kind !== "exec"
  );
  if (harmful === undefined) return;
  throw new OomkitError(
    `cannot use ${harmful.kind} here: this tree is not a kernel's, and its pids may be anybody's`,
    "add --dry-run",
  );
}

function scopesOf(
  hierarchy: Hierarchy,
  targets: readonly string[],
  flags: GuardFlags,
): Scope[] {
  const recursive = flags.recursive === true;
  // As with oom-guard, a tree that is named without a target is guarded as a whole.
  const whole = flags.root === undefined ? undefined : openCgroup(hierarchy, hierarchy.root);
  if (targets.length === 0 && whole) return [{ cgroup: whole, recursive: true }];
  if (targets.length === 0) return [{ cgroup: ownCgroup(hierarchy), recursive }];
  const scopes = targets.flatMap((target): Scope[] => {
    const glob = parseGlob(hierarchy, target);
    if (glob === undefined) {
      return resolveTarget(hierarchy, target).map((cgroup) => ({ cgroup, recursive }));
    }
    // What fits may yet come; where it would be must be there.
    if (glob.base === undefined) {
      return resolveTarget(hierarchy, target).map((cgroup) => ({ cgroup, recursive }));
    }
    return [{ cgroup: glob.base, recursive: true, pattern: glob.pattern }];
  });
  return scopes;
}

/** A target that can never be guarded as it was asked for is a mistake; one of many is not. */
function checkReach(
  { entries }: Guarding,
  scopes: readonly Scope[],
  plan: GuardPlan,
  mode: string,
) {
  for (const { cgroup: { path }, recursive } of scopes) {
    if (recursive) continue;
    const entry = entries.find((each) => each.cgroup.path === path);
    if (entry === undefined) {
      throw new OomkitError(
        `cannot guard ${
          printable(path)
        }: neither it nor an ancestor has a limit that leaves room for the margin`,
        "set a limit, or look at: oomkit inspect",
      );
    }
    const refused = deadlyLevel(plan.actions) && whyNoSignal(entry.cgroup, plan.untouchable);
    if (refused) {
      throw new OomkitError(
        `cannot end the processes of ${printable(path)}: ${refused}`,
        "run as root or as their owner",
      );
    }
  }
  const isMeant = mode !== "auto" && !plan.dryRun && entries.length > 0;
  if (!isMeant || entries.some(({ spec }) => spec.mode === mode)) return;
  throw new OomkitError(
    `cannot use --mode ${mode}: it could not be set up in any of ${entries.length} cgroups, for the reasons above`,
    "use --mode auto for what works",
  );
}

function startLine({ entries, scheduling, sources }: Guarding, plan: GuardPlan): string {
  const modes = [...new Set(entries.map(({ spec }) => spec.mode))];
  const what = entries.length === 1 ? "1 cgroup" : `${entries.length} cgroups`;
  const deadly = deadlyLevel(plan.actions) === undefined ? ", nothing is killed" : "";
  const rehearsal = plan.dryRun ? ", dry run" : "";
  const mode = modes.length === 0 ? "" : `, ${modes.join(" and ")}`;
  return `guarding ${what}${mode}${rehearsal}${deadly}; sentry: ${scheduling}; ${
    sources.join("; ")
  }`;
}
