import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { Ajv2020 } from "ajv/dist/2020.js";
import schema from "../../../docs/schema/recorded_run.schema.json" with { type: "json" };
import { cgroup, head, textOf } from "../../core/record/recording.ts";
import { makeDirectory } from "../../helpers/directory.ts";
import { runEach } from "../../helpers/run_each.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

const FIXTURES = new URL("../../fixtures/recordings/", import.meta.url).pathname;
const RACE = `${FIXTURES}race.jsonl`;
const REHEARSAL = `${FIXTURES}rehearsal.jsonl`;
const isDocument = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);
const START = head.at;

async function shown(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runOomkit(["inspect", ...args]);
  assert.deepEqual([code, stderr], [0, ""]);
  return stdout;
}

/** One line on stderr, nothing on stdout, exit 2 for each. */
async function refused(cases: readonly (readonly [args: readonly string[], message: RegExp])[]) {
  const ran = await runEach(cases.map(([args]) => ["inspect", ...args]));
  for (const [n, [args, message]] of cases.entries()) {
    const { code, stdout, stderr } = ran[n]!;
    assert.deepEqual([code, stdout], [2, ""], `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, /^oomkit: [^\n]+\n$/);
    assert.doesNotMatch(stderr, /this is a bug|\bat [a-z]+:\/\//);
    assert.match(stderr, message);
  }
}

const snapshot = (at: number, id: number, usage: number) => ({
  type: "snapshot",
  at: START + at,
  id,
  usage,
});

const event = (at: number, path: string, body: object) => ({
  type: "event",
  at: START + at,
  event: { ts: new Date(START + at).toISOString(), cgroup: path, source: "none", ...body },
});

Deno.test("a recording is printed as summary, events and peaks", async () => {
  const text = await shown(RACE);
  const [summary, events, peaks] = text.split(/^EVENTS|^ +PEAK/m);
  assert.match(summary!, /^guard on node, 2026-11-22 05:37:28 to 05:37:30 UTC, 1\.66 s\n/);
  assert.match(summary!, /^Linux 6\.18\.44, cgroup v1, recorded by oomkit 0\.1\.0$/m);
  assert.match(
    summary!,
    /^oomkit killed tail \(pid 4971\) in \/guarded at 05:37:29 UTC because usage reached level imminent, 62\.8 MiB of 64\.0 MiB; the kernel killed nothing\.$/m,
  );
  assert.match(summary!, /^kills +by the kernel 0 · by the guard 1$/m);
  assert.match(summary!, /^cgroups +1, 1 with a limit$/m);
  assert.match(
    events!,
    /^05:37:29\.757 {2}level_reached {2}\/guarded {2}imminent: usage 62\.8 MiB \(98\.0% of 64\.0 MiB\)/m,
  );
  assert.match(
    events!,
    /^05:37:29\.777 {2}action +\/guarded {2}pid 4971 \(tail\) killed by SIGKILL/m,
  );
  assert.match(peaks!, /^62\.8 MiB +98\.0% +1\.3 MiB +64\.0 MiB +1 {2}\/guarded$/m);
});

Deno.test("kills by the kernel are counted and have the sentence of text mode", async () => {
  const text = await shown(REHEARSAL);
  assert.match(
    text,
    /^The kernel killed tail \(pid 2963\) in \/guarded at [\d:]+ UTC because the cgroup reached its limit of 64\.0 MiB\.$/m,
  );
  assert.match(text, /oom_kill +\/guarded {2}pid 2963 \(tail\) killed at the cgroup's own limit/);
  assert.match(
    text,
    /MIN HEADROOM +LIMIT +OOM KILLS +CGROUP\n64\.0 MiB +100\.0% +0 B +64\.0 MiB +1 /,
  );
});

Deno.test("a compressed recording is printed as the plain one, whatever its name", async () => {
  using directory = makeDirectory();
  const packed = `${directory.path}/incident`;
  Deno.writeFileSync(packed, gzipSync(Deno.readFileSync(RACE)));
  assert.equal(await shown(packed), await shown(RACE));
});

Deno.test("a recording that was cut is printed as far as it goes, with what is missing", async () => {
  using directory = makeDirectory();
  const { path } = directory;
  const whole = Deno.readFileSync(RACE);
  Deno.writeFileSync(`${path}/cut.jsonl`, whole.subarray(0, whole.length / 2));
  const packed = gzipSync(whole);
  Deno.writeFileSync(`${path}/cut.jsonl.gz`, packed.subarray(0, packed.length * 0.8));
  for (const name of ["cut.jsonl", "cut.jsonl.gz"]) {
    const text = await shown(`${path}/${name}`);
    assert.match(text, /^guard on node/);
    assert.match(text, /^note +The recording is incomplete: its end is missing, after 05:37:\d/m);
  }
  assert.doesNotMatch(await shown(RACE), /incomplete/);
});

Deno.test("a long run shows its most severe events, and how many others there are where they belong", async () => {
  using directory = makeDirectory();
  const created = (at: number) => event(at, "/a", { type: "cgroup_created" });
  const oom = event(500, "/a", { type: "oom", count: 1, limit: 1000, limit_owner: "/a" });
  const lines = Array.from({ length: 999 }, (_, at) => created(at + 1));
  const file = directory.write(
    "run.jsonl",
    textOf([head, cgroup, snapshot(0, 1, 10), ...lines.slice(0, 500), oom, ...lines.slice(500)]),
  );
  const text = await shown(file);
  assert.match(text, /^EVENTS {2}1000 events, the 40 most severe of them \(all: --json\)$/m);
  // Of the others the first 20 and the last 19.
  assert.match(text, /\n… 480 more\n\S+ {2}oom +\/a {2}out of memory[^\n]*\n… 480 more\n/);
  assert.match(text, /^00:16:40\.001 {2}cgroup_created[^]*^00:16:40\.999 {2}cgroup_created/m);
  assert.ok(text.split("\n").length < 60, text);
  const { events } = JSON.parse(await shown(file, "--json"));
  assert.equal(events.length, 1000);
});

Deno.test("cgroups are listed by kills, then by their share of the limit, at most 20", async () => {
  using directory = makeDirectory();
  const path = (id: number) => `/c${id}`;
  const groups = Array.from({ length: 30 }, (_, id) => [
    {
      ...cgroup,
      id,
      path: path(id),
      usage_cgroup: path(id),
      limit_owner: id === 7 ? "/parent" : path(id),
    },
    snapshot(1, id, 100 + 10 * id),
  ]);
  const kill = { type: "oom_kill", victim: null, limit_owner: "/c3", limit: 1000 };
  const file = directory.write(
    "run.jsonl",
    textOf([head, ...groups.flat(), event(2, "/c3", kill)]),
  );
  const listed = (await shown(file)).split(/^.*CGROUP\n/m)[1]!.trimEnd().split("\n");
  // Its highest sample is 130 B, and a kill at its limit means that all of it was in use.
  assert.match(listed[0]!, /^1000 B +100\.0% +0 B +1000 B +1 {2}\/c3$/);
  assert.match(listed[1]!, /^ *390 B +39\.0% +610 B .*\/c29$/);
  assert.deepEqual([listed.length, listed.at(-1)], [21, "… 10 more (all: --json)"]);
});

Deno.test("minimum headroom is that of the tightest moment, also when the limit was raised", async () => {
  using directory = makeDirectory();
  const file = directory.write(
    "run.jsonl",
    textOf([
      head,
      { ...cgroup, limit: 100 },
      snapshot(1, 1, 90),
      { ...cgroup, at: START + 2, limit: 100_000 },
      snapshot(3, 1, 60_000),
      { ...cgroup, at: START + 4, limit: null, limit_owner: null },
      snapshot(5, 1, 200_000),
      { type: "end", at: START + 6, reason: "ended" },
    ]),
  );
  const [only] = JSON.parse(await shown(file, "--json")).cgroups;
  assert.deepEqual(
    [only.peak, only.peak_percent, only.min_headroom, only.limit],
    [200_000, 90, 10, null],
  );
});

Deno.test("--json prints one document that matches its schema", async () => {
  for (const name of ["race.jsonl", "rehearsal.jsonl", "bench_race.jsonl.gz"]) {
    const document = JSON.parse(await shown(`${FIXTURES}${name}`, "--json"));
    assert.ok(isDocument(document), JSON.stringify(isDocument.errors));
  }
  const document = JSON.parse(await shown(RACE, "--output", "json"));
  assert.equal(document.guard_kills, 1);
  assert.equal(document.events.at(-1).ts, "2026-11-22T05:37:29.777820Z");
  assert.match(document.events.at(-1).message, /^pid 4971 \(tail\) killed by SIGKILL/);
});

Deno.test("control characters in a recording never reach the terminal", async () => {
  using directory = makeDirectory();
  const evil = "/a\x1b[2J\nb";
  const file = directory.write(
    "run.jsonl",
    textOf([
      { ...head, host: evil, kernel: evil, oomkit: evil },
      { ...cgroup, path: evil, limit_owner: `${evil}2` },
      snapshot(1, 1, 900),
      event(2, evil, { type: evil }),
      event(3, evil, { type: "degraded", requested: evil, fallback: evil, reason: evil }),
      event(4, evil, { type: "oom_kill", victim: { pid: 1, comm: evil }, limit_owner: evil }),
    ]),
  );
  for (const args of [[], ["--json"]]) {
    const text = await shown(file, ...args);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    assert.match(text, /x1b\[2J/);
  }
});

Deno.test("events are aligned behind names with wide characters", async () => {
  using directory = makeDirectory();
  const eventOf = (at: number, path: string) =>
    event(at, path, { type: "degraded", requested: "r", fallback: "f", reason: "why" });
  const file = directory.write(
    "run.jsonl",
    textOf([head, eventOf(1, "/宽字"), eventOf(2, "/abc")]),
  );
  const lines = (await shown(file)).split("\n").filter((line) => line.includes("why"));
  assert.deepEqual(lines.map((line) => line.slice(line.indexOf("/"))), [
    "/宽字  r → f: why",
    "/abc   r → f: why",
  ]);
});

Deno.test("a target that is not a recording gets one line and exit 2", async () => {
  using directory = makeDirectory();
  const { path } = directory;
  const cases: [string, string, RegExp][] = [
    ["empty.jsonl", "", /empty\.jsonl: it is empty; use a file written by --record/],
    ["text.jsonl", "hello\n", /line 1: it is not JSON/],
    ["other", '{"a":1}\n', /line 1: it is not a line of a recording/],
    ["newer", textOf([{ ...head, v: 99 }]), /it has version 99, and this oomkit reads version 2/],
    ["notes", "hello\n", /no cgroup has this name, and the file of this name is not a recording;/],
  ];
  Deno.writeFileSync(`${path}/damaged.gz`, Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8));
  Deno.mkdirSync(`${path}/dir.jsonl`);
  await refused([
    ...cases.map(([name, text, message]) => [[directory.write(name, text)], message] as const),
    [[`${path}/damaged.gz`], /damaged\.gz/],
    [[`${path}/dir.jsonl`], /it is not a regular file/],
    [[`${path}/missing.jsonl.gz`], /No such file/],
    [[path], /it is outside the memory hierarchy/],
  ]);
});

Deno.test("options and targets that make no sense with a recording are refused", async () => {
  const cases: [string[], string][] = [
    [["--tree"], "--tree"],
    [["--depth", "1"], "--depth"],
    [["--top", "1"], "--top"],
    [["--processes", "1"], "--processes"],
    [["--check"], "--check"],
    [["--max-usage", "80%"], "--max-usage"],
    [["--min-headroom", "20%"], "--min-headroom"],
    [["--require", "limit"], "--require"],
    [["--annotate", "github"], "--annotate"],
    [["--junit", "x.xml"], "--junit"],
    [["--root", "/"], "--root"],
    [["--tree", "--html", "/nowhere/x.html"], "--tree"],
  ];
  await refused([
    ...cases.map(([args, option]) =>
      [
        [RACE, ...args],
        new RegExp(`cannot use ${option} with the recording .*applies to cgroups`),
      ] as const
    ),
    [[RACE, "/"], /cannot inspect 2 targets together: .*is a recording; name/],
  ]);
});

Deno.test("a cgroup with the name of a file stays a cgroup, unless the file is a recording", async () => {
  using tree = makeTree(2, { "/nginx.service": { "memory.max": 4096 }, "/run.jsonl": {} });
  using directory = makeDirectory();
  const inspected = (name: string) =>
    runOomkit(["inspect", "--root", tree.dir, name], { cwd: directory.path });
  directory.write("nginx.service", "[Service]\n");
  for (const name of ["nginx.service", "/nginx.service", "/run.jsonl"]) {
    const { code, stdout, stderr } = await inspected(name);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^/${name.replace("/", "")}\n`));
  }
  Deno.copyFileSync(RACE, `${directory.path}/nginx.service`);
  const { stdout } = await runOomkit(["inspect", "nginx.service"], { cwd: directory.path });
  assert.match(stdout, /^guard on node/);
});

Deno.test("a name of any length in a recording widens no other line", async () => {
  using directory = makeDirectory();
  const long = `/${"x".repeat(100_000)}`;
  const types = Array.from({ length: 30 }, (_, at) => event(at, "/a", { type: "cgroup_created" }));
  const strange = { type: "degraded", requested: "a", fallback: "b", reason: "c" };
  const file = directory.write(
    "run.jsonl",
    textOf([head, cgroup, event(1, long, strange), ...types]),
  );
  const text = await shown(file);
  assert.ok(text.length < 200_000, `${text.length} characters`);
});
