/** Opens what the flags ask for, and hands events on to all of them. */

import { runHook } from "../core/act/hook.ts";
import { OomkitError, shortened } from "../core/errors.ts";
import { cloudEvents } from "../core/report/cloud_event.ts";
import type { OomkitEvent } from "../core/report/event.ts";
import { openExec } from "../core/report/exec.ts";
import { type LogFile, openLogFile } from "../core/report/log_file.ts";
import { oomGuardEvent } from "../core/report/oom_guard.ts";
import type { Reporter } from "../core/report/reporter.ts";
import { type Letter, openWebhook } from "../core/report/webhook.ts";
import type { LabelsOf } from "./config_rules.ts";
import { say } from "./output.ts";
import { type ReportFlags, USUAL_TYPES } from "./report_options.ts";

export interface Reporters {
  /** @returns oom-guard's form of it, where it has one. */
  report(
    event: OomkitEvent,
    stat: string,
    directoryOf: (path: string) => string,
  ): string | undefined;
  /** Labels of the pods on this node; absent where nobody can be asked. */
  readonly podLabels?: LabelsOf;
  /** For who has moved the log away. */
  reopen(): void;
  close(): Promise<void>;
}

/** Throws {@link OomkitError} for what cannot be opened. */
export function openReporters(flags: ReportFlags & { readonly eventFormat?: string }): Reporters {
  const hostname = Deno.hostname();
  const types = new Set(flags.reportTypes ?? USUAL_TYPES);
  const log: LogFile[] = flags.logFile === undefined ? [] : [openLogFile(flags.logFile, say)];
  /** As it was made last, so that it is made once for all who want it. */
  let foreign: string | undefined;
  const isForeign = (flags.webhookFormat ?? flags.eventFormat) === "oom-guard";
  const own = cloudEvents(hostname, performance.timeOrigin);
  const write = (event: OomkitEvent): Letter | undefined =>
    isForeign
      ? foreign === undefined ? undefined : { body: foreign, type: "application/json" }
      : own(event);
  const selective: Reporter[] = [
    ...(flags.webhookUrl ?? []).map((url) =>
      openWebhook({
        url,
        write,
        timeout: flags.webhookTimeout,
        complain: say,
        ...(flags.webhookHeader ? { headers: flags.webhookHeader } : {}),
        ...(flags.webhookSecretFile === undefined
          ? {}
          : { secret: secretIn(flags.webhookSecretFile) }),
        ...(flags.webhookCa === undefined
          ? {}
          : { caCerts: [textIn(flags.webhookCa, "certificates")] }),
      })
    ),
    ...flags.exec === undefined ? [] : [
      openExec({ command: flags.exec, timeout: flags.execTimeout, run: runHook, complain: say }),
    ],
  ];
  const all = [...log, ...selective];
  return {
    report(event, stat, directoryOf) {
      foreign = event.type === "action"
        ? oomGuardEvent(event, { hostname, directoryOf, stat })
        : undefined;
      for (const reporter of log) reporter.report(event, stat);
      if (types.has(event.type)) {
        for (const reporter of selective) reporter.report(event, stat);
      }
      return foreign;
    },
    reopen() {
      for (const file of log) file.reopen();
    },
    async close() {
      await Promise.all(all.map((reporter) => reporter.close()));
    },
  };
}

function textIn(path: string, what: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    const why = error instanceof Error ? error.message.split(" (os error")[0] : error;
    throw new OomkitError(
      `cannot read the ${what} in ${shortened(path)}: ${why}`,
      "name a file that can be read",
    );
  }
}

/** Without the newline that an editor leaves. */
function secretIn(path: string): Uint8Array<ArrayBuffer> {
  const secret = new TextEncoder().encode(textIn(path, "secret").replace(/\r?\n$/, ""));
  if (secret.length > 0) return secret;
  throw new OomkitError(`cannot sign with the secret in ${shortened(path)}: it is empty`);
}
