/** What `--listen` serves. */

import { formatListen, parseListen } from "../../core/receivers/prometheus/listen.ts";
import { type Metrics, openMetrics } from "../../core/receivers/prometheus/metrics.ts";
import { serveMetrics } from "../../core/receivers/prometheus/server.ts";
import type { Receiver } from "../../core/receivers/receiver.ts";
import { printStderr } from "../output/output.ts";
import type { Observed, ReceiverSetupFlags } from "./receivers.ts";
import { VERSION } from "../version.ts";

export interface MetricsListener {
  readonly metrics: Metrics;
  close(): Promise<void>;
}

/** Throws {@link OomkitError} when it cannot be listened on. */
export function openMetricsListener(
  { listen, port }: ReceiverSetupFlags,
  observed: Observed,
  receivers: readonly Receiver[],
): MetricsListener {
  const where = parseListen(listen ?? String(port));
  const metrics = openMetrics({ ...observed, version: VERSION, receivers: () => receivers });
  const { alive, ready } = observed;
  const server = serveMetrics(where, { metrics: metrics.text, alive, ready });
  printStderr(`listening on ${formatListen(server.address)}`);
  return { metrics, close: server.close };
}
