/** Opens what the flags ask for, and hands events on to all of them. */

import { runHook } from "../core/act/hook.ts";
import { OomkitError, shortened } from "../core/errors.ts";
import type { Health } from "../core/metrics/health.ts";
import type { Followed } from "../core/metrics/sweep.ts";
import type { Labels } from "../core/policy/rules.ts";
import { cloudEvents } from "../core/report/cloud_event.ts";
import type { OomkitEvent } from "../core/report/event.ts";
import { openExec } from "../core/report/exec.ts";
import { type LogFile, openLogFile } from "../core/report/log_file.ts";
import { oomGuardEvent } from "../core/report/oom_guard.ts";
import type { Reporter } from "../core/report/reporter.ts";
import { type Letter, openWebhook } from "../core/report/webhook.ts";
import { say } from "./output.ts";
import { type ReportFlags, USUAL_TYPES } from "./report_options.ts";
import { readTextFile } from "./text_file.ts";

/** The command whose events they are. */
export interface Observed {
  readonly command: "watch" | "guard";
  /** Who is followed now. */
  cgroups(): Iterable<Followed>;
  alive(): Health;
  ready(): Health;
  /** Of a guard: milliseconds since its sentry was seen to turn. */
  silence?(): number;
  /** Pods have come or gone, or have other labels. */
  podsChanged?(): void;
  directoryOf?(path: string): string;
}

export interface Reporters {
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

export type ReporterFlags = ReportFlags & {
  readonly eventFormat?: "oomkit" | "oom-guard";
  readonly port?: number;
};

/** Throws {@link OomkitError} for what cannot be opened. */
export async function openReporters(
  flags: ReporterFlags,
  observed: Observed,
): Promise<Reporters> {
  const hostname = Deno.hostname();
  const types = new Set(flags.reportTypes ?? USUAL_TYPES);
  const isForeign = (flags.webhookFormat ?? flags.eventFormat) === "oom-guard";
  const directoryOf = observed.directoryOf ?? ((path) => path);
  /** As it was made last, so that it is made once for all who want it. */
  let foreign: string | undefined;
  const own = cloudEvents(hostname, performance.timeOrigin);
  const foreignLetter = (): Letter | undefined =>
    foreign === undefined ? undefined : { body: foreign, type: "application/json" };
  const log: LogFile[] = flags.logFile === undefined ? [] : [openLogFile(flags.logFile, say)];
  const selective: Reporter[] = [
    ...webhooksOf(flags, (event) => isForeign ? foreignLetter() : own(event)),
    ...flags.exec === undefined ? [] : [
      openExec({ command: flags.exec, timeout: flags.execTimeout, run: runHook, complain: say }),
    ],
  ];
  const cluster = flags.kubernetes || flags.kubernetesEvents
    ? await (await import("./reporters_cluster.ts")).openCluster(
      flags,
      isForeign ? () => foreign : undefined,
      () => observed.podsChanged?.(),
    )
    : undefined;
  if (cluster?.events) selective.push(cluster.events);
  const all: Reporter[] = [...log, ...selective];
  const listening = flags.listen !== undefined || (flags.port ?? 0) > 0
    ? await (await import("./reporters_metrics.ts")).openListening(flags, observed, all)
    : undefined;
  return {
    report(event, stat) {
      foreign = event.type === "action"
        ? oomGuardEvent(event, { hostname, directoryOf, stat })
        : undefined;
      listening?.metrics.report(event, stat);
      for (const reporter of log) reporter.report(event, stat);
      if (!types.has(event.type)) return foreign;
      for (const reporter of selective) reporter.report(event, stat);
      return foreign;
    },
    labels: () => cluster?.labels(),
    hasAny: all.length > 0 || listening !== undefined,
    reopen() {
      for (const file of log) file.reopen();
    },
    async close() {
      await Promise.all(all.map((reporter) => reporter.close()));
      await cluster?.close();
      await listening?.close();
    },
  };
}

function webhooksOf(
  flags: ReportFlags,
  write: (event: OomkitEvent) => Letter | undefined,
): Reporter[] {
  const { webhookUrl = [], webhookHeader, webhookSecretFile, webhookCa, webhookTimeout } = flags;
  return webhookUrl.map((url) =>
    openWebhook({
      url,
      write,
      timeout: webhookTimeout,
      complain: say,
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
