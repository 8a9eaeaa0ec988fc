/** The modules that each command loads at the start: parsing them is most of its start-up time. */

import assert from "node:assert/strict";

const root = new URL("../..", import.meta.url);

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly isDynamic?: boolean;
    /** Undefined for a type import. */
    readonly code?: { readonly specifier: string };
  }[];
}

async function modules(): Promise<Map<string, Module>> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--quiet", "--json", "cli/main.ts"],
    cwd: root,
    stderr: "null",
  }).output();
  const found: Module[] = JSON.parse(new TextDecoder().decode(stdout)).modules;
  return new Map(found.map((module) => [module.specifier, module]));
}

const known = await modules();

/** Packages by their specifier, modules of the repository by their path. */
function loadedBy(path: string): string[] {
  const seen = new Set([new URL(path, root).href]);
  for (const specifier of seen) {
    for (const { isDynamic, code } of known.get(specifier)?.dependencies ?? []) {
      if (!isDynamic && code !== undefined) seen.add(code.specifier);
    }
  }
  return [...seen].map((specifier) => specifier.replace(root.href, ""));
}

Deno.test("--version loads what all commands load, and no command", () => {
  // In one piece with the entry: for each command that saves more than it costs here.
  assert.deepEqual(loadedBy("cli/main.ts").toSorted(), [
    "cli/exit.ts",
    "cli/main.ts",
    "cli/options/option.ts",
    "cli/output/journal_priority.ts",
    "cli/output/output.ts",
    "cli/output/shell.ts",
    "cli/program.ts",
    "cli/version.ts",
    "core/errors.ts",
    "core/names.ts",
    "core/suggest.ts",
    "deno.json",
    "npm:@commander-js/extra-typings@15.1.0",
  ]);
});

Deno.test("no command loads the modules of another one", () => {
  const unneeded: Record<string, RegExp> = {
    // The parsers of options suggest words.
    "cli/program.ts": /^core\/(?!errors|names|suggest)|^cli\/help/,
    // inspect lists directories with names of arbitrary bytes and reads the page size, which are calls of libc.
    "cli/inspect/command.ts":
      /^core\/(watch|simulate|control|guard|kernel\/(?!fd|libc|page_size))|valibot|^cli\/(watch|simulate|guard|output\/(event|guard))/,
    "cli/watch/command.ts": /valibot|^cli\/(inspect|simulate|guard)|^core\/guard\//,
    "cli/simulate/command.ts":
      /valibot|^cli\/(inspect|watch|guard\/(?!policy_options))|^core\/guard\//,
    "cli/guard/command.ts": /valibot|^cli\/(inspect|simulate|watch)|^core\/simulate\//,
  };
  const ofCompletions = /^cli\/(completions\/|options\/definitions)/;
  const ofHelp = /^cli\/help/;
  const ofExports = /opentelemetry|^core\/receivers\/(otlp\/(?!url)|prometheus\/metrics)/;
  const ofPictures = /^core\/(picture|record\/reader)|uplot|^cli\/(output|inspect)\/picture/;
  for (const [path, pattern] of Object.entries(unneeded)) {
    const loaded = loadedBy(path);
    assert.ok(loaded.length > 2, `${path} loads ${loaded}`);
    for (const each of [pattern, ofExports, ofPictures, ofCompletions, ofHelp]) {
      assert.deepEqual(loaded.filter((specifier) => each.test(specifier)), [], path);
    }
  }
});

Deno.test("the modules of the live view are loaded only for a live view", () => {
  for (const path of ["cli/watch/command.ts", "cli/guard/command.ts"]) {
    const ofView =
      /^(cli\/live\/|cli\/terminal\/(?!palette|capabilities|progress)|core\/collect\/live_usage)/;
    assert.deepEqual(loadedBy(path).filter((each) => ofView.test(each)), [], path);
  }
  assert.ok(loadedBy("cli/live/live.ts").includes("cli/terminal/terminal.ts"));
});
