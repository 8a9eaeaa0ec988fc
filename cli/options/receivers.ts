/** Options of `watch` and `guard` for receivers: where events go besides stdout. */

import type { Command, CommandUnknownOpts, OptionValues } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { parseListen } from "../../core/receivers/prometheus/listen.ts";
import { EVENT_TYPES, type EventType } from "../../core/events/event.ts";
import { checkWebhookUrl } from "../../core/receivers/webhook.ts";
import { oneOf, option, parsed } from "./option.ts";
import { type RecordFlags, withRecording } from "./record.ts";
import { parseDuration } from "./units.ts";

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

function parsePositive(text: string): number {
  const duration = parseDuration(text);
  if (duration > 0) return duration;
  throw new OomkitError(`"${text}" is too short`, "use a duration such as 5s");
}

function collected<T>(parse: (text: string) => T) {
  const one = parsed(parse);
  return (text: string, before: readonly T[] = []): T[] => [...before, one(text)];
}

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
  kubernetesApi: CLUSTER,
  kubernetesTokenFile: CLUSTER,
  kubernetesCa: CLUSTER,
};

/** An environment variable or a file may be meant for another command, so only the command line is checked. */
function checkRequiredOptions(command: CommandUnknownOpts): void {
  const long = (name: string) =>
    command.options.find((each) => each.attributeName() === name)?.long ?? name;
  for (const [name, others] of Object.entries(REQUIRED_OPTIONS)) {
    if (command.getOptionValueSource(name) !== "cli") continue;
    if (others.some((other) => command.getOptionValue(other) !== undefined)) continue;
    const needed = others.map(long).join(" or ");
    throw new OomkitError(`cannot use ${long(name)} without ${needed}`, `add ${needed}`);
  }
}

/** Adds all of these options to a command. */
export function withReceiverOptions<
  A extends unknown[],
  O extends OptionValues,
  G extends OptionValues,
>(
  command: Command<A, O, G>,
): Command<A, O & ReceiverFlags, G> {
  const extended = withRecording(command)
    .addOption(option("--log-file <file>", "append events to a file, as JSON lines"))
    .addOption(
      option("--webhook-url <url>", "POST events to a URL: http, https or unix:/path; repeatable")
        .argParser(collected(checkWebhookUrl)),
    )
    .addOption(
      option(
        "--webhook-format <format>",
        "format of webhooks: CloudEvents 1.0, or oom-guard's JSON for each kill",
      )
        .choices(["cloudevents", "oom-guard"] as const),
    )
    .addOption(
      option("--webhook-header <header>", "add the HTTP header 'Name: value'; repeatable")
        .argParser(collected(parseHeader)),
    )
    .addOption(
      option("--webhook-secret-file <file>", "sign bodies with the secret in a file (HMAC-SHA256)"),
    )
    .addOption(option("--webhook-ca <file>", "also trust the certificates (PEM) in a file"))
    .addOption(
      option("--webhook-timeout <duration>", "maximum time of one attempt")
        .argParser(parsed(parsePositive)).default(5000, "5s"),
    )
    .addOption(
      option(
        "--exec <command>",
        "run a command for each event, with the event on stdin and in OOMKIT_EVENT_…",
      ),
    )
    .addOption(
      option("--exec-timeout <duration>", "maximum time of one command")
        .argParser(parsed(parsePositive)).default(10_000, "10s"),
    )
    .addOption(
      option(
        "--event-types <types>",
        "event types for receivers other than the log: all, or a list",
      )
        .argParser(parseTypes)
        .default(undefined, DEFAULT_EVENT_TYPES.join(",")),
    )
    .addOption(
      option(
        "--kubernetes",
        "identify pods through the API server (with the service account, or --kubernetes-api)",
      ),
    )
    .addOption(option("--kubernetes-events", "report kills and warnings as Kubernetes Events"))
    .addOption(option("--kubernetes-api <url>", "URL of the API server, outside of a pod"))
    .addOption(option("--kubernetes-token-file <file>", "token for the API server"))
    .addOption(option("--kubernetes-ca <file>", "certificates (PEM) of the API server's authority"))
    .addOption(option("--node-name <name>", "name of this node in Kubernetes (default $NODE_NAME)"))
    .addOption(
      option(
        "--listen <address>",
        "serve /metrics, /healthz and /readyz: :9101 for this machine only, or host:port",
      ).argParser(parsed(checkListen)),
    );
  extended.hook("preAction", (_, self) => checkRequiredOptions(self));
  return extended as unknown as Command<A, O & ReceiverFlags, G>;
}
