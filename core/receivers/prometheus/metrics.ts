/** Everything that a scrape tells: cgroups as they are now, what was told since the start, and how the program itself fares. */

import process from "node:process";
import { identify } from "../../cgroup/identity.ts";
import type { Receiver } from "../receiver.ts";
import { OTHER } from "./event_counts.ts";
import { createEventCounts } from "./event_counts.ts";
import { FAMILIES } from "./families.ts";
import type { Health } from "./server.ts";
import { type Counted, createReceiverFamilies } from "./receiver_counts.ts";
import type { Collection, Followed, Reading } from "../../collect/collect.ts";
import { createCollectorLoop } from "../../collect/collect.ts";
import { type Definition, type Family, labels, renderText, type Sample } from "./text.ts";

export interface MetricsOptions {
  readonly command: "watch" | "guard";
  readonly version: string;
  /** Of the build, where it is known. */
  readonly commit?: string;
  /** Who is followed now; asked for at most once a second. */
  cgroups(): Iterable<Followed>;
  /** Those that are told of events. */
  receivers(): Iterable<Counted>;
  alive(): Health;
  ready(): Health;
  /** Of a guard: milliseconds since its sentry was last seen to turn. */
  heartbeatAge?(): number;
  /** Cgroups that have series of their own: those with least headroom first. */
  readonly most?: number;
  /** For tests: milliseconds of a clock that only goes forward. */
  readonly now?: () => number;
}

export interface Metrics extends Receiver {
  /** What a scrape gets. Rejects with what `cgroups` throws. */
  text(): Promise<string>;
}

const MAX_CGROUPS = 2000;
/** Cgroups that are gone and whose kills are still told apart. */
const MAX_GONE = 500;

export function openMetrics(options: MetricsOptions): Metrics {
  const { command, most = MAX_CGROUPS, now = performance.now.bind(performance) } = options;
  let listed: ReadonlyMap<string, string> = new Map();
  let shown: { readonly sweep: Collection; readonly text: string } | undefined;
  let toldKills: ReadonlyMap<string, bigint> = new Map();
  let delivered = 0;
  const events = createEventCounts(command, most + MAX_GONE, (path) => listed.has(path));
  const sweep = createCollectorLoop({ cgroups: options.cgroups, maxReadings: most, now });
  const receiverFamilies = createReceiverFamilies(options.receivers);
  const build = labels({ version: options.version, commit: options.commit, command });

  /** The same for everybody who asks within the second. */
  const show = (taken: Collection): string => {
    if (shown?.sweep === taken) return shown.text;
    const { readings } = taken;
    listed = new Map(readings.map(({ path }) => [path, listed.get(path) ?? labelsOf(path)]));
    const text = renderText([
      ...sweepFamilies(taken, command),
      ...cgroupFamilies(readings, listed, command),
    ]);
    shown = { sweep: taken, text };
    return text;
  };

  /** Of those that are listed also that there was none, so that the first is an increase. */
  const killFamily = (): Family => {
    const killed = new Map<string, bigint>(listed.keys().map((path) => [path, 0n]));
    for (const [path, count] of events.killsByCgroup()) killed.set(path, count);
    const samples: Sample[] = [];
    for (const [path, value] of killed) {
      // It was forgotten in between, and begins anew: as a series that was gone, and not as one that fell.
      if (value < (toldKills.get(path) ?? 0n)) continue;
      const own = path === OTHER ? labels({ cgroup: path }) : listed.get(path) ?? labelsOf(path);
      samples.push({ labels: own, value });
    }
    toldKills = killed;
    return { ...FAMILIES.cgroupKills, samples };
  };

  return {
    name: "metrics",
    report(event) {
      events.take(event);
      delivered += 1;
    },
    counts: () => ({ pending: 0, sent: delivered, dropped: 0, failed: 0 }),
    close: () => Promise.resolve(),
    async text() {
      const cgroups = show(await sweep());
      const heartbeatAge = options.heartbeatAge?.();
      return renderText([
        single(FAMILIES.buildInfo, 1, build),
        single(FAMILIES.healthy, options.alive().ok ? 1 : 0),
        single(FAMILIES.ready, options.ready().ok ? 1 : 0),
        single(FAMILIES.heartbeatAge, heartbeatAge === undefined ? undefined : heartbeatAge / 1000),
        ...processFamilies(),
        ...receiverFamilies(),
        ...events.families(),
        killFamily(),
      ]) + cgroups;
    },
  };
}

const single = (definition: Definition, value: Sample["value"], labels = ""): Family => ({
  ...definition,
  samples: [{ labels, value }],
});

function labelsOf(path: string): string {
  const { containerId, podUid } = identify(path);
  return labels({ cgroup: path, container_id: containerId, pod_uid: podUid });
}

/** Under the names that every exporter gives them. */
function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage();
  return [
    single(FAMILIES.startTime, performance.timeOrigin / 1000),
    single(FAMILIES.resident, Deno.memoryUsage().rss),
    single(FAMILIES.cpu, (user + system) / 1e6),
  ];
}

function sweepFamilies(taken: Collection, command: MetricsOptions["command"]): Family[] {
  const modes = new Map([["notify", 0], ["throttle", 0], ["hold", 0], ...taken.byMode]);
  const guarded = [...modes].map(([mode, value]) => ({ labels: labels({ mode }), value }));
  return [
    command === "guard"
      ? { ...FAMILIES.guarded, samples: guarded }
      : single(FAMILIES.watched, taken.followed),
    single(FAMILIES.omitted, taken.omitted),
    single(FAMILIES.collectDuration, taken.took / 1000),
    single(FAMILIES.collectTime, taken.at / 1000),
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
    ...(command === "guard" ? [family(FAMILIES.threshold, ({ threshold }) => threshold)] : []),
    family(FAMILIES.pressureSome, ({ pressure }) => seconds(pressure?.some?.total)),
    family(FAMILIES.pressureFull, ({ pressure }) => seconds(pressure?.full?.total)),
  ];
}

const finite = (bytes: number) => bytes === Infinity ? undefined : bytes;

/** Of microseconds, which a double holds exactly for 285 years. */
const seconds = (micros: bigint | undefined) =>
  micros === undefined ? undefined : Number(micros) / 1e6;
