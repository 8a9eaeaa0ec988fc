/**
 * Every command in README.md, docs/ and the help parses with the real definitions and is run: here on a fake tree if it is harmless there,
 * otherwise by the test that `ELSEWHERE` names.
 */

import assert from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { applyConfig, readConfig } from "../../cli/config/config.ts";
import { rulesOf } from "../../cli/config/rules.ts";
import { guardBase } from "../../cli/guard/options.ts";
import { definitionsOf } from "../../cli/options/definitions.ts";
import { inOwnOptions, splitCommand, wholeProgram } from "../../cli/program.ts";
import config from "../../deno.json" with { type: "json" };
import { runOomkit } from "../helpers/run_oomkit.ts";
import { shellCommands } from "../helpers/shell_words.ts";
import { makeTree, type Tree } from "../helpers/trees.ts";
import { isThere } from "../helpers/is_there.ts";

const root = new URL("../..", import.meta.url).pathname;

function documents(directory: string): string[] {
  return [...Deno.readDirSync(`${root}${directory}`)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? documents(`${directory}/${name}`)
      : name.endsWith(".md")
      ? [`${directory}/${name}`]
      : []
  );
}

interface Block {
  readonly where: string;
  readonly language: string;
  readonly text: string;
}

const directories = ["docs", "deploy"].filter((directory) => {
  try {
    return Deno.statSync(`${root}${directory}`).isDirectory;
  } catch {
    return false;
  }
});

const blocks: Block[] = ["README.md", ...directories.flatMap(documents)].flatMap((path) => {
  const text = Deno.readTextFileSync(`${root}${path}`);
  const whereAt = (index: number) => `${path}:${text.slice(0, index).split("\n").length}`;
  const fence = /^( *)```(\w*)\n([\s\S]*?)^ *```$/gm;
  const fenced = [...text.matchAll(fence)].map(({ index, 2: language, 3: content }) => ({
    where: whereAt(index),
    language: language!,
    text: content!,
  }));
  // In running text, only spans that begin like a command and have no placeholder.
  const rest = text.replace(fence, (block) => block.replace(/[^\n]/g, " "));
  const spans = [...rest.matchAll(/`(oomkit [^`]+)`/g)].flatMap(({ index, 1: span }) =>
    /[…[<]/.test(span!) ? [] : [{ where: whereAt(index), language: "sh", text: span! }]
  );
  return [...fenced, ...spans];
});

interface Shown {
  readonly where: string;
  readonly words: readonly string[];
}

/** The lines of a block that are commands, by its language. */
const LINES: Readonly<Record<string, RegExp>> = {
  // After `$ ` or, for root, `# `; other lines are output.
  console: /^ *[$#] ((?:.*\\\n)*.*)$/gm,
  sh: /([\s\S]+)/g,
  bash: /([\s\S]+)/g,
  // The steps of a CI job.
  yaml: /^ *(?:- )?(?:\w+: )?((?:sudo )?oomkit .*)$/gm,
  ini: /^Exec\w+=[-+!:@]*(\S*oomkit .*)$/gm,
};

const shown: Shown[] = blocks.flatMap(({ where, language, text }) =>
  [...text.matchAll(LINES[language] ?? /$^/g)]
    .flatMap(([, line]) => shellCommands(line!))
    .map(({ words }) => ({ where, words }))
);

/** The arguments of oomkit, also in `sudo oomkit …` and `kubectl exec POD -- oomkit …`. */
function argumentsOf(words: readonly string[]): readonly string[] | undefined {
  const at = words.findIndex((word) => /^(.*\/)?oomkit$/.test(word));
  const isStarted = at === 0 || ["sudo", "--", "exec", "time"].includes(words[at - 1] ?? "");
  return at >= 0 && isStarted ? words.slice(at + 1) : undefined;
}

const { alone, commands: documented } = definitionsOf(await wholeProgram());
const examples: readonly Shown[] = [alone, ...documented].flatMap(({ name, help }) =>
  (help?.examples ?? []).flatMap((line) => shellCommands(line))
    .map(({ words }) => ({ where: `--help of ${name}`, words }))
);

const ours = new Map<string, { where: string; args: readonly string[] }>();
for (const { where, words } of [...shown, ...examples]) {
  const args = argumentsOf(words);
  if (args !== undefined) ours.set(args.join(" "), { where, args });
}

const reached = new Error("the arguments are fine");

async function parse(args: readonly string[]): Promise<void> {
  const program = await wholeProgram();
  program.hook("preAction", () => {
    throw reached;
  });
  program.configureOutput({ writeOut: () => {}, writeErr: () => {} });
  for (const command of program.commands) command.copyInheritedSettings(program);
  const { own } = splitCommand(await inOwnOptions(args));
  try {
    await program.parseAsync(own, { from: "user" });
  } catch (error) {
    const isHelp = (error as { exitCode?: number }).exitCode === 0;
    if (error !== reached && !isHelp) throw error;
  }
}

Deno.test("every oomkit command in the documents and the help parses", async () => {
  assert.ok(ours.size > 15, `${ours.size} commands found`);
  for (const { where, args } of ours.values()) {
    try {
      await parse(args);
    } catch (error) {
      assert.fail(`${where}: oomkit ${args.join(" ")}: ${(error as Error).message}`);
    }
  }
});

Deno.test("every task and script in the documents exists", () => {
  for (const { where, words } of shown) {
    const [program, verb, name] = words;
    if (program === "deno" && verb === "task") {
      assert.ok(name! in config.tasks, `${where}: ${name}`);
    }
    for (const script of words.filter((word) => /^(\.\/)?(scripts|\.ci)\//.test(word))) {
      const { mode } = Deno.statSync(`${root}${script}`);
      if (script === program) assert.ok(mode! & 0o111, `${where}: ${script} cannot be executed`);
    }
  }
});

Deno.test("every TOML block in the documents is a valid configuration", async () => {
  const path = Deno.makeTempFileSync({ prefix: "oomkit-test-", suffix: ".toml" });
  try {
    for (const { where, text } of blocks.filter(({ language }) => language === "toml")) {
      Deno.writeTextFileSync(path, text);
      try {
        const file = await readConfig(path);
        for (const command of (await wholeProgram()).commands) applyConfig(command, file);
        rulesOf(file, guardBase());
      } catch (error) {
        assert.fail(`${where}: ${(error as Error).message}`);
      }
    }
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("every rule in the documents matches a cgroup below the targets of its file", async () => {
  const path = Deno.makeTempFileSync({ prefix: "oomkit-test-", suffix: ".toml" });
  try {
    for (const { where, text: written } of blocks.filter(({ language }) => language === "toml")) {
      // A tree has no machine, and what is for it only is refused there.
      const text = written.replaceAll("machine = true", 'cgroup = ["/kubepods/machine"]')
        .replaceAll(/^(essentials|psi) = .*$/gm, "");
      const { guard: { targets = [], rule: rules = [] } = {} } = parseToml(text) as {
        guard?: { targets?: string[]; rule?: { cgroup?: string[]; unit?: string }[] };
      };
      if (rules.length === 0) continue;
      using tree = makeTree(2);
      const named = rules.flatMap(({ cgroup = [], unit }) =>
        [cgroup, unit === undefined ? [] : `/system.slice/${unit}`].flat()
      );
      for (const each of [...targets, ...named]) {
        let made = "";
        for (const name of each.replaceAll("*", "x").split("/").slice(1)) {
          made += `/${name}`;
          if (!isThere(`${tree.dir}${made}`)) tree.add(made);
        }
      }
      Deno.writeTextFileSync(path, text);
      const args = ["guard", "--config", path, "--root", tree.dir, "--dry-run", "--check-config"];
      const { code, stderr } = await runOomkit(args);
      assert.equal(code, 0, `${where}: ${stderr}`);
      assert.doesNotMatch(stderr, /matches no existing cgroup|never applies/, where);
      for (const each of named) {
        const [target] = targets.filter((one) => each.startsWith(`${one}/`));
        assert.ok(target !== undefined, `${where}: ${each} is in no target`);
      }
    }
  } finally {
    Deno.removeSync(path);
  }
});

/** Commands that need a real cgroup, a pod or the whole machine; the first match applies. */
const ELSEWHERE: readonly (readonly [pattern: RegExp, test: string])[] = [
  [/^watch .*-- /, "tests/kernel/watch_command_test.ts"],
  [/^simulate\b(?!.*--fake)/, "tests/kernel/simulate_test.ts"],
  [/^guard .*--pod/, "tests/kernel/guard_pod_test.ts"],
  [/^guard (--machine|\/ )/, "tests/kernel/guard_machine_test.ts"],
  [/^inspect \S+\.jsonl.*--html/, "tests/cli/output/picture_test.ts"],
  [/^inspect \S+\.jsonl/, "tests/cli/inspect/recording_test.ts"],
  // It reads the log of this machine, which need not be readable.
  [/^history\b/, "tests/cli/history/history_test.ts"],
  // No guard need run here.
  [/^status\b/, "tests/cli/status/status_test.ts"],
  [/^watch --replay\b/, "tests/executable/live_replay_test.ts"],
  [/^guard --restore/, "tests/cli/guard/restore_test.ts"],
  [/--config /, "tests/cli/config/config_test.ts"],
  [/--check-config/, "tests/cli/config/config_test.ts"],
  [/--kubernetes/, "tests/core/receivers/kubernetes/receiver_test.ts"],
  [/^guard --as earlyoom/, "tests/cli/guard/earlyoom_test.ts"],
  [/--webhook/, "tests/core/receivers/webhook_test.ts"],
  [/--listen/, "tests/core/receivers/prometheus/listen_test.ts"],
  [/--otlp/, "tests/cli/receivers/otlp_test.ts"],
  [/--exec /, "tests/core/control/hook_test.ts"],
];

/** The path of a target on a fake tree; `undefined` for other words and for targets that a tree cannot have. */
function pathOf(target: string): string | undefined {
  if (/^[0-9a-f]{8,64}$/.test(target)) return `/kubepods/pod1/${target.padEnd(64, "0")}`;
  if (/^(unit:)?[\w@-]+\.(service|slice|scope)$/.test(target)) {
    return `/system.slice/${target.replace("unit:", "")}`;
  }
  return /^\/[\w./*-]*$/.test(target) ? target.replace(/\/\*+/g, "") : undefined;
}

/** A fake tree with the pods, containers and units that the documents name. */
function makeWorld(): Tree {
  const full = { "memory.max": 64 * 1024 ** 2, "memory.current": 16 * 1024 ** 2 };
  const tree = makeTree(2);
  for (const { args } of ours.values()) {
    for (const path of args.slice(1).map(pathOf)) if (path !== undefined) place(path);
  }
  place("/kubepods/pod1");
  return tree;

  function place(path: string) {
    let made = "";
    for (const name of path.split("/").filter((part) => part !== "")) {
      made += `/${name}`;
      const isThere = [...Deno.readDirSync(`${tree.dir}${made.slice(0, made.lastIndexOf("/"))}`)]
        .some((entry) => entry.name === name);
      if (!isThere) tree.add(made, full);
    }
  }
}

const WRITTEN = ["--junit", "--log-file", "--html", "--svg"];

/** The same command on a fake tree, harmless and short; `undefined` if it does not work there. */
function harmless(args: readonly string[], { dir }: Tree): string[] | undefined {
  const [command] = args;
  // It runs in the directory of the tree, which is removed afterwards.
  args = args.map((arg, at) => WRITTEN.includes(args[at - 1]!) ? arg.split("/").at(-1)! : arg);
  const root = args.includes("--root") ? [] : ["--root", dir];
  const isCompletions = command === "completions";
  if (isCompletions || args.includes("--help") || args.includes("--version")) return [...args];
  // The tree has no process of this machine.
  if (args.some((arg) => arg.startsWith("pid:"))) return undefined;
  const targets = args.slice(1).some((arg) => pathOf(arg) !== undefined) ? [] : ["/kubepods"];
  if (command === "inspect") return [...args, ...root, ...targets];
  if (command === "watch") return [...args, ...root, "--for", "1ms"];
  if (command === "guard") return [...args, ...root, "--dry-run", "--for", "1ms"];
  return undefined;
}

Deno.test("every oomkit command in the documents runs, here or in the test named for it", async (t) => {
  using tree = makeWorld();
  const cwd = tree.dir;
  for (const [line, { where, args }] of ours) {
    const elsewhere = ELSEWHERE.find(([pattern]) => pattern.test(line))?.[1];
    if (elsewhere !== undefined) {
      assert.ok(Deno.statSync(`${root}${elsewhere}`).isFile, `${where}: ${elsewhere}`);
      continue;
    }
    const run = harmless(args, tree);
    if (run === undefined) continue;
    await t.step(`oomkit ${line}`, async () => {
      const { code, stderr } = await runOomkit(run, { cwd });
      // Exit 1 is possible, because nothing happens on this tree.
      assert.ok(code === 0 || code === 1, `${where}: exit ${code}: ${stderr}`);
      assert.doesNotMatch(stderr, /^oomkit: (cannot|this is a bug)/m, where);
    });
  }
});
