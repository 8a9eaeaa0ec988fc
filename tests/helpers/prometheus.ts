/** A real Prometheus (Debian's package `prometheus`) with oomkit's rules, without their waiting times. */

import { withDeadline } from "../../core/timing.ts";
import type { Json } from "./event_stream.ts";

const RULES = new URL("../../deploy/prometheus/oomkit.rules.yml", import.meta.url);
/** Only a Prometheus that hangs takes longer. */
const MAX_MS_TO_WAIT = 120_000;

const isInstalled = (Deno.env.get("PATH") ?? "").split(":").some((dir) => {
  try {
    return Deno.statSync(`${dir}/prometheus`).isFile;
  } catch {
    return false;
  }
});

/** Why a test that needs it cannot run. */
export const withoutPrometheus = isInstalled ? undefined : "prometheus is not installed";

export interface Prometheus extends AsyncDisposable {
  /** Waits until the query has a result, and returns it. */
  until(query: string): Promise<Json[]>;
  /** Waits until an alert with these labels fires. */
  untilFiring(alert: string, labels: Labels): Promise<void>;
  untilSilent(alert: string, labels: Labels): Promise<void>;
  /** Waits until every rule was evaluated after now, and returns whether the alert fires then. */
  fires(alert: string, labels: Labels): Promise<boolean>;
}

type Labels = Readonly<Record<string, string>>;

/** @param targets by the label `instance`: host and port. */
export function startPrometheus(targets: Labels): Prometheus {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-prometheus-" });
  const rules = Deno.readTextFileSync(RULES).replace(/^ +for: .*\n/gm, "");
  Deno.writeTextFileSync(`${directory}/rules.yml`, rules);
  const fast = { scrape_interval: "500ms", scrape_timeout: "500ms", evaluation_interval: "500ms" };
  const config = {
    global: fast,
    rule_files: ["rules.yml"],
    // Not the job name of the example: the rules depend on none.
    scrape_configs: [{
      job_name: "nodes",
      static_configs: Object.entries(targets).map(([instance, address]) => ({
        targets: [address],
        labels: { instance },
      })),
    }],
  };
  Deno.writeTextFileSync(`${directory}/prometheus.yml`, JSON.stringify(config));
  const port = freePort();
  const child = new Deno.Command("prometheus", {
    args: [
      `--config.file=${directory}/prometheus.yml`,
      `--storage.tsdb.path=${directory}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const get = async (path: string): Promise<Json> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
    return (await response.json()).data;
  };
  const eventually = async <T>(what: string, read: () => Promise<T | undefined>): Promise<T> => {
    const deadline = performance.now() + MAX_MS_TO_WAIT;
    for (;;) {
      // Until it listens, it refuses connections.
      const found = await read().catch(() => undefined);
      if (found !== undefined) return found;
      if (performance.now() > deadline) throw new Error(`still waiting for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const isFiring = async (alert: string, labels: Labels) => {
    const { alerts } = await get("alerts");
    return alerts.some(({ state, labels: all }: Json) =>
      state === "firing" && all.alertname === alert &&
      Object.entries(labels).every(([name, value]) => all[name] === value)
    );
  };
  const textOf = (alert: string, labels: Labels) => `${alert} ${JSON.stringify(labels)}`;
  return {
    until: (query) =>
      eventually(query, async () => {
        const { result } = await get(`query?query=${encodeURIComponent(query)}`);
        return result.length > 0 ? result : undefined;
      }),
    untilFiring: (alert, labels) =>
      eventually(textOf(alert, labels), async () => await isFiring(alert, labels) || undefined)
        .then(() => {}),
    untilSilent: (alert, labels) =>
      eventually(
        `no ${textOf(alert, labels)}`,
        async () => !await isFiring(alert, labels) || undefined,
      ).then(() => {}),
    async fires(alert, labels) {
      const from = Date.now();
      await eventually("an evaluation of the rules", async () => {
        const { groups } = await get("rules");
        const isLater = ({ lastEvaluation }: Json) => Date.parse(lastEvaluation) > from;
        return groups.length > 0 && groups.every(isLater) || undefined;
      });
      return await isFiring(alert, labels);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await withDeadline(10_000, child.status, () => child.kill("SIGKILL"));
      await child.status;
      Deno.removeSync(directory, { recursive: true });
    },
  };
}

/** Free at this moment. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}
