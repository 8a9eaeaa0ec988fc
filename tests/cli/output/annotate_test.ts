import assert from "node:assert/strict";
import {
  type Annotation,
  annotationLines,
  escapedData,
  escapedProperty,
  withoutCommands,
} from "../../../cli/output/annotate.ts";
import { runAnnotation, verdictLine } from "../../../cli/watch/run.ts";
import type { CommandReport } from "../../../core/events/command_report.ts";
import { summaryText } from "../../../cli/output/step_summary.ts";
import { makeDirectory } from "../../helpers/directory.ts";
import { RUN } from "../../helpers/command_report.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const of = (level: Annotation["level"], title: string, message: string) => ({
  level,
  title,
  message,
});

/** How GitHub's runner parses a line, with its order of unescaping. */
function readByGithub(line: string) {
  const [, command, properties, data] = /^\s*::(\w+) ([^:]*(?::(?!:)[^:]*)*)::(.*)$/s.exec(line) ??
    [];
  const data1 = (text: string) => text.replaceAll("%0D", "\r").replaceAll("%0A", "\n");
  const back = (text: string) => data1(text).replaceAll("%25", "%");
  const pairs = properties?.split(",").map((pair) => {
    const at = pair.indexOf("=");
    const value = data1(pair.slice(at + 1)).replaceAll("%3A", ":").replaceAll("%2C", ",");
    return [pair.slice(0, at), value.replaceAll("%25", "%")];
  });
  return { command, properties: Object.fromEntries(pairs ?? []), data: back(data ?? "") };
}

Deno.test("GitHub parses the intended title and message, also of hostile text", () => {
  for (
    const text of ["100% of a,b: c", "%0A", "%250A", "::error::x", "a::b", "##[add-mask]x", "=,="]
  ) {
    const [line] = annotationLines("github", [of("warning", text, text)], 0);
    const read = readByGithub(line!);
    assert.equal(read.command, "warning", line);
    assert.deepEqual(read.properties, { title: text }, line);
    assert.equal(read.data, text, line);
  }
});

Deno.test("a line break is escaped, and never ends a command", () => {
  const text = "a\n::stop-commands::x\r\x1b[31mred";
  const lines = annotationLines("github", [of("error", text, text)], 0);
  assert.equal(lines.length, 1);
  assert.deepEqual(["\n", "\r", "\x1b"].filter((each) => lines[0]!.includes(each)), []);
  assert.equal(escapedData("1%\r\n"), "1%25%0D%0A");
  assert.equal(escapedProperty("a:b,c\n"), "a%3Ab%2Cc%0A");
});

Deno.test("GitHub shows ten per level: with more, the tenth states the number of the rest", () => {
  const errors = Array.from({ length: 13 }, (_, at) => of("error", `e${at}`, "m"));
  const lines = annotationLines("github", [...errors, of("notice", "n", "m")], 0);
  assert.equal(lines.length, 11);
  assert.equal(lines[9], "::error title=oomkit::4 more are in the log");
  assert.equal(lines[10], "::notice title=n::m");
  assert.equal(annotationLines("github", errors.slice(0, 10), 0).length, 10);
});

Deno.test("for GitLab the findings are a section of the log, which is closed", () => {
  const [start, line, end, ...rest] = annotationLines(
    "gitlab",
    [of("error", "oomkit: psi", "a\x1b[0Ksection_end:1:x\r")],
    1_700_000_000_123,
  );
  assert.equal(
    start,
    "\x1b[0Ksection_start:1700000000:oomkit_1700000000123\r\x1b[0K\x1b[1;31moomkit: psi\x1b[0m",
  );
  assert.equal(line, "\x1b[1;31mERROR\x1b[0m oomkit: psi: a\\x1b[0Ksection_end:1:x\\x0d");
  assert.equal(end, "\x1b[0Ksection_end:1700000000:oomkit_1700000000123\r\x1b[0K");
  assert.deepEqual(rest, []);
});

Deno.test("without findings there is no line", () => {
  assert.deepEqual(annotationLines("github", [], 0), []);
  assert.deepEqual(annotationLines("gitlab", [], 0), []);
});

Deno.test("older commands, which GitHub finds anywhere in a line, are broken for GitHub only", () => {
  assert.equal(withoutCommands("github", "/a ##[add-mask]b"), "/a #\\u0023[add-mask]b");
  assert.equal(withoutCommands("gitlab", "##[a]"), "##[a]");
  assert.equal(withoutCommands(undefined, "##[a]"), "##[a]");
});

Deno.test("the level of a run's annotation depends on its verdict", () => {
  const cases: [Partial<CommandReport>, string, string][] = [
    [{}, "notice", "oomkit: memory"],
    [{ headroom: 99 }, "warning", "oomkit: close to the memory limit"],
    [{ headroom: 100 }, "notice", "oomkit: memory"],
    [{ limit: null, headroom: null }, "notice", "oomkit: memory"],
    [{ verdict: "limit_hit", headroom: 0 }, "warning", "oomkit: the memory limit was hit"],
    [{ verdict: "unknown" }, "warning", "oomkit: memory use is unknown"],
    [{ verdict: "oom_killed" }, "error", "oomkit: out of memory"],
    [{ limit_refused: "no" }, "warning", "oomkit: the command ran without its memory limit"],
    [{ limit_refused: "no", verdict: "oom_killed" }, "error", "oomkit: out of memory"],
  ];
  for (const [facts, level, title] of cases) {
    const annotation = runAnnotation({ ...RUN, ...facts }, "the line", []);
    assert.deepEqual(annotation, { level, title, message: "the line" });
  }
  const failed = runAnnotation({ ...RUN, verdict: "limit_hit" }, "the line", ["max", "high"]);
  assert.equal(failed.level, "error");
  assert.match(failed.title + failed.message, /max, high seen.*--fail-on/);
});

Deno.test("a run's last line has the limit, also where the kernel keeps no peak", () => {
  const cases: [Partial<CommandReport>, string][] = [
    [{}, "peak 500 B, 1000 B limit, headroom 500 B (50.0%)"],
    [{ peak: null, headroom: null }, "peak unknown, 1000 B limit"],
    [{ limit: null, headroom: null }, "peak 500 B, no limit"],
    [{ limit_owner: "/" }, "peak 500 B, 1000 B limit set by /, headroom 500 B (50.0%)"],
  ];
  for (const [facts, figures] of cases) {
    assert.equal(
      verdictLine({ ...RUN, ...facts }),
      `make exited with 0; no OOM kill; ${figures}`,
    );
  }
});

const HOSTILE = "/evil %0A::error::x,y=z ##[add-mask]w";

function smallTree(): Tree {
  const full = { "memory.max": "1048576\n", "memory.current": "1000000\n" };
  return makeTree(2, { [HOSTILE]: full, "/fine": { ...full, "memory.current": "4096\n" } });
}

async function check(tree: Tree, ...args: string[]) {
  const flags = ["--check", "--min-headroom", "50%"];
  return await runOomkit(["inspect", "--root", tree.dir, ...flags, ...args]);
}

Deno.test("inspect --check --annotate github writes only failed checks, to stderr", async () => {
  using tree = smallTree();
  const { code, stdout, stderr } = await check(tree, "--annotate", "github", "/fine", HOSTILE);
  assert.equal(code, 1);
  assert.match(stdout, /^NOT OK: 1 of 2 checks failed: min-headroom/);
  assert.doesNotMatch(stdout, /##\[/);
  assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  const { command, properties, data } = readByGithub(stderr.trimEnd());
  assert.equal(command, "error");
  assert.deepEqual(properties, { title: "oomkit: min-headroom" });
  assert.ok(data.startsWith(`${HOSTILE}: 47.4 KiB`), data);
});

Deno.test("unknown results are annotated too, for one target or for all", async () => {
  using tree = smallTree();
  const one = await check(tree, "--annotate", "github", "/nosuch");
  assert.equal(one.code, 2);
  assert.match(one.stderr, /^::error title=oomkit%3A target is unknown::cannot resolve/m);
  const all = await runOomkit([
    ...["inspect", "--root", `${tree.dir}/nosuch`, "--check", "--require", "limit"],
    ...["--annotate", "github"],
  ]);
  assert.equal(all.code, 2);
  assert.match(all.stderr, /^::error title=oomkit%3A target is unknown::/m);
  assert.match(all.stderr, /^oomkit: /m);
});

Deno.test("JSON on stdout is the same with and without annotations", async () => {
  using tree = smallTree();
  const plain = await check(tree, "--json", HOSTILE);
  const annotation = await check(tree, "--json", "--annotate", "github", HOSTILE);
  assert.deepEqual(JSON.parse(annotation.stdout).check, JSON.parse(plain.stdout).check);
  assert.equal(JSON.parse(annotation.stdout).targets[0].cgroup.path ?? HOSTILE, HOSTILE);
  assert.doesNotMatch(annotation.stdout, /##\[/);
});

Deno.test("a passed check has no annotation, and a failed one has a section for GitLab", async () => {
  using tree = smallTree();
  const fine = await check(tree, "--annotate", "github", "/fine");
  assert.equal(fine.code, 0);
  assert.equal(fine.stderr, "");
  const gitlab = await check(tree, "--annotate", "gitlab", HOSTILE);
  assert.equal(gitlab.code, 1);
  assert.ok(gitlab.stderr.startsWith("\x1b[0Ksection_start:"), gitlab.stderr);
});

Deno.test("--annotate requires --check, and in watch a command", async () => {
  using tree = smallTree();
  const root = ["--root", tree.dir];
  const inspect = await runOomkit(["inspect", ...root, "--annotate", "github", "/fine"]);
  assert.equal(inspect.code, 2);
  assert.match(
    inspect.stderr,
    /^oomkit: cannot use --annotate alone: it is a check; add --check\n$/,
  );
  const watch = await runOomkit(["watch", ...root, "--annotate", "github", "/fine"]);
  assert.equal(watch.code, 2);
  assert.match(watch.stderr, /^oomkit: cannot use --annotate without a command; /);
  const neither = await runOomkit(["watch", ...root, "--annotate", "jenkins", "--", "true"]);
  assert.equal(neither.code, 2);
  assert.match(neither.stderr, /cannot use --annotate jenkins: it is not one of github, gitlab/);
});

Deno.test("watch --annotate does not change stdout and the exit code of the command", async () => {
  for (const service of ["github", "gitlab"]) {
    const args = ["watch", "--annotate", service, "--", "sh", "-c", "echo out; exit 3"];
    const { code, stdout, stderr } = await runOomkit(args);
    assert.equal(code, 3, stderr);
    assert.equal(stdout, "out\n");
    assert.match(
      stderr,
      service === "github"
        ? /^::(notice|warning) title=oomkit%3A [^\n]+::sh exited with 3; /m
        : /section_start/,
    );
  }
});

Deno.test("on GitHub the step summary gets a table of the checks, with names as text", async () => {
  using tree = makeTree(2, { "/a|b<i>": { "memory.max": 1 << 20, "memory.current": 1 << 19 } });
  using directory = makeDirectory();
  const path = directory.write("summary.md", "before\n");
  const args = ["inspect", "--root", tree.dir, "--check", "--require", "limit,v2", "/a|b<i>"];
  const env = { GITHUB_STEP_SUMMARY: path };
  await runOomkit([...args, "--annotate", "gitlab"], { env });
  await runOomkit(args, { env });
  assert.equal(Deno.readTextFileSync(path), "before\n");
  await runOomkit([...args, "--annotate", "github"], { env });
  assert.equal(
    Deno.readTextFileSync(path).replaceAll(/[^|\n]+ \|\n(?=\| v2|\n)/g, " … |\n"),
    "before\n### oomkit: OK: 2 checks passed\n\n" +
      "| check | result | cgroup | details |\n| --- | --- | --- | --- |\n" +
      "| limit | ok | /a&#124;b&#60;i&#62; | … |\n" +
      "| v2 | ok | /a&#124;b&#60;i&#62; | … |\n\n",
  );
});

Deno.test("on GitHub the step summary gets a table of the command, and a failure to write it is a warning", async () => {
  using directory = makeDirectory();
  const watch = ["watch", "--annotate", "github", "--", "true"];
  const path = `${directory.path}/summary.md`;
  const written = await runOomkit(watch, { env: { GITHUB_STEP_SUMMARY: path } });
  assert.equal(written.code, 0, written.stderr);
  const lines = Deno.readTextFileSync(path).split("\n");
  assert.match(lines[0]!, /^### oomkit: /);
  assert.equal(lines[2], "| command | ended | kernel | peak | limit | headroom |");
  assert.match(lines[4]!, /^\| true \| exited with 0 \| /);
  const refused = await runOomkit(watch, { env: { GITHUB_STEP_SUMMARY: directory.path } });
  assert.equal(refused.code, 0);
  assert.match(refused.stderr, /^oomkit: cannot write the step summary to .*: Is a directory$/m);
});

Deno.test("the step summary has the first hundred rows", () => {
  const rows = Array.from({ length: 103 }, (_, at) => [`row ${at}`]);
  const lines = summaryText("many", [["name"], ...rows]).split("\n");
  assert.equal(lines.filter((line) => line.startsWith("| row ")).length, 100);
  assert.ok(lines.includes("and 3 more, in the log"));
});
