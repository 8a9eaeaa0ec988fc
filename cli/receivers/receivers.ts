/**
 * Opens the receivers that the flags ask for, and passes events on to them. A new receiver is a file in core/receivers, its options
 * in ../options/receivers.ts, and a row in {@link RECEIVERS}.
 */

import type { Followed } from "../../core/collect/collect.ts";
import { runHook } from "../../core/control/hook.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { cloudEvents, type HttpMessage } from "../../core/events/cloud_event.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { oomGuardEvent } from "../../core/events/oom_guard.ts";
import type { Labels } from "../../core/policy/rules.ts";
import { ExecReceiver } from "../../core/receivers/exec.ts";
import { LogFile } from "../../core/receivers/log_file.ts";
import { formatListen, parseListen } from "../../core/receivers/prometheus/listen.ts";
import type { Metrics } from "../../core/receivers/prometheus/metrics.ts";
import type { Health } from "../../core/receivers/prometheus/server.ts";
import type { Receiver } from "../../core/receivers/receiver.ts";
import { shownUrl, Webhook } from "../../core/receivers/webhook.ts";
import { DEFAULT_EVENT_TYPES, type ReceiverFlags } from "../options/receivers.ts";
import { printStderr } from "../output/output.ts";
import { readTextFile } from "../output/text_file.ts";
import { VERSION } from "../version.ts";
import type { Cluster } from "./cluster.ts";

export type ReceiverSetupFlags = ReceiverFlags & {
  readonly eventFormat?: "oomkit" | "oom-guard";
  readonly port?: number;
};

/** What the receivers may ask of the command that emits the events. */
export interface EmittingCommand {
  readonly command: "watch" | "guard";
  /** The cgroups that are followed now. */
  cgroups(): Iterable<Followed>;
  alive(): Health;
  ready(): Health;
  /** Of a guard: milliseconds since the last heartbeat of its monitor thread. */
  heartbeatAge?(): number;
  /** Called after pods came or went, or their labels changed. */
  podsChanged?(): void;
  directoryOf?(path: string): string;
}

interface ReceiverContext {
  readonly flags: ReceiverSetupFlags;
  /** Body of a webhook; `undefined` for an event that oom-guard's format does not have. */
  httpMessage(event: OomkitEvent): HttpMessage | undefined;
  /** The current event in oom-guard's format, if that was asked for. */
  readonly oomGuardJson: (() => string | undefined) | undefined;
  readonly cluster: Cluster | undefined;
}

interface ReceiverRow {
  /** What the flags ask for, as `--check-config` lists it; empty without this receiver. */
  describe(flags: ReceiverFlags): readonly string[];
  /** Called if `describe` lists anything. Throws {@link OomkitError}. */
  open(context: ReceiverContext): readonly Receiver[];
  /** Gets events of all types, regardless of `--event-types`. */
  readonly getsAllTypes?: true;
  /** `open` only reads files, so that `--check-config` may call it. */
  readonly isCheckable?: true;
}

const RECEIVERS: readonly ReceiverRow[] = [
  {
    describe: ({ logFile }) => logFile === undefined ? [] : [`log ${logFile}`],
    open: ({ flags }) => [new LogFile(flags.logFile!, printStderr)],
    getsAllTypes: true,
  },
  {
    describe: ({ webhookUrl = [] }) => webhookUrl.map((url) => `webhook ${shownUrl(url)}`),
    open: openWebhooks,
    isCheckable: true,
  },
  {
    describe: ({ exec }) => exec === undefined ? [] : [`exec ${exec}`],
    open: ({ flags: { exec, execTimeout: timeout } }) => [
      new ExecReceiver({ command: exec!, timeout, run: runHook, warn: printStderr }),
    ],
    isCheckable: true,
  },
  {
    describe: ({ kubernetesEvents }) => kubernetesEvents ? ["Kubernetes events"] : [],
    open: ({ cluster, oomGuardJson }) => [cluster!.openReceiver(oomGuardJson)],
  },
];

/** What the flags ask for, as `--check-config` lists it. */
export function describeReceivers(flags: ReceiverFlags): string[] {
  return [
    ...RECEIVERS.flatMap(({ describe }) => describe(flags)),
    ...flags.listen === undefined ? [] : [`Prometheus at ${flags.listen}`],
  ];
}

/** Throws {@link OomkitError} for unusable secrets and certificates. Nothing is sent, listened on or written. */
export async function checkReceivers(flags: ReceiverSetupFlags): Promise<void> {
  const context: ReceiverContext = {
    flags,
    httpMessage: () => undefined,
    oomGuardJson: undefined,
    cluster: undefined,
  };
  const rows = RECEIVERS.filter(({ isCheckable, describe }) =>
    isCheckable && describe(flags).length > 0
  );
  await Promise.all(rows.flatMap(({ open }) => open(context)).map((each) => each.close()));
}

/** Throws {@link OomkitError} for a receiver that cannot be opened. */
export async function openReceivers(
  flags: ReceiverSetupFlags,
  source: EmittingCommand,
): Promise<Receivers> {
  const cluster = flags.kubernetes || flags.kubernetesEvents
    ? (await import("./cluster.ts")).openCluster(flags, () => source.podsChanged?.())
    : undefined;
  const receivers = new Receivers(flags, source, cluster);
  await receivers.listen();
  return receivers;
}

export class Receivers {
  readonly #flags: ReceiverSetupFlags;
  readonly #source: EmittingCommand;
  readonly #cluster: Cluster | undefined;
  readonly #types: ReadonlySet<OomkitEvent["type"]>;
  readonly #hostname = Deno.hostname();
  readonly #forAllTypes: Receiver[] = [];
  readonly #forChosenTypes: Receiver[] = [];
  #metrics: { readonly receiver: Metrics; close(): Promise<void> } | undefined;
  /** Of the event that is being reported: computed once for all receivers. */
  #oomGuardJson: string | undefined;

  constructor(
    flags: ReceiverSetupFlags,
    source: EmittingCommand,
    cluster: Cluster | undefined,
  ) {
    this.#flags = flags;
    this.#source = source;
    this.#cluster = cluster;
    this.#types = new Set(flags.eventTypes ?? DEFAULT_EVENT_TYPES);
    const isOomGuardFormat = (flags.webhookFormat ?? flags.eventFormat) === "oom-guard";
    const oomGuardJson = () => this.#oomGuardJson;
    const context: ReceiverContext = {
      flags,
      httpMessage: isOomGuardFormat
        ? () => jsonMessage(this.#oomGuardJson)
        : cloudEvents(this.#hostname, performance.timeOrigin),
      oomGuardJson: isOomGuardFormat ? oomGuardJson : undefined,
      cluster,
    };
    for (const { describe, open, getsAllTypes } of RECEIVERS) {
      if (describe(flags).length === 0) continue;
      (getsAllTypes ? this.#forAllTypes : this.#forChosenTypes).push(...open(context));
    }
  }

  /** Serves the metrics if the flags ask for it. They are no row of the table: they count what the other receivers delivered. */
  async listen(): Promise<void> {
    const { listen, port = 0 } = this.#flags;
    if (listen === undefined && port === 0) return;
    const [{ Metrics }, { MetricsServer }] = await Promise.all([
      import("../../core/receivers/prometheus/metrics.ts"),
      import("../../core/receivers/prometheus/server.ts"),
    ]);
    const { alive, ready } = this.#source;
    const receivers = [...this.#forAllTypes, ...this.#forChosenTypes];
    const receiver = new Metrics({
      ...this.#source,
      version: VERSION,
      receivers: () => receivers,
    });
    const values = { metrics: () => receiver.text(), alive, ready };
    const server = new MetricsServer(parseListen(listen ?? String(port)), values);
    printStderr(`listening on ${formatListen(server.address)}`);
    this.#metrics = { receiver, close: () => server.close() };
  }

  /** Returns the event in oom-guard's format; `undefined` for an event that oom-guard does not have. */
  report(event: OomkitEvent, stat: string): string | undefined {
    const { directoryOf = (path) => path } = this.#source;
    this.#oomGuardJson = event.type === "action"
      ? oomGuardEvent(event, { hostname: this.#hostname, directoryOf, stat })
      : undefined;
    this.#metrics?.receiver.report(event);
    for (const receiver of this.#forAllTypes) receiver.report(event, stat);
    if (this.#types.has(event.type)) {
      for (const receiver of this.#forChosenTypes) receiver.report(event, stat);
    }
    return this.#oomGuardJson;
  }

  /** Of the pods on this node, as far as they are known; `undefined` without access to the API server. */
  labels(): Labels | undefined {
    return this.#cluster?.labels();
  }

  /** False when events go to stdout only. */
  get hasAny(): boolean {
    return this.#forAllTypes.length + this.#forChosenTypes.length > 0 ||
      this.#metrics !== undefined;
  }

  /** For log rotation: the log file was moved away. */
  reopen(): void {
    for (const receiver of this.#forAllTypes) {
      if (receiver instanceof LogFile) receiver.reopen();
    }
  }

  async close(): Promise<void> {
    const receivers = [...this.#forAllTypes, ...this.#forChosenTypes];
    await Promise.all(receivers.map((receiver) => receiver.close()));
    await this.#cluster?.close();
    await this.#metrics?.close();
  }
}

function jsonMessage(body: string | undefined): HttpMessage | undefined {
  return body === undefined ? undefined : { body, type: "application/json" };
}

function openWebhooks({ flags, httpMessage: write }: ReceiverContext): Webhook[] {
  const { webhookUrl = [], webhookHeader, webhookSecretFile, webhookCa } = flags;
  return webhookUrl.map((url) =>
    new Webhook({
      url,
      write,
      timeout: flags.webhookTimeout,
      warn: printStderr,
      ...(webhookHeader ? { headers: webhookHeader } : {}),
      ...(webhookSecretFile === undefined ? {} : { secret: readSecret(webhookSecretFile) }),
      ...(webhookCa === undefined
        ? {}
        : { caCerts: [readTextFile(webhookCa, "the certificates in")] }),
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
