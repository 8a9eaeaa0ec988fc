/**
 * Generates the man page, the table of all options, and the JSON Schema of the configuration file from the definitions of the
 * commands, the actions in the JSON Schema of events from their table, and THIRD_PARTY_NOTICES from the packages. `deno run -A scripts/reference.ts` writes them; with `--check` it names those that are not up to date.
 */

import { join } from "node:path";
import { definitionsOf } from "../cli/options/definitions.ts";
import { wholeProgram } from "../cli/program.ts";
import { VERSION } from "../cli/version.ts";
import { tryReadText } from "../core/cgroup/files.ts";
import { ACTIONS } from "../core/policy/actions.ts";
import { root } from "./command.ts";
import { configSchema } from "./reference/config_schema.ts";
import { noticesText } from "./reference/notices.ts";
import { manPage } from "./reference/man_page.ts";
import { described, optionsPage } from "./reference/options_page.ts";
import { Mistake, note, printLine, run } from "./terminal.ts";

// deno-lint-ignore no-explicit-any -- a JSON Schema
type Json = any;

/** @returns the text of each file, by its path in the project. */
export async function reference(): Promise<Record<string, string>> {
  const program = await wholeProgram();
  const definitions = described(definitionsOf(program));
  return {
    "docs/man/oomkit.1": manPage(definitions, VERSION),
    "docs/options.md": await formatted(optionsPage(definitions), "md"),
    "docs/schema/config.schema.json": await formatted(
      JSON.stringify(configSchema(program)),
      "json",
    ),
    THIRD_PARTY_NOTICES: await noticesText(),
    [EVENT_SCHEMA]: await formatted(
      JSON.stringify(
        withActions(JSON.parse(Deno.readTextFileSync(join(root, EVENT_SCHEMA)))),
        null,
        2,
      ),
      "json",
    ),
  };
}

const EVENT_SCHEMA = "docs/schema/event.schema.json";
const UNIVERSAL_OUTCOMES = ["dry_run", "failed"];

/** The schema of events, with all actions of the guard and their outcomes. */
function withActions(schema: Json): Json {
  const { action, outcome } = schema.$defs.action.properties;
  const reported = Object.entries(ACTIONS).filter(([, { runs }]) => runs !== "never")
    .map(([kind, { outcomes }]) => ({ kind, outcomes: outcomes as readonly string[] }));
  const own = Map.groupBy(
    reported,
    ({ outcomes }) => outcomes.filter((each) => !UNIVERSAL_OUTCOMES.includes(each)).join(" or "),
  );
  const described = [...own].map(([outcomes, actions]) =>
    `${actions.map(({ kind }) => kind).join(", ")}: ${outcomes}.`
  );
  action.enum = reported.map(({ kind }) => kind);
  outcome.enum = [
    ...new Set(reported.flatMap(({ outcomes }) => outcomes)).difference(
      new Set(UNIVERSAL_OUTCOMES),
    ),
    ...UNIVERSAL_OUTCOMES,
  ];
  outcome.description = `${described.join(" ")} All: ${
    UNIVERSAL_OUTCOMES.join(" or ")
  }, see reason.`;
  return schema;
}

/** Formatted, so that `deno fmt --check` accepts the generated files. */
async function formatted(text: string, extension: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", `--ext=${extension}`, "-"],
    cwd: root,
    env: { RUST_BACKTRACE: "0" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await new Blob([text]).stream().pipeTo(child.stdin);
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Mistake(`deno fmt failed:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  await run("reference", async () => {
    const [mode, ...rest] = Deno.args;
    if (rest.length > 0 || (mode !== undefined && mode !== "--check")) {
      throw new Mistake("write: scripts/reference.ts [--check]");
    }
    let stale = 0;
    for (const [path, text] of Object.entries(await reference())) {
      const file = join(root, path);
      if (tryReadText(file) === text) continue;
      stale++;
      if (mode === "--check") {
        printLine(`${path} is not up to date: deno run -A scripts/reference.ts`);
      } else Deno.writeTextFileSync(file, text), note(`wrote ${path}`);
    }
    return mode === "--check" && stale > 0 ? 1 : 0;
  });
}
