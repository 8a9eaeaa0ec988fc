/** What `--listen` serves. */

import { formatListen, parseListen } from "../core/metrics/listen.ts";
import { type Metrics, openMetrics } from "../core/metrics/metrics.ts";
import { serveMetrics } from "../core/metrics/server.ts";
import type { Receiver } from "../core/report/reporter.ts";
import { say } from "./output.ts";
import type { Observed, ReceiverSetupFlags } from "./reporters.ts";
import { VERSION } from "./version.ts";

export interface Listening {
  readonly metrics: Metrics;
  close(): Promise<void>;
}

/** Throws {@link OomkitError} when it cannot be listened on. */
export function openListening(
  { listen, port }: ReceiverSetupFlags,
  observed: Observed,
  receivers: readonly Receiver[],
): Listening {
  const where = parseListen(listen ?? String(port));
  const metrics = openMetrics({ ...observed, version: VERSION, receivers: () => receivers });
  const { alive, ready } = observed;
  const server = serveMetrics(where, { metrics: metrics.text, alive, ready });
  say(`listening on ${formatListen(server.address)}`);
  return { metrics, close: server.close };
}
