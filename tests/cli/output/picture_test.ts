import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { makeDirectory } from "../../helpers/directory.ts";
import { crowdedRun, head, killedRun, START } from "../../helpers/recorded_run.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

/** One line on stderr, nothing on stdout, exit 2. */
async function refused(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runOomkit(args);
  assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
  assert.equal(stdout, "");
  assert.match(stderr, /^oomkit: [^\n]+\n$/);
  assert.doesNotMatch(stderr, /this is a bug|\bat [a-z]+:\/\//);
  return stderr;
}

const jsonl = (lines: Iterable<unknown>) =>
  [...lines].map((line) =>
    `${JSON.stringify(line, (_, value) => typeof value === "bigint" ? Number(value) : value)}\n`
  ).join("");

const namesIn = (directory: string) =>
  [...Deno.readDirSync(directory)].map(({ name }) => name).sort();

Deno.test("a recording becomes a page and a still picture", async () => {
  using directory = makeDirectory();
  const { path } = directory;
  Deno.writeTextFileSync(`${path}/run.jsonl`, jsonl(killedRun(100)));
  const files = ["--html", `${path}/run.html`, "--svg", `${path}/run.svg`];
  const { code, stdout, stderr } = await runOomkit(["inspect", `${path}/run.jsonl`, ...files]);
  assert.deepEqual([code, stdout, stderr], [0, "", ""]);
  assert.match(Deno.readTextFileSync(`${path}/run.html`), /^<!DOCTYPE html>[^]*killed java/);
  assert.match(Deno.readTextFileSync(`${path}/run.svg`), /^<\?xml[^]*killed java[^]*<\/svg>\n$/);
});

Deno.test("a picture may be read by every user that the umask allows, like other reports", async () => {
  using directory = makeDirectory();
  const { path } = directory;
  Deno.writeTextFileSync(`${path}/run.jsonl`, jsonl(killedRun(20)));
  const before = Deno.umask();
  try {
    for (const umask of [0o022, 0o077]) {
      Deno.umask(umask);
      const files = ["html", "svg"].map((kind) => `${path}/${umask}.${kind}`);
      const words = ["--html", files[0]!, "--svg", files[1]!];
      const { code, stderr } = await runOomkit(["inspect", `${path}/run.jsonl`, ...words]);
      assert.equal(code, 0, stderr);
      for (const file of files) assert.equal(Deno.statSync(file).mode! & 0o777, 0o666 & ~umask);
    }
  } finally {
    Deno.umask(before);
  }
});

Deno.test("the page of a kill begins with one sentence, then come the chart and the figures", async () => {
  using directory = makeDirectory();
  const { path } = directory;
  Deno.writeTextFileSync(`${path}/run.jsonl`, jsonl(killedRun(20)));
  await runOomkit(["inspect", `${path}/run.jsonl`, "--html", `${path}/run.html`]);
  const html = Deno.readTextFileSync(`${path}/run.html`);
  assert.match(
    html,
    /<h1>.*<bdi>The kernel killed java \(pid 4242\) in payments-api at 04:59:01 UTC because the cgroup reached its limit of 512\.0 MiB\.<\/bdi><\/h1>\s*<\/header>\s*<section id="charts"[^]*<dl class="tiles">/,
  );
  assert.match(html, /<dt>peak % of limit<\/dt><dd>100\.0 %<\/dd>/);
  assert.match(html, /<dt>minimum headroom<\/dt><dd>0 B<\/dd>/);
});

Deno.test("an incomplete recording is drawn with a remark", async () => {
  using directory = makeDirectory();
  const whole = jsonl(crowdedRun(2, 40));
  Deno.writeTextFileSync(`${directory.path}/torn.jsonl`, whole.slice(0, whole.length * 0.7));
  const page = `${directory.path}/torn.html`;
  const { code, stderr } = await runOomkit([
    "inspect",
    `${directory.path}/torn.jsonl`,
    "--html",
    page,
  ]);
  assert.equal(code, 0, stderr);
  assert.match(Deno.readTextFileSync(page), /The recording is incomplete: its end is missing/);
});

Deno.test("a file that is not a recording gets one line and exit 2, and leaves no picture", async () => {
  using directory = makeDirectory();
  const { path } = directory;
  const cases: [string, string | undefined, RegExp][] = [
    ["empty", "", /empty: it is empty/],
    ["other_json", '{"a":1}\n', /line 1: it is not a line of a recording/],
    ["text", "hello\n", /line 1: it is not JSON/],
    ["newer", jsonl([{ ...head, v: 99 }]), /it has version 99, and this oomkit reads version 2/],
    ["broken", `${jsonl([head])}nonsense\n${jsonl([head])}`, /line 2: it is not JSON/],
    ["missing", undefined, /No such file/],
  ];
  for (const [name, text, message] of cases) {
    if (text !== undefined) Deno.writeTextFileSync(`${path}/${name}`, text);
    const stderr = await refused(["inspect", `${path}/${name}`, "--html", `${path}/${name}.html`]);
    assert.match(stderr, message, name);
  }
  assert.match(await refused(["inspect", path, "--html", `${path}/d.html`]), /it is a directory/);
  assert.match(await refused(["inspect", "--svg", `${path}/n.svg`]), /no recording is named/);
  const two = ["inspect", `${path}/empty`, `${path}/text`, "--html", `${path}/2.html`];
  assert.match(await refused(two), /cannot draw 2 recordings in one picture/);
  assert.deepEqual(namesIn(path), ["broken", "empty", "newer", "other_json", "text"]);
});

Deno.test("a picture is never written over a file without --force", async () => {
  using directory = makeDirectory();
  const { path } = directory;
  Deno.writeTextFileSync(`${path}/run.jsonl`, jsonl(killedRun(20)));
  Deno.writeTextFileSync(`${path}/run.html`, "mine");
  const args = ["inspect", `${path}/run.jsonl`, "--html", `${path}/run.html`];
  assert.match(
    await refused(args),
    /the file exists already; name another file, or replace it with --force/,
  );
  assert.match(await refused([...args, "--svg", `${path}/run.svg`]), /the page .* exists already/);
  assert.equal(Deno.readTextFileSync(`${path}/run.html`), "mine");
  assert.deepEqual(namesIn(path), ["run.html", "run.jsonl"]);
  assert.equal((await runOomkit([...args, "--force"])).code, 0);
  assert.match(Deno.readTextFileSync(`${path}/run.html`), /^<!DOCTYPE html>/);
});

Deno.test("a large compressed recording is drawn without a message", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/run.jsonl.gz`;
  // Incompressible data, so that reading awaits every 64 KiB.
  const noise = Array.from({ length: 30 }, () => crypto.getRandomValues(new Uint8Array(65_536)));
  const lines = noise.map((bytes) => ({ type: "later", at: START, noise: bytes.toBase64() }));
  Deno.writeFileSync(path, gzipSync(jsonl([head, ...lines, ...[...killedRun(20)].slice(1)])));
  const page = `${directory.path}/run.html`;
  const { code, stdout, stderr } = await runOomkit(["inspect", path, "--html", page]);
  assert.deepEqual([code, stdout, stderr], [0, "", ""]);
});

Deno.test("--force never lets one file of a call overwrite another", async () => {
  using directory = makeDirectory();
  using tree = makeTree(2, { "/a": { "memory.max": 4096 } });
  const { path } = directory;
  const recording = jsonl(killedRun(20));
  Deno.writeTextFileSync(`${path}/run.jsonl`, recording);
  Deno.symlinkSync("run.jsonl", `${path}/link`);
  Deno.symlinkSync(".", `${path}/here`);
  const watch = ["watch", "--root", tree.dir, "/a", "--for", "0s"];
  const page = ["--html", `${path}/here/run.jsonl`];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["inspect", `${path}/run.jsonl`, ...page], /--html to .*: it is the recording itself/],
    [["inspect", `${path}/link`, ...page], /it is the recording itself/],
    [["inspect", `${path}/run.jsonl`, "--svg", `${path}/run.jsonl`], /it is the recording itself/],
    [[...watch, "--record", `${path}/run.jsonl`, ...page], /it is the file of --record/],
    [[...watch, ...page, "--svg", `${path}/run.jsonl`], /it is the file of --html/],
  ];
  for (const [args, message] of cases) {
    assert.match(await refused([...args, "--force"]), message);
    assert.equal(Deno.readTextFileSync(`${path}/run.jsonl`), recording);
  }
});

Deno.test("a failed picture replaces no file and is always reported", async () => {
  using directory = makeDirectory();
  const { path } = directory;
  Deno.writeTextFileSync(`${path}/page.html`, "mine");
  const empty = directory.write("empty.jsonl", jsonl([head]));
  const page = ["--html", `${path}/page.html`, "--force"];
  await refused(["inspect", `${path}/missing.jsonl`, ...page]);
  await refused(["inspect", "/no/such/cgroup", "--tree", ...page]);
  assert.match(await refused(["inspect", empty, ...page]), /it has no samples and no events/);
  assert.equal(Deno.readTextFileSync(`${path}/page.html`), "mine");
  await refused(["inspect", empty, "--svg", `${path}/new.svg`]);
  assert.deepEqual(namesIn(path), ["empty.jsonl", "page.html"]);
});

Deno.test("a file that cannot be created is reported before the run, by each command", async () => {
  using directory = makeDirectory();
  using tree = makeTree(2, { "/a": { "memory.max": 4096 } });
  const nowhere = `${directory.path}/no/such/run.html`;
  const commands = [
    ["watch", "--root", tree.dir, "/a"],
    ["guard", "--root", tree.dir, "/a"],
    ["simulate", "--fake", `${directory.path}/tree`],
    ["inspect", "--root", tree.dir, "/a", "--tree"],
  ];
  for (const command of commands) {
    assert.match(
      await refused([...command, "--html", nowhere]),
      /cannot write the page to .*No such/,
    );
  }
  const both = ["watch", "--root", tree.dir, "/a", "--html", "x", "--svg", "x"];
  assert.match(
    await refused(both),
    /cannot write --svg to x: it is the file of --html; name two files/,
  );
  assert.deepEqual(namesIn(directory.path), []);
  const file = `${directory.path}/both`;
  const log = [
    "watch",
    "--root",
    tree.dir,
    "/a",
    "--log-file",
    file,
    "--record",
    file,
    "--force",
    "--for",
    "1s",
  ];
  assert.match(
    await refused(log),
    /cannot write --record to .*: it is the file of --log-file; name two files/,
  );
});

Deno.test("a watch that could not start leaves no picture", async () => {
  using directory = makeDirectory();
  using tree = makeTree(2, { "/a": { "memory.max": 4096 } });
  const page = ["--html", `${directory.path}/x.html`];
  await refused(["watch", "--root", tree.dir, "/nothing", ...page]);
  await refused(["watch", "--root", tree.dir, "/a", "--listen", "127.0.0.1:99999", ...page]);
  assert.deepEqual(namesIn(directory.path), []);
});

Deno.test("a tree of cgroups is drawn in addition to the printed report", async () => {
  using directory = makeDirectory();
  using tree = makeTree(2, {
    "/a": { "memory.current": 600, "memory.max": 640 },
    "/a/<b>": { "memory.current": 500 },
  });
  const page = `${directory.path}/tree.html`;
  const { code, stdout } = await runOomkit([
    "inspect",
    "--root",
    tree.dir,
    "--tree",
    "--html",
    page,
  ]);
  assert.equal(code, 0);
  assert.match(stdout, /USAGE/);
  const html = Deno.readTextFileSync(page);
  assert.match(html, /<h1[^>]*><bdi>600 B in use in \/<\/bdi>/);
  assert.match(html, /The largest part, 83 %, is in \/a\/&lt;b&gt;\./);
  assert.doesNotMatch(html, /<b>/);
});
