/** Times of other programs for the same task on the same machine, in the same run: systemd-cgtop(1) and runc(8). */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { startContainer } from "../../tests/helpers/runc_container.ts";
import { MIB } from "../cgroups.ts";
import { executable } from "../command.ts";
import { createBenchCgroup, directoryPrefix, makeChildren } from "./cleanup.ts";
import { whyNot } from "./programs.ts";
import { measureInTurn } from "./start_up.ts";
import { type Measured, type Row, row, summarize } from "./statistics.ts";

const CGROUPS = 1000;
const RUNS = 15;

export async function peers(): Promise<Measured> {
  const bench = createBenchCgroup(Infinity);
  const lines: string[] = [];
  const rows: Row[] = [];
  const add = async (peer: string, own: readonly string[], theirs: readonly string[]) => {
    const refused = whyNot(theirs);
    if (refused) return void lines.push(`${peer}: not compared: ${refused}`);
    const times = await measureInTurn({ own, theirs }, RUNS);
    const ratio = summarize(times.own).median / summarize(times.theirs).median;
    const what = `oomkit ${own[1]}${own.length > 2 ? " one" : ""}, beside the next`;
    rows.push(row(what, times.own, `${ratio.toFixed(2)} × the other`), row(peer, times.theirs));
  };
  makeChildren(bench, CGROUPS);
  const cgtop = ["systemd-cgtop", "-b", "-n", "1", "-r", "--depth", "9"];
  await add(`systemd-cgtop -b -n 1, ${CGROUPS} cgroups`, [executable, "inspect"], cgtop);
  const refused = whyNot(["runc", "--version"]);
  if (refused) lines.push(`runc: not compared: ${refused}`);
  else {
    await using container = await startContainer({
      parent: parentOf(bench),
      limit: 64 * MIB,
      cgroupNamespace: false,
      directoryPrefix,
    });
    await add(
      "runc events --stats, one container",
      [executable, "inspect", "--json", container.path],
      ["runc", ...container.rootFlags, "events", "--stats", container.name],
    );
  }
  return { tables: [{ title: "from start to end", unit: "ms", rows }], lines };
}

const parentOf = ({ dir, path, hierarchy }: Cgroup) => ({
  dir,
  path,
  version: hierarchy.version.number,
});
