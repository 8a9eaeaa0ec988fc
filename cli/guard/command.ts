import { openSdNotify } from "../../core/control/sd_notify.ts";
import { journalFolder } from "../../core/control/journal.ts";
import { cgroupsOfProcesses } from "../../core/cgroup/shared_pid_namespace.ts";
import { BrokenOff, OomkitError } from "../../core/errors.ts";
import { type Guard, startGuard } from "../../core/guard/guard.ts";
import { kills } from "../../core/guard/policy.ts";
import { type Health, heartbeatHealth } from "../../core/receivers/prometheus/server.ts";
import type { Followed } from "../../core/collect/collect.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import { eventText } from "../output/event_text.ts";
import { explain } from "./explain.ts";
import { checkReach } from "./checks.ts";
import { catchFaults } from "./uncaught.ts";
import { guardBase, type GuardFlags } from "./options.ts";
import { release } from "./restore.ts";
import { buildGuardSetup, type GuardSetup } from "./setup.ts";
import type { Live } from "../live/live.ts";
import { shouldDrawLive } from "../terminal/live_choice.ts";
import type { Finish } from "../exit.ts";
import { configFileOf, targetsOf, wantsJson } from "../options/option.ts";
import { print, printable, printStderr } from "../output/output.ts";
import { openQueuedOutput } from "../output/queued_output.ts";
import { openReceivers, type Receivers } from "../receivers/receivers.ts";
import { isRecorded } from "../options/record.ts";
import { createProgress, terminalOutput } from "../terminal/progress.ts";
import type { RunRecording } from "../output/recording.ts";
import { selfCommand } from "../self_command.ts";
import { ENDING, onSignals } from "../signals.ts";
import { chooseStyle } from "../terminal/style.ts";

export function guardCommand(finish: Finish) {
  return guardBase()
    .argument("[targets...]", "cgroups; none: the own one, or all beneath --root")
    .addHelpText("after", HELP)
    .action(async (named, flags, self) => {
      const requested: GuardRequest = {
        targets: flags.pod ? named : targetsOf(self, named),
        flags,
        file: configFileOf(self),
        sourceOf: (name) => self.getOptionValueSource(name),
      };
      // What follows the word "guard".
      const again = () => reparseOptions(self.parent!.args.slice(1));
      if (flags.restore) finish(release(named, flags));
      else if (flags.checkConfig) {
        const { checkConfig } = await import("./check_config.ts");
        finish(await checkConfig(requested));
      } else finish(await guard(requested, again));
    });
}

/** What the command line, the variables and the configuration say together. */
export interface GuardRequest {
  readonly targets: readonly string[];
  readonly flags: GuardFlags;
  readonly file: ReturnType<typeof configFileOf>;
  sourceOf(name: string): string | undefined;
}

const HELP = `
Targets: a cgroup path, a directory, a glob ('/kubepods/**'), pid:N, unit:NAME,
pod:UID, a container id or its beginning, a runc name.

Levels: warn (65%), critical (90%), and the threshold, a margin below the limit.
Nothing is signalled or killed until it is asked for:

  oomkit guard -r /kubepods --policy process --avoid postgres
  oomkit guard pid:4242 --on-warn signal --on-critical signal,reclaim
  oomkit guard my.service --policy container --grace-period 5s --dry-run

Modes: notify changes nothing. throttle (v2) sets memory.high at the threshold,
so that the kernel slows the allocator down meanwhile; hold (v1) switches the
kernel's killer off. Both are put back on every way out. auto: throttle on v2
when something is to be killed, else notify.

The variables of OOMHero work as they stand: WARNING, CRITICAL, WARNING_SIGNAL,
CRITICAL_SIGNAL, COOLDOWN; so do oom-guard's flags.

SIGHUP reads the configuration again, and opens --log-file anew.

On a terminal a live view is drawn, where ? tells the keys; --no-live prints a
line for each event, as elsewhere.

Exit: 0; 2 when what was asked for cannot be done.`;

/** The same command line once more, beside what the configuration says now. */
async function reparseOptions(args: readonly string[]): Promise<GuardRequest> {
  const read = Promise.withResolvers<GuardRequest>();
  const command = guardBase().argument("[targets...]").exitOverride()
    .action((named, flags, self) => {
      read.resolve({
        targets: flags.pod ? named : targetsOf(self, named),
        flags,
        file: configFileOf(self),
        sourceOf: (name) => self.getOptionValueSource(name),
      });
    });
  await command.parseAsync([...args], { from: "user" });
  return await read.promise;
}

/** Pods come and go in crowds, as when a node is drained (milliseconds). */
const RELABEL_MS = 200;

async function guard(
  requested: GuardRequest,
  reparseOptions: () => Promise<GuardRequest>,
): Promise<number> {
  const { flags } = requested;
  const json = wantsJson(flags);
  const style = chooseStyle(flags.color);
  let guarding: Guard | undefined;
  let live: Live | undefined;
  let isStopping = false;
  let setup: GuardSetup | undefined;

  // Before anything is changed: what ends it from then on must put that back.
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  let reloading: Promise<void> = started.promise;
  const isOnTerminal = Deno.stdin.isTerminal();
  const offSignals = onSignals(ENDING, (signal) => {
    // On a terminal it is the end of the terminal.
    if (signal !== "SIGHUP" || isOnTerminal) return end();
    // One after the other: the last one read is the one that holds.
    reloading = reloading.then(reload).catch(faults.fail);
  });
  const faults = catchFaults();
  const output = openQueuedOutput();

  let relabelling: ReturnType<typeof setTimeout> | undefined;
  const setPodLabels = () => {
    relabelling = undefined;
    try {
      guarding?.setPodLabels(receivers?.labels() ?? new Map());
    } catch (error) {
      faults.fail(error);
    }
  };
  let receivers: Receivers | undefined;
  // On a terminal the events themselves, or the live view, tell how far it has come.
  const arming = createProgress(Deno.stdout.isTerminal() ? undefined : terminalOutput());
  let armed = 0;
  let recording: RunRecording | undefined;
  const emit = (event: OomkitEvent, stat = "") => {
    recording?.event(event);
    const oomGuardJson = receivers?.report(event, stat);
    if (flags.eventFormat === "oom-guard") {
      if (oomGuardJson !== undefined) print(oomGuardJson);
      return;
    }
    if (guarding === undefined && event.type === "guard_armed") {
      arming.show(`arming, ${++armed} so far`);
    }
    if (!live?.show(event)) print(json ? toJson(event) : eventText(event, style));
    if (flags.explain && !json && event.type === "action") explain(event.candidates, style);
  };
  const reload = async () => {
    if (isStopping || guarding === undefined || setup === undefined) return;
    receivers?.reopen();
    try {
      const next = await reparseOptions();
      if (requested.file && !next.file) {
        throw new OomkitError(`the configuration ${requested.file.path} is gone`);
      }
      const fresh = buildGuardSetup(next, receivers?.labels(), setup);
      if (fresh.isPod !== setup.isPod) {
        throw new OomkitError("--pod cannot begin or end in a running guard", "restart it");
      }
      setup = fresh;
      await guarding.reload(setup);
      const line = startLine(guarding, setup);
      printStderr(`read again: ${line}`);
      manager?.status(line);
    } catch (error) {
      // What held before holds on: a mistake in a file must not leave anything unguarded.
      if (!isMistake(error)) throw error;
      printStderr(`oomkit: nothing is changed: ${error.message}`);
    }
  };
  const manager = openSdNotify();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    receivers = await openReceivers(flags, {
      command: "guard",
      cgroups: () => followed(guarding),
      alive: () => guarding ? heartbeatHealth(guarding.msSinceHeartbeat()) : { ok: true },
      ready: () => readiness(guarding, isStopping),
      heartbeatAge: () => guarding?.msSinceHeartbeat() ?? 0,
      podsChanged: () => void (relabelling ??= setTimeout(setPodLabels, RELABEL_MS)),
      directoryOf: (path) => setup?.directoryOf(path) ?? path,
    });
    const { isPod, protectedPids } = setup = buildGuardSetup(requested, receivers.labels());
    recording = await recordingOf(flags, setup);
    if (shouldDrawLive(flags, plainOutputReason(flags))) {
      const { openGuardLive } = await import("../live/live.ts");
      live = openGuardLive({ flags, end }, () => guarding);
    }
    arming.show("arming");
    guarding = await startGuard({
      ...setup,
      ...(recording && { recordSink: recording }),
      ...(isPod ? { findCgroups: () => cgroupsOfProcesses(protectedPids) } : {}),
      hookTimeout: flags.hookTimeout,
      holdTimeout: flags.holdTimeout,
      stateFolder: journalFolder(),
      restoreCommand: [...selfCommand(), "guard", "--restore"],
    }, emit);
    arming.end();
    const { guardedCgroups: entries, isAlive } = guarding;
    checkReach(guarding, setup);
    for (const guarded of flags.explain && !json ? entries() : []) {
      print(`who would be taken in ${printable(guarded.cgroup.path)} now:`);
      explain(guarding.candidates(guarded), style);
    }
    const line = startLine(guarding, setup);
    printStderr(line);
    manager?.ready(line, isAlive);
    started.resolve();
    if (flags.for !== undefined) timer = setTimeout(end, flags.for);
    await Promise.race([guarding.done, ended, faults.thrown]).catch(brokenOff);
  } finally {
    clearTimeout(timer);
    clearTimeout(relabelling);
    arming.end();
    isStopping = true;
    started.resolve();
    manager?.stopping();
    try {
      // What is told from here on is to be read afterwards, too.
      await live?.close().finally(() => guarding?.stop());
      await guarding?.stop();
    } finally {
      try {
        await recording?.close();
      } finally {
        await receivers?.close();
        await output.close();
        faults.off();
        offSignals();
      }
    }
  }
  // What was thrown on the way out is no ordinary end either.
  await Promise.race([faults.thrown, Promise.resolve()]);
  return 0;
}

/** What asks for lines; `undefined` where nothing does. */
function plainOutputReason(flags: GuardFlags): string | undefined {
  if (wantsJson(flags)) return "the output is JSON";
  return flags.eventFormat === "oom-guard" ? "oom-guard's lines are printed" : undefined;
}

/** Whoever does not ask for one does not load what it takes. */
async function recordingOf(
  flags: GuardFlags,
  { policies, version }: GuardSetup,
): Promise<RunRecording | undefined> {
  if (!isRecorded(flags)) return undefined;
  const { openRecording } = await import("../output/recording.ts");
  const { recordedPolicy } = await import("../../core/guard/record.ts");
  const run = {
    command: "guard",
    hierarchy: version,
    policies: policies.all.map(recordedPolicy),
  } as const;
  return await openRecording(flags, run);
}

/** It was at work, so that a service manager is to start it again: unlike after 2, which says that it would be no use. */
function brokenOff(error: unknown): never {
  if (error instanceof OomkitError) throw new BrokenOff(error.message, error.hint);
  throw error;
}

function* followed(guarding: Guard | undefined): Generator<Followed> {
  for (const { cgroup, settings } of guarding?.guardedCgroups() ?? []) {
    yield { cgroup, mode: settings.mode, threshold: settings.levelBytes.imminent };
  }
}

function readiness(guarding: Guard | undefined, isStopping: boolean): Health {
  if (guarding && !isStopping) return { ok: true };
  return { ok: false, why: isStopping ? "it is stopping" : "it is still starting" };
}

/** commander's own have a code. */
function isMistake(error: unknown): error is Error {
  return error instanceof OomkitError || (error instanceof Error && "exitCode" in error);
}

function startLine(
  { guardedCgroups: entries, scheduling, sources }: Guard,
  { policies }: GuardSetup,
): string {
  const all = entries();
  const modes = [...new Set(all.map(({ settings }) => settings.mode))];
  const what = all.length === 1 ? "1 cgroup" : `${all.length} cgroups`;
  const rules = policies.all.length > 1 ? ` under ${policies.all.length - 1} rules` : "";
  const deadly = kills(policies) ? "" : ", nothing is killed";
  const rehearsal = policies.all.some(({ dryRun }) => dryRun) ? ", dry run" : "";
  const mode = modes.length === 0 ? "" : `, ${modes.join(" and ")}`;
  return `guarding ${what}${rules}${mode}${rehearsal}${deadly}; sentry: ${scheduling}; ${
    sources().join("; ")
  }`;
}
