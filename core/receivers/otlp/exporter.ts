/**
 * Exports the metrics by OTLP/HTTP in JSON, with OpenTelemetry's SDK. Loaded only where that is asked for. The SDK reads the variables
 * OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _COMPRESSION and _TIMEOUT, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES itself.
 */

import { diag, DiagLogLevel } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
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
import { errorText, shortened } from "../../errors.ts";
import type { Family } from "../prometheus/text.ts";
import { metricDataOf } from "./metric_data.ts";
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
/** Warnings of the SDK; a hostile receiver can invent any number of them. */
const MAX_REPORTED_WARNINGS = 5;
/** For a last export on `close`. */
const MAX_CLOSE_MS = 2000;

export class OtlpExport {
  readonly #reader: PeriodicExportingMetricReader;

  /** Exports from now on at each interval. No failure is thrown; the first of an outage is reported, and so is its end. */
  constructor(options: OtlpOptions) {
    const { warn } = options;
    reportWarnings(warn);
    const interval = positive("OTEL_METRIC_EXPORT_INTERVAL", warn) ?? DEFAULT_INTERVAL_MS;
    const exporter = new OTLPMetricExporter({
      url: otlpUrl(options.url),
      userAgent: options.userAgent,
    });
    const resource = resourceFromAttributes(options.resource).merge(
      detectResources({ detectors: [envDetector] }),
    );
    this.#reader = new PeriodicExportingMetricReader({
      exporter: reporting(exporter, shownOtlpUrl(options.url), warn),
      exportIntervalMillis: interval,
      // Then the next one is due. The SDK has at most 30 requests under way, each for at most 10 s.
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

/** A variable that the SDK cannot use, metrics that the receiver has rejected. Each once. */
function reportWarnings(warn: OtlpOptions["warn"]): void {
  const reported = new Set<string>();
  const reportOnce = (...words: unknown[]) => {
    const text = shortened(words.join(" "));
    if (reported.has(text) || reported.size >= MAX_REPORTED_WARNINGS) return;
    reported.add(text);
    warn(`OpenTelemetry: ${text}`);
  };
  const ignore = () => {};
  const logger = { error: ignore, warn: reportOnce, info: ignore, debug: ignore, verbose: ignore };
  diag.setLogger(logger, DiagLogLevel.WARN);
}

/** The SDK logs each failure; here an outage is two lines. */
function reporting(
  exporter: OTLPMetricExporter,
  where: string,
  warn: OtlpOptions["warn"],
): PushMetricExporter {
  let failures = 0;
  return {
    export(metrics, done) {
      exporter.export(metrics, (result) => {
        const { error } = result;
        if (error !== undefined) {
          if (failures++ === 0) warn(`cannot export metrics to ${where}: ${reasonOf(error)}`);
        } else if (failures > 0) {
          warn(`can export metrics to ${where} again, after ${failures} failed exports`);
          failures = 0;
        }
        done(result);
      });
    },
    selectAggregationTemporality: (type) => exporter.selectAggregationTemporality(type),
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
  };
}

/** The SDK has the status of an answer as the code; its message is text of the receiver. */
function reasonOf(error: Error): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === "number" ? `it answered ${code}` : shortened(errorText(error));
}

/** Of a variable in milliseconds; what is no such number is reported and ignored, as OpenTelemetry's specification asks. */
function positive(name: string, warn: OtlpOptions["warn"]): number | undefined {
  const text = Deno.env.get(name)?.trim();
  if (text === undefined || text === "") return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (ms > 0) return ms;
  warn(`${name} is ignored: it is not a number of milliseconds`);
  return undefined;
}
