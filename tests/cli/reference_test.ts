/** The output of scripts/reference.ts is up to date, can be read by its tools, and agrees with the program. */

import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { applyConfig, readConfig } from "../../cli/config/config.ts";
import { rulesOf } from "../../cli/config/rules.ts";
import { guardBase } from "../../cli/guard/options.ts";
import { definitionsOf } from "../../cli/options/definitions.ts";
import { wholeProgram } from "../../cli/program.ts";
import { reference } from "../../scripts/reference.ts";
import schema from "../../docs/schema/config.schema.json" with { type: "json" };

const root = new URL("../..", import.meta.url).pathname;

Deno.test("the man page, the table of options and the schema are up to date", async () => {
  for (const [path, text] of Object.entries(await reference())) {
    const stale = `${path} is not up to date: deno run -A scripts/reference.ts`;
    assert.ok(Deno.readTextFileSync(`${root}${path}`) === text, stale);
  }
});

Deno.test("every option is on the man page and in the table, hidden ones only in the table", async () => {
  const page = Deno.readTextFileSync(`${root}docs/man/oomkit.1`).replaceAll("\\-", "-");
  const table = Deno.readTextFileSync(`${root}docs/options.md`);
  for (const { name, options } of definitionsOf(await wholeProgram()).commands) {
    for (const { long, hidden } of name === "help" ? [] : options) {
      assert.equal(
        page.includes(`\\fB${long}\\fR`) || page.includes(`, \\fB${long}`),
        !hidden,
        long,
      );
      if (long !== "--help") {
        assert.ok(new RegExp(`^\\| \`(-\\w, )?${long}[ \`]`, "m").test(table), long);
      }
    }
  }
});

const formatters: Record<string, string[]> = {
  man: ["man", "--warnings", "-E", "UTF-8", "-l", `${root}docs/man/oomkit.1`],
  groff: ["groff", "-man", "-ww", "-Tutf8", "-z", `${root}docs/man/oomkit.1`],
};

for (const [program, [command, ...args]] of Object.entries(formatters)) {
  const name = `${program} formats the man page without a warning`;
  const { error } = await new Deno.Command(command!, { args: ["--version"] }).output()
    .then(() => ({ error: undefined }), (error) => ({ error }));
  const test = async () => {
    const env = { LC_ALL: "C.UTF-8", MANPAGER: "cat" };
    const { success, stderr } = await new Deno.Command(command!, { args, env }).output();
    assert.equal(new TextDecoder().decode(stderr), "");
    assert.ok(success);
  };
  if (error === undefined) Deno.test(name, test);
  else Deno.test.ignore(`${name} [${program} is not installed]`, test);
}

const fits = new Ajv2020({ allowUnionTypes: true }).compile(schema);

/** The error of the program for a file. */
async function programError(text: string): Promise<string | undefined> {
  const path = Deno.makeTempFileSync({ prefix: "oomkit-test-", suffix: ".toml" });
  try {
    Deno.writeTextFileSync(path, text);
    const file = await readConfig(path);
    for (const command of (await wholeProgram()).commands) applyConfig(command, file);
    rulesOf(file, guardBase());
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    Deno.removeSync(path);
  }
}

async function schemaError(text: string): Promise<string | undefined> {
  const { parse } = await import("smol-toml");
  return fits(parse(text)) ? undefined : JSON.stringify(fits.errors);
}

const GOOD = [
  "",
  '[guard]\ntargets = ["/kubepods"]\nrecursive = true\nwarn = 70\ncritical = "90%"\npolicy = "process"',
  '[guard]\nreclaim = false\nprefer = "java"\navoid = ["postgres", "redis"]\non-warn = "signal,reclaim"',
  '[watch]\nuntil = ["oom", "oom_kill"]\nthreshold = "65%,90%"\nlog-file = "/var/log/oomkit.jsonl"',
  '[watch]\nwebhook-url = ["http://localhost/a", "unix:/run/a"]\nwebhook-header = "A: b"',
  '[inspect]\ncheck = true\nrequire = ["limit", "psi"]\nmin-headroom = "20%"\nannotate = "github"',
  '[simulate]\nmb = 20\nfake-version = 2\nkind = "shmem"\n\n[watch]\njson = true',
  '[[guard.rule]]\nname = "db"\ncgroup = ["/db/**"]\nwarn = "80%"\n[[guard.rule]]\nunit = "a.service"\nexempt = true',
  '[[guard.rule]]\npod-labels = { app = "postgres" }\nreclaim = false\nmode = "notify"\nignore = ["x"]',
];

const BAD = [
  "guard = 1",
  "[guards]\nwarn = 70",
  "[guard]\nwarm = 70",
  "[guard]\ncheck-config = true",
  "[guard]\nrecursive = 1",
  '[guard]\nrecursive = "yes"',
  '[guard]\npolicy = "kill"',
  "[guard]\nwarn = [70, 80]",
  '[guard]\ntargets = "/a"',
  "[simulate]\nfake-version = 3",
  '[simulate]\ntargets = ["/a"]',
  "[inspect]\nwarn = 70",
  '[inspect]\nrequire = ["nosuch"]',
  "[[guard.rule]]\nwarn = 70",
  '[[guard.rule]]\ncgroup = "kubepods"',
  '[[guard.rule]]\ncgroup = "/a"\nlisten = ":9"',
  '[[guard.rule]]\ncgroup = "/a"\nexempt = true\nwarn = 70',
  "[[guard.rule]]\npod-labels = {}",
  '[[guard.rule]]\nunit = ""',
  '[guard.rule]\nunit = "a"',
];

Deno.test("the schema accepts what the program accepts", async () => {
  for (const text of GOOD) {
    assert.equal(await programError(text), undefined, text);
    assert.equal(await schemaError(text), undefined, text);
  }
});

Deno.test("the schema refuses mistakes in names, types and choices", async () => {
  for (const text of BAD) {
    assert.ok(await programError(text), `the program accepts ${text}`);
    assert.ok(await schemaError(text), `the schema accepts ${text}`);
  }
});

Deno.test("--check names stale files and writes nothing", async () => {
  const run = (...args: string[]) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--quiet", "scripts/reference.ts", ...args],
      cwd: root,
    }).output();
  const { code, stdout } = await run("--check");
  assert.equal(code, 0, new TextDecoder().decode(stdout));
  const { code: wrong, stderr } = await run("--chekc");
  assert.equal(wrong, 2);
  assert.match(new TextDecoder().decode(stderr), /^reference: write: [^\n]+\n$/);
});
