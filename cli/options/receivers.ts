/** Where events go beside stdout: what `watch` and `guard` take for it. */

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
  throw new OomkitError(`"${text}" is no header`, "write 'Name: value'");
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

/** A command with all of them. */
export function withReceiverOptions<
  A extends unknown[],
  O extends OptionValues,
  G extends OptionValues,
>(
  command: Command<A, O, G>,
): Command<A, O & ReceiverFlags, G> {
  const extended = withRecording(command)
    .addOption(option("--log-file <file>", "write events there too, as JSON lines"))
    .addOption(
      option("--webhook-url <url>", "POST events there: http, https or unix:/path; repeatable")
        .argParser(collected(checkWebhookUrl)),
    )
    .addOption(
      option("--webhook-format <format>", "CloudEvents 1.0, or oom-guard's JSON for each kill")
        .choices(["cloudevents", "oom-guard"] as const),
    )
    .addOption(
      option("--webhook-header <header>", "send 'Name: value' along; repeatable")
        .argParser(collected(parseHeader)),
    )
    .addOption(
      option("--webhook-secret-file <file>", "sign what is sent with the secret in there"),
    )
    .addOption(option("--webhook-ca <file>", "trust these certificates (PEM) as well"))
    .addOption(
      option("--webhook-timeout <duration>", "how long a try may take")
        .argParser(parsed(parsePositive)).default(5000, "5s"),
    )
    .addOption(
      option(
        "--exec <command>",
        "run it for each event, with the event on stdin and in OOMKIT_EVENT_…",
      ),
    )
    .addOption(
      option("--exec-timeout <duration>", "how long it may take")
        .argParser(parsed(parsePositive)).default(10_000, "10s"),
    )
    .addOption(
      option("--event-types <types>", `which events go to the above but the log: all, or a list`)
        .argParser(parseTypes)
        .default(undefined, DEFAULT_EVENT_TYPES.join(",")),
    )
    .addOption(
      option(
        "--kubernetes",
        "ask the API server which pod is which (its service account, or --kubernetes-api)",
      ),
    )
    .addOption(option("--kubernetes-events", "tell it of kills and warnings, as events"))
    .addOption(option("--kubernetes-api <url>", "the API server, where this is no pod of its own"))
    .addOption(option("--kubernetes-token-file <file>", "the token for it"))
    .addOption(option("--kubernetes-ca <file>", "the certificates (PEM) it is known by"))
    .addOption(option("--node-name <name>", "this node, as Kubernetes knows it (else NODE_NAME)"))
    .addOption(
      option(
        "--listen <address>",
        "serve /metrics, /healthz and /readyz there: :9101 for this machine alone, or host:port",
      ).argParser(parsed(checkListen)),
    );
  extended.hook("preAction", (_, self) => checkCompany(self));
  return extended as unknown as Command<A, O & ReceiverFlags, G>;
}
