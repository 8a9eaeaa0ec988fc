import assert from "node:assert/strict";
import { junitXml, xmlText } from "../../../cli/output/junit.ts";
import type { Finding } from "../../../core/events/inspect_document.ts";
import { runCases } from "../../../cli/watch/run.ts";
import type { CommandReport } from "../../../core/events/command_report.ts";
import type { EventType } from "../../../core/events/event.ts";
import { makeDirectory } from "../../helpers/directory.ts";
import { RUN } from "../../helpers/command_report.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

const facts = {
  startedAt: 1_700_000_000_123,
  seconds: 0.0126,
  hostname: "h<1>",
  suite: "oomkit inspect --check",
};

const document = (findings: readonly Finding[]) =>
  junitXml(findings.map(({ cgroup = "oomkit", ...each }) => ({ ...each, class: cgroup })), facts);

interface Element {
  readonly name: string;
  readonly attributes: Record<string, string>;
  readonly children: Element[];
  text: string;
}

/** Throws for what an XML 1.0 parser refuses in a document without DTD, comments and CDATA. */
function parseXml(xml: string): Element {
  const isChar = /^[\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]*$/u;
  assert.match(xml, isChar);
  const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  const plain = (text: string) => {
    assert.doesNotMatch(text, /<|&(?!(amp|lt|gt|quot|apos);)/);
    return text.replace(/&(\w+);/g, (_, name) => entities[name]!);
  };
  const root: Element = { name: "", attributes: {}, children: [], text: "" };
  const open = [root];
  const body = xml.replace(/^<\?xml version="1.0" encoding="UTF-8"\?>\n/, "");
  assert.notEqual(body, xml, "no declaration");
  for (
    const [, text, close, name, attributes, self] of body.matchAll(
      /([^<]*)<(\/?)(\w+)((?:\s+\w+="[^"<]*")*)\s*(\/?)>/gy,
    )
  ) {
    open.at(-1)!.text += plain(text!);
    if (close) {
      assert.equal(open.pop()!.name, name);
      continue;
    }
    const element: Element = { name: name!, attributes: {}, children: [], text: "" };
    for (const [, key, value] of attributes!.matchAll(/(\w+)="([^"]*)"/g)) {
      assert.ok(!(key! in element.attributes), `${key} twice`);
      element.attributes[key!] = plain(value!);
    }
    open.at(-1)!.children.push(element);
    if (!self) open.push(element);
  }
  assert.equal(open.length, 1, "not everything was closed");
  assert.equal(root.children.length, 1);
  return root.children[0]!;
}

Deno.test("a finding is a test case: ok passes, not ok fails, unknown is an error", () => {
  const suites = parseXml(document([
    { cgroup: "/a", check: "psi", verdict: "not_ok", message: "no PSI here" },
    { check: "target", verdict: "unknown", message: "cannot find /b" },
    { cgroup: "/a", check: "limit", verdict: "ok", message: "has one" },
  ]));
  const totals = { tests: "3", failures: "1", errors: "1", time: "0.013" };
  const name = "oomkit inspect --check";
  assert.deepEqual(suites.attributes, { name, ...totals });
  const [suite] = suites.children;
  const rest = { skipped: "0", timestamp: "2023-11-14T22:13:20", hostname: "h<1>" };
  assert.deepEqual(suite!.attributes, { name, ...totals, ...rest });
  const cases = suite!.children.map(({ name, attributes, children }) => [
    name,
    attributes["classname"],
    attributes["name"],
    ...children.map((
      each,
    ) => [each.name, each.attributes["type"], each.attributes["message"], each.text]),
  ]);
  assert.deepEqual(cases, [
    ["testcase", "/a", "psi", ["failure", "psi", "no PSI here", "no PSI here"]],
    ["testcase", "oomkit", "target", ["error", "target", "cannot find /b", "cannot find /b"]],
    ["testcase", "/a", "limit"],
  ]);
});

Deno.test("no two cases have the same class and name: GitLab would drop the second", () => {
  const target: Finding = { check: "target", verdict: "unknown", message: "gone" };
  const [suite] = parseXml(document([target, target, target])).children;
  assert.deepEqual(suite!.children.map(({ attributes }) => attributes["name"]), [
    "target",
    "target (2)",
    "target (3)",
  ]);
});

Deno.test("any name results in valid XML, and its allowed characters are kept", () => {
  const hostile = [
    `"><failure message='&amp;'>]]></testcase><!-- <![CDATA[`,
    "\x00\x08\x0b\x1b[31m\x7f\x85\n\t",
    "\ufffe\uffff \ud800 \udc00 \u{1f600}",
    "&#0;&bogus;",
  ];
  for (const text of hostile) {
    const xml = document([{ cgroup: text, check: "psi", verdict: "not_ok", message: text }]);
    const [found] = parseXml(xml).children[0]!.children;
    assert.equal(found!.children[0]!.text, found!.attributes["classname"]);
  }
  assert.equal(xmlText("\x00\x1b\n"), "\\x00\\x1b\\x0a");
  assert.equal(xmlText("\ufffe\uffff"), "\\ufffe\\uffff");
  assert.equal(xmlText("a\ud800b\udc00"), "a\\ud800b\\udc00");
  assert.equal(xmlText("\u{1f600}"), "\u{1f600}");
});

async function check(...args: string[]) {
  using tree = makeTree(2, {
    "/a<&>\x01": { "memory.max": "1048576\n", "memory.current": "4096\n" },
  });
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const file = `${dir}/junit.xml`;
  const ran = await runOomkit([
    ...["inspect", "--root", tree.dir, "--check", "--require", "limit", "--max-usage", "50%"],
    ...["--junit", file, ...args],
  ]);
  const xml = Deno.readTextFileSync(file);
  Deno.removeSync(dir, { recursive: true });
  return { ...ran, suite: parseXml(xml).children[0]! };
}

Deno.test("inspect --check --junit writes a case for each check, besides its output", async () => {
  const { code, stdout, suite } = await check("/a*");
  assert.equal(code, 0);
  assert.match(stdout, /^OK: 2 checks passed/);
  const names = suite.children.map((
    { attributes },
  ) => [attributes["classname"], attributes["name"]]);
  assert.deepEqual(names, [["/a<&>\\x01", "max-usage"], ["/a<&>\\x01", "limit"]]);
  assert.equal(suite.attributes["failures"], "0");
});

Deno.test("a missing target is an error in the file, and the exit code is 2", async () => {
  const { code, suite } = await check("/nosuch");
  assert.equal(code, 2);
  assert.equal(suite.attributes["errors"], "1");
  assert.match(suite.children[0]!.children[0]!.text, /^cannot resolve/);
});

Deno.test("a check that cannot start leaves an error in the file, not an empty file", async () => {
  const { code, stderr, suite } = await check("--root", "/nosuch");
  assert.equal(code, 2);
  assert.match(stderr, /^oomkit: [^\n]+\n$/);
  assert.equal(suite.attributes["errors"], "1");
});

Deno.test("an unwritable file is reported in one line before any check", async () => {
  using tree = makeTree(2, { "/a": {} });
  const common = ["inspect", "--root", tree.dir, "--check", "--require", "limit"];
  for (
    const [file, why] of [["/nosuch/a.xml", "No such file"], [tree.dir, "Is a directory"]] as const
  ) {
    const { code, stdout, stderr } = await runOomkit([...common, "--junit", file, "/a"]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(
      stderr,
      new RegExp(
        `^oomkit: cannot write JUnit XML to [^\\n]*${why}[^\\n]*; name a writable file\\n$`,
      ),
    );
  }
});

Deno.test("a full disk is reported in one line after the results", async () => {
  using tree = makeTree(2, { "/a": {} });
  const args = [
    "inspect",
    "--root",
    tree.dir,
    "--check",
    "--require",
    "limit",
    "--junit",
    "/dev/full",
  ];
  const { code, stdout, stderr } = await runOomkit([...args, "/a"]);
  assert.equal(code, 2);
  assert.match(stdout, /^NOT OK/);
  assert.match(stderr, /^oomkit: cannot write JUnit XML to \/dev\/full: No space left[^\n]*\n$/);
});

Deno.test("--junit requires --check", async () => {
  const { code, stderr } = await runOomkit(["inspect", "--junit", "/nosuch/a.xml"]);
  assert.equal(code, 2);
  assert.equal(stderr, "oomkit: cannot use --junit alone: it is a check; add --check\n");
});

Deno.test("the verdict on a command is test cases: the kill, the limit, and each type of --fail-on", () => {
  const report = { ...RUN, requested_limit: 1024 };
  const cases = (parts: Partial<CommandReport>, failOn: EventType[], failedBy: EventType[]) =>
    runCases({ ...report, ...parts }, "the line", failOn, failedBy)
      .map(({ class: name, check, verdict }) => `${name} ${check} ${verdict}`);
  assert.deepEqual(cases({}, ["oom_kill", "max"], ["max"]), [
    "make oom_kill ok",
    "make limit ok",
    "make max not_ok",
  ]);
  assert.deepEqual(cases({ verdict: "oom_killed", requested_limit: null }, [], []), [
    "make oom_kill not_ok",
  ]);
  assert.deepEqual(cases({ verdict: "unknown", limit_refused: "no cgroup" }, [], []), [
    "make oom_kill unknown",
    "make limit unknown",
  ]);
});

Deno.test("watch writes JUnit XML on its command, and not without one", async () => {
  using directory = makeDirectory();
  const file = `${directory.path}/memory.xml`;
  const { code } = await runOomkit(["watch", "--junit", file, "--", "true"]);
  assert.equal(code, 0);
  const [suite] = parseXml(Deno.readTextFileSync(file)).children;
  assert.equal(suite!.attributes["name"], "oomkit watch");
  assert.deepEqual(
    suite!.children.map(({ attributes: { classname, name } }) => [classname, name]),
    [
      ["true", "oom_kill"],
    ],
  );
  const alone = await runOomkit(["watch", "--junit", file]);
  assert.match(alone.stderr, /cannot use --junit without a command; write: oomkit watch --junit F/);
});
