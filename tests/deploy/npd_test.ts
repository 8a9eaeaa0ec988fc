import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import config from "../../deploy/node-problem-detector/oomkit.json" with { type: "json" };
import { wordOffences } from "../../scripts/manifests/flags.ts";
import { quoted } from "../../scripts/guest_kernel/image.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import { makeTree, type Tree } from "../helpers/trees.ts";

const MIB = 1024 ** 2;
const command = fileURLToPath(
  new URL("../../deploy/node-problem-detector/oomkit-check", import.meta.url),
);

const tree = (): Tree =>
  makeTree(2, { "/pod": { "memory.max": 100 * MIB, "memory.current": 95 * MIB } });

/** Runs the check as the detector does, with the program under its installed name. */
function check(args: readonly string[]): { code: number; lines: string[] } {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const script = `#!/bin/sh\nexec ${oomkit().map(quoted).join(" ")} "$@"\n`;
    Deno.writeTextFileSync(`${directory}/oomkit`, script, { mode: 0o755 });
    const { code, stdout } = new Deno.Command(command, {
      args: [...args],
      env: { PATH: `${directory}:${Deno.env.get("PATH")}`, NO_COLOR: "1", CI: "" },
      stderr: "null",
    }).outputSync();
    const text = new TextDecoder().decode(stdout);
    return { code, lines: text.trimEnd().split("\n") };
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("ok exits 0, not ok exits 1, unknown exits 2, each with one line", () => {
  using t = tree();
  const cases: [number, RegExp, string[]][] = [
    [0, /^OK: /, ["/pod", "--min-headroom", "5M"]],
    [1, /^NOT OK: min-headroom: 5\.0 MiB/, ["/pod", "--min-headroom", "10%"]],
    [2, /^UNKNOWN: target/, ["/gone", "--min-headroom", "10%"]],
    [2, /^UNKNOWN: oomkit could not check/, ["/pod"]],
    [2, /^UNKNOWN: oomkit could not check/, ["/pod", "--min-hadroom", "1"]],
  ];
  for (const [expected, line, args] of cases) {
    const { code, lines } = check(["--root", t.dir, ...args]);
    assert.equal(code, expected, args.join(" "));
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, line);
    assert.ok(new TextEncoder().encode(lines[0]).length <= config.pluginConfig.max_output_length);
  }
});

Deno.test("the history of kills is a check too", () => {
  const log = fileURLToPath(
    new URL("../fixtures/kernel_logs/4.14-pod.dmesg", import.meta.url),
  );
  const args = ["history", "--fail-on", "oom_kill", "--file"];
  const cases: [number, RegExp, string[]][] = [
    [0, /^OK: no OOM kill/, [log, "/other"]],
    [1, /^NOT OK: 2 OOM kills, the last: pid 30777/, [log]],
    [2, /^UNKNOWN: oomkit could not check/, ["/nosuch"]],
  ];
  for (const [expected, line, files] of cases) {
    const { code, lines } = check([...args, ...files]);
    assert.equal(code, expected, files.join(" "));
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, line);
  }
});

Deno.test("the pods' cgroup is found under either cgroup driver of the kubelet", () => {
  const { args } = config.rules[1]!;
  for (const path of ["/kubepods", "/kubepods.slice"]) {
    using t = makeTree(2, { [path]: {} });
    assert.deepEqual(check(["--root", t.dir, ...args]), {
      code: 0,
      lines: ["OK: 2 checks passed"],
    });
  }
});

Deno.test("the longest message fits into what the detector keeps", () => {
  using t = makeTree(2, { "/a-cgroup-with-a-name-that-is-longer-than-any-line-should-be": {} });
  const target =
    "/a-cgroup-with-a-name-that-is-longer-than-any-line-should-be/and/what/is/below/it";
  const { code, lines } = check(["--root", t.dir, target, "--max-usage", "80%"]);
  assert.equal(code, 2);
  assert.ok(new TextEncoder().encode(lines[0]).length <= config.pluginConfig.max_output_length);
});

Deno.test("every rule of the configuration has a condition, and options that the program has", () => {
  const conditions = config.conditions.map(({ type }) => type);
  assert.deepEqual(config.rules.map(({ condition }) => condition), conditions);
  for (const { type, path, args, timeout } of config.rules) {
    assert.equal(type, "permanent");
    assert.match(path, /\/oomkit-check$/);
    assert.deepEqual(wordOffences("inspect", args), []);
    assert.ok(parseInt(timeout) <= parseInt(config.pluginConfig.timeout));
    assert.ok(parseInt(timeout) < parseInt(config.pluginConfig.invoke_interval));
  }
  for (const { message } of config.conditions) {
    assert.ok(message.length <= config.pluginConfig.max_output_length);
  }
  assert.deepEqual(Object.keys(config).sort(), [
    "conditions",
    "metricsReporting",
    "plugin",
    "pluginConfig",
    "rules",
    "source",
  ]);
});
