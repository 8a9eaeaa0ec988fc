import assert from "node:assert/strict";
import { eventLine } from "../../../cli/output/journal_priority.ts";
import { makeDirectory } from "../../helpers/directory.ts";
import { oomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

/** Runs a watch with its output in files, and returns stdout and stderr. @param stream of which JOURNAL_STREAM names the file. */
async function watchInto(stream: "err" | "none") {
  using tree = makeTree(2, { "/a": {} });
  using directory = makeDirectory();
  const script = `cd "$0" && : >out && : >err && : >none &&
    JOURNAL_STREAM=$(stat -c %d:%i ${stream}) exec "$@" >out 2>err`;
  const words = [...oomkit(), "watch", "--root", tree.dir, "/a", "--json", "--for", "1ms"];
  const args = ["-c", script, directory.path, ...words];
  const { code } = await new Deno.Command("sh", { args, stdin: "null" }).output();
  assert.equal(code, 0);
  const read = (name: string) =>
    Deno.readTextFileSync(`${directory.path}/${name}`).trimEnd().split("\n");
  return { out: read("out"), err: read("err") };
}

Deno.test("where stdout is the journal, lines of events have a priority that journald takes off", () => {
  const { dev, ino } = Deno.statSync("/proc/self/fd/1");
  const before = Deno.env.get("JOURNAL_STREAM");
  Deno.env.set("JOURNAL_STREAM", `${dev}:${ino}`);
  try {
    assert.equal(eventLine("line", "oom_kill"), "<3>line");
    assert.equal(eventLine("line", "summary"), "<6>line");
  } finally {
    if (before === undefined) Deno.env.delete("JOURNAL_STREAM");
    else Deno.env.set("JOURNAL_STREAM", before);
  }
});

Deno.test("where stderr is the journal, messages have a priority, and events on stdout have none", async () => {
  const { out, err } = await watchInto("err");
  assert.ok(err.every((line) => /^<[35]>/.test(line)), err.join("\n"));
  assert.equal(JSON.parse(out.at(-1)!).type, "summary");
});

Deno.test("elsewhere no line has a priority, also with the variable of a service that started this program", async () => {
  const { out, err } = await watchInto("none");
  assert.ok([...out, ...err].every((line) => !line.startsWith("<")));
});
