import assert from "node:assert/strict";
import { inspectJson } from "../../helpers/inspect_json.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const MIB = 1024 ** 2;

const tree = (): Tree =>
  makeTree(2, {
    "/limited": { "memory.max": 100 * MIB, "memory.current": 75 * MIB },
    "/limited/inner": { "memory.current": 10 * MIB },
    "/free": { "memory.current": 5 * MIB },
  });

const check = (t: Tree, ...args: string[]) => checkWith({ CI: "" }, t, ...args);

async function checkWith(env: Record<string, string>, t: Tree, ...args: string[]) {
  const ran = await runOomkit(["inspect", "--check", "--root", t.dir, ...args], { env });
  const [summary, ...findings] = ran.stdout.trimEnd().split("\n");
  if (env["CI"] === "") assert.ok(summary!.length <= 80);
  return { ...ran, summary: summary!, findings };
}

Deno.test("a check that passes exits 0, one that does not exits 1", async () => {
  using t = tree();
  const fine = await check(t, "/limited", "--min-headroom", "25%", "--max-usage", "75M");
  assert.equal(fine.code, 0);
  assert.equal(fine.summary, "OK: 2 checks passed");
  const short = await check(t, "/limited", "--min-headroom", "26M");
  assert.equal(short.code, 1);
  assert.match(
    short.summary,
    /^NOT OK: min-headroom: 25\.0 MiB \(25\.0%\), required: at least 26\.0 MiB/,
  );
  const full = await check(t, "/limited", "--max-usage", "74%");
  assert.equal(full.code, 1);
});

Deno.test("page cache that the kernel drops counts as headroom, unless --metric usage", async () => {
  using t = makeTree(2, {
    "/cached": {
      "memory.max": 100 * MIB,
      "memory.current": 99 * MIB,
      "memory.stat": `anon 0\ninactive_file ${90 * MIB}\nactive_file ${9 * MIB}\n`,
    },
  });
  const minimum = ["/cached", "--min-headroom", "91%"];
  assert.equal((await check(t, ...minimum)).code, 0);
  const { code, summary } = await check(t, ...minimum, "--metric", "usage");
  assert.equal(code, 1);
  assert.match(summary, /^NOT OK: min-headroom: 1\.0 MiB/);
  assert.equal((await check(t, "/cached", "--max-usage", "98%")).code, 1);
});

Deno.test("a percentage applies to the shared limit, bytes to the cgroup's own usage", async () => {
  using t = tree();
  assert.equal((await check(t, "/limited/inner", "--max-usage", "70%")).code, 1);
  assert.equal((await check(t, "/limited/inner", "--max-usage", "70M")).code, 0);
});

Deno.test("a percentage of no limit is unknown: exit 2 with one line", async () => {
  using t = tree();
  const { code, summary } = await check(t, "/free", "--max-usage", "80%");
  assert.equal(code, 2);
  assert.match(summary, /^UNKNOWN: max-usage: .*, required: at most 80\.0%; no limit, and/);
});

Deno.test("failures come first, and not ok outweighs unknown", async () => {
  using t = tree();
  const { code, summary, findings } = await check(
    t,
    "/free",
    "/limited",
    "--max-usage",
    "80%",
    "--require",
    "v2,limit,v1",
  );
  assert.equal(code, 1);
  assert.equal(
    summary,
    "NOT OK: 3 of 8 checks failed, 1 unknown: limit of /free, v1 of /free, v1 of /li…",
  );
  assert.deepEqual(
    findings.map((line) => /^(not ok|unknown|ok)/.exec(line)![1]),
    ["not ok", "not ok", "not ok", "unknown", "ok", "ok", "ok", "ok"],
  );
});

Deno.test("the headline says how many checks failed and which, and is whole in CI", async () => {
  using t = tree();
  const one = ["/limited", "--max-usage", "10%", "--require", "v2"];
  const whole = "NOT OK: 1 of 2 checks failed: max-usage: 75.0 MiB (75.0%), required: at most " +
    "10.0%; its own limit of 100.0 MiB";
  assert.equal((await checkWith({ CI: "true" }, t, ...one)).summary, whole);
  assert.equal((await check(t, ...one)).summary, `${whole.slice(0, 79)}…`);
  const several = ["/limited", "--max-usage", "10%", "--require", "v1,v2"];
  assert.equal(
    (await check(t, ...several)).summary,
    "NOT OK: 2 of 3 checks failed: max-usage, v1",
  );
  const cgroups = await check(t, "/free", "/limited", "--max-usage", "60M");
  assert.match(cgroups.summary, /^NOT OK: 1 of 2 checks failed: max-usage of \/limited: 75/);
  const unknown = await check(t, "/free", "--max-usage", "10%", "--require", "v2");
  assert.match(unknown.summary, /^UNKNOWN: 1 of 2 checks unknown: max-usage: /);
});

Deno.test("each requirement has its own verdict", async () => {
  using t = tree();
  t.write("/limited", "memory.pressure", "");
  const verdicts = async (target: string, list: string) => {
    const args = ["--check", "--root", t.dir, target, "--require", list];
    const { document } = await inspectJson(args);
    return Object.fromEntries(
      document.check.findings.map((
        each: { check: string; verdict: string },
      ) => [each.check, each.verdict]),
    );
  };
  assert.deepEqual(await verdicts("/limited", "limit,psi,v1,v2,notify,write,killer,no-kills"), {
    limit: "ok",
    psi: "not_ok",
    v1: "not_ok",
    v2: "ok",
    notify: "ok",
    write: "ok",
    killer: "ok",
    "no-kills": "ok",
  });
  assert.deepEqual(await verdicts("/free", "limit,psi"), { limit: "not_ok", psi: "ok" });
});

Deno.test("kills below the cgroup count on v1 too, where the kernel counts them in the victim's cgroup only", async () => {
  using t = makeTree(1, {
    "/a": {},
    "/a/b": { "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n" },
  });
  const { code, summary } = await check(t, "/a", "--require", "no-kills");
  assert.equal(code, 1);
  assert.match(summary, /2 OOM kills so far/);
  assert.equal((await check(t, "/a", "--require", "killer,v1")).code, 0);
  t.write("/a/b", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  assert.match((await check(t, "/a", "--require", "no-kills")).summary, /: 1 OOM kill so far$/);
});

Deno.test("a limit that cannot be read is not proof of headroom: it may be tighter", async () => {
  using t = makeTree(2, {
    "/a": { "memory.max": "bad\n" },
    "/a/b": { "memory.max": 64 * MIB, "memory.current": 4 * MIB },
  });
  for (const amount of ["--min-headroom=1M", "--max-usage=90%"]) {
    const { code, findings } = await check(t, "/a/b", amount);
    assert.equal(code, 2, amount);
    assert.match(findings.join("\n"), /; the limit of \/a cannot be read$/m);
  }
  assert.equal((await check(t, "/a/b", "--min-headroom", "1G")).code, 1);
  const own = await check(t, "/a", "--min-headroom", "1M");
  assert.match(own.findings.join("\n"), /the limit of \/a cannot be read/);
});

Deno.test("an OOM killer of which the state cannot be read is unknown", async () => {
  using t = makeTree(1, { "/a": { "memory.oom_control": "junk\n" } });
  assert.equal((await check(t, "/a", "--require", "killer")).code, 2);
});

Deno.test("a missing target is an unknown finding", async () => {
  using t = tree();
  const { code, summary, stderr } = await check(t, "/gone", "--require", "v2");
  assert.equal(code, 2);
  assert.match(summary, /^UNKNOWN: target: cannot resolve/);
  assert.match(stderr, /^oomkit: cannot resolve/);
});

Deno.test("the JSON of a check has the summary and every finding", async () => {
  using t = tree();
  const { code, document } = await inspectJson([
    "--check",
    "--root",
    t.dir,
    "/limited",
    "--max-usage",
    "10%",
  ]);
  assert.equal(code, 1);
  assert.equal(document.check.verdict, "not_ok");
  assert.match(document.check.summary, /^NOT OK/);
  assert.equal(document.check.findings[0].cgroup, "/limited");
  assert.equal(document.targets[0].usage, 75 * MIB);
});

Deno.test("the help explains every requirement", async () => {
  const { stdout } = await runOomkit(["inspect", "--help"]);
  for (const name of ["limit", "psi", "notify", "swap-off", "no-kills"]) {
    assert.match(stdout, new RegExp(`^  ${name} +\\S`, "m"));
  }
});
