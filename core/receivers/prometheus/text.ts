/**
 * Prometheus' text exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Pure.
 *
 * An unknown value has no series: neither zero nor NaN.
 */

export interface Definition {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
}

export interface Sample {
  /** As {@link labels} returns them. */
  readonly labels: string;
  readonly value: number | bigint | undefined;
}

export interface HistogramSample {
  readonly labels: string;
  /** Upper bounds, ascending, without the infinite one. */
  readonly bounds: readonly number[];
  /** Observations per bucket, not cumulative; the last one is beyond all bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface Family extends Definition {
  readonly samples: readonly (Sample | HistogramSample)[];
}

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** `a="1",b="2"` in the order given, without labels of unknown value. */
export function labels(pairs: Readonly<Record<string, string | null | undefined>>): string {
  return Object.entries(pairs).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : [`${name}="${escapeValue(value)}"`]
  ).join();
}

const PAIR = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** The pairs of which {@link labels} made the text. */
export function pairsOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text.matchAll(PAIR).map(([, name, value]) => [
      name!,
      value!.replace(/\\(.)/g, (_, escaped) => escaped === "n" ? "\n" : escaped),
    ]),
  );
}

/** Without samples of unknown value, and the first of each series: Prometheus rejects a whole scrape with two of the same labels. */
export function knownSamples({ samples }: Family): Family["samples"] {
  const seen = new Set<string>();
  return samples.filter((sample) => {
    if (seen.has(sample.labels) || ("value" in sample && !isKnown(sample.value))) return false;
    seen.add(sample.labels);
    return true;
  });
}

const isKnown = (value: Sample["value"]): value is number | bigint =>
  value !== undefined && !Number.isNaN(value);

/** Leaves out a family without any known value. */
export function renderText(families: Iterable<Family>): string {
  let text = "";
  for (const family of families) text += renderFamily(family);
  return text;
}

function renderFamily(family: Family): string {
  const { name, type, help } = family;
  let body = "";
  for (const sample of knownSamples(family)) {
    body += "counts" in sample
      ? renderHistogram(name, sample)
      : line(name, sample.labels, sample.value!);
  }
  return body && `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${body}`;
}

function renderHistogram(name: string, sample: HistogramSample): string {
  const { labels, bounds, counts, sum } = sample;
  const prefix = labels === "" ? "" : `${labels},`;
  let below = 0;
  let text = "";
  for (const [at, count] of counts.entries()) {
    below += count;
    text += line(`${name}_bucket`, `${prefix}le="${number(bounds[at] ?? Infinity)}"`, below);
  }
  return text + line(`${name}_sum`, labels, sum) + line(`${name}_count`, labels, below);
}

function line(name: string, labels: string, value: number | bigint): string {
  return `${name}${labels && `{${labels}}`} ${number(value)}\n`;
}

function number(value: number | bigint): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

const SPECIAL = /["\\\n\0]/g;
/** Prometheus' lexer takes NUL for the end of the text. */
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\0": "\ufffd",
};

/** A lone surrogate has no UTF-8 form. Without this, two names that differ here could become the same series there. */
const escapeValue = (value: string) =>
  value.toWellFormed().replace(SPECIAL, (character) => ESCAPES[character]!);

const escapeHelp = (help: string) => help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
