/**
 * Exports the metrics by OTLP/HTTP in JSON, with OpenTelemetry's SDK. Loaded only where that is asked for. The SDK reads the variables
 * OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES itself.
 */

import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import {
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from "@opentelemetry/resources";
import {
  MeterProvider,
  type MetricProducer,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics";
import type { Family } from "../prometheus/text.ts";
import { metricDataOf } from "./metric_data.ts";
import { post, type Request, requestTo, variable } from "./request.ts";
import { otlpUrl, shownOtlpUrl } from "./url.ts";

export interface OtlpOptions {
  /** As `otlpUrl` accepts it. */
  readonly url: string;
  readonly version: string;
  readonly userAgent: string;
  /** Of this process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have priority. */
  readonly resource: Readonly<Record<string, string | number>>;
  families(): Promise<readonly Family[]>;
  warn(line: string): void;
}

const DEFAULT_INTERVAL_MS = 60_000;
const DEFAULT_TIMEOUT_MS = 10_000;
/** For a last export on `close`. */
const MAX_CLOSE_MS = 2000;

export class OtlpExport {
  readonly #reader: PeriodicExportingMetricReader;

  /**
   * Exports from now on at each interval. The first failure of an outage is reported, and so is its end. Throws {@link OomkitError} for
   * headers or certificates that cannot be used.
   */
  constructor(options: OtlpOptions) {
    const { warn, url, userAgent } = options;
    const milliseconds = (name: string, text: string | undefined, otherwise: number) =>
      positive(name, text, warn) ?? otherwise;
    const intervalName = "OTEL_METRIC_EXPORT_INTERVAL";
    const interval = milliseconds(intervalName, Deno.env.get(intervalName), DEFAULT_INTERVAL_MS);
    const timeout = milliseconds(
      "OTEL_EXPORTER_OTLP_TIMEOUT",
      variable("TIMEOUT"),
      DEFAULT_TIMEOUT_MS,
    );
    const request = requestTo(otlpUrl(url), userAgent, timeout);
    const resource = resourceFromAttributes(options.resource).merge(
      detectResources({ detectors: [envDetector] }),
    );
    this.#reader = new PeriodicExportingMetricReader({
      exporter: exporterOf(request, shownOtlpUrl(url), warn),
      exportIntervalMillis: interval,
      exportTimeoutMillis: interval,
      metricProducers: [producerOf(options, resource)],
    });
    new MeterProvider({ resource, readers: [this.#reader] });
  }

  /** After a last export, for which it waits a bounded time. */
  async close(): Promise<void> {
    await this.#reader.shutdown({ timeoutMillis: MAX_CLOSE_MS }).catch(() => {});
  }
}

function producerOf({ families, version }: OtlpOptions, resource: Resource): MetricProducer {
  return {
    async collect() {
      const period = { start: performance.timeOrigin, end: Date.now() };
      const metrics = metricDataOf(await families(), period);
      const scopeMetrics = [{ scope: { name: "oomkit", version }, metrics }];
      return { resourceMetrics: { resource, scopeMetrics }, errors: [] };
    },
  };
}

function exporterOf(
  request: Request,
  where: string,
  warn: OtlpOptions["warn"],
): PushMetricExporter {
  let failures = 0;
  let hasRejected = false;
  /** A receiver that does not answer has one request at a time. */
  let current: Promise<void> | undefined;
  const report = ({ failure, rejected }: Awaited<ReturnType<typeof post>>): ExportResult => {
    if (rejected !== undefined && !hasRejected) warn(`${where} has rejected ${rejected}`);
    hasRejected ||= rejected !== undefined;
    if (failure !== undefined) {
      if (failures++ === 0) warn(`cannot export metrics to ${where}: ${failure}`);
      return { code: ExportResultCode.FAILED };
    }
    if (failures > 0) {
      warn(`can export metrics to ${where} again, after ${failures} failed exports`);
      failures = 0;
    }
    return { code: ExportResultCode.SUCCESS };
  };
  return {
    export(metrics, done) {
      if (current !== undefined) return done({ code: ExportResultCode.FAILED });
      current = post(metrics, request).then((result) => {
        current = undefined;
        done(report(result));
      });
    },
    forceFlush: () => current ?? Promise.resolve(),
    shutdown() {
      request.client?.close();
      return Promise.resolve();
    },
  };
}

/** Of a variable in milliseconds; what is no such number is reported and ignored, as OpenTelemetry's specification asks. */
function positive(
  name: string,
  text: string | undefined,
  warn: OtlpOptions["warn"],
): number | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const ms = /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : 0;
  if (ms > 0) return ms;
  warn(`${name} is ignored: it is not a number of milliseconds`);
  return undefined;
}
