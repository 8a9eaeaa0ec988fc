/** The text of a scrape: the cgroups as they are now, counts since the start, and the state of oomkit itself. */

import process from "node:process";
import { identify } from "../../cgroup/identity.ts";
import {
  type Collection,
  createCollectorLoop,
  type Followed,
  type Reading,
} from "../../collect/collect.ts";
import type { OomkitEvent } from "../../events/event.ts";
import type { Receiver, ReceiverCounts } from "../receiver.ts";
import { OTHER } from "./counters.ts";
import { EventCounts } from "./event_counts.ts";
import { FAMILIES } from "./families.ts";
import type { Health } from "./server.ts";
import { type Definition, type Family, labels, renderText, type Sample } from "./text.ts";

type CountedReceiver = Pick<Receiver, "name" | "counts">;

export interface MetricsOptions {
  readonly command: "watch" | "guard";
  readonly version: string;
  /** Of the build. */
  readonly commit?: string;
  /** The cgroups that are followed now; called at most once a second. */
  cgroups(): Iterable<Followed>;
  receivers(): Iterable<CountedReceiver>;
  alive(): Health;
  ready(): Health;
  /** Of a guard: milliseconds since the last heartbeat of its monitor thread. */
  heartbeatAge?(): number;
  /** Bounds the cgroups that have series of their own; those with the least headroom come first. */
  readonly maxCgroups?: number;
  /** For tests: milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

const MAX_LISTED_CGROUPS = 2000;
/** Removed cgroups that still have a series for their kills. */
const MAX_REMOVED_CGROUPS = 500;

export class Metrics implements Receiver {
  readonly name = "metrics";
  readonly #options: MetricsOptions;
  readonly #events: EventCounts;
  readonly #collect: () => Promise<Collection>;
  readonly #buildLabels: string;
  readonly #receiverTotals = new ReceiverTotals();
  /** Labels by path of the cgroups that have series. */
  #listed: ReadonlyMap<string, string> = new Map();
  #rendered: { readonly collection: Collection; readonly text: string } | undefined;
  #scrapedKills: ReadonlyMap<string, bigint> = new Map();
  #reported = 0;

  constructor(options: MetricsOptions) {
    const { command, version, commit, cgroups } = options;
    const maxReadings = options.maxCgroups ?? MAX_LISTED_CGROUPS;
    const now = options.now ?? performance.now.bind(performance);
    this.#options = options;
    this.#events = new EventCounts(
      command,
      maxReadings + MAX_REMOVED_CGROUPS,
      (path) => this.#listed.has(path),
    );
    this.#collect = createCollectorLoop({ cgroups, maxReadings, now });
    this.#buildLabels = labels({ version, commit, command });
  }

  report(event: OomkitEvent): void {
    this.#events.add(event);
    this.#reported += 1;
  }

  counts(): ReceiverCounts {
    return { pending: 0, sent: this.#reported, dropped: 0, failed: 0 };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The body of a scrape. Rejects when `cgroups` throws. */
  async text(): Promise<string> {
    const { alive, ready, heartbeatAge, receivers } = this.#options;
    const cgroups = this.#cgroupText(await this.#collect());
    const ageMs = heartbeatAge?.();
    return renderText([
      single(FAMILIES.buildInfo, 1, this.#buildLabels),
      single(FAMILIES.healthy, alive().ok ? 1 : 0),
      single(FAMILIES.ready, ready().ok ? 1 : 0),
      single(FAMILIES.heartbeatAge, ageMs === undefined ? undefined : ageMs / 1000),
      ...processFamilies(),
      ...this.#receiverTotals.families(new Set(receivers())),
      ...this.#events.families(),
      this.#killFamily(),
    ]) + cgroups;
  }

  /** Rendered once per collection. */
  #cgroupText(collection: Collection): string {
    if (this.#rendered?.collection === collection) return this.#rendered.text;
    const { command } = this.#options;
    const { readings } = collection;
    const before = this.#listed;
    this.#listed = new Map(readings.map(({ path }) => [path, before.get(path) ?? labelsOf(path)]));
    const text = renderText([
      ...collectionFamilies(collection, command),
      ...cgroupFamilies(readings, this.#listed, command),
    ]);
    this.#rendered = { collection, text };
    return text;
  }

  /** Listed cgroups without kills have 0, so that the first kill is an increase. */
  #killFamily(): Family {
    const kills = new Map<string, bigint>(this.#listed.keys().map((path) => [path, 0n]));
    for (const [path, count] of this.#events.killsByCgroup()) kills.set(path, count);
    const samples: Sample[] = [];
    for (const [path, value] of kills) {
      // The count was dropped and restarted. Leaving out one scrape ends the series, so that the counter does not fall.
      if (value < (this.#scrapedKills.get(path) ?? 0n)) continue;
      const cgroup = path === OTHER
        ? labels({ cgroup: path })
        : this.#listed.get(path) ?? labelsOf(path);
      samples.push({ labels: cgroup, value });
    }
    this.#scrapedKills = kills;
    return { ...FAMILIES.cgroupKills, samples };
  }
}

/**
 * Sums the receivers' counts by name: two webhooks are one series. The counts of receivers that a reload removed stay in the
 * sums.
 */
class ReceiverTotals {
  readonly #removed = new Map<string, ReceiverCounts>();
  #last: ReadonlySet<CountedReceiver> = new Set();

  families(now: ReadonlySet<CountedReceiver>): Family[] {
    for (const gone of this.#last.difference(now)) {
      addCounts(this.#removed, gone.name, { ...gone.counts(), pending: 0 });
    }
    this.#last = now;
    const totals = new Map(this.#removed);
    for (const each of now) addCounts(totals, each.name, each.counts());
    return (["pending", "sent", "dropped", "failed"] as const).map((kind) => ({
      ...FAMILIES[kind],
      samples: [...totals].map(([receiver, counts]) => ({
        labels: labels({ receiver }),
        value: counts[kind],
      })),
    }));
  }
}

function addCounts(totals: Map<string, ReceiverCounts>, name: string, more: ReceiverCounts): void {
  const { pending, sent, dropped, failed } = totals.get(name) ??
    { pending: 0, sent: 0, dropped: 0, failed: 0 };
  totals.set(name, {
    pending: pending + more.pending,
    sent: sent + more.sent,
    dropped: dropped + more.dropped,
    failed: failed + more.failed,
  });
}

const single = (definition: Definition, value: Sample["value"], labels = ""): Family => ({
  ...definition,
  samples: [{ labels, value }],
});

function labelsOf(path: string): string {
  const { containerId, podUid } = identify(path);
  return labels({ cgroup: path, container_id: containerId, pod_uid: podUid });
}

/** With the names that every exporter uses. */
function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage();
  return [
    single(FAMILIES.startTime, performance.timeOrigin / 1000),
    single(FAMILIES.resident, Deno.memoryUsage().rss),
    single(FAMILIES.cpu, (user + system) / 1e6),
  ];
}

function collectionFamilies(
  { byMode, followed, omitted, took, at }: Collection,
  command: MetricsOptions["command"],
): Family[] {
  const modes = new Map([["notify", 0], ["throttle", 0], ["hold", 0], ...byMode]);
  const guarded = [...modes].map(([mode, value]) => ({ labels: labels({ mode }), value }));
  return [
    command === "guard"
      ? { ...FAMILIES.guarded, samples: guarded }
      : single(FAMILIES.watched, followed),
    single(FAMILIES.omitted, omitted),
    single(FAMILIES.collectDuration, took / 1000),
    single(FAMILIES.collectTime, at / 1000),
  ];
}

function cgroupFamilies(
  readings: readonly Reading[],
  listed: ReadonlyMap<string, string>,
  command: MetricsOptions["command"],
): Family[] {
  const family = (definition: Definition, value: (reading: Reading) => Sample["value"]) => ({
    ...definition,
    samples: readings.map((each) => ({ labels: listed.get(each.path)!, value: value(each) })),
  });
  return [
    family(FAMILIES.usage, ({ usage }) => usage),
    family(FAMILIES.workingSet, ({ workingSet }) => workingSet),
    family(FAMILIES.limit, ({ limit }) => finite(limit)),
    family(FAMILIES.headroom, ({ headroom }) => headroom),
    ...(command === "guard" ? [family(FAMILIES.imminent, ({ imminent }) => imminent)] : []),
    family(FAMILIES.pressureSome, ({ pressure }) => seconds(pressure?.some?.total)),
    family(FAMILIES.pressureFull, ({ pressure }) => seconds(pressure?.full?.total)),
  ];
}

const finite = (bytes: number) => bytes === Infinity ? undefined : bytes;

/** Of microseconds, which a double holds exactly for 285 years. */
const seconds = (micros: bigint | undefined) =>
  micros === undefined ? undefined : Number(micros) / 1e6;
