/**
 * Opens the receivers that the flags ask for, and passes events on to them. A new receiver is a file in core/receivers, its options
 * in ../options/receivers.ts, and a row in {@link RECEIVERS}.
 */

import { OomkitError, shortened } from "../../core/errors.ts";
import { cloudEvents, type HttpMessage } from "../../core/events/cloud_event.ts";
import { EVENT_TYPES, type OomkitEvent } from "../../core/events/event.ts";
import { type Place, withPlace } from "../../core/events/place.ts";
import { oomGuardEvent } from "../../core/events/oom_guard.ts";
import { omitUndefined } from "../../core/omit_undefined.ts";
import type { Labels } from "../../core/policy/rules.ts";
import { missingProgram } from "../../core/control/hook.ts";
import { ExecReceiver } from "../../core/receivers/exec.ts";
import { LogFile } from "../../core/receivers/log_file.ts";
import { shownOtlpUrl } from "../../core/receivers/otlp/url.ts";
import { formatListen, parseListen } from "../../core/receivers/prometheus/listen.ts";
import type { Metrics, MetricsOptions } from "../../core/receivers/prometheus/metrics.ts";
import type { Receiver, ReceiverCounts } from "../../core/receivers/receiver.ts";
import { shownUrl, Webhook } from "../../core/receivers/webhook.ts";
import { DEFAULT_EVENT_TYPES, nodeNameOf, type ReceiverFlags } from "../options/receivers.ts";
import { printStderr } from "../output/output.ts";
import { readTextFile } from "../output/files.ts";
import { buildCommit, USER_AGENT, VERSION } from "../version.ts";
import type { Cluster } from "./cluster.ts";

export type ReceiverSetupFlags = ReceiverFlags & {
  readonly eventFormat?: "oomkit" | "oom-guard";
  readonly port?: number | undefined;
};

/** What the receivers may ask of the command that emits the events. */
export interface EmittingCommand
  extends Omit<MetricsOptions, "version" | "commit" | "placeOf" | "receivers" | "collect" | "now"> {
  /** Called after pods came or went, or their labels changed. */
  podsChanged?(): void;
  directoryOf?(path: string): string;
}

type OomGuardWriter = (event: OomkitEvent, stat: string) => string | undefined;

interface ReceiverContext {
  readonly flags: ReceiverFlags;
  readonly cluster: Cluster | undefined;
  /** Writes events in oom-guard's format; absent for oomkit's own format. */
  readonly oomGuardJson: OomGuardWriter | undefined;
}

interface ReceiverRow {
  /** What the flags ask for, as `--check-config` lists it; empty without this receiver. */
  describe(flags: ReceiverFlags): readonly string[];
  /** Called if `describe` lists anything. Throws {@link OomkitError}. */
  open(context: ReceiverContext): readonly Receiver[];
  /** The event types that it gets, instead of those of `--event-types`. */
  types?(flags: ReceiverFlags): readonly string[] | undefined;
  /** `open` only reads files, so that `--check-config` may call it. */
  readonly isCheckable?: true;
}

/** A program that is missing now may be there when it is needed. @param option as the user has written it. */
export function warnOfMissing(option: string, command: string): void {
  const missing = missingProgram(command);
  if (missing === undefined) return;
  printStderr(`${option}: there is no program ${missing} that can be run`);
}

const RECEIVERS: readonly ReceiverRow[] = [
  {
    describe: ({ logFile }) => logFile === undefined ? [] : [`log ${logFile}`],
    open: ({ flags }) => [new LogFile(flags.logFile!, printStderr)],
    types: () => EVENT_TYPES,
  },
  {
    describe: ({ webhookUrl = [] }) => webhookUrl.map((url) => `webhook ${shownUrl(url)}`),
    open: openWebhooks,
    isCheckable: true,
  },
  {
    describe: ({ exec }) => exec === undefined ? [] : [`exec ${exec}`],
    open: ({ flags: { exec, execTimeout: timeout } }) => {
      warnOfMissing("--exec", exec!);
      return [new ExecReceiver({ command: exec!, timeout, warn: printStderr })];
    },
    isCheckable: true,
  },
  {
    describe: ({ kubernetesEvents }) => kubernetesEvents ? ["Kubernetes events"] : [],
    open: ({ flags: { kubernetesTypes }, cluster, oomGuardJson }) => [
      cluster!.openReceiver(oomGuardJson, kubernetesTypes?.includes("warn") ?? false),
    ],
    types: ({ kubernetesTypes }) =>
      kubernetesTypes?.map((type) => type === "warn" ? "level_reached" : type),
  },
];

/** What the flags ask for, as `--check-config` lists it. */
export function describeReceivers(flags: ReceiverFlags): string[] {
  return [
    ...RECEIVERS.flatMap(({ describe }) => describe(flags)),
    ...flags.listen === undefined ? [] : [`Prometheus at ${flags.listen}`],
    ...flags.otlp === undefined ? [] : [`OTLP to ${shownOtlpUrl(flags.otlp)}`],
  ];
}

/** Throws {@link OomkitError} for unusable secrets and certificates. Nothing is sent, listened on or written. */
export async function checkReceivers(flags: ReceiverFlags): Promise<void> {
  const context = { flags, cluster: undefined, oomGuardJson: undefined };
  const rows = RECEIVERS.filter(({ isCheckable, describe }) =>
    isCheckable && describe(flags).length > 0
  );
  await Promise.all(rows.flatMap(({ open }) => open(context)).map((each) => each.close()));
}

export interface Receivers {
  /** Returns the event in oom-guard's format; `undefined` for an event that oom-guard does not have. */
  report(event: OomkitEvent, stat: string): string | undefined;
  /** The event with the names of its pod and node, where they are known. */
  located<E extends OomkitEvent>(event: E): E;
  /** Of the pods on this node, as far as they are known; `undefined` without access to the API server. */
  labels(): Labels | undefined;
  counts(): (ReceiverCounts & { readonly receiver: string })[];
  /** False when events go to stdout only. */
  readonly hasAny: boolean;
  /** For log rotation: the log file was moved away. */
  reopen(): void;
  close(): Promise<void>;
}

/** Throws {@link OomkitError} for a receiver that cannot be opened. */
export async function openReceivers(
  flags: ReceiverSetupFlags,
  source: EmittingCommand,
): Promise<Receivers> {
  const cluster = flags.kubernetes || flags.kubernetesEvents
    ? (await import("./cluster.ts")).openCluster(flags, () => source.podsChanged?.())
    : undefined;
  const node = nodeNameOf(flags);
  const placeOf = (podUid: string | null, containerId: string | null): Place => ({
    ...cluster?.placeOf(podUid, containerId),
    ...(node !== undefined && { node }),
  });
  const oomGuardJson = oomGuardWriter(node ?? Deno.hostname(), source.directoryOf);
  const isOomGuardFormat = (flags.webhookFormat ?? flags.eventFormat) === "oom-guard";
  const context = { flags, cluster, oomGuardJson: isOomGuardFormat ? oomGuardJson : undefined };
  const rows = RECEIVERS.filter(({ describe }) => describe(flags).length > 0)
    .map(({ open, types }) => ({
      types: new Set<string>(types?.(flags) ?? flags.eventTypes ?? DEFAULT_EVENT_TYPES),
      receivers: open(context),
    }));
  const all = rows.flatMap(({ receivers }) => receivers);
  const metrics = await openMetrics(flags, { ...source, placeOf }, all);
  return {
    located: (event) => withPlace(event, placeOf(event.pod_uid, event.container_id)),
    report(event, stat) {
      metrics?.receiver.report(event);
      for (const { types, receivers } of rows) {
        if (!types.has(event.type)) continue;
        for (const receiver of receivers) receiver.report(event, stat);
      }
      return oomGuardJson(event, stat);
    },
    labels: () => cluster?.labels(),
    counts: () => all.map((receiver) => ({ receiver: receiver.name, ...receiver.counts() })),
    hasAny: all.length > 0 || metrics !== undefined,
    reopen() {
      for (const receiver of all) if (receiver instanceof LogFile) receiver.reopen();
    },
    async close() {
      await Promise.all(all.map((receiver) => receiver.close()));
      await cluster?.close();
      await metrics?.close();
    },
  };
}

/** Remembers the last event, so that its JSON is made once for all receivers. */
function oomGuardWriter(
  hostname: string,
  directoryOf = (path: string) => path,
): OomGuardWriter {
  let last: { readonly event: OomkitEvent; readonly json: string | undefined } | undefined;
  return (event, stat) => {
    if (event.type !== "action") return undefined;
    if (last?.event !== event) {
      last = { event, json: oomGuardEvent(event, { hostname, directoryOf, stat }) };
    }
    return last.json;
  };
}

/** The metrics are no row of the table: they count what the other receivers delivered. Loaded only if needed. */
async function openMetrics(
  flags: ReceiverSetupFlags,
  source: EmittingCommand & Pick<MetricsOptions, "placeOf">,
  receivers: readonly Receiver[],
) {
  const { listen, port = 0, otlp, metricsCgroups: select, metricsMax: max } = flags;
  const address = listen ?? (port === 0 ? undefined : String(port));
  if (address === undefined && otlp === undefined) return undefined;
  const { Metrics } = await import("../../core/receivers/prometheus/metrics.ts");
  const receiver = new Metrics({
    ...source,
    version: VERSION,
    commit: buildCommit(),
    receivers: () => receivers,
    collect: { select, max },
  });
  const server = address === undefined ? undefined : await openServer(address, receiver, source);
  const exporter = otlp === undefined
    ? undefined
    : await openExport(otlp, receiver, source.command, nodeNameOf(flags));
  return {
    receiver,
    async close() {
      await Promise.all([exporter?.close(), server?.close()]);
    },
  };
}

async function openServer(address: string, metrics: Metrics, { alive, ready }: EmittingCommand) {
  const { MetricsServer } = await import("../../core/receivers/prometheus/server.ts");
  const values = { metrics: () => metrics.text(), alive, ready };
  const server = new MetricsServer(parseListen(address), values);
  printStderr(`listening on ${formatListen(server.address)}`);
  return server;
}

/** @param node as Kubernetes knows it. */
async function openExport(
  url: string,
  metrics: Metrics,
  command: EmittingCommand["command"],
  node: string | undefined,
) {
  const { OtlpExport } = await import("../../core/receivers/otlp/exporter.ts");
  const host = Deno.hostname();
  return new OtlpExport({
    url,
    version: VERSION,
    userAgent: USER_AGENT,
    resource: omitUndefined({
      "service.name": "oomkit",
      "service.version": VERSION,
      // Of all nodes: Prometheus makes its label `instance` of it.
      "service.instance.id": `${node ?? host}/${command}`,
      "host.name": host,
      "k8s.node.name": node,
    }),
    families: () => metrics.families(),
    warn: printStderr,
  });
}

function openWebhooks({ flags, oomGuardJson }: ReceiverContext): Webhook[] {
  const { webhookUrl = [], webhookHeader: headers, webhookSecretFile, webhookCa } = flags;
  const cloudEvent = cloudEvents(nodeNameOf(flags) ?? Deno.hostname(), performance.timeOrigin);
  const write = (event: OomkitEvent, stat: string): HttpMessage | undefined => {
    if (oomGuardJson === undefined) return cloudEvent(event);
    const body = oomGuardJson(event, stat);
    return body === undefined ? undefined : { body, type: "application/json" };
  };
  const secret = webhookSecretFile === undefined ? undefined : readSecret(webhookSecretFile);
  const caCerts = webhookCa === undefined
    ? undefined
    : [readTextFile(webhookCa, "the certificates in")];
  return webhookUrl.map((url) =>
    new Webhook({
      ...omitUndefined({ headers, secret, caCerts }),
      url,
      userAgent: USER_AGENT,
      write,
      timeout: flags.webhookTimeout,
      warn: printStderr,
    })
  );
}

/** Without the newline that an editor appends. */
function readSecret(path: string): Uint8Array<ArrayBuffer> {
  const text = readTextFile(path, "the secret in").replace(/\r?\n$/, "");
  if (text !== "") return new TextEncoder().encode(text);
  throw new OomkitError(
    `cannot sign with the secret in ${shortened(path)}: it is empty`,
    "write a secret into it",
  );
}
