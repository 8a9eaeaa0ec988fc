import assert from "node:assert/strict";
import { Command } from "@commander-js/extra-typings";
import { commandOf } from "../../cli/options/definitions.ts";
import {
  choice,
  commanderOptions,
  flag,
  list,
  separated,
  value,
} from "../../cli/options/option.ts";
import { wholeProgram } from "../../cli/program.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";

Deno.test("a script is printed for bash, zsh and fish, and other shells are refused", async () => {
  const heads = { bash: "# bash completion", zsh: "#compdef oomkit", fish: "# fish completion" };
  for (const [shell, head] of Object.entries(heads)) {
    const { code, stdout, stderr } = await runOomkit(["completions", shell]);
    assert.equal(code, 0, stderr);
    assert.ok(stdout.startsWith(head), stdout.slice(0, 50));
    assert.equal(stderr, "");
  }
  const { code, stdout, stderr } = await runOomkit(["completions", "tcsh"]);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.match(
    stderr,
    /^oomkit: cannot use tcsh: it is not one of bash, zsh, fish; did you mean zsh\?\n$/,
  );
  assert.match(
    (await runOomkit(["completions"])).stderr,
    /^oomkit: missing required argument 'shell'\n$/,
  );
});

Deno.test("no script contains the hidden command or a hidden option", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    assert.doesNotMatch(
      (await runOomkit(["completions", shell])).stdout,
      /__allocate|walkInterval|logtostderr/,
    );
  }
});

Deno.test("every completion of an option's value is a valid value", async () => {
  const program = await wholeProgram();
  let checked = 0;
  for (const command of program.commands) {
    const definitions = new Map(commandOf(command).options.map((each) => [each.long, each]));
    for (const option of command.options) {
      const { completion } = definitions.get(option.long!)!;
      if (completion === undefined || !("words" in completion)) continue;
      for (const word of completion.words) {
        // The user completes a word that ends in a colon.
        const text = word.endsWith(":") ? `${word}true` : word;
        assert.doesNotThrow(
          () => option.parseArg!(text, undefined as never),
          `${option.flags} ${text}`,
        );
        checked++;
      }
    }
  }
  assert.ok(checked > 50, `${checked} words`);
});

Deno.test("a repeatable option is distinguished from one that replaces its value", () => {
  const group = { group: "general" } as const;
  const parse = (text: string) => text;
  const command = new Command();
  const options = commanderOptions({
    one: value("--one <x>", "", { ...group, parse }),
    many: list("--many <x>", "", { ...group, parse: separated(parse) }),
    choice: choice("--choice <x>", "", { ...group, choices: ["a", "b"] }),
    switch: flag("--switch", "", group),
  });
  for (const option of options) command.addOption(option);
  const repeatable = commandOf(command).options.filter((each) => each.repeatable);
  assert.deepEqual(repeatable.map(({ long }) => long), ["--many"]);
});
