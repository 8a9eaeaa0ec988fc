/** The metrics: the cgroups as they are now, counts since the start, and the state of oomkit itself. */

import process from "node:process";
import { identify } from "../../cgroup/identity.ts";
import {
  type Collection,
  type MonitoredCgroup,
  type Reading,
  recentCollections,
} from "../../collect/metric_readings.ts";
import type { Place } from "../../events/place.ts";
import type { CollectOptions } from "../../collect/selection.ts";
import type { EventOf, EventType, OomkitEvent } from "../../events/event.ts";
import { MODES } from "../../policy/levels.ts";
import type { TypeCounts } from "../dropped_events.ts";
import type { Receiver, ReceiverCounts } from "../receiver.ts";
import { EventCounts } from "./event_counts.ts";
import { family, type FamilyName } from "./families.ts";
import { readDescriptors } from "./descriptors.ts";
import type { Health } from "./server.ts";
import { type Family, labels, renderText, type Sample } from "./text.ts";

type CountedReceiver = Pick<Receiver, "name" | "counts" | "droppedByType">;

export interface MetricsOptions {
  readonly command: "watch" | "guard";
  readonly version: string;
  /** Absent when it runs from source. */
  readonly commit?: string | undefined;
  /** The names of a cgroup's pod and node, where they are known. */
  placeOf?(podUid: string | null, containerId: string | null): Place;
  /** The cgroups that are monitored now; called at most once a second. */
  cgroups(): Iterable<MonitoredCgroup>;
  receivers(): Iterable<CountedReceiver>;
  alive(): Health;
  ready(): Health;
  /** How many cgroups lack each mechanism now. */
  lacking?(): ReadonlyMap<string, number>;
  /** Of a guard: whether a policy kills for the limit at which the kernel has killed. */
  killsFor?(event: EventOf<"oom_kill">): boolean;
  /** Of a guard: milliseconds since the last heartbeat of its monitor thread. */
  heartbeatAge?(): number;
  /** Which cgroups have series of their own, and how many; default: all, up to 2,000. */
  readonly collect?: Partial<CollectOptions>;
  /** For tests: milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/** What one reader of the metrics has seen: kills by path. */
interface KillsRead {
  last: ReadonlyMap<string, bigint>;
}

const MAX_LISTED_CGROUPS = 2000;
/** Removed cgroups that still have a series for their kills. */
const MAX_REMOVED_CGROUPS = 500;

export class Metrics implements Receiver {
  readonly name = "metrics";
  readonly #options: MetricsOptions;
  readonly #events: EventCounts;
  readonly #collect: () => Promise<Collection>;
  readonly #receiverTotals = new ReceiverTotals();
  /** Labels by path of the cgroups that have series. */
  #listed: ReadonlyMap<string, string> = new Map();
  #rendered: { readonly collection: Collection; readonly text: string } | undefined;
  /** Of scrapes, and of exports. */
  readonly #killsRead: KillsRead = { last: new Map() };
  readonly #killsExported: KillsRead = { last: new Map() };
  /** Labels by path of cgroups with kills. */
  readonly #killLabels = new Map<string, string>();
  #reported = 0;

  constructor(options: MetricsOptions) {
    const { command, cgroups } = options;
    const collect = { select: "all", max: MAX_LISTED_CGROUPS, ...options.collect } as const;
    const now = options.now ?? (() => performance.now());
    this.#options = options;
    this.#events = new EventCounts(
      command,
      collect.max + MAX_REMOVED_CGROUPS,
      (path) => this.#listed.has(path),
    );
    this.#collect = recentCollections(cgroups, collect, now);
  }

  report(event: OomkitEvent): void {
    const isGuarded = event.type === "oom_kill" && (this.#options.killsFor?.(event) ?? false);
    this.#events.add(event, isGuarded);
    if (event.type === "oom_kill") this.#rememberLabels(event.cgroup);
    this.#reported += 1;
  }

  counts(): ReceiverCounts {
    return { pending: 0, sent: this.#reported, dropped: 0, failed: 0 };
  }

  droppedByType(): TypeCounts {
    return new Map();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The body of a scrape. Rejects when `cgroups` throws. */
  async text(): Promise<string> {
    const collection = await this.#collect();
    if (this.#rendered?.collection !== collection) {
      this.#rendered = { collection, text: renderText(this.#cgroupFamilies(collection)) };
    }
    return renderText(this.#ownFamilies(this.#killsRead)) + this.#rendered.text;
  }

  /** The same for one exporter. Rejects when `cgroups` throws. */
  async families(): Promise<Family[]> {
    const collection = await this.#collect();
    const cgroups = this.#cgroupFamilies(collection);
    return [...this.#ownFamilies(this.#killsExported), ...cgroups];
  }

  #ownFamilies(kills: KillsRead): Family[] {
    const { command, version, commit, alive, ready, heartbeatAge, receivers, lacking } =
      this.#options;
    const degraded = [...lacking?.() ?? []].map(([requested, value]) => ({
      labels: labels({ requested }),
      value,
    }));
    const { node } = this.#options.placeOf?.(null, null) ?? {};
    const ageMs = heartbeatAge?.();
    const descriptors = readDescriptors();
    const { user, system } = process.cpuUsage();
    return [
      single("oomkit_build_info", 1, labels({ version, commit, command, node })),
      single("oomkit_healthy", alive().ok ? 1 : 0),
      single("oomkit_ready", ready().ok ? 1 : 0),
      single("oomkit_guard_heartbeat_age_seconds", ageMs === undefined ? undefined : ageMs / 1000),
      single("process_start_time_seconds", performance.timeOrigin / 1000),
      single("process_resident_memory_bytes", Deno.memoryUsage().rss),
      single("process_cpu_seconds_total", (user + system) / 1e6),
      single("process_open_fds", descriptors.open),
      single("process_max_fds", descriptors.max),
      ...this.#receiverTotals.families(new Set(receivers())),
      family("oomkit_degraded", degraded),
      ...this.#events.families(),
      this.#killFamily(kills),
    ];
  }

  #cgroupFamilies(collection: Collection): Family[] {
    const { command } = this.#options;
    const { readings } = collection;
    this.#listed = new Map(readings.map(({ path }) => [path, this.#labelsOf(path)]));
    return [
      ...collectionFamilies(collection, command),
      ...cgroupFamilies(readings, this.#listed, command),
    ];
  }

  /** With the names that cAdvisor and kube-state-metrics use. */
  #labelsOf(path: string): string {
    const { containerId, podUid } = identify(path);
    const { namespace, pod, container, node } =
      this.#options.placeOf?.(podUid ?? null, containerId ?? null) ?? {};
    return labels({
      cgroup: path,
      container_id: containerId,
      pod_uid: podUid,
      namespace,
      pod,
      container,
      node,
    });
  }

  #rememberLabels(path: string): void {
    this.#killLabels.set(path, this.#labelsOf(path));
    if (this.#killLabels.size <= MAX_REMOVED_CGROUPS) return;
    this.#killLabels.delete(this.#killLabels.keys().next().value!);
  }

  /** As at the time of the kill: a pod that is gone keeps its names, so that its series goes on. */
  #labelsOfKill(path: string): string {
    return this.#killLabels.get(path) ?? this.#labelsOf(path);
  }

  /** Listed cgroups without kills have 0, so that the first kill is an increase. */
  #killFamily(read: KillsRead): Family {
    const kills = new Map<string, bigint>(this.#listed.keys().map((path) => [path, 0n]));
    for (const [path, count] of this.#events.killsByCgroup()) kills.set(path, count);
    const before = read.last;
    read.last = kills;
    // A count that was dropped restarts. Leaving out one scrape ends the series, so that the counter does not fall.
    const samples = [...kills].filter(([path, count]) => count >= (before.get(path) ?? 0n))
      .map(([path, value]) => ({
        labels: this.#listed.get(path) ?? this.#labelsOfKill(path),
        value,
      }));
    return family("oomkit_cgroup_oom_kills_total", samples);
  }
}

/**
 * Sums the receivers' counts by name: two webhooks are one series. The counts of receivers that a reload removed stay in the
 * sums.
 */
class ReceiverTotals {
  readonly #removed = new Map<string, Totals>();
  #last: ReadonlySet<CountedReceiver> = new Set();

  families(now: ReadonlySet<CountedReceiver>): Family[] {
    for (const gone of this.#last.difference(now)) {
      addCounts(this.#removed, gone.name, { ...totalsOf(gone), pending: 0 });
    }
    this.#last = now;
    const totals = new Map(this.#removed);
    for (const each of now) addCounts(totals, each.name, totalsOf(each));
    const samplesOf = (kind: "pending" | "sent" | "failed") =>
      [...totals].map(([name, counts]) => ({
        labels: labels({ receiver: name }),
        value: counts[kind],
      }));
    return [
      family("oomkit_notifications_pending", samplesOf("pending")),
      family("oomkit_notifications_sent_total", samplesOf("sent")),
      family(
        "oomkit_notifications_dropped_total",
        [...totals].flatMap(([name, { dropped }]) =>
          [...dropped].map(([type, value]) => ({
            labels: labels({ receiver: name, type }),
            value,
          }))
        ),
      ),
      family("oomkit_notifications_failed_total", samplesOf("failed")),
    ];
  }
}

/** Of all receivers of one name. */
interface Totals extends Omit<ReceiverCounts, "dropped"> {
  readonly dropped: TypeCounts;
}

const totalsOf = (receiver: CountedReceiver): Totals => ({
  ...receiver.counts(),
  dropped: receiver.droppedByType(),
});

function addCounts(totals: Map<string, Totals>, name: string, more: Totals): void {
  const before = totals.get(name);
  const dropped = new Map<EventType, number>(before?.dropped);
  for (const [type, count] of more.dropped) dropped.set(type, (dropped.get(type) ?? 0) + count);
  totals.set(name, {
    pending: (before?.pending ?? 0) + more.pending,
    sent: (before?.sent ?? 0) + more.sent,
    dropped,
    failed: (before?.failed ?? 0) + more.failed,
  });
}

const single = (name: FamilyName, value: Sample["value"], labels = "") =>
  family(name, [{ labels, value }]);

function collectionFamilies(
  { byMode, monitored, omitted, took, at }: Collection,
  command: MetricsOptions["command"],
): Family[] {
  const modes = new Map([...MODES.map((mode) => [mode, 0] as const), ...byMode]);
  const guarded = [...modes].map(([mode, value]) => ({ labels: labels({ mode }), value }));
  return [
    command === "guard"
      ? family("oomkit_guarded_cgroups", guarded)
      : single("oomkit_watched_cgroups", monitored),
    single("oomkit_cgroups_omitted", omitted),
    single("oomkit_collect_duration_seconds", took / 1000),
    single("oomkit_collect_timestamp_seconds", at / 1000),
  ];
}

function cgroupFamilies(
  readings: readonly Reading[],
  listed: ReadonlyMap<string, string>,
  command: MetricsOptions["command"],
): Family[] {
  const ofEach = (name: FamilyName, value: (reading: Reading) => Sample["value"]) =>
    family(name, readings.map((each) => ({ labels: listed.get(each.path)!, value: value(each) })));
  return [
    ofEach("oomkit_cgroup_memory_usage_bytes", ({ usage }) => usage),
    ofEach("oomkit_cgroup_memory_working_set_bytes", ({ workingSet }) => workingSet),
    ofEach("oomkit_cgroup_memory_limit_bytes", ({ limit }) => finite(limit)),
    ofEach("oomkit_cgroup_memory_headroom_bytes", ({ headroom }) => headroom),
    ...(command === "guard"
      ? [ofEach("oomkit_guard_imminent_bytes", ({ imminent }) => imminent)]
      : []),
    ofEach(
      "oomkit_cgroup_memory_pressure_some_seconds_total",
      ({ pressure }) => seconds(pressure?.some),
    ),
    ofEach(
      "oomkit_cgroup_memory_pressure_full_seconds_total",
      ({ pressure }) => seconds(pressure?.full),
    ),
  ];
}

const finite = (bytes: number) => bytes === Infinity ? undefined : bytes;

/** The total in seconds. A double holds microseconds exactly for 285 years. */
const seconds = (stalled: { readonly total: bigint } | undefined) =>
  stalled && Number(stalled.total) / 1e6;
