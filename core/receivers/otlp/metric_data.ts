/** The metrics as OpenTelemetry's data model has them, with the names, labels and values of a scrape. Pure. */

import { ValueType } from "@opentelemetry/api";
import { AggregationTemporality, DataPointType, type MetricData } from "@opentelemetry/sdk-metrics";
import {
  type Family,
  type HistogramSample,
  knownSamples,
  pairsOf,
  type Sample,
} from "../prometheus/text.ts";

/** Milliseconds since the epoch. */
interface Period {
  readonly start: number;
  readonly end: number;
}

/** Leaves out a family without any known value. @param period since the start of the process. */
export function metricDataOf(families: readonly Family[], period: Period): MetricData[] {
  const times = { startTime: hrTime(period.start), endTime: hrTime(period.end) };
  return families.flatMap((family) => {
    const dataPoints = knownSamples(family).filter(isFinite).map((sample) => ({
      ...times,
      attributes: pairsOf(sample.labels),
      value: "counts" in sample ? histogramOf(sample) : numberOf(sample),
    }));
    return dataPoints.length === 0 ? [] : [{ ...baseOf(family), dataPoints } as MetricData];
  });
}

function baseOf({ name, type, help }: Family) {
  const base = {
    descriptor: { name, description: help, unit: unitOf(name), valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  switch (type) {
    case "counter":
      return { ...base, dataPointType: DataPointType.SUM, isMonotonic: true };
    case "gauge":
      return { ...base, dataPointType: DataPointType.GAUGE };
    case "histogram":
      return { ...base, dataPointType: DataPointType.HISTOGRAM };
  }
}

/** UCUM, by the suffix that Prometheus' conventions ask for. */
function unitOf(name: string): string {
  const suffix = /_(seconds|bytes)(?:_total)?$/.exec(name)?.[1];
  return suffix === "seconds" ? "s" : suffix === "bytes" ? "By" : "";
}

/** JSON has no infinity. */
const isFinite = (sample: Sample | HistogramSample): boolean =>
  "counts" in sample || Number.isFinite(numberOf(sample));

const numberOf = ({ value }: Sample): number => Number(value);

function histogramOf({ bounds, counts, sum }: HistogramSample) {
  return {
    buckets: { boundaries: [...bounds], counts: [...counts] },
    count: counts.reduce((total, each) => total + each, 0),
    sum,
  };
}

/** Seconds and nanoseconds. */
const hrTime = (ms: number): [number, number] => {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
};
