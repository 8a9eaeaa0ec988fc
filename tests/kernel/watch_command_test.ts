/** `oomkit watch -- command`: the command is not disturbed, and the report says how it ended. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Ajv2020 } from "ajv/dist/2020.js";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import schema from "../../docs/schema/run.schema.json" with { type: "json" };
import { anyVersionTest, keepsPeak, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import type { Json } from "../helpers/watched.ts";

const isReport = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

interface Run {
  readonly code: number;
  readonly stdout: Uint8Array;
  readonly stderr: string;
  readonly report: Json;
}

interface Running extends AsyncDisposable {
  readonly pid: number;
  /** Resolves with the output of the command so far, once it contains `text`. */
  printed(text: string): Promise<string>;
  /** The result of the ended command. Throws unless the report fits the schema and the cgroup is gone. */
  ended(): Promise<Run>;
}

function start(args: readonly string[], stdin?: Uint8Array<ArrayBuffer>): Running {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const file = `${dir}/report.json`;
  const [program, ...rest] = [...oomkit(), "watch", "--report", file, ...args];
  const child = new Deno.Command(program!, {
    args: rest,
    stdin: stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  const fed = stdin && new Blob([stdin]).stream().pipeTo(child.stdin);
  const [first, all] = child.stdout.tee();
  const reader = first.pipeThrough(new TextDecoderStream()).getReader();
  const output = Promise.all([
    child.status,
    new Response(all).bytes(),
    new Response(child.stderr).text(),
  ]);
  let text = "";
  return {
    pid: child.pid,
    async printed(expected) {
      while (!text.includes(expected)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`it never printed "${expected}", only "${text}"`);
        text += value;
      }
      return text;
    },
    async ended() {
      await reader.cancel();
      const [{ code }, stdout, stderr] = await output;
      await fed;
      const report: Json = JSON.parse(Deno.readTextFileSync(file));
      const fits: boolean = isReport(report);
      assert.ok(fits, JSON.stringify(isReport.errors, null, 1));
      assert.equal(report.own_cgroup, false, stderr);
      assert.equal(openCgroup(discover(), report.cgroup), undefined, "its cgroup is still there");
      return { code, stdout, stderr, report };
    },
    async [Symbol.asyncDispose]() {
      try {
        // oomkit ends the command and removes the cgroup; SIGKILL would leave both.
        child.kill("SIGTERM");
      } catch { /* it has exited */ }
      await output;
      Deno.removeSync(dir, { recursive: true });
    },
  };
}

async function run(args: readonly string[], stdin?: Uint8Array<ArrayBuffer>): Promise<Run> {
  await using running = start(args, stdin);
  return await running.ended();
}

const isAlive = (pid: number) => {
  try {
    return !/^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

/** The peak is above `low`, and the headroom is what the limit has above it; both are unknown where the kernel keeps no peak. */
function assertPeak({ peak, headroom }: Json, low: number, limit: number): void {
  if (!keepsPeak) return assert.deepEqual([peak, headroom], [null, null]);
  assert.ok(peak > low && peak <= limit, `peak ${peak}`);
  assert.equal(headroom, limit - peak);
}

for (const expected of [0, 7]) {
  kernelTest(`a command that exits with ${expected} does so when it is watched`, async () => {
    const command = ["sh", "-c", `exit ${expected}`];
    const { code, report, stderr } = await run(["--limit", "64M", "--", ...command]);
    assert.equal(code, expected);
    assert.deepEqual(report.command, command);
    assert.deepEqual([report.exit_code, report.signal], [expected, null]);
    assert.deepEqual([report.verdict, report.oom_kill, report.kills], ["fine", 0, []]);
    assert.deepEqual([report.limit, report.limit_owner], [64 * MIB, report.cgroup]);
    assertPeak(report, 0, 64 * MIB);
    assert.ok(report.peak < 64 * MIB, `peak ${report.peak}`);
    const figures = keepsPeak
      ? "peak [\\d.]+ [KM]iB, 64.0 MiB limit, headroom .+"
      : "peak unknown, 64.0 MiB limit";
    assert.match(
      stderr,
      new RegExp(`^oomkit: sh exited with ${expected}; no OOM kill; ${figures}\\n$`),
    );
  });
}

kernelTest(
  "a command killed at its limit exits with 137, and the report names the victim and the peak",
  async () => {
    const script = "echo $$; exec tail /dev/zero";
    const { code, stdout, stderr, report } = await run([
      "--limit",
      "20M",
      "--",
      "sh",
      "-c",
      script,
    ]);
    const pid = Number(new TextDecoder().decode(stdout));
    assert.equal(code, 137);
    assert.deepEqual([report.exit_code, report.signal], [137, "SIGKILL"]);
    assert.equal(report.verdict, "oom_killed");
    assert.equal(report.oom_kill, 1);
    assert.deepEqual(
      report.kills.map(({ cgroup, victim }: Json) => [cgroup, victim.pid, victim.comm]),
      [
        [report.cgroup, pid, "tail"],
      ],
    );
    assert.deepEqual([report.limit, report.limit_owner], [20 * MIB, report.cgroup]);
    assertPeak(report, 19 * MIB, 20 * MIB);
    assert.ok(report.max >= 1);
    assert.match(
      stderr,
      new RegExp(`oom_kill .*pid ${pid} \\(tail\\) killed at the cgroup's own limit`),
    );
  },
);

kernelTest("exit code 137 without an OOM is not reported as an OOM", async () => {
  const { code, report } = await run(["--", "sh", "-c", "kill -KILL $$"]);
  assert.equal(code, 137);
  assert.deepEqual([report.signal, report.verdict, report.kills], ["SIGKILL", "fine", []]);
});

kernelTest("a command survives the OOM of its child, and keeps its own exit code", async () => {
  const script = "tail /dev/zero; echo child $?; exit 3";
  const { code, stdout, report } = await run(["--limit", "20M", "--", "sh", "-c", script]);
  assert.equal(code, 3);
  assert.equal(new TextDecoder().decode(stdout), "child 137\n");
  assert.deepEqual([report.verdict, report.oom_kill, report.exit_code], ["oom_killed", 1, 3]);
});

anyVersionTest("stdin and stdout of a command are passed through unchanged", async () => {
  const bytes = new Uint8Array(300_000).map((_, n) => (n * 31 + (n >> 8)) & 0xff);
  const { code, stdout, stderr } = await run(
    ["--", "sh", "-c", 'cat; printf "own words\\n" >&2'],
    bytes,
  );
  assert.equal(code, 0);
  assert.ok(Buffer.from(stdout).equals(bytes), `${stdout.length} of ${bytes.length} bytes`);
  assert.match(stderr, /^own words\noomkit: sh exited with 0; [^\n]*\n$/);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  anyVersionTest(
    `${signal} is forwarded to the command, and its own exit code counts`,
    async () => {
      const name = signal.slice(3);
      const script = `trap 'echo got ${name}; exit 5' ${name}; echo ready; sleep 30 & wait; exit 1`;
      await using running = start(["--", "sh", "-c", script]);
      await running.printed("ready\n");
      Deno.kill(running.pid, signal);
      const { code, stdout, report } = await running.ended();
      assert.equal(new TextDecoder().decode(stdout), `ready\ngot ${name}\n`);
      assert.equal(code, 5);
      assert.deepEqual([report.exit_code, report.signal, report.verdict], [5, null, "fine"]);
    },
  );
}

anyVersionTest(
  "a command that does not handle SIGTERM is terminated by it, and the exit code is 143",
  async () => {
    await using running = start(["--", "sh", "-c", "echo ready; exec sleep 30"]);
    await running.printed("ready\n");
    Deno.kill(running.pid, "SIGTERM");
    const { code, report } = await running.ended();
    assert.equal(code, 143);
    assert.deepEqual([report.exit_code, report.signal], [143, "SIGTERM"]);
  },
);

kernelTest("background processes of a command are ended with it", async () => {
  const { code, stdout } = await run(["--", "sh", "-c", "sleep 30 >/dev/null 2>&1 & echo $!"]);
  assert.equal(code, 0);
  const pid = Number(new TextDecoder().decode(stdout));
  assert.ok(pid > 0);
  assert.equal(isAlive(pid), false);
});
