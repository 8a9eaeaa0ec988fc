/** Pictures of real runs: `--html` and `--svg` on watch, guard and simulate. */

import assert from "node:assert/strict";
import { makeFolder } from "../helpers/folder.ts";
import { isKillAction, startGuarded } from "../helpers/guarded.ts";
import { eatToDeath, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit, runOomkit } from "../helpers/run_oomkit.ts";

const LIMIT = 64 * MIB;

/** What the page's script gets. */
function dataOf(path: string) {
  const html = Deno.readTextFileSync(path);
  const [, verdict] = /<h1[^>]*>.*?<bdi>(.*?)<\/bdi>/s.exec(html) ?? [];
  const [, json] = /<script type="application\/json" id="run">(.*?)<\/script>/s.exec(html) ?? [];
  return { verdict: verdict ?? "", run: JSON.parse(json ?? "null") };
}

kernelTest("the page of a guard has what it saw, its marks, and whom it ended on top", async () => {
  using folder = makeFolder();
  await using cgroup = makeRealCgroup("drawn");
  cgroup.limit(LIMIT);
  const page = `${folder.path}/run.html`;
  const mode = cgroup.version === 1 ? "hold" : "throttle";
  const words = ["--html", page, "--mode", mode, "--policy", "process", cgroup.path];
  await using guarded = await startGuarded(words);
  const { pid } = await eatToDeath(cgroup);
  await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
  await guarded.stop();
  const { verdict, run } = dataOf(page);
  assert.match(verdict, new RegExp(`^oomkit ended .* \\(pid ${pid}\\) in .*had to kill nothing`));
  const [group] = run.groups;
  assert.ok(group.usage.t.length > 2, `${group.usage.t.length} looks`);
  assert.deepEqual(group.reference_lines.map(({ name }: { name: string }) => name).sort(), [
    "critical",
    "imminent",
    "warn",
  ]);
  assert.ok(run.events.some(([, , kind]: [number, number, string]) => kind === "act"));
});

kernelTest(
  "the page of a command that was killed says so, and its exit is the command's",
  async () => {
    using folder = makeFolder();
    const page = `${folder.path}/run.html`;
    const still = `${folder.path}/run.svg`;
    const options = ["--limit", "32M", "--html", page, "--svg", still];
    const { code } = await runOomkit(["watch", ...options, "--", "tail", "/dev/zero"]);
    assert.equal(code, 137);
    assert.match(dataOf(page).verdict, /^The kernel killed tail \(pid \d+\) in .* at its limit/);
    assert.match(Deno.readTextFileSync(still), /The kernel killed tail[^]*<\/svg>\n$/);
  },
);

kernelTest("the page of a simulation has the verdict that it printed, and the way up", async () => {
  using folder = makeFolder();
  const page = `${folder.path}/run.html`;
  const words = ["simulate", "--mb", "24", "--rate", "48M/s", "--html", page];
  const { code, stdout } = await runOomkit(words);
  assert.equal(code, 0, stdout);
  const { verdict, run } = dataOf(page);
  const [, printed] = /^verdict +(.*)$/m.exec(stdout) ?? [];
  assert.equal(
    verdict.toLowerCase().replace(/\.$/, ""),
    printed?.replaceAll("'", "&#39;").toLowerCase(),
  );
  const usage = run.groups[0].usage.v as number[];
  const most = Math.max(...usage.map((_, at) => usage.slice(0, at + 1).reduce((a, b) => a + b)));
  assert.ok(most > 16 * MIB && most <= 24 * MIB, String(most));
});

kernelTest("on a full disk a run goes on to its end, and leaves no half of a picture", async () => {
  using folder = makeFolder();
  const report = `${folder.path}/report.json`;
  const full = `${folder.path}/full`;
  Deno.mkdirSync(full);
  const words = ["watch", "--limit", "32M", "--report", report, "--html", `${full}/run.html`];
  // A mount of its own, which ends with the shell.
  const script = 'mount -t tmpfs -o size=32k none "$0" && "$@"; code=$?; ls "$0"; exit $code';
  const { code, stdout, stderr } = await new Deno.Command("unshare", {
    args: ["-m", "sh", "-c", script, full, ...oomkit(), ...words, "--", "echo", "done"],
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(stderr);
  assert.equal(new TextDecoder().decode(stdout), "done\n", said);
  assert.match(said, /oomkit: cannot write the page to .*run\.html: No space left on device; name/);
  assert.equal(code, 2, said);
  assert.equal(JSON.parse(Deno.readTextFileSync(report)).verdict, "fine");
});
