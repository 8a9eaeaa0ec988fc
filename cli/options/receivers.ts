/** Where events go beside stdout: what `watch` and `guard` take for it. */

import type { Command, CommandUnknownOpts, OptionValues } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { parseListen } from "../../core/receivers/prometheus/listen.ts";
import { EVENT_TYPES, type EventType } from "../../core/events/event.ts";
import { checkWebhookUrl } from "../../core/receivers/webhook.ts";
import { oneOf, option, parsed, repeated } from "./option.ts";
import { type RecordFlags, withRecording } from "./record.ts";
import { parsePositiveDuration } from "./units.ts";

export interface ReceiverFlags extends RecordFlags {
  readonly logFile?: string;
  readonly webhookUrl?: readonly string[];
  readonly webhookFormat?: "cloudevents" | "oom-guard";
  readonly webhookHeader?: readonly (readonly [string, string])[];
  readonly webhookSecretFile?: string;
  readonly webhookCa?: string;
  /** Milliseconds. */
  readonly webhookTimeout: number;
  readonly exec?: string;
  /** Milliseconds. */
  readonly execTimeout: number;
  readonly eventTypes?: readonly EventType[];
  readonly kubernetes?: true;
  readonly kubernetesEvents?: true;
  readonly kubernetesApi?: string;
  readonly kubernetesTokenFile?: string;
  readonly kubernetesCa?: string;
  readonly nodeName?: string;
  readonly listen?: string;
}

/** What a receiver is told of unless `--event-types` says otherwise: what people want to know of, but not all that comes and goes. */
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
function parseTypes(text: string, before: readonly EventType[] = []): EventType[] {
  if (text.trim() === "all") return [...EVENT_TYPES];
  const one = parsed<EventType>(oneOf(EVENT_TYPES));
  return [...before, ...text.split(",").map((item) => one(item.trim()))];
}

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

const CLUSTER = ["kubernetes", "kubernetesEvents"];
/** Those that mean nothing unless one of others is there. */
const COMPANY: Readonly<Record<string, readonly string[]>> = {
  // Events of Kubernetes are written in it, too.
  webhookFormat: ["webhookUrl", "kubernetesEvents"],
  webhookHeader: ["webhookUrl"],
  webhookSecretFile: ["webhookUrl"],
  webhookCa: ["webhookUrl"],
  webhookTimeout: ["webhookUrl"],
  execTimeout: ["exec"],
  kubernetesApi: CLUSTER,
  kubernetesTokenFile: CLUSTER,
  kubernetesCa: CLUSTER,
};

/** A variable or a file may be meant for another call; what stands on the command line is meant. */
function checkCompany(command: CommandUnknownOpts): void {
  const long = (name: string) =>
    command.options.find((each) => each.attributeName() === name)?.long ?? name;
  for (const [name, others] of Object.entries(COMPANY)) {
    if (command.getOptionValueSource(name) !== "cli") continue;
    if (others.some((other) => command.getOptionValue(other) !== undefined)) continue;
    const needed = others.map(long).join(" or ");
    throw new OomkitError(`cannot use ${long(name)} without ${needed}`, `add ${needed}`);
  }
}

const RECEIVERS = { group: "receivers" } as const;
const KUBERNETES = { group: "kubernetes" } as const;

/** A command with all of them. */
export function withReceiverOptions<
  A extends unknown[],
  O extends OptionValues,
  G extends OptionValues,
>(
  command: Command<A, O, G>,
): Command<A, O & ReceiverFlags, G> {
  const extended = withRecording(command)
    .addOption(
      option("--log-file <file>", "append events to this file as JSON lines", RECEIVERS),
    )
    .addOption(
      option(
        "--webhook-url <url>",
        "POST events to this URL (http, https or unix:/path); repeatable",
        RECEIVERS,
      ).argParser(repeated(checkWebhookUrl)),
    )
    .addOption(
      option(
        "--webhook-format <format>",
        "format of POSTed events: cloudevents (1.0), or oom-guard's JSON for each kill",
        RECEIVERS,
      ).choices(["cloudevents", "oom-guard"] as const),
    )
    .addOption(
      option(
        "--webhook-header <header>",
        "'Name: value' to send with each POST; repeatable",
        RECEIVERS,
      )
        .argParser(repeated(parseHeader)),
    )
    .addOption(
      option(
        "--webhook-secret-file <file>",
        "sign each POST with the secret in this file",
        RECEIVERS,
      ),
    )
    .addOption(
      option("--webhook-ca <file>", "trust the certificates in this PEM file too", RECEIVERS),
    )
    .addOption(
      option("--webhook-timeout <duration>", "maximum time of one POST", RECEIVERS)
        .argParser(parsed(parsePositiveDuration)).default(5000, "5s"),
    )
    .addOption(
      option(
        "--exec <command>",
        "run this command for each event, with the event on stdin and in OOMKIT_EVENT_* variables",
        RECEIVERS,
      ),
    )
    .addOption(
      option("--exec-timeout <duration>", "maximum run time of the --exec command", RECEIVERS)
        .argParser(parsed(parsePositiveDuration)).default(10_000, "10s"),
    )
    .addOption(
      option(
        "--event-types <types>",
        "event types for all receivers but the log file: all, or a list",
        { ...RECEIVERS, list: EVENT_TYPES },
      )
        .argParser(parseTypes)
        .default(undefined, DEFAULT_EVENT_TYPES.join(",")),
    )
    .addOption(
      option(
        "--listen <address>",
        "serve /metrics, /healthz and /readyz: :9101 (this machine only) or host:port",
        RECEIVERS,
      ).argParser(parsed(checkListen)),
    )
    .addOption(
      option(
        "--kubernetes",
        "look up pods at the API server (of the service account, or --kubernetes-api)",
        KUBERNETES,
      ),
    )
    .addOption(
      option("--kubernetes-events", "create Kubernetes events for kills and warnings", KUBERNETES),
    )
    .addOption(
      option("--kubernetes-api <url>", "URL of the API server, outside of a pod", KUBERNETES),
    )
    .addOption(
      option(
        "--kubernetes-token-file <file>",
        "file with the token for the API server",
        KUBERNETES,
      ),
    )
    .addOption(
      option("--kubernetes-ca <file>", "CA certificates of the API server (PEM)", KUBERNETES),
    )
    .addOption(
      option(
        "--node-name <name>",
        "name of this node in Kubernetes (default: NODE_NAME)",
        KUBERNETES,
      ),
    );
  extended.hook("preAction", (_, self) => checkCompany(self));
  return extended as unknown as Command<A, O & ReceiverFlags, G>;
}
