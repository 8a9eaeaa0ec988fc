/** `oomkit history` on saved logs, with a journalctl of the test's own, and its exit statuses. */

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { Ajv2020 } from "ajv/dist/2020.js";
import { historyLines } from "../../../cli/history/text.ts";
import { readHistory } from "../../../core/history/history.ts";
import { parseSince } from "../../../cli/history/since.ts";
import schema from "../../../docs/schema/history.schema.json" with { type: "json" };
import { makeDirectory } from "../../helpers/directory.ts";
import { runEach } from "../../helpers/run_each.ts";
import { type Ran, runOomkit } from "../../helpers/run_oomkit.ts";

const logs = new URL("../../fixtures/kernel_logs/", import.meta.url).pathname;
const JOURNAL = `${logs}5.15-journal.json`;
const fits = new Ajv2020({ allowUnionTypes: true }).compile(schema);

const options = { env: { TZ: "UTC" } };
const history = (...args: string[]) => runOomkit(["history", ...args], options);
const historyEach = (commands: readonly (readonly string[])[]) =>
  runEach(commands.map((args) => ["history", ...args]), options);

const document = async (...args: string[]) => documentIn(await history("--json", ...args));

// deno-lint-ignore no-explicit-any
function documentIn({ stdout, stderr }: Ran): any {
  assert.equal(stderr, "");
  const found = JSON.parse(stdout);
  assert.ok(fits(found), JSON.stringify(fits.errors));
  return found;
}

/** The file's name, which depends on where the tests are. */
const named = (text: string) => text.replaceAll(JOURNAL, "LOG");

Deno.test("a kill at a cgroup's limit has that limit, in a group kill each process", async () => {
  for (const name of ["6.8-ubuntu.syslog", "4.19-group.dmesg-T"]) {
    const { stdout } = await history("--file", `${logs}${name}`);
    const { kills } = await document("--file", `${logs}${name}`);
    const [{ limit }] = kills;
    assert.ok(limit > 0 && kills.every((kill: typeof kills[0]) => kill.limit === limit), name);
    assert.match(stdout, /^TIME +PID +COMM +ANON +LIMIT +CGROUP$/m);
  }
});

Deno.test("the text counts the kills, lists the newest, and says what was read and not seen; paths are whole in a pipe", async () => {
  const { code, stdout, stderr } = await history("--file", JOURNAL);
  assert.deepEqual([code, stderr], [0, ""]);
  const container = "1a".repeat(32);
  const cgroup = "/kubepods.slice/kubepods-burstable.slice/" +
    "kubepods-burstable-pod11111111_2222_3333_4444_555555555555.slice/" +
    `cri-containerd-${container}.scope`;
  assert.equal(
    named(stdout),
    `2 OOM kills, 2023-11-14 22:13:20 to 2023-11-14 23:13:20 (UTC+00:00)

KILLS  FIRST                LAST                 LIMIT OWNER
    1  2023-11-14 23:13:20  2023-11-14 23:13:20  the machine's memory
    1  2023-11-14 22:13:20  2023-11-14 22:13:20  ${cgroup}

KILLS  FIRST                LAST                 CONTAINER
    1  2023-11-14 23:13:20  2023-11-14 23:13:20  none
    1  2023-11-14 22:13:20  2023-11-14 22:13:20  ${container}

KILLS  FIRST                LAST                 POD
    1  2023-11-14 23:13:20  2023-11-14 23:13:20  none
    1  2023-11-14 22:13:20  2023-11-14 22:13:20  11111111-2222-3333-4444-555555555555

KILLS  FIRST                LAST                 UNIT
    1  2023-11-14 23:13:20  2023-11-14 23:13:20  caf.service
    1  2023-11-14 22:13:20  2023-11-14 22:13:20  none

KILLS  FIRST                LAST                 COMM
    1  2023-11-14 23:13:20  2023-11-14 23:13:20  caf\ufffd
    1  2023-11-14 22:13:20  2023-11-14 22:13:20  api

TIME                   PID  COMM  ANON  CGROUP
2023-11-14 22:13:20  61001  api   244M  ${cgroup}
2023-11-14 23:13:20  61002  caf\ufffd  244M  /system.slice/caf.service

read      LOG: 9 lines, 2023-11-14 22:13:20 to 2023-11-14 23:15:00, 2 boots
not seen  LOG: 3 kernel lines were lost before they were saved
`,
  );
});

Deno.test("on a terminal every line fits, and the oldest kills are left out with a hint", async () => {
  const history = await readHistory({
    machineLogs: [],
    areNamed: false,
    files: [JOURNAL, `${logs}4.14-pod.dmesg`],
  });
  const shown = {
    history,
    kills: history.kills,
    since: undefined,
    hasTargets: false,
    groupings: ["owner", "container"] as const,
    latest: 1,
  };
  const lines = historyLines(shown, { style: (_, text) => text, width: 80 });
  for (const line of lines.map(named)) assert.ok(line.length <= 80, line);
  assert.ok(
    lines.includes("    2  –                    –                    3c3c3c3c3c3c"),
    lines.join("\n"),
  );
  assert.ok(lines.includes("  and 3 earlier; --latest 4 shows all"));
  const none = historyLines({ ...shown, latest: 0 }, { style: (_, text) => text, width: 80 });
  assert.ok(!none.some((line) => line.startsWith("TIME")));
});

Deno.test("every log gives a document that fits the published schema", async () => {
  const names = [...Deno.readDirSync(logs)].map(({ name }) => name);
  const ran = await historyEach(names.map((name) => ["--json", "--file", logs + name]));
  for (const [n, name] of names.entries()) {
    const found = documentIn(ran[n]!);
    assert.equal(found.kills.length, found.kills_total);
    assert.ok(found.kills_total > 0, name);
    for (const [by, groups] of Object.entries<{ kills: number }[]>(found.groups)) {
      assert.equal(groups.reduce((sum, { kills }) => sum + kills, 0), found.kills_total, by);
    }
  }
});

Deno.test("a compressed log, a pipe and stdin are read as the file is", async () => {
  using directory = makeDirectory();
  const whole = await document("--file", JOURNAL);
  const packed = `${directory.path}/log.gz`;
  Deno.writeFileSync(packed, gzipSync(Deno.readFileSync(JOURNAL)));
  assert.deepEqual((await document("--file", packed)).groups, whole.groups);
  const shell = (script: string) =>
    runOomkit(["history", "--json", "--file", "-"], { wrap: ["bash", "-c", script, "-"] });
  const piped = await shell(`cat ${JOURNAL} | "$@"`);
  assert.deepEqual(JSON.parse(piped.stdout).groups, whole.groups);
  const substituted = await shell(`"$@" --file <(cat ${JOURNAL}) < ${JOURNAL}`);
  const twice = await document("--file", JOURNAL, "--file", JOURNAL);
  assert.deepEqual(twice.groups, whole.groups);
  // The same kills in two logs.
  assert.deepEqual(JSON.parse(substituted.stdout).groups, whole.groups);
});

Deno.test("--since leaves out earlier kills, and keeps those without a date, which it reports", async () => {
  const pids = (found: { kills: { victim: { pid: number } }[] }) =>
    found.kills.map(({ victim }) => victim.pid);
  assert.deepEqual(pids(await document("--file", JOURNAL, "--since", "2023-11-14T23:00:00Z")), [
    61002,
  ]);
  const undated = await document("--file", `${logs}4.14-pod.dmesg`, "--since", "1h");
  assert.deepEqual(pids(undated), [30400, 30777]);
  assert.deepEqual(undated.gaps.map(({ reason }: { reason: string }) => reason), ["no_time"]);
});

Deno.test("targets choose kills, by cgroups that are gone too", async () => {
  const { code, stdout } = await history("--file", JOURNAL, "caf.service", "--by", "unit");
  assert.equal(code, 0);
  assert.match(stdout, /^1 OOM kill, /);
  const none = await history("--file", JOURNAL, "/nosuch");
  assert.deepEqual([none.code, none.stdout.split("\n")[0]], [
    0,
    "no OOM kill in the logs that were read",
  ]);
  const wrong = await history("--file", JOURNAL, "nosuch");
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /^oomkit: cannot resolve target "nosuch": [^\n]+\n$/);
});

Deno.test("--fail-on exits 1 for a kill, 0 without one, and 2 where kills may be missing, with one line first", async () => {
  const clean = `${logs}4.19-group.dmesg-T`;
  const cases: [number, RegExp, string[]][] = [
    [
      1,
      /^NOT OK: 2 OOM kills, the last: pid 700 \(batch\) in \/system\.slice\/batch\.service at /,
      [
        "--file",
        clean,
        "--fail-on",
        "oom_kill",
      ],
    ],
    [1, /^NOT OK: 1 OOM kill, /, ["--file", clean, "--fail-on", "oom_group_kill"]],
    [0, /^OK: no OOM kill in the logs that were read since 2020-03-08 00:00:00 \(UTC\+00:00\)$/, [
      "--file",
      clean,
      "--fail-on",
      "oom_kill",
      "--since",
      "2020-03-08",
    ]],
    [0, /^OK: /, ["--file", clean, "--fail-on", "oom_kill", "/other"]],
    // Lines were lost.
    [2, /^UNKNOWN: no OOM kill found, but \S+: 3 kernel lines were lost before they were saved$/, [
      "--file",
      JOURNAL,
      "--fail-on",
      "oom_kill",
      "/other",
    ]],
    [2, /^UNKNOWN: cannot read \/nosuch: /, [
      "--file",
      clean,
      "--file",
      "/nosuch",
      "--fail-on",
      "oom_kill",
      "/other",
    ]],
  ];
  const ran = await historyEach(cases.map(([, , args]) => args));
  for (const [n, [expected, line, args]] of cases.entries()) {
    const { code, stdout } = ran[n]!;
    assert.equal(code, expected, args.join(" "));
    assert.match(stdout.split("\n")[0]!, line);
  }
  const { check } = await document("--file", clean, "--fail-on", "oom_kill");
  assert.equal(check.verdict, "not_ok");
});

Deno.test("what cannot be read is one line that says why, and exit 2; other logs are shown", async () => {
  using directory = makeDirectory();
  const write = (name: string, content: string | Uint8Array) => {
    const path = `${directory.path}/${name}`;
    Deno.writeFileSync(
      path,
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
    return path;
  };
  const damaged = Uint8Array.from(gzipSync("[    1.000000] line\n".repeat(100)));
  damaged[damaged.length - 6]! ^= 0xff;
  const files: Record<string, RegExp> = {
    [write("empty", "")]: /it is empty/,
    [write("zeros", new Uint8Array(5000))]: /it is binary/,
    [write("text", "hello\nworld\n")]: /no line of it is one of a log/,
    [write("journal", "LPKSHHRH and so on")]: /it is a file of journald; write: journalctl --file /,
    [write("damaged.gz", damaged)]: /its compressed content is damaged/,
    [write("cut.gz", gzipSync("[    1.000000] line\n").subarray(0, 10))]:
      /the compressed file is cut before its first line/,
    [directory.path]: /it is a directory/,
    "/dev/zero": /it is not a regular file/,
    "/nosuch": /No such file/,
  };
  const ran = await historyEach(Object.keys(files).map((path) => ["--file", path]));
  for (const [n, [path, why]] of Object.entries(files).entries()) {
    const { code, stdout, stderr } = ran[n]!;
    assert.deepEqual([code, stdout], [2, ""], path);
    assert.match(stderr, /^oomkit: cannot read [^\n]+\n$/);
    assert.match(stderr, why);
  }
  const both = await history("--file", "/nosuch", "--file", JOURNAL);
  assert.equal(both.code, 2);
  assert.match(both.stdout, /^2 OOM kills/);
  assert.match(both.stderr, /^oomkit: cannot read \/nosuch: [^\n]+\n$/);
});

Deno.test("wrong values are refused: a kind of event that no log has, a time to come, an unknown log", async () => {
  const cases: [string[], RegExp][] = [
    [["--fail-on", "pressure"], /cannot use --fail-on pressure: the kernel log has only kills/],
    [["--since", "2999-01-01"], /it is yet to come/],
    [["--since", "soon"], /it is neither a duration nor a time/],
    [["--source", "syslog"], /not one of kmsg, journal/],
    [["--by", "owners"], /did you mean owner/],
    [["--latest", "-1"], /not a whole number/],
  ];
  const ran = await historyEach(cases.map(([args]) => args));
  for (const [n, [args, why]] of cases.entries()) {
    const { code, stderr } = ran[n]!;
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, why);
  }
});

Deno.test("names from the log cannot control the terminal", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/log`;
  Deno.writeTextFileSync(
    path,
    "[    1.000000] Out of memory: Killed process 7 (\x1b[2Jx) total-vm:1kB\n",
  );
  const { stdout } = await history("--file", path);
  assert.match(stdout, /\\x1b\[2Jx/);
  assert.ok(!stdout.includes("\x1b"));
});

/** Puts a journalctl before that of the machine. */
async function withJournalctl(script: string, ...args: string[]) {
  using directory = makeDirectory();
  Deno.writeTextFileSync(`${directory.path}/journalctl`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const env = { PATH: `${directory.path}:${Deno.env.get("PATH")}`, TZ: "UTC" };
  return await runOomkit(["history", ...args], { env });
}

Deno.test("the journal is read for the kernel's lines of all boots, from --since on", async () => {
  using directory = makeDirectory();
  const asked = `${directory.path}/asked`;
  const script = `echo "$*" >> ${asked}; cat ${JOURNAL}`;
  const { code, stdout } = await withJournalctl(script, "--source", "journal");
  assert.equal(code, 0);
  assert.match(stdout, /^2 OOM kills/);
  // Of a summary in two entries.
  assert.match(stdout, new RegExp(`61001 .*cri-containerd-${"1a".repeat(32)}\\.scope$`, "m"));
  assert.match(stdout, /^read {6}the journal: 9 lines, .*, 2 boots$/m);
  await withJournalctl(script, "--source", "journal", "--since", "@1700003600");
  const [first, second] = Deno.readTextFileSync(asked).split("\n");
  assert.match(
    first!,
    /^--no-pager --all --output=json _TRANSPORT=kernel \+ MESSAGE_ID=[0-9a-f]{32}$/,
  );
  assert.match(second!, / --since=@1700003540 /);
});

Deno.test("a journal that is absent, fails, or complains is reported", async () => {
  const only = ["--source", "journal"];
  const empty = await withJournalctl("exit 0", ...only);
  assert.deepEqual([empty.code, empty.stderr], [
    2,
    "oomkit: cannot find a kernel log: journal: it has no line of the kernel\n",
  ]);
  const missing = await withJournalctl("echo 'No journal files were found.' >&2", ...only);
  assert.deepEqual([missing.code, missing.stderr], [2, empty.stderr]);
  const failing = await withJournalctl("echo 'Failed to open' >&2; exit 1", ...only);
  assert.equal(failing.code, 2);
  assert.match(failing.stderr, /cannot read the journal: Failed to open/);
  const complaining = await withJournalctl(`echo 'Hint: not all' >&2; cat ${JOURNAL}`, ...only);
  assert.equal(complaining.code, 0);
  assert.match(complaining.stdout, /^not seen {2}journal: journalctl says: Hint: not all$/m);
  const both = await withJournalctl("exit 1", ...only, "--file", JOURNAL);
  assert.equal(both.code, 2);
  assert.match(both.stdout, /^2 OOM kills/);
});

Deno.test("a time is a duration before now, a date, a time with and without a zone, or seconds", () => {
  const now = new Date(2026, 10, 30, 12).getTime();
  const times: Record<string, number> = {
    "24h": now - 86_400_000,
    "1h30m": now - 5_400_000,
    "0": now,
    today: new Date(2026, 10, 30).getTime(),
    yesterday: new Date(2026, 10, 29).getTime(),
    "2026-11-30": new Date(2026, 10, 30).getTime(),
    "2026-11-30 08:30": new Date(2026, 10, 30, 8, 30).getTime(),
    "2026-11-30T08:30:05": new Date(2026, 10, 30, 8, 30, 5).getTime(),
    "2026-11-29T08:30:05Z": Date.UTC(2026, 10, 29, 8, 30, 5),
    "2026-11-29T08:30:05+0200": Date.UTC(2026, 10, 29, 6, 30, 5),
    "@1700000000.5": 1_700_000_000_500,
  };
  for (const [text, at] of Object.entries(times)) assert.equal(parseSince(text, now), at, text);
  for (
    const text of ["", "-1h", "5", "2026-13-01", "2026-11-30 8", "2026-11-30T", "now", "@", "1"]
  ) {
    assert.throws(() => parseSince(text, now), /cannot read/, text);
  }
});
