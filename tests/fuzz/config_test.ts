/** Any text is a valid configuration or is refused with one line that names the file. */

import assert from "node:assert/strict";
import { stringify } from "smol-toml";
import { applyConfig, lineOf, type Place, readConfig } from "../../cli/config/config.ts";
import { RULE_WORDS, ruleKeys, rulesOf, SELECTORS } from "../../cli/config/rules.ts";
import { guardBase } from "../../cli/guard/options.ts";
import { printable } from "../../cli/output/output.ts";
import { OomkitError } from "../../core/errors.ts";
import { write } from "../helpers/configured.ts";
import { fc } from "./cases.ts";

const keys = [
  ...ruleKeys(guardBase()),
  ...RULE_WORDS,
  ...SELECTORS,
  "no-reclaim",
  "targets",
  "rule",
  "config",
  "__proto__",
  "constructor",
];
const scalar = fc.oneof(
  fc.string(),
  fc.string({ unit: fc.constantFrom(..."0123456789.%kMGs,:[](*?/é\n\x1b") }),
  fc.constantFrom("65%", "1M", "500ms", "process", "signal:SIGUSR1", "/kubepods/**", "/[z-a]", "("),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }),
);
const word = fc.oneof(fc.constantFrom(...keys), fc.string());
const value = fc.oneof(
  { weight: 4, arbitrary: scalar },
  fc.array(fc.string(), { maxLength: 3 }),
  fc.array(fc.nat(), { maxLength: 3 }),
  fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 }),
);
const table = fc.array(fc.tuple(word, value), { maxLength: 5 }).map((pairs) =>
  Object.fromEntries(pairs)
);
/** A rule with a selector, so that more of it is checked. */
const rule = fc.tuple(table, fc.constantFrom("/a", "/[b]*", "/x/**", "/[z-a]", "relative"))
  .map(([rest, cgroup]) => ({ cgroup, ...rest }));
const document = fc.record({
  guard: fc.tuple(table, fc.option(fc.array(rule, { maxLength: 3 }), { nil: undefined }))
    .map(([rest, rules]) => rules === undefined ? rest : { ...rest, rule: rules }),
  watch: fc.option(table, { nil: undefined }),
});

const changed = (text: string, changes: readonly (readonly [number, string])[]) =>
  changes.reduce((before, [position, replacement]) => {
    const at = position % (before.length + 1);
    return before.slice(0, at) + replacement + before.slice(at + replacement.length);
  }, text);

/** The error; `undefined` if the file is accepted. */
async function refusal(
  path: string,
  command: ReturnType<typeof guardBase>,
): Promise<string | undefined> {
  try {
    const file = await readConfig(path);
    applyConfig(command, file);
    rulesOf(file, guardBase());
    return undefined;
  } catch (error) {
    if (!(error instanceof OomkitError)) throw error;
    return error.message;
  }
}

async function checkAll(texts: fc.Arbitrary<string>): Promise<void> {
  using file = write("");
  // Shared, because the values set by one text do not affect how the next one is read.
  const command = guardBase();
  await fc.assert(fc.asyncProperty(texts, async (text) => {
    Deno.writeTextFileSync(file.path, text);
    const why = await refusal(file.path, command);
    if (why === undefined) return;
    assert.ok(why.includes(file.path), why);
    assert.equal(why, printable(why));
  }));
}

Deno.test("any document of tables is a configuration or is refused with one line that names the file", async () => {
  await checkAll(document.map((each) => stringify(each)));
});

Deno.test("a document with random changes is a configuration or is refused with one line that names the file", async () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.string({ unit: "binary", maxLength: 3 })), {
    minLength: 1,
    maxLength: 4,
  });
  await checkAll(
    fc.tuple(document, changes).map(([each, changes]) => changed(stringify(each), changes)),
  );
});

Deno.test("arbitrary text is a configuration or is refused with one line that names the file", async () => {
  const line = fc.constantFrom(
    "[guard]",
    "[[guard.rule]]",
    "warn = 1",
    '"a" = 2',
    "[",
    "= 1",
    "\0",
  );
  await checkAll(fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(line).map((lines) => lines.join("\n")),
  ));
});

Deno.test("the line of a mistake exists in any text", () => {
  const part = fc.oneof(fc.constantFrom("guard", "rule", "warn", "a.b", ""), fc.nat(3));
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(
      fc.constantFrom(
        "[guard]",
        "[[guard.rule]]",
        "warn = 1",
        "guard.warn = 2",
        "",
        "[a.'b']",
        "x",
      ),
    )
      .map((lines) => lines.join("\n")),
  );
  fc.assert(fc.property(text, fc.array(part, { maxLength: 4 }), (text, place: Place) => {
    const line = lineOf(text, place);
    if (line === undefined) return;
    assert.ok(Number.isInteger(line) && line >= 1 && line <= text.split("\n").length);
  }));
});

Deno.test("the line of a key in a rule is found after any number of rules and blank lines", () => {
  const rules = fc.array(
    fc.record({ names: fc.uniqueArray(fc.constantFrom("warn", "mode", "name")), blank: fc.nat(3) }),
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(fc.property(rules, fc.nat(), fc.nat(), (rules, which, what) => {
    const at = which % rules.length;
    const names = rules[at]!.names;
    fc.pre(names.length > 0);
    const name = names[what % names.length]!;
    const lines = rules.flatMap(({ names, blank }, number) => [
      ...Array<string>(blank).fill("# nothing"),
      "[[guard.rule]]",
      ...names.map((each) => `${each} = "${number} = [x]"`),
    ]);
    const expected = lines.indexOf(`${name} = "${at} = [x]"`) + 1;
    assert.equal(lineOf(lines.join("\n"), ["guard", "rule", at, name]), expected);
  }));
});
