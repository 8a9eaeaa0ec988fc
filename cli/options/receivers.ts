/** Options of `watch` and `guard` for receivers: where events go besides stdout. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { SELECTIONS } from "../../core/collect/selection.ts";
import { OomkitError } from "../../core/errors.ts";
import { EVENT_TYPES, type EventType } from "../../core/events/event.ts";
import { KUBERNETES_EVENT_TYPES } from "../../core/receivers/kubernetes/event_object.ts";
import { otlpUrl } from "../../core/receivers/otlp/url.ts";
import { parseListen } from "../../core/receivers/prometheus/listen.ts";
import { checkWebhookUrl } from "../../core/receivers/webhook.ts";
import {
  choice,
  flag,
  type FlagsOf,
  list,
  oneOf,
  parseWhole,
  separated,
  single,
  value,
} from "./option.ts";
import { RECORD_OPTIONS } from "./subcommand.ts";
import { parsePositiveDuration } from "./units.ts";

/** Default of `--event-types`: what a person wants to be notified of. */
export const DEFAULT_EVENT_TYPES: readonly EventType[] = [
  "oom",
  "oom_kill",
  "oom_group_kill",
  "threshold",
  "level_reached",
  "action",
  "action_skipped",
  "restored",
  "degraded",
];

/** `all`, or a comma-separated list. */
const parseTypes = (text: string): readonly EventType[] =>
  text.trim() === "all" ? EVENT_TYPES : separated<EventType>(oneOf(EVENT_TYPES))(text);

/** As in HTTP: `Name: value`. */
export function parseHeader(text: string): readonly [string, string] {
  const [, name, value] =
    /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*([\x20-\x7e\x80-\xff]*)$/.exec(text) ??
      [];
  if (name !== undefined && value !== undefined) return [name, value.trim()];
  throw new OomkitError(`"${text}" is not a header`, "write 'Name: value'");
}

function checkListen(text: string): string {
  parseListen(text);
  return text;
}

function checkOtlp(text: string): string {
  otlpUrl(text);
  return text;
}

const KUBERNETES_TYPES = [...KUBERNETES_EVENT_TYPES, "warn"] as const;

const RECEIVERS = { group: "receivers" } as const;
const KUBERNETES = { group: "kubernetes" } as const;

export const RECEIVER_OPTIONS = {
  ...RECORD_OPTIONS,
  logFile: value("--log-file <file>", "append events to this file as JSON lines", RECEIVERS),
  listen: value(
    "--listen <address>",
    "serve /metrics, /healthz and /readyz: :9101 (this machine only) or host:port",
    { ...RECEIVERS, parse: checkListen },
  ),
  metricsCgroups: choice(
    "--metrics-cgroups <which>",
    "cgroups with series of their own: all, limited (a limit applies), near (less than half of it is left), off",
    { ...RECEIVERS, choices: SELECTIONS, default: ["limited", "limited"] },
  ),
  metricsMax: value(
    "--metrics-max <count>",
    "how many of them: those with the smallest share of their limit left",
    { ...RECEIVERS, parse: parseWhole(0), default: [50, "50"] },
  ),
  otlp: value(
    "--otlp <url>",
    "export the metrics to this OTLP/HTTP receiver every minute: http://localhost:4318",
    { ...RECEIVERS, parse: checkOtlp },
  ),
  webhookUrl: list(
    "--webhook-url <url>",
    "POST events to this URL (http, https or unix:/path); repeatable",
    { ...RECEIVERS, parse: single(checkWebhookUrl) },
  ),
  webhookFormat: choice(
    "--webhook-format <format>",
    "format of webhooks: cloudevents (1.0), or oom-guard's JSON for each kill",
    { ...RECEIVERS, choices: ["cloudevents", "oom-guard"] },
  ),
  webhookHeader: list(
    "--webhook-header <header>",
    "add the HTTP header 'Name: value'; repeatable",
    { ...RECEIVERS, parse: single(parseHeader) },
  ),
  webhookSecretFile: value(
    "--webhook-secret-file <file>",
    "sign bodies with the secret in this file (HMAC-SHA256)",
    RECEIVERS,
  ),
  webhookCa: value("--webhook-ca <file>", "trust the certificates in this PEM file too", RECEIVERS),
  webhookTimeout: value("--webhook-timeout <duration>", "maximum time of one attempt", {
    ...RECEIVERS,
    parse: parsePositiveDuration,
    default: [5000, "5s"],
  }),
  exec: value(
    "--exec <command>",
    "run this command for each event, with the event on stdin and in OOMKIT_EVENT_* variables",
    RECEIVERS,
  ),
  execTimeout: value("--exec-timeout <duration>", "maximum run time of the --exec command", {
    ...RECEIVERS,
    parse: parsePositiveDuration,
    default: [10_000, "10s"],
  }),
  eventTypes: {
    ...list(
      "--event-types <types>",
      "event types for receivers other than the log file: all, or a list such as oom,oom_kill",
      { ...RECEIVERS, words: EVENT_TYPES, parse: parseTypes },
    ),
    default: [undefined, DEFAULT_EVENT_TYPES.join(",")] as const,
  },
  kubernetes: flag(
    "--kubernetes",
    "look up pods at the API server (of the service account, or --kubernetes-api)",
    KUBERNETES,
  ),
  kubernetesEvents: flag(
    "--kubernetes-events",
    "report kills and warnings as Kubernetes Events",
    KUBERNETES,
  ),
  kubernetesTypes: list(
    "--kubernetes-types <types>",
    "event types that become Kubernetes Events, instead of those of --event-types; warn: level_reached at warn too",
    {
      ...KUBERNETES,
      words: KUBERNETES_TYPES,
      isClosed: true,
      parse: separated(oneOf(KUBERNETES_TYPES)),
    },
  ),
  kubernetesApi: value(
    "--kubernetes-api <url>",
    "URL of the API server, outside of a pod",
    KUBERNETES,
  ),
  kubernetesTokenFile: value(
    "--kubernetes-token-file <file>",
    "file with the token for the API server",
    KUBERNETES,
  ),
  kubernetesCa: value(
    "--kubernetes-ca <file>",
    "certificates (PEM) of the API server's authority",
    KUBERNETES,
  ),
  nodeName: value(
    "--node-name <name>",
    "name of this node in Kubernetes (default: NODE_NAME)",
    KUBERNETES,
  ),
};

export type ReceiverFlags = FlagsOf<typeof RECEIVER_OPTIONS>;

/** As Kubernetes knows this machine; `undefined` outside of a cluster. */
export const nodeNameOf = ({ nodeName }: Pick<ReceiverFlags, "nodeName">): string | undefined =>
  (nodeName ?? Deno.env.get("NODE_NAME")) || undefined;

const CLUSTER = ["kubernetes", "kubernetesEvents"];
/** Options that require one of the others. */
const REQUIRED_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  // Also the format of Kubernetes Events.
  webhookFormat: ["webhookUrl", "kubernetesEvents"],
  webhookHeader: ["webhookUrl"],
  webhookSecretFile: ["webhookUrl"],
  webhookCa: ["webhookUrl"],
  webhookTimeout: ["webhookUrl"],
  execTimeout: ["exec"],
  kubernetesTypes: ["kubernetesEvents"],
  kubernetesApi: CLUSTER,
  kubernetesTokenFile: CLUSTER,
  kubernetesCa: CLUSTER,
};

/** An environment variable or a file may be meant for another command, so only the command line is checked. */
export function checkRequiredOptions(command: CommandUnknownOpts): void {
  const long = (name: string) =>
    command.options.find((each) => each.attributeName() === name)?.long ?? name;
  for (const [name, others] of Object.entries(REQUIRED_OPTIONS)) {
    if (command.getOptionValueSource(name) !== "cli") continue;
    if (others.some((other) => command.getOptionValue(other) !== undefined)) continue;
    const needed = others.map(long).join(" or ");
    throw new OomkitError(`cannot use ${long(name)} without ${needed}`, `add ${needed}`);
  }
}
