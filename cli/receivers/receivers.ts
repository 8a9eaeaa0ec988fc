/** Opens what the flags ask for, and hands events on to all of them. */

import { runHook } from "../../core/control/hook.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import type { Health } from "../../core/receivers/prometheus/server.ts";
import type { Followed } from "../../core/collect/collect.ts";
import type { Labels } from "../../core/policy/rules.ts";
import { cloudEvents } from "../../core/events/cloud_event.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { openExec } from "../../core/receivers/exec.ts";
import { type LogFile, openLogFile } from "../../core/receivers/log_file.ts";
import { oomGuardEvent } from "../../core/events/oom_guard.ts";
import type { Receiver } from "../../core/receivers/receiver.ts";
import { type HttpMessage, openWebhook } from "../../core/receivers/webhook.ts";
import { printStderr } from "../output/output.ts";
import { DEFAULT_EVENT_TYPES, type ReceiverFlags } from "../options/receivers.ts";
import { readTextFile } from "../output/text_file.ts";

/** The command whose events they are. */
export interface Observed {
  readonly command: "watch" | "guard";
  /** Who is followed now. */
  cgroups(): Iterable<Followed>;
  alive(): Health;
  ready(): Health;
  /** Of a guard: milliseconds since its sentry was seen to turn. */
  heartbeatAge?(): number;
  /** Pods have come or gone, or have other labels. */
  podsChanged?(): void;
  directoryOf?(path: string): string;
}

export interface Receivers {
  /** @returns oom-guard's form of it, where it has one. */
  report(event: OomkitEvent, stat: string): string | undefined;
  /** Of the pods on this node, as far as they are known; `undefined` where nobody can be asked. */
  labels(): Labels | undefined;
  /** Whether there is anybody but stdout to be told. */
  readonly hasAny: boolean;
  /** For who has moved the log away. */
  reopen(): void;
  close(): Promise<void>;
}

export type ReceiverSetupFlags = ReceiverFlags & {
  readonly eventFormat?: "oomkit" | "oom-guard";
  readonly port?: number | undefined;
};

/** Throws {@link OomkitError} for what cannot be opened. */
export async function openReceivers(
  flags: ReceiverSetupFlags,
  observed: Observed,
): Promise<Receivers> {
  const hostname = Deno.hostname();
  const types = new Set(flags.eventTypes ?? DEFAULT_EVENT_TYPES);
  const isForeign = (flags.webhookFormat ?? flags.eventFormat) === "oom-guard";
  const directoryOf = observed.directoryOf ?? ((path) => path);
  /** As it was made last, so that it is made once for all who want it. */
  let oomGuardJson: string | undefined;
  const own = cloudEvents(hostname, performance.timeOrigin);
  const oomGuardMessage = (): HttpMessage | undefined =>
    oomGuardJson === undefined ? undefined : { body: oomGuardJson, type: "application/json" };
  const log: LogFile[] = flags.logFile === undefined
    ? []
    : [openLogFile(flags.logFile, printStderr)];
  const selective: Receiver[] = [
    ...webhooksOf(flags, (event) => isForeign ? oomGuardMessage() : own(event)),
    ...flags.exec === undefined ? [] : [
      openExec({
        command: flags.exec,
        timeout: flags.execTimeout,
        run: runHook,
        warn: printStderr,
      }),
    ],
  ];
  const cluster = flags.kubernetes || flags.kubernetesEvents
    ? await (await import("./cluster.ts")).openClusterReceivers(
      flags,
      isForeign ? () => oomGuardJson : undefined,
      () => observed.podsChanged?.(),
    )
    : undefined;
  if (cluster?.events) selective.push(cluster.events);
  const all: Receiver[] = [...log, ...selective];
  const listening = flags.listen !== undefined || (flags.port ?? 0) > 0
    ? await (await import("./metrics.ts")).openMetricsListener(flags, observed, all)
    : undefined;
  return {
    report(event, stat) {
      oomGuardJson = event.type === "action"
        ? oomGuardEvent(event, { hostname, directoryOf, stat })
        : undefined;
      listening?.metrics.report(event, stat);
      for (const receiver of log) receiver.report(event, stat);
      if (!types.has(event.type)) return oomGuardJson;
      for (const receiver of selective) receiver.report(event, stat);
      return oomGuardJson;
    },
    labels: () => cluster?.labels(),
    hasAny: all.length > 0 || listening !== undefined,
    reopen() {
      for (const file of log) file.reopen();
    },
    async close() {
      await Promise.all(all.map((receiver) => receiver.close()));
      await cluster?.close();
      await listening?.close();
    },
  };
}

function webhooksOf(
  flags: ReceiverFlags,
  write: (event: OomkitEvent) => HttpMessage | undefined,
): Receiver[] {
  const { webhookUrl = [], webhookHeader, webhookSecretFile, webhookCa, webhookTimeout } = flags;
  return webhookUrl.map((url) =>
    openWebhook({
      url,
      write,
      timeout: webhookTimeout,
      warn: printStderr,
      ...(webhookHeader ? { headers: webhookHeader } : {}),
      ...(webhookSecretFile === undefined ? {} : { secret: secretIn(webhookSecretFile) }),
      ...(webhookCa === undefined
        ? {}
        : { caCerts: [readTextFile(webhookCa, "the certificates in")] }),
    })
  );
}

/** Without the newline that an editor leaves. */
function secretIn(path: string): Uint8Array<ArrayBuffer> {
  const secret = new TextEncoder().encode(
    readTextFile(path, "the secret in").replace(/\r?\n$/, ""),
  );
  if (secret.length > 0) return secret;
  throw new OomkitError(
    `cannot sign with the secret in ${shortened(path)}: it is empty`,
    "write one into it",
  );
}
