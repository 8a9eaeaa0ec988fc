/** Shared by both ways to watch: what `watch` and `watch -- command` derive from the options, and where events go. */

import { readEffectiveLimit, whyNoLimit } from "../../core/cgroup/ancestry.ts";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { OomkitError } from "../../core/errors.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { WatchOptions } from "../../core/watch/options.ts";
import { startWatch, type Watching } from "../../core/watch/watch.ts";
import { isRecorded } from "../options/subcommand.ts";
import { withMessage } from "../output/event_text.ts";
import { printable } from "../output/output.ts";
import type { RunRecording } from "../output/recording.ts";
import { openReceivers, type Receivers } from "../receivers/receivers.ts";
import type { WatchFlags } from "./options.ts";

export function watchOptions(flags: WatchFlags, targets: readonly Cgroup[]): WatchOptions {
  return {
    scopes: targets.map((cgroup) => ({ cgroup, recursive: flags.recursive === true })),
    thresholds: flags.threshold ?? [],
    pressureLevels: flags.pressure ?? [],
    psi: flags.psi ?? [],
    ...(flags.poll === undefined ? {} : { poll: flags.poll }),
  };
}

/**
 * Throws `OomkitError` if a threshold is a percentage and a target has no limit: the threshold would never be reached.
 *
 * @param limits effective limits by path, bytes; `Infinity` without a limit
 */
export function checkPercentages(options: WatchOptions, cgroups: readonly Cgroup[]) {
  if (!options.thresholds.some((threshold) => "percent" in threshold)) return;
  for (const cgroup of cgroups) {
    if (Number.isFinite(readEffectiveLimit(cgroup).bytes)) continue;
    throw new OomkitError(
      `cannot watch a percentage of ${printable(cgroup.path)}: ${printable(whyNoLimit(cgroup))}`,
      "use a size, for example: --threshold 480M",
    );
  }
}

/** A watch with its receivers and its recording. */
export class WatchSession {
  /** `undefined` until the watch has started. */
  watching: Watching | undefined;
  /** Set when the watch has failed: the health endpoint reports it. */
  failure: unknown;

  /** Throws `OomkitError` if a receiver or the recording cannot be opened. */
  static async open(flags: WatchFlags, hierarchy: 1 | 2): Promise<WatchSession> {
    let session: WatchSession | undefined;
    const receivers = await openReceivers(flags, {
      command: "watch",
      cgroups: () => session?.watching?.cgroups().map((cgroup) => ({ cgroup })) ?? [],
      lacking: () => session?.watching?.lacking() ?? new Map(),
      alive: () =>
        session?.failure === undefined
          ? { ok: true }
          : { ok: false, reason: String(session.failure) },
      ready: () => session?.watching ? { ok: true } : { ok: false, reason: "it is still starting" },
    });
    try {
      return session = new WatchSession(receivers, await openRecording(flags, hierarchy));
    } catch (error) {
      await receivers.close();
      throw error;
    }
  }

  private constructor(
    readonly receivers: Receivers,
    private readonly recording: RunRecording | undefined,
  ) {}

  /** Starts the watch. Events go to the recording, the receivers and `emit`, in this order. */
  start(options: WatchOptions, emit: (event: OomkitEvent) => void): Watching {
    const { recording } = this;
    const recorded = { ...options, ...(recording && { recordSink: recording }) };
    return this.watching = startWatch(recorded, (event) => this.report(event, emit));
  }

  /** Also for an event that the watch itself does not emit. */
  report(event: OomkitEvent, emit: (event: OomkitEvent) => void): void {
    this.recording?.event(event);
    const described = this.receivers.located(withMessage(event));
    this.receivers.report(described, "");
    emit(described);
  }

  async close(): Promise<void> {
    try {
      await this.recording?.close();
    } finally {
      await this.receivers.close();
    }
  }
}

/** Loads the recording's modules only if a recording was requested. */
async function openRecording(flags: WatchFlags, hierarchy: 1 | 2) {
  if (!isRecorded(flags)) return undefined;
  const { openRecording } = await import("../output/recording.ts");
  return await openRecording(flags, { command: "watch", hierarchy });
}
