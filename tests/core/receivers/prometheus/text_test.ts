import assert from "node:assert/strict";
import fc from "fast-check";
import { Histogram } from "../../../../core/receivers/prometheus/event_counts.ts";
import {
  type Family,
  labels,
  pairsOf,
  renderText,
} from "../../../../core/receivers/prometheus/text.ts";

const gauge = (samples: Family["samples"]): Family => ({
  name: "oomkit_a_bytes",
  type: "gauge",
  help: "What it is.",
  samples,
});

Deno.test("a family has its help and type, and a line for each sample", () => {
  const text = renderText([
    gauge([{ labels: labels({ cgroup: "/a", pod_uid: "p" }), value: 5 }, { labels: "", value: 0 }]),
  ]);
  assert.equal(
    text,
    "# HELP oomkit_a_bytes What it is.\n# TYPE oomkit_a_bytes gauge\n" +
      'oomkit_a_bytes{cgroup="/a",pod_uid="p"} 5\noomkit_a_bytes 0\n',
  );
});

Deno.test("what is not known has no series, and a family of nothing else is left out", () => {
  const unknown = [{ labels: 'a="1"', value: undefined }, { labels: 'a="2"', value: NaN }];
  assert.equal(renderText([gauge(unknown), gauge([])]), "");
  assert.equal(labels({ cgroup: "/a", container_id: null, pod_uid: undefined }), 'cgroup="/a"');
});

Deno.test("a counter beyond 2^53 keeps all its digits, and an endless value is one to Prometheus", () => {
  const samples = [{ labels: "", value: 2n ** 64n - 1n }, { labels: 'a="1"', value: Infinity }];
  const text = renderText([gauge(samples)]);
  assert.ok(text.includes("oomkit_a_bytes 18446744073709551615\n"), text);
  assert.ok(text.includes('oomkit_a_bytes{a="1"} +Inf\n'), text);
});

Deno.test("quotes, backslashes and line ends in a label are escaped, and so is what has no UTF-8", () => {
  assert.equal(labels({ a: 'x"y\\z\nw' }), String.raw`a="x\"y\\z\nw"`);
  assert.equal(labels({ a: "half \ud800 and \0" }), 'a="half \ufffd and \ufffd"');
});

/** As Prometheus' lexer reads a label's value. */
function unescaped(quoted: string): string {
  return quoted.replace(/\\(.)/g, (_, character) => character === "n" ? "\n" : character);
}

Deno.test("whatever a cgroup is named, its sample is one line that gives the name back", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (name) => {
    const text = renderText([gauge([{ labels: labels({ cgroup: name }), value: 1 }])]);
    const [, , sample, rest] = text.split("\n");
    assert.equal(rest, "");
    const [, value] = /^oomkit_a_bytes\{cgroup="((?:\\.|[^"\\])*)"\} 1$/.exec(sample!)!;
    assert.equal(unescaped(value!), name.replaceAll("\0", "\ufffd"));
  }));
});

Deno.test("the pairs of a text of labels are those that it was made of", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.string(), (first, second) => {
    const [a, b] = [first, second].map((value) => value.replaceAll("\0", "\ufffd"));
    assert.deepEqual(pairsOf(labels({ a, none: undefined, b })), { a, b });
  }));
  assert.deepEqual(pairsOf(""), {});
});

Deno.test("of two samples with the same labels one is written, since a scrape with both is refused", () => {
  const name = labels({ cgroup: "/\ud800" });
  const same = labels({ cgroup: "/\ud801" });
  const text = renderText([gauge([{ labels: name, value: 1 }, { labels: same, value: 2 }])]);
  assert.equal(text.split("\n").filter((line) => line.startsWith("oomkit")).length, 1);
});

Deno.test("a histogram's buckets add up, and each bound counts among those below it", () => {
  const histogram = new Histogram([0.001, 0.1]);
  for (const value of [0.0005, 0.001, 0.05, 7, NaN]) histogram.observe(value);
  const text = renderText([{
    name: "oomkit_a_seconds",
    type: "histogram",
    help: "How long.",
    samples: [histogram.sample('action="process"')],
  }]);
  assert.deepEqual(text.trim().split("\n").slice(2), [
    'oomkit_a_seconds_bucket{action="process",le="0.001"} 2',
    'oomkit_a_seconds_bucket{action="process",le="0.1"} 3',
    'oomkit_a_seconds_bucket{action="process",le="+Inf"} 4',
    'oomkit_a_seconds_sum{action="process"} 7.0515',
    'oomkit_a_seconds_count{action="process"} 4',
  ]);
});
