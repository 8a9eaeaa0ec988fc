/** promtool of Debian's package `prometheus`, and what the metrics export for comparison with queries. */

import assert from "node:assert/strict";
import { EVENT_TYPES } from "../../core/events/event.ts";
import { ACTION_KINDS, actionSpec } from "../../core/policy/actions.ts";
import { LEVELS } from "../../core/policy/levels.ts";
import { Metrics } from "../../core/receivers/prometheus/metrics.ts";

export const DIRECTORY = new URL("../../deploy/", import.meta.url).pathname;

const isInstalled = (Deno.env.get("PATH") ?? "").split(":").some((dir) => {
  try {
    return Deno.statSync(`${dir}/promtool`).isFile;
  } catch {
    return false;
  }
});

/** Ignored where promtool is not installed. */
export function promtoolTest(name: string, test: () => Promise<void>): void {
  if (isInstalled) Deno.test(name, test);
  else Deno.test.ignore(`${name} [promtool is not installed]`, test);
}

/** Returns all output. Fails with it unless promtool exits with 0. */
export async function promtool(args: readonly string[], stdin = ""): Promise<string> {
  const child = new Deno.Command("promtool", {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const feed = async () => {
    await writer.write(new TextEncoder().encode(stdin));
    await writer.close();
  };
  // A command that does not need stdin does not read it.
  const [{ code, stdout, stderr }] = await Promise.all([child.output(), feed().catch(() => {})]);
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.equal(code, 0, output);
  return output;
}

/** Labels with free values, or that Prometheus adds. */
const FREE_LABELS = [
  "job",
  "instance",
  "cgroup",
  "namespace",
  "commit",
  "receiver",
  "requested",
  "le",
];

/** Fails when a query uses a label that is not exported, or compares one with a value that it never has. */
export async function checkLabels(queries: readonly string[]): Promise<void> {
  const metrics = new Metrics({
    command: "guard",
    version: "0",
    cgroups: () => [],
    receivers: () => [],
    alive: () => ({ ok: true }),
    ready: () => ({ ok: true }),
  });
  const exported = new Map(FREE_LABELS.map((label) => [label, new Set<string>()]));
  // Exported once they occur.
  exported.set("type", new Set(EVENT_TYPES));
  exported.set("action", new Set(ACTION_KINDS));
  exported.set("outcome", new Set(ACTION_KINDS.flatMap((kind) => actionSpec(kind).outcomes)));
  exported.set("level", new Set(LEVELS));
  exported.set("stage", new Set(["signal", "exit", "freed"]));
  for (const [, label, value] of (await metrics.text()).matchAll(/(\w+)="([^"]*)"/g)) {
    if (!exported.has(label!)) exported.set(label!, new Set());
    exported.get(label!)!.add(value!);
  }
  for (const query of queries) {
    for (const [, list] of query.matchAll(/\bby \(([^)]*)\)/g)) {
      for (const label of list!.split(/,\s*/)) assert.ok(exported.has(label), `${label}: ${query}`);
    }
    for (const [, label, values] of query.matchAll(/\b(\w+)(?:=|!=|=~|!~)"([^"]*)"/g)) {
      assert.ok(exported.has(label!), `${label}: ${query}`);
      if (FREE_LABELS.includes(label!)) continue;
      for (const value of values!.split("|")) {
        assert.ok(exported.get(label!)!.has(value), `${label}="${value}": ${query}`);
      }
    }
  }
}
