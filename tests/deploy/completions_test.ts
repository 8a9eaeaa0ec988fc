/** The completions in real shells: what is typed, and what the Tab key completes. */

import assert from "node:assert/strict";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { makeTree, type Tree } from "../helpers/trees.ts";
import { openShell } from "./typed.ts";

function isInstalled(program: string): boolean {
  const directories = Deno.env.get("PATH")?.split(":") ?? [];
  return directories.some((directory) => {
    try {
      return Deno.statSync(`${directory}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

/** @param dir of a tree, with the cgroups /kubepods/pod1 and /lonely, which is also the state directory of a guard. */
const CASES = (dir: string): Record<string, [typed: string, completed: string][]> => ({
  "a command": [
    ["oomkit gu", "oomkit guard"],
    ["oomkit compl", "oomkit completions"],
    ["oomkit --vers", "oomkit --version"],
    ["oomkit help wat", "oomkit help watch"],
    ["oomkit completions f", "oomkit completions fish"],
  ],
  "an option of that command": [
    ["oomkit inspect --min-h", "oomkit inspect --min-headroom"],
    ["oomkit guard --on-crit", "oomkit guard --on-critical"],
    ["oomkit watch /a --fail", "oomkit watch /a --fail-on"],
  ],
  "no option of another command, and no hidden option": [
    ["oomkit inspect --polic", "oomkit inspect --polic"],
    ["oomkit guard --walkI", "oomkit guard --walkI"],
  ],
  "a choice": [
    ["oomkit inspect --output j", "oomkit inspect --output json"],
    ["oomkit inspect --output=j", "oomkit inspect --output=json"],
    ["oomkit guard --policy cont", "oomkit guard --policy container"],
    ["oomkit simulate --json --kind sh", "oomkit simulate --json --kind shmem"],
  ],
  "an item of a list": [
    ["oomkit watch --until lim", "oomkit watch --until limit_changed"],
    ["oomkit watch --until oom,lim", "oomkit watch --until oom,limit_changed"],
    ["oomkit watch --until=oom,lim", "oomkit watch --until=oom,limit_changed"],
    ["oomkit inspect --require psi,swap", "oomkit inspect --require psi,swap-off"],
  ],
  "a file, and a directory": [
    [`oomkit watch --report ${dir}/memory.st`, `oomkit watch --report ${dir}/memory.stat`],
    [`oomkit inspect --root ${dir}/kub`, `oomkit inspect --root ${dir}/kubepods/`],
  ],
  "no file where a file is not expected": [
    [`oomkit watch --for ${dir}/memory.st`, `oomkit watch --for ${dir}/memory.st`],
  ],
  "a cgroup": [
    [`oomkit inspect --root ${dir} /kub`, `oomkit inspect --root ${dir} /kubepods/`],
    [`oomkit watch --root=${dir} -r /kubepods/p`, `oomkit watch --root=${dir} -r /kubepods/pod1`],
    [`oomkit guard --root ${dir} /lo`, `oomkit guard --root ${dir} /lonely`],
    ["oomkit inspect un", "oomkit inspect unit:"],
  ],
  "a unit, a container and a process": [
    [`oomkit inspect --root ${dir} unit:ngi`, `oomkit inspect --root ${dir} unit:nginx.service`],
    [`oomkit inspect --root ${dir} ngi`, `oomkit inspect --root ${dir} nginx.service`],
    [`oomkit watch --root ${dir} 01`, `oomkit watch --root ${dir} 0123456789ab`],
    [`oomkit inspect pid:${completable.typed}`, `oomkit inspect pid:${completable.pid}`],
  ],
  "a guard": [
    ["oomkit status 42424", "oomkit status 424242"],
  ],
  "a cgroup with special characters of the shell in its name": [
    [
      `oomkit inspect --root ${dir} /dev`,
      String.raw`oomkit inspect --root ${dir} /dev-a\\x2db.slice`,
    ],
    [`oomkit inspect --root ${dir} /ev`, String.raw`oomkit inspect --root ${dir} /evil\ \;id`],
  ],
  "the command behind --": [
    ["oomkit watch -- setpr", "oomkit watch -- setpriv"],
    [`oomkit watch -- cat ${dir}/memory.st`, `oomkit watch -- cat ${dir}/memory.stat`],
  ],
});

/** Of processes that start during the test; the kernel counts pids upwards. */
const NEXT_PIDS = 5000;

/** A process with a pid that is completed from all digits but the last: no other pid begins with them, nor will one soon. */
const completable = findCompletable();

function findCompletable(): { readonly typed: string; readonly pid: string } {
  const pids = [...Deno.readDirSync("/proc")].map(({ name }) => name)
    .filter((name) => /^\d+$/.test(name));
  const max = Number(Deno.readTextFileSync("/proc/sys/kernel/pid_max"));
  const next = Array.from({ length: NEXT_PIDS }, (_, i) => String((Deno.pid + 1 + i) % max));
  const beginning = (typed: string, all: readonly string[]) =>
    all.filter((each) => each.startsWith(typed)).length;
  const unique = pids.filter((each) => each.length > 1 && beginning(each.slice(0, -1), pids) === 1);
  const pid = unique.find((each) => beginning(each.slice(0, -1), next) === 0) ?? unique[0] ??
    String(Deno.pid);
  return { typed: pid.slice(0, -1), pid };
}

function tree(): Tree {
  const made = makeTree(2, {
    "/kubepods": {},
    "/kubepods/pod1": {},
    "/lonely": {},
    "/system.slice": {},
    "/system.slice/nginx.service": {},
    "/system.slice/docker-0123456789abcdef.scope": {},
    [`/system.slice/docker-${"0123456789abcdef".repeat(4)}.scope`]: {},
    "/dev-a\\x2db.slice": {},
    "/evil ;id": {},
  });
  Deno.writeTextFileSync(`${made.dir}/guard-424242-1.socket`, "");
  return made;
}

async function writeScript(shell: string): Promise<string> {
  const { code, stdout, stderr } = await runOomkit(["completions", shell]);
  assert.equal(code, 0, stderr);
  const file = Deno.makeTempFileSync({ prefix: "oomkit-test-" });
  Deno.writeTextFileSync(file, stdout);
  return file;
}

/** zsh appends the next separator, and removes it when a space is typed instead. */
const withoutSeparator = (shell: string, line: string) =>
  shell === "zsh" ? line.replace(/[=,/ ]$/, "") : line.trimEnd();

for (const shell of ["bash", "zsh"] as const) {
  const reason = [shell, "script"].find((program) => !isInstalled(program));
  const name = `${shell} completes what is typed`;
  const test = async (t: Deno.TestContext) => {
    using place = tree();
    const file = await writeScript(shell);
    try {
      await using typed = await openShell(shell, file, { OOMKIT_STATE_DIR: place.dir });
      for (const [what, cases] of Object.entries(CASES(place.dir))) {
        await t.step(what, async () => {
          for (const [line, completed] of cases) {
            const got = await typed.complete(line);
            assert.equal(withoutSeparator(shell, got), withoutSeparator(shell, completed));
          }
        });
      }
    } finally {
      Deno.removeSync(file);
    }
  };
  if (reason === undefined) Deno.test(name, test);
  else Deno.test.ignore(`${name} [${reason} is not installed]`, test);
}

async function fish(file: string, line: string, state: string): Promise<string[]> {
  const { stdout, stderr } = await new Deno.Command("fish", {
    args: ["--no-config", "-c", `source ${file}; complete -C "$argv"`, line],
    stdin: "null",
    env: { OOMKIT_STATE_DIR: state },
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  const lines = new TextDecoder().decode(stdout).split("\n").filter((each) => each !== "");
  return lines.map((each) => each.split("\t")[0]!);
}

const name = "fish completes what is typed";
const test = async (t: Deno.TestContext) => {
  using place = tree();
  const file = await writeScript("fish");
  try {
    for (const [what, cases] of Object.entries(CASES(place.dir))) {
      await t.step(what, async () => {
        for (const [line, completed] of cases) {
          const candidates = await fish(file, line, place.dir);
          const word = completed.split(" ").at(-1)!;
          if (what.includes("special characters")) {
            // fish lists the plain name, and quotes it when it is inserted.
            assert.equal(candidates.length, 1, line);
            continue;
          }
          assert.deepEqual(candidates, line === completed ? [] : [word], line);
        }
      });
    }
  } finally {
    Deno.removeSync(file);
  }
};
if (isInstalled("fish")) Deno.test(name, test);
else Deno.test.ignore(`${name} [fish is not installed]`, test);
