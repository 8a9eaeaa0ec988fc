/** `oomkit guard`. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { readOwnLimits } from "../../core/cgroup/own_limits.ts";
import { cgroupsOfProcesses } from "../../core/cgroup/shared_pid_namespace.ts";
import type { MonitoredCgroup } from "../../core/collect/metric_readings.ts";
import { restoreStale, runningGuards } from "../../core/control/journal.ts";
import { openSdNotify } from "../../core/control/sd_notify.ts";
import { stateDirectory, untrustedReason } from "../../core/control/state_directory.ts";
import { OomkitError, RuntimeFailure, shortened } from "../../core/errors.ts";
import type { CandidateJson, OomkitEvent } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import { type Guard, runAll, startGuard } from "../../core/guard/guard.ts";
import { keyOf, kills } from "../../core/guard/policy.ts";
import type { GuardedCgroup } from "../../core/guard/registry.ts";
import { type Health, heartbeatHealth } from "../../core/receivers/prometheus/server.ts";
import { Activity } from "../../core/status/activity.ts";
import type { StatusSocket } from "../../core/status/socket.ts";
import type { Finish } from "../exit.ts";
import type { Live } from "../live/live.ts";
import { isRecorded, wantsJson } from "../options/subcommand.ts";
import { formatCount } from "../options/units.ts";
import { candidateText } from "../output/candidate_text.ts";
import { printEvent } from "../output/event_output.ts";
import { eventTextFor, withMessage } from "../output/event_text.ts";
import { print, printable, printStderr } from "../output/output.ts";
import { openQueuedOutput } from "../output/queued_output.ts";
import type { RunRecording } from "../output/recording.ts";
import { openReceivers, type Receivers } from "../receivers/receivers.ts";
import { selfCommand } from "../self_command.ts";
import { ENDING, onSignals } from "../signals.ts";
import { shouldDrawLive } from "../terminal/capabilities.ts";
import { createProgress, type Progress, terminalOutput } from "../terminal/progress.ts";
import { chooseStyle, type Style } from "../terminal/palette.ts";
import { guardBase, type GuardFlags } from "./options.ts";
import {
  buildGuardSetup,
  checkReach,
  type GuardRequest,
  guardRequestOf,
  type GuardSetup,
  machinePolicyOf,
  reparseGuardRequest,
} from "./setup.ts";
import { IMPLICIT_RULE, printMachineNotes } from "./machine.ts";
import { ownSizeWarning } from "./own_size.ts";
import { openStatusSocket } from "./status.ts";

export function guardCommand(finish: Finish) {
  return guardBase()
    .argument("[targets...]", "cgroups (default: own cgroup; all with --root)")
    .action(async (named, flags, self) => {
      if (flags.restore) return finish(restoreSettings(self, named, flags));
      const request = guardRequestOf(self, named, flags);
      if (flags.checkConfig) {
        const { checkConfig } = await import("./check_config.ts");
        return finish(await checkConfig(request));
      }
      // The words after "guard".
      const args = self.parent!.args.slice(1);
      finish(await new GuardRun(request, () => reparseGuardRequest(args)).run());
    });
}

/** Pods are created and removed in bulk, as when a node is drained: their labels are applied in batches. */
const LABEL_BATCH_MS = 200;

/** One run of a guard, from before the first change of a cgroup until all changed settings are restored. */
class GuardRun {
  readonly #isJson: boolean;
  readonly #style: Style;
  readonly #textOf = eventTextFor(Deno.stdout);
  readonly #ended = Promise.withResolvers<void>();
  readonly #started = Promise.withResolvers<void>();
  /** Reloads run one after another, so that the configuration read last applies. */
  #reloading = this.#started.promise;
  readonly #uncaughtErrors = catchUncaughtErrors();
  readonly #output = openQueuedOutput();
  readonly #serviceManager = openSdNotify();
  // On a terminal the events or the live view show the progress.
  readonly #progress: Progress;
  readonly #removeSignalHandlers: () => void;
  readonly #activity = new Activity();
  #armedCount = 0;
  #isStopping = false;
  #setup: GuardSetup | undefined;
  #guard: Guard | undefined;
  #receivers: Receivers | undefined;
  #recording: RunRecording | undefined;
  #live: Live | undefined;
  #statusSocket: StatusSocket | undefined;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  #labelTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly request: GuardRequest,
    private readonly reparse: () => Promise<GuardRequest>,
  ) {
    this.#isJson = wantsJson(request.flags);
    const isSilent = request.flags.quiet === true || Deno.stdout.isTerminal();
    this.#progress = createProgress(isSilent ? undefined : terminalOutput());
    this.#style = chooseStyle(request.flags.color);
    // Installed before the first change: from then on a signal must restore the settings before the process ends.
    const isOnTerminal = Deno.stdin.isTerminal();
    this.#removeSignalHandlers = onSignals(ENDING, (signal) => {
      // On a terminal, SIGHUP means that the terminal is closed.
      if (signal !== "SIGHUP" || isOnTerminal) return this.#ended.resolve();
      this.#reloading = this.#reloading.then(() => this.#reload()).catch(this.#uncaughtErrors.fail);
    });
  }

  /** @returns the exit status */
  async run(): Promise<number> {
    try {
      await this.#start();
      const { promise: ended } = this.#ended;
      await Promise.race([this.#guard!.done, ended, this.#uncaughtErrors.thrown]).catch(
        asRuntimeFailure,
      );
    } finally {
      await this.#stop();
    }
    // An error thrown while stopping is reported too.
    await Promise.race([this.#uncaughtErrors.thrown, Promise.resolve()]);
    return 0;
  }

  async #start(): Promise<void> {
    const { flags } = this.request;
    const receivers = this.#receivers = await openReceivers(flags, {
      command: "guard",
      cgroups: () => monitoredCgroups(this.#guard),
      lacking: () => this.#guard?.lacking() ?? new Map(),
      killsFor: (event) => this.#guard?.killsFor(event) ?? false,
      alive: () => this.#guard ? heartbeatHealth(this.#guard.msSinceHeartbeat()) : { ok: true },
      ready: () => this.#readiness(),
      heartbeatAge: () => this.#guard?.msSinceHeartbeat() ?? 0,
      podsChanged: () => {
        this.#labelTimer ??= setTimeout(() => this.#setPodLabels(), LABEL_BATCH_MS);
      },
      directoryOf: (path) => this.#setup?.directoryOf(path) ?? path,
    });
    const setup = this.#setup = buildGuardSetup(this.request, receivers.labels());
    this.#recording = await this.#openRecording(setup);
    if (shouldDrawLive(flags, this.#plainOutputReason())) {
      const { openGuardLive } = await import("../live/live.ts");
      const end = () => this.#ended.resolve();
      this.#live = openGuardLive(
        { flags, end },
        () => this.#guard,
        () => this.#setup!.policies,
      );
    }
    this.#progress.show("arming");
    const guard = this.#guard = await startGuard({
      ...setup,
      ...(this.#recording && { recordSink: this.#recording }),
      ...(setup.isPod ? { findCgroups: () => cgroupsOfProcesses(setup.protectedPids) } : {}),
      hookTimeout: flags.hookTimeout,
      describe: (event) => this.#describe(event),
      holdTimeout: flags.holdTimeout,
      stateDirectory: stateDirectory(),
      restoreCommand: [...selfCommand(), "guard", "--restore"],
    }, (event, stat) => this.#emit(event, stat));
    this.#progress.end();
    checkReach(guard, setup);
    for (const guarded of flags.explain && !this.#isJson ? guard.guardedCgroups() : []) {
      const { cgroupOrder } = guarded.policy.preferences;
      const order = cgroupOrder ? `, cgroups by ${cgroupOrder}` : "";
      print(`victim order for ${printable(guarded.cgroup.path)}${order}:`);
      explain(guard.candidates(guarded), this.#style);
    }
    this.#statusSocket = openStatusSocket(() => ({
      guard,
      setup: this.#setup ?? setup,
      receivers,
      activity: this.#activity,
    }));
    await this.#printMachineNotes(setup);
    const line = startLine(guard, setup);
    const warning = ownSizeWarning(
      guard.guardedCgroups().length,
      readOwnLimits(discover(flags.root)),
    );
    for (const each of flags.quiet ? [] : [line, warning]) if (each) printStderr(each);
    this.#serviceManager?.ready(line, guard.isAlive);
    this.#started.resolve();
    if (flags.for !== undefined) {
      this.#stopTimer = setTimeout(() => this.#ended.resolve(), flags.for);
    }
  }

  /** At the start, and where another policy applies since. */
  async #printMachineNotes(setup: GuardSetup, before?: GuardSetup): Promise<void> {
    const policy = machinePolicyOf(setup);
    const known = before && machinePolicyOf(before);
    if (policy === undefined || (known && keyOf(known) === keyOf(policy))) return;
    await printMachineNotes(policy, this.request.flags.quiet === true);
  }

  /** Also after a start that failed halfway. */
  async #stop(): Promise<void> {
    clearTimeout(this.#stopTimer);
    clearTimeout(this.#labelTimer);
    this.#progress.end();
    this.#isStopping = true;
    this.#started.resolve();
    this.#serviceManager?.stopping();
    await runAll([
      // The live view closes first, so that the events from here on stay on the terminal.
      () => this.#live?.close(),
      () => this.#statusSocket?.close(),
      () => this.#guard?.stop(),
      () => this.#recording?.close(),
      () => this.#receivers?.close(),
      () => this.#output.close(),
      () => this.#uncaughtErrors.ignore(),
      () => this.#removeSignalHandlers(),
    ]);
  }

  #describe(event: OomkitEvent): OomkitEvent {
    const described = withMessage(event);
    return this.#receivers?.located(described) ?? described;
  }

  #emit(emitted: OomkitEvent, stat = ""): void {
    const { flags } = this.request;
    this.#recording?.event(emitted);
    const event = this.#describe(emitted);
    this.#activity.add(event);
    const oomGuardJson = this.#receivers?.report(event, stat);
    if (flags.eventFormat === "oom-guard") {
      if (oomGuardJson !== undefined) printEvent(oomGuardJson, event);
      return;
    }
    if (this.#guard === undefined && event.type === "guard_armed") {
      this.#progress.show(`arming, ${++this.#armedCount} so far`);
    }
    if (!this.#live?.show(event)) {
      printEvent(this.#isJson ? toJson(event) : this.#textOf(event, this.#style), event);
    }
    if (flags.explain && !this.#isJson && event.type === "action" && "candidates" in event) {
      explain(event.candidates, this.#style);
    }
  }

  async #reload(): Promise<void> {
    if (this.#isStopping || this.#guard === undefined || this.#setup === undefined) return;
    this.#receivers?.reopen();
    try {
      const request = await this.reparse();
      const { file } = this.request;
      if (file && !request.file) throw new OomkitError(`${file.path} no longer exists`);
      const setup = buildGuardSetup(request, this.#receivers?.labels(), this.#setup);
      if (setup.isPod !== this.#setup.isPod) {
        throw new OomkitError("--pod cannot change while the guard runs", "restart the guard");
      }
      const before = this.#setup;
      this.#setup = setup;
      await this.#guard.reload(setup);
      await this.#printMachineNotes(setup, before);
      const line = startLine(this.#guard, setup);
      printStderr(`configuration reloaded: ${line}`);
      this.#serviceManager?.status(line);
    } catch (error) {
      // The previous setup stays in force: a mistake in the file must not leave cgroups unguarded.
      if (!isUserError(error)) throw error;
      printStderr(
        `oomkit: cannot reload the configuration, the previous one stays in force: ${error.message}`,
      );
    }
  }

  #setPodLabels(): void {
    this.#labelTimer = undefined;
    try {
      this.#guard?.setPodLabels(this.#receivers?.labels() ?? new Map());
    } catch (error) {
      this.#uncaughtErrors.fail(error);
    }
  }

  #readiness(): Health {
    if (this.#guard && !this.#isStopping) return { ok: true };
    return { ok: false, reason: this.#isStopping ? "it is stopping" : "it is still starting" };
  }

  /** Why lines are printed instead of a live view; `undefined` if no option asks for lines. */
  #plainOutputReason(): string | undefined {
    if (this.#isJson) return "the output is JSON";
    return this.request.flags.eventFormat === "oom-guard"
      ? "oom-guard's lines are printed"
      : undefined;
  }

  async #openRecording({ policies, version }: GuardSetup): Promise<RunRecording | undefined> {
    const { flags } = this.request;
    if (!isRecorded(flags)) return undefined;
    // Loaded only for a run that is recorded.
    const { openRecording } = await import("../output/recording.ts");
    const { recordedPolicy } = await import("../../core/guard/record.ts");
    const run = {
      command: "guard",
      hierarchy: version,
      policies: policies.all.map(recordedPolicy),
    } as const;
    return await openRecording(flags, run);
  }
}

/** An error of a running guard is status 1, which a service manager restarts after; status 2 says that a restart is useless. */
function asRuntimeFailure(error: unknown): never {
  if (error instanceof OomkitError) throw new RuntimeFailure(error.message, error.hint);
  throw error;
}

function* monitoredCgroups(guard: Guard | undefined): Generator<MonitoredCgroup> {
  for (const { cgroup, settings } of guard?.guardedCgroups() ?? []) {
    yield { cgroup, mode: settings.mode, imminent: settings.levelBytes.imminent };
  }
}

/** Not a bug: an error of the user's settings or arguments. commander's own errors have an exit code. */
function isUserError(error: unknown): error is Error {
  return error instanceof OomkitError || (error instanceof Error && "exitCode" in error);
}

/** `the machine and 3 cgroups`. */
function guardedText(all: readonly GuardedCgroup[]): string {
  const cgroups = all.filter(({ cgroup }) => !cgroup.machine).length;
  const parts = cgroups < all.length ? ["the machine"] : [];
  if (cgroups > 0 || parts.length === 0) parts.push(formatCount(cgroups, "cgroup"));
  return parts.join(" and ");
}

function startLine(guard: Guard, { policies, rules: all, oomHero }: GuardSetup): string {
  const guarded = guard.guardedCgroups();
  const modes = new Set(guarded.map(({ settings }) => settings.mode));
  const rules = all.filter((rule) => rule !== IMPLICIT_RULE).length;
  const head = [
    `guarding ${guardedText(guarded)}${rules > 0 ? ` under ${formatCount(rules, "rule")}` : ""}`,
    ...modes.size === 0 ? [] : [[...modes].join(" and ")],
    ...policies.all.some(({ dryRun }) => dryRun) ? ["dry run"] : [],
    ...kills(policies) ? [] : ["nothing is killed"],
    ...oomHero.length === 0 ? [] : [`signals by ${oomHero.join(" and ")} in the environment`],
  ].join(", ");
  const machine = guarded.filter(({ cgroup }) => cgroup.machine).map(({ armed }) =>
    `machine: ${armed.length > 0 ? "PSI trigger and polls" : "polls only (no PSI trigger)"}`
  );
  const sources = [...machine, ...guard.sources()];
  return `${head}; monitor thread: ${guard.scheduling}; ${sources.join("; ")}`;
}

/** One line for each of the first candidates, in victim order; excluded processes are last. */
function explain(candidates: readonly CandidateJson[], style: Style): void {
  candidates.forEach((each, at) => print(`    ${style("dim", candidateText(each, at))}`));
}

const USED_BY_RESTORE = ["restore", "json", "output", "color", "config"];

/** `oomkit guard --restore`: restores settings left by guards that were killed. @returns the exit status */
function restoreSettings(
  command: CommandUnknownOpts,
  targets: readonly string[],
  flags: GuardFlags,
): number {
  const other = command.options.find((option) =>
    !USED_BY_RESTORE.includes(option.attributeName()) &&
    command.getOptionValueSource(option.attributeName()) === "cli"
  );
  if (targets.length > 0 || other) {
    throw new OomkitError(
      `cannot use ${targets[0] ?? other!.long} with --restore: it restores all settings`,
      "write: oomkit guard --restore",
    );
  }
  const directory = stateDirectory();
  const untrusted = untrustedReason(directory);
  if (untrusted !== undefined) {
    throw new OomkitError(
      `cannot restore the settings recorded in ${shortened(directory)}: ${untrusted}`,
      "restore them by hand and remove the directory, or name another directory with OOMKIT_STATE_DIR",
    );
  }
  const restored = restoreStale(directory);
  for (const each of restored) {
    const { dir, file, before, outcome, reason } = each;
    const why = reason ? ` (${reason})` : "";
    if (wantsJson(flags)) print(toJson(each));
    else print(`${outcome.padEnd(8)}  ${printable(dir)}/${file}: ${before}${why}`);
  }
  for (const pid of runningGuards(directory)) {
    printStderr(`a guard runs with pid ${pid}; it restores its own changes when it ends`);
  }
  if (restored.length === 0) printStderr("nothing to restore");
  return restored.some(({ outcome }) => outcome === "failed") ? 2 : 0;
}

interface UncaughtErrors {
  /** Rejects with the first one. */
  readonly thrown: Promise<never>;
  fail(error: unknown): void;
  /** From then on an uncaught error ends the process. */
  ignore(): void;
}

/** An uncaught error would end the process before the changed settings are restored. */
function catchUncaughtErrors(): UncaughtErrors {
  const { promise: thrown, reject: fail } = Promise.withResolvers<never>();
  thrown.catch(() => {});
  const listening = new AbortController();
  const { signal } = listening;
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.error ?? event.message);
  }, { signal });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail(event.reason);
  }, { signal });
  return { thrown, fail, ignore: () => listening.abort() };
}
