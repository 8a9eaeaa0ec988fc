/** `-h`, `--help`, and the details that every option needs for them. */

import assert from "node:assert/strict";
import { ruleKeys } from "../../cli/config/rules.ts";
import { definitionsOf } from "../../cli/options/definitions.ts";
import { detailsOf, GROUPS, keyOf } from "../../cli/options/option.ts";
import { wholeProgram } from "../../cli/program.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";

const program = await wholeProgram();
const COMMANDS = ["inspect", "watch", "history", "guard", "status", "simulate"];
/** One screen of a terminal, less the prompt. */
const MAX_LINES = 30;
const COLUMNS = 80;

async function help(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await runOomkit(args);
  assert.deepEqual([code, stderr], [0, ""]);
  const lines = stdout.trimEnd().split("\n");
  for (const line of lines) assert.ok(line.length <= COLUMNS, line);
  return lines;
}

Deno.test("-h fits on one screen and has three examples", async () => {
  for (const name of COMMANDS) {
    const lines = await help(name, "-h");
    assert.ok(lines.length <= MAX_LINES, `${name}: ${lines.length} lines`);
    const at = lines.indexOf("Examples:");
    const examples = lines.slice(at + 1);
    assert.equal(examples.length, 3, name);
    for (const each of examples) assert.match(each, new RegExp(`^  oomkit ${name}( |$)`));
  }
  assert.ok((await help("-h")).length <= MAX_LINES);
});

Deno.test("--help has every visible option in its group, the basic ones first", async () => {
  for (const name of COMMANDS) {
    const lines = await help(name, "--help");
    const command = program.commands.find((each) => each.name() === name)!;
    const shown = new Map<string, string[]>();
    let heading = "";
    for (const line of lines) {
      if (/^\S.*:$/.test(line)) heading = line;
      const [, long] = /^ {2}(?:-\w, )?(--[\w-]+)/.exec(line) ?? [];
      if (long !== undefined) shown.set(heading, [...shown.get(heading) ?? [], long]);
    }
    for (const option of command.options.filter(({ hidden }) => !hidden)) {
      const { group } = detailsOf(option)!;
      assert.ok(shown.get(GROUPS[group])?.includes(option.long!), `${name} ${option.long}`);
    }
    for (const longs of shown.values()) {
      const isBasic = longs.map((long) =>
        Boolean(detailsOf(command.options.find((each) => each.long === long) ?? {})?.isBasic)
      );
      assert.deepEqual(isBasic, isBasic.toSorted((a, b) => Number(b) - Number(a)), longs.join(" "));
    }
    for (const heading of ["Examples:", "Exit status:", "Environment and files:"]) {
      assert.ok(lines.includes(heading), `${name}: ${heading}`);
    }
  }
});

Deno.test("every option of a command is defined with its details", () => {
  for (const command of program.commands.filter((each) => COMMANDS.includes(each.name()))) {
    for (const option of command.options) {
      assert.ok(detailsOf(option), `${command.name()} ${option.long} is not made by option()`);
    }
  }
});

Deno.test("a help text is a phrase: it begins with a lower-case word or a name, and has no full stop", () => {
  for (const { name, options } of definitionsOf(program).commands) {
    for (const { long, description } of options) {
      assert.match(description, /^([a-z'-]|POST |URL |CA )/, `${name} ${long}`);
      assert.doesNotMatch(description, /\.$|^(and|but|or|the same|of) /, `${name} ${long}`);
    }
  }
});

Deno.test("docs/configuration.md lists the options that a rule may set, and those that a file cannot set", () => {
  const guard = program.commands.find((each) => each.name() === "guard")!;
  const text = Deno.readTextFileSync(new URL("../../docs/configuration.md", import.meta.url));
  const [, rules] = /A\s+rule\s+may\s+set\s+these\s+options:\n\n```text\n([^`]*)```/.exec(text) ??
    [];
  assert.deepEqual(rules?.trim().split(/\s+/), ruleKeys(guard));
  const [, listed] =
    /A\s+file\s+cannot\s+set\s+these,\s+a\s+variable\s+can: ([^.]*)\./.exec(text) ?? [];
  const expected = guard.options.filter((option) => keyOf(option) === undefined);
  assert.deepEqual(
    listed?.split(/,\s+/).map((each) => each.replaceAll("`", "")).toSorted(),
    expected.map(({ long }) => long!).toSorted(),
  );
});
