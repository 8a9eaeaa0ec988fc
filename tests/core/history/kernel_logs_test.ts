/**
 * Logs of many kernels in the formats of their programs (tests/fixtures/kernel_logs): the lines follow mm/oom_kill.c and
 * mm/memcontrol.c of each release, the shapes those of public bug reports; names and numbers are made up.
 */

import assert from "node:assert/strict";
import { entriesOf } from "../../../core/history/journal_entries.ts";
import { readLogFile } from "../../../core/history/log_file.ts";
import { LogKills, type ReadLog } from "../../../core/history/log_kills.ts";
import { parseLogLine } from "../../../core/parse/log_line.ts";
import { OomPieces } from "../../../core/parse/oom_pieces.ts";
import { KillLogParser, type LoggedKill } from "../../../core/watch/kernel_log.ts";
import { makeDirectory } from "../../helpers/directory.ts";

const fixtures = new URL("../../fixtures/kernel_logs/", import.meta.url).pathname;
const CHANGED = new Date(2026, 5, 1);

/** A copy that was changed on a known day. */
async function read(name: string): Promise<ReadLog> {
  using directory = makeDirectory();
  const path = `${directory.path}/${name}`;
  Deno.copyFileSync(fixtures + name, path);
  Deno.utimeSync(path, CHANGED, CHANGED);
  return await readLogFile(path);
}

interface Expected {
  readonly pid: number;
  readonly comm: string;
  readonly cgroup?: string;
  readonly owner?: string;
  readonly group?: string;
  readonly scope?: "system";
  readonly uid?: number;
  readonly at?: number;
}

const id = (two: string) => two.repeat(32);
const local = (...parts: [number, number, number, number, number, number]) =>
  new Date(...parts).getTime();
const pod = "/kubepods/burstable/pod11111111-2222-3333-4444-555555555555";
const slice = (qos: string) =>
  `/kubepods.slice/kubepods-${qos}.slice/kubepods-${qos}-pod11111111_2222_3333_4444_555555555555.slice`;
const docker = (two: string) => `/docker/${id(two)}`;
const podOfEl8 = "/kubepods.slice/kubepods-pod22222222_3333_4444_5555_666666666666.slice";
const talosContainer = `/kubepods/burstable/pod44444444-5555-6666-7777-888888888888/${id("ae")}`;
const libpod = `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id("5e")}.scope`;

const LOGS: Readonly<Record<string, readonly Expected[]>> = {
  "2.6.32-el6.messages": [
    { pid: 2077, comm: "mysqld", scope: "system", uid: 27, at: local(2026, 1, 3, 1, 2, 3) },
  ],
  "3.10-el7.messages": [
    {
      // A thread was chosen; the line names its process.
      pid: 20110,
      comm: "java",
      cgroup: `/system.slice/docker-${id("1a")}.scope`,
      owner: `/system.slice/docker-${id("1a")}.scope`,
      uid: 679,
      at: local(2025, 7, 11, 22, 14, 55),
    },
    { pid: 1500, comm: "postmaster", scope: "system", uid: 26, at: local(2025, 7, 12, 2, 0, 1) },
  ],
  "4.4-ubuntu.kern.log": [
    {
      pid: 9001,
      comm: "cc1plus",
      cgroup: docker("2b"),
      owner: docker("2b"),
      at: local(2025, 11, 31, 23, 59, 58),
    },
    // The line with the paths is in pieces.
    {
      pid: 9002,
      comm: "ld",
      cgroup: docker("2b"),
      owner: "/docker",
      at: local(2026, 0, 1, 0, 0, 2),
    },
  ],
  "4.14-pod.dmesg": [
    { pid: 30400, comm: "node", cgroup: `${pod}/${id("3c")}`, owner: pod },
    { pid: 30777, comm: "Web Content", cgroup: `${pod}/${id("3c")}`, owner: "/kubepods" },
  ],
  "4.19-group.dmesg-T": [
    {
      pid: 701,
      comm: "worker",
      cgroup: "/system.slice/batch.service",
      owner: "/system.slice/batch.service",
      at: local(2020, 2, 7, 14, 20, 31),
    },
    {
      pid: 700,
      comm: "batch",
      group: "/system.slice/batch.service",
      owner: "/system.slice/batch.service",
      at: local(2020, 2, 7, 14, 20, 31),
    },
  ],
  "5.4-storm.kern.log": [
    {
      pid: 4000,
      comm: "stress",
      cgroup: docker("4d"),
      owner: docker("4d"),
      uid: 0,
      at: local(2025, 10, 2, 8, 0, 0),
    },
    { pid: 4001, comm: "stress", uid: 0, at: local(2025, 10, 2, 8, 0, 0) },
    {
      pid: 4100,
      comm: "python3",
      cgroup: docker("4d"),
      scope: "system",
      uid: 1000,
      at: local(2025, 10, 2, 8, 0, 5),
    },
  ],
  "5.10-podman.journal-short": [
    {
      pid: 8123,
      comm: "ffmpeg",
      cgroup: libpod,
      owner: libpod,
      uid: 1000,
      at: local(2026, 3, 8, 9, 41, 12),
    },
  ],
  "5.15-journal.json": [
    {
      // The summary is in two entries.
      pid: 61001,
      comm: "api",
      cgroup: `${slice("burstable")}/cri-containerd-${id("1a")}.scope`,
      owner: `${slice("burstable")}/cri-containerd-${id("1a")}.scope`,
      uid: 65534,
      at: 1_700_000_000_000.02,
    },
    {
      pid: 61002,
      comm: "caf\ufffd",
      cgroup: "/system.slice/caf.service",
      scope: "system",
      uid: 1000,
      at: 1_700_003_600_000.01,
    },
  ],
  "6.1-group.dmesg-x": [
    {
      pid: 2231,
      comm: "postgres",
      cgroup: "/system.slice/postgresql.service",
      owner: "/system.slice",
      uid: 114,
    },
    {
      pid: 2200,
      comm: "postgres",
      group: "/system.slice/postgresql.service",
      owner: "/system.slice",
      uid: 114,
    },
  ],
  "6.8-ubuntu.syslog": [
    {
      pid: 461000,
      comm: "pt_main_thread",
      cgroup: `${slice("besteffort")}/cri-containerd-${id("2b")}.scope`,
      owner: slice("besteffort"),
      uid: 0,
      at: Date.parse("2024-06-03T08:11:12.200Z"),
    },
  ],
  "6.12-long.kmsg": [
    { pid: 88, comm: "tail", cgroup: "/lim\\x2dit/a", owner: "/lim\\x2dit", uid: 0 },
  ],
  "2.6.18-el5.messages": [
    { pid: 3100, comm: "httpd", scope: "system", uid: 48, at: local(2026, 0, 5, 6, 7, 8) },
  ],
  "3.10-el7.dmesg-T": [
    {
      pid: 3301,
      comm: "httpd",
      cgroup: `/system.slice/docker-${id("6a")}.scope`,
      owner: `/system.slice/docker-${id("6a")}.scope`,
      at: local(2016, 1, 9, 5, 6, 2),
    },
    { pid: 4120, comm: "ruby", scope: "system", at: local(2016, 1, 9, 5, 6, 9) },
  ],
  // Copied without times.
  "3.10-el7.kernel-tag": [
    { pid: 2710, comm: "mem_fill", cgroup: "/13", owner: "/13", uid: 99 },
  ],
  // Padded, with dropped lines, and in the end with no process to kill.
  "4.4-console.log": [
    { pid: 811, comm: "squid", scope: "system" },
    { pid: 900, comm: "IPDL Background", cgroup: "/lxc/web", owner: "/lxc" },
  ],
  "4.14-router.dmesg-r": [{ pid: 1500, comm: "uhttpd", scope: "system" }],
  "4.18-el8.messages": [
    {
      // Other lines are between the pieces of the one with the paths.
      pid: 5100,
      comm: "gunicorn",
      cgroup: `${podOfEl8}/crio-${id("7b")}.scope`,
      owner: podOfEl8,
      uid: 1001,
      at: local(2025, 9, 14, 16, 17, 10),
    },
    { pid: 5200, comm: "stress", uid: 0, at: local(2025, 9, 14, 16, 17, 14) },
  ],
  "4.19-group-pieces.kern.log": [
    {
      pid: 640,
      comm: "blender",
      cgroup: "/system.slice/render.service",
      owner: "/system.slice",
      at: local(2026, 2, 3, 3, 3, 3),
    },
    {
      pid: 641,
      comm: "ffmpeg",
      owner: "/system.slice",
      group: "/system.slice/render.service",
      at: local(2026, 2, 3, 3, 3, 3),
    },
  ],
  "4.19-photon.vmware-log": [
    {
      pid: 6800,
      comm: "gitaly",
      cgroup: `/kubepods/besteffort/pod33333333-4444-5555-6666-777777777777/${id("8c")}`,
      owner: "/kubepods/besteffort/pod33333333-4444-5555-6666-777777777777",
      at: Date.parse("2023-12-04T10:49:31.118Z"),
    },
  ],
  "5.10-numa.journal-export": [
    {
      pid: 70,
      comm: "solver",
      cgroup: "/user.slice/user-1000.slice/session-4.scope",
      scope: "system",
      uid: 1000,
      at: 1_690_000_005_000.2,
    },
    {
      pid: 71,
      comm: "qemu-kvm",
      cgroup: "/machine.slice/vm.scope",
      scope: "system",
      uid: 107,
      at: 1_690_000_009_000.2,
    },
    { pid: 72, comm: "caf\ufffd", scope: "system", uid: 0, at: 1_690_000_009_500 },
  ],
  // A container reads older lines when it starts, so its times are not those of the kernel.
  "5.15-docker.json": [
    {
      pid: 800,
      comm: "redis-server",
      cgroup: docker("9d"),
      owner: docker("9d"),
      uid: 999,
    },
  ],
  "6.1-cri.log": [{ pid: 810, comm: "etcd", cgroup: podOfEl8, scope: "system", uid: 0 }],
  "6.5-journal.json-pretty": [
    {
      pid: 9500,
      comm: "python3",
      cgroup: "/system.slice/app.service",
      owner: "/system.slice/app.service",
      uid: 0,
      at: 1_700_000_001_000.2,
    },
  ],
  "6.8-syslog.grep": [
    {
      pid: 9200,
      comm: "rustc",
      cgroup: "/ci.slice/job-1.scope",
      owner: "/ci.slice",
      uid: 1000,
      at: Date.parse("2025-03-04T04:06:07.000Z"),
    },
    { pid: 9300, comm: "ld.lld", uid: 1000, at: local(2026, 2, 1, 1, 2, 3) },
    { pid: 9301, comm: "cc1", uid: 1000, at: local(2026, 2, 1, 1, 2, 4) },
  ],
  "6.11-colour.dmesg": [{ pid: 9400, comm: "node", cgroup: "/a", owner: "/a", uid: 0 }],
  "6.12-talos.dmesg": [
    {
      pid: 9100,
      comm: "java",
      cgroup: talosContainer,
      owner: talosContainer,
      uid: 65532,
      at: Date.parse("2025-05-18T15:40:20.654Z"),
    },
    {
      pid: 9101,
      comm: "sh",
      group: talosContainer,
      owner: talosContainer,
      uid: 65532,
      at: Date.parse("2025-05-18T15:40:20.654Z"),
    },
  ],
};

for (const [name, expected] of Object.entries(LOGS)) {
  Deno.test(`the kills in ${name} are read, with their cgroups and times, and nothing that a program wrote`, async () => {
    const { kills } = await read(name);
    assert.deepEqual(
      kills.map((kill) => ({
        pid: kill.victim.pid,
        comm: kill.victim.comm,
        ...kill.cgroup !== undefined && { cgroup: kill.cgroup },
        ...kill.owner !== undefined && { owner: kill.owner },
        ...kill.group !== undefined && { group: kill.group },
        ...kill.scope === "system" && { scope: kill.scope },
        ...kill.victim.uid !== null && { uid: kill.victim.uid },
        // Rounded as the time of an event: to a microsecond.
        ...kill.at !== undefined && { at: Math.round(kill.at * 1000) },
      })),
      expected.map(({ at, ...rest }) => ({
        ...rest,
        ...at !== undefined && { at: Math.round(at * 1000) },
      })),
    );
  });
}

/** As `watch` reads them from /dev/kmsg: a record for each line of the kernel. */
function watchedKills(path: string): LoggedKill[] {
  const pieces = new OomPieces();
  const parser = new KillLogParser(1_500_000n);
  return Deno.readTextFileSync(path).split("\n").flatMap((text) => {
    const line = parseLogLine(text, CHANGED.getTime());
    if (!line?.isKernel) return [];
    const micros = line.uptime ?? BigInt(Math.round((line.at ?? 0) * 1000));
    const kill = parser.add(pieces.join(line.message, line.continuation), micros);
    return kill === undefined || kill.isRepeated ? [] : [kill];
  });
}

Deno.test("the parser of watch finds the same kills in the same lines", async () => {
  // An entry of these has several lines, and /dev/kmsg has none of them.
  const isMultiline = (name: string) => /journal-export|json-pretty/.test(name);
  for (const name of Object.keys(LOGS).filter((name) => !isMultiline(name))) {
    const { kills } = await read(name);
    assert.deepEqual(
      watchedKills(fixtures + name).map(({ victim, cgroup, owner, group }) => [
        victim.pid,
        cgroup,
        owner,
        group,
      ]),
      kills.map(({ victim, cgroup, owner, group }) => [victim.pid, cgroup, owner, group]),
      name,
    );
  }
});

/** Names of the gaps, with their counts. */
const gapsOf = async (name: string) =>
  Object.fromEntries((await read(name)).gaps.map(({ reason, count }) => [reason, count ?? 0]));

Deno.test("a log says what of it was lost, cut, left out by the kernel, and which times are inferred", async () => {
  assert.deepEqual(await gapsOf("5.4-storm.kern.log"), {
    lost_lines: 14,
    cut_lines: 2,
    no_cgroup: 1,
    no_year: 0,
  });
  assert.deepEqual(await gapsOf("5.15-journal.json"), { lost_lines: 3 });
  assert.deepEqual(await gapsOf("4.14-pod.dmesg"), { no_time: 2 });
  assert.deepEqual(await gapsOf("4.19-group.dmesg-T"), {});
  assert.deepEqual(await gapsOf("4.4-console.log"), { lost_lines: 214, no_cgroup: 1, no_time: 2 });
  assert.deepEqual(await gapsOf("4.18-el8.messages"), {
    lost_lines: 421,
    no_cgroup: 1,
    no_year: 0,
  });
  assert.deepEqual(await gapsOf("5.10-numa.journal-export"), { no_cgroup: 1 });
  const { gaps } = await read("5.4-storm.kern.log");
  assert.match(gaps.find(({ reason }) => reason === "no_cgroup")!.message, /\(left out here: 70\)/);
});

Deno.test("a journal shows of how many boots it is, and a log how far it reaches", async () => {
  const { boots, lines, from, to } = await read("5.15-journal.json");
  assert.deepEqual([boots, lines, from, to], [2, 9, 1_700_000_000_000, 1_700_003_700_000.25]);
});

Deno.test("lines of two machines that alternate in one file are joined apart", async () => {
  const line = (host: string, message: string) => `Mar  1 10:00:00 ${host} kernel: ${message}`;
  const of = (host: string, pid: number) => [
    line(host, "tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"),
    line(
      host,
      `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg=/${host},task_memcg=/${host},task=tail,pid=${pid},uid=0`,
    ),
    line(host, `Memory cgroup out of memory: Killed process ${pid} (tail) total-vm:1kB, UID:0`),
  ];
  const [one, two] = [of("one", 1), of("two", 2)];
  using directory = makeDirectory();
  const path = `${directory.path}/all.log`;
  Deno.writeTextFileSync(path, one.flatMap((line, at) => [line, two[at]]).join("\n"));
  const { kills } = await readLogFile(path);
  assert.deepEqual(
    kills.map(({ host, cgroup, victim }) => [host, cgroup, victim.pid]),
    [["one", "/one", 1], ["two", "/two", 2]],
  );
});

function killsOf(...lines: string[]) {
  const log = new LogKills("file", "log");
  for (const text of lines) log.add(parseLogLine(text, 0)!);
  return log.end();
}

const record = (flags: string, message: string) => `6,1,1000000,${flags};${message}`;

Deno.test("the pieces of a line that the kernel marks as such are joined, whatever they begin with", () => {
  const { kills, gaps } = killsOf(
    record("-", "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset="),
    record("c", "name"),
    record("c", ",mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=0"),
    record("-", "Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, UID:0"),
  );
  assert.deepEqual([kills[0]!.cgroup, gaps.map(({ reason }) => reason)], ["/a", ["no_time"]]);
});

Deno.test("what one boot has left does not belong to a kill of the next", () => {
  const summary = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0," +
    "oom_memcg=/a,task_memcg=/a,task=x,pid=7,uid=0";
  const killed = "Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, UID:0";
  const next = "Linux version 6.1.0";
  const cgroupsOf = (...messages: string[]) =>
    killsOf(...messages.map((message) => record("-", message))).kills.map(({ cgroup }) => cgroup);
  assert.deepEqual(cgroupsOf(summary, killed), ["/a"]);
  assert.deepEqual(cgroupsOf(summary, next, killed), [undefined]);
});

Deno.test("a kill in a format that is not known is a line that is not understood, not a log without kills", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/verbose`;
  const lines = [
    "2026-03-01T10:00:00Z host kernel: eth0: link is up",
    "    MESSAGE=Out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:1kB, UID:0",
  ];
  Deno.writeTextFileSync(path, lines.join("\n"));
  const { kills, gaps } = await readLogFile(path);
  assert.deepEqual([kills.length, gaps.map(({ reason }) => reason)], [0, ["cut_lines"]]);
});

Deno.test("an entry of a journal export may have fields of any content", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/export`;
  const message = "Out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:1kB, UID:0";
  const entry = (extra: string) =>
    `__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000000000\n${extra}_TRANSPORT=kernel\nMESSAGE=${message}\n`;
  const binary = `COREDUMP\n${String.fromCharCode(10, 0, 0, 0, 0, 0, 0, 0)}0123456789\n`;
  Deno.writeTextFileSync(path, [entry(""), entry(binary), entry("_CMDLINE=a=b\n")].join("\n"));
  const { kills, lines } = await readLogFile(path);
  assert.deepEqual([kills.length, lines], [3, 3]);
});

Deno.test("a message in a journal export that looks like fields or entries is none, in chunks of any size", async () => {
  const killed = (pid: number) => `MESSAGE=Out of memory: Killed process ${pid} (x) total-vm:1kB`;
  const head = "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000000000\n";
  const forged = `x\n_TRANSPORT=kernel\n${killed(1)}\n\n${head}_TRANSPORT=kernel\n${killed(2)}\n\n`;
  const content = concat([
    encoded(`${head}_TRANSPORT=syslog\nMESSAGE\n`),
    sized(encoded(forged)),
    encoded(`PRIORITY=6\n\n${head}COREDUMP\n`),
    // Longer than what is kept of a value.
    sized(concat([encoded(forged), new Uint8Array(100_000)])),
    encoded(`_TRANSPORT=kernel\nMESSAGE\n`),
    sized(concat([encoded(killed(7).slice("MESSAGE=".length)), Uint8Array.of(0xff)])),
    encoded(`\n${head}_TRANSPORT=kernel\n${killed(8)}`),
  ]);
  const entriesIn = async (size: number) => {
    const chunks = (async function* () {
      for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
    })();
    let cut = 0;
    const entries = await Array.fromAsync(entriesOf(chunks, () => cut++));
    assert.equal(cut, 0);
    return entries.map((entry) => JSON.parse(entry));
  };
  const whole = await entriesIn(Infinity);
  assert.deepEqual(whole.map(({ _TRANSPORT }) => _TRANSPORT), ["syslog", "kernel", "kernel"]);
  assert.equal(whole[0].MESSAGE, forged);
  assert.match(whole[1].MESSAGE, /^Out of memory: Killed process 7 .*kB\ufffd$/);
  assert.match(whole[2].MESSAGE, /^Out of memory: Killed process 8 /);
  for (const size of [1, 7, 4096]) assert.deepEqual(await entriesIn(size), whole);
});

const encoded = (text: string) => new TextEncoder().encode(text);
const concat = (parts: readonly Uint8Array[]) =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

/** As a journal export has a value that is not text. */
function sized(value: Uint8Array): Uint8Array {
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(value.length), true);
  return concat([size, value, encoded("\n")]);
}

Deno.test("a journal export that is cut within a value, or has a line that is too long, says so", async () => {
  const head = "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000000000\n_TRANSPORT=kernel\n";
  const cutsOf = async (...parts: Uint8Array[]) => {
    let cut = 0;
    const chunks = (async function* () {
      yield* parts;
    })();
    const entries = await Array.fromAsync(entriesOf(chunks, () => cut++));
    return [entries.length, cut];
  };
  const value = sized(encoded("Out of memory"));
  assert.deepEqual(await cutsOf(encoded(`${head}MESSAGE\n`), value), [1, 0]);
  assert.deepEqual(await cutsOf(encoded(`${head}MESSAGE\n`), value.subarray(0, 12)), [1, 1]);
  assert.deepEqual(await cutsOf(encoded(`${head}COREDUMP\n`), value.subarray(0, 12)), [1, 1]);
  const long = `${head}MESSAGE=${"x".repeat(200_000)}\n\n${head}MESSAGE=x\n`;
  const halves = [encoded(long).subarray(0, 100_000), encoded(long).subarray(100_000)];
  assert.deepEqual(await cutsOf(...halves), [2, 1]);
});

Deno.test("a log reaches to its last line, whatever that is about", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/log`;
  const line = (minute: string) => `2026-03-01T10:${minute}:00Z host kernel: eth0: link is up`;
  Deno.writeTextFileSync(path, ["00", "10", "20"].map(line).join("\n"));
  const { from, to, lines } = await readLogFile(path);
  assert.deepEqual([lines, from, to], [3, Date.UTC(2026, 2, 1, 10), Date.UTC(2026, 2, 1, 10, 20)]);
});

Deno.test("pieces and lines that are longer than any of the kernel are not parsed", () => {
  const start = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,oom_memcg=/a";
  const end = ",task_memcg=/a,task=x,pid=7,uid=0";
  const killed = "Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, UID:0";
  const joined = (pieces: number) =>
    killsOf(
      record("-", start),
      ...Array<string>(pieces).fill(record("c", `/${"n".repeat(1000)}`)),
      record("c", end),
      record("-", killed),
    );
  assert.ok(joined(8).kills[0]!.cgroup !== undefined);
  const { kills, gaps } = joined(20);
  assert.equal(kills[0]!.cgroup, undefined);
  assert.ok(gaps.some(({ reason }) => reason === "cut_lines"));
  const long = killsOf(record("-", `${start}${",task_memcg=/a".repeat(2000)}${end}`));
  assert.deepEqual(long.gaps.map(({ reason }) => reason), ["cut_lines"]);
});
