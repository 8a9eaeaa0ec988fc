/** Times of other programs for the same task on the same machine, in the same run: systemd-cgtop(1) and runc(8). */

import { basename, dirname, join } from "node:path";
import { type Cgroup, openCgroup } from "../../core/cgroup/cgroup.ts";
import { join as joinPath } from "../../core/cgroup/hierarchy.ts";
import { createBenchCgroup, makeChildren } from "./cgroups.ts";
import { makeBenchFolder } from "./folders.ts";
import { endChild, startChild, within } from "./race_children.ts";
import { executable, measureInTurn } from "./start_up.ts";
import { type Measured, type Row, summarize } from "./statistics.ts";

const CGROUPS = 1000;
const RUNS = 15;
const MIB = 1024 ** 2;
const LIMIT = 64 * MIB;
const STARTED_MS = 10_000;

export async function peers(): Promise<Measured> {
  const bench = createBenchCgroup();
  const { version } = bench.hierarchy;
  Deno.writeTextFileSync(`${bench.dir}/${version.limitFile}`, version.number === 1 ? "-1" : "max");
  const lines: string[] = [];
  const rows: Row[] = [];
  const add = async (peer: string, own: readonly string[], theirs: readonly string[]) => {
    const refused = whyNot(theirs);
    if (refused) return void lines.push(`${peer}: not compared: ${refused}`);
    const times = await measureInTurn({ own, theirs }, RUNS);
    const [mine, his] = [summarize(times.own), summarize(times.theirs)];
    rows.push(
      {
        what: `oomkit ${own[1]}${own.length > 2 ? " one" : ""}, beside the next`,
        summary: mine,
        remark: ratioOf(mine, his),
      },
      { what: peer, summary: his },
    );
  };
  makeChildren(bench, CGROUPS);
  const cgtop = ["systemd-cgtop", "-b", "-n", "1", "-r", "--depth", "9"];
  await add(
    `systemd-cgtop -b -n 1, ${CGROUPS} cgroups`,
    [executable, "inspect"],
    cgtop,
  );
  const container = await startContainer(bench);
  if ("refused" in container) lines.push(`runc: not compared: ${container.refused}`);
  else {
    try {
      await add(
        "runc events --stats, one container",
        [executable, "inspect", "--json", container.cgroup.path],
        ["runc", "--root", container.root, "events", "--stats", container.name],
      );
    } finally {
      await container.end();
    }
  }
  return { tables: [{ title: "from start to end", unit: "ms", rows }], lines };
}

const ratioOf = (own: { median: number }, theirs: { median: number }) =>
  `${(own.median / theirs.median).toFixed(2)} × the other`;

/** Why it cannot be run; `undefined` when it can. */
function whyNot([program, ...args]: readonly string[]): string | undefined {
  try {
    const { success, stderr } = new Deno.Command(program!, { args, stdin: "null" }).outputSync();
    const said = new TextDecoder().decode(stderr).trim().split("\n")[0];
    return success ? undefined : `it says "${said}"`;
  } catch {
    return "it is not installed";
  }
}

interface Container {
  readonly name: string;
  readonly root: string;
  readonly cgroup: Cgroup;
  end(): Promise<void>;
}

/** A container with this machine's programs that only waits. */
async function startContainer(bench: Cgroup): Promise<Container | { refused: string }> {
  const refused = whyNot(["runc", "--version"]);
  if (refused) return { refused };
  const folder = makeBenchFolder();
  const root = join(folder, "state");
  // A relative path is below runc's own cgroup in each v1 hierarchy; v2 has only one hierarchy.
  const parent = bench.hierarchy.version.number === 1 ? basename(bench.path) : bench.path;
  const name = `oomkit-bench-${Deno.pid}`;
  for (const dir of ["proc", ...BOUND]) {
    Deno.mkdirSync(`${folder}/rootfs${dir}`, { recursive: true });
  }
  Deno.writeTextFileSync(
    `${folder}/config.json`,
    JSON.stringify(configOf(`${parent}/${name}`)),
  );
  const args = ["--root", root, "run", "--no-pivot", "--bundle", folder, name];
  const child = startChild(["runc", ...args], { stdin: "null", stdout: "piped", stderr: "piped" });
  const stdout = child.stdout.getReader();
  const started = stdout.read();
  await within(STARTED_MS, started);
  const cgroup = openCgroup(bench.hierarchy, joinPath(bench.path, name));
  const end = async () => {
    const words = ["--root", root, "delete", "--force", name];
    await new Deno.Command("runc", { args: words, stderr: "null" }).output();
    endChild(child);
    await child.status;
    await stdout.cancel();
    await child.stderr.cancel();
    removeElsewhere(bench);
  };
  if (cgroup) return { name, root, cgroup, end };
  endChild(child);
  const said = await new Response(child.stderr).text();
  removeElsewhere(bench);
  return { refused: said.trim().split("\n")[0] || "it has no cgroup below the benchmark's" };
}

const BOUND = ["/bin", "/usr", "/lib", "/lib64"].filter((dir) => {
  try {
    return Deno.statSync(dir).isDirectory;
  } catch {
    return false;
  }
});

function configOf(cgroupsPath: string) {
  return {
    ociVersion: "1.0.2",
    root: { path: "rootfs" },
    process: {
      args: ["/bin/sh", "-c", "echo ready; exec sleep 1000"],
      cwd: "/",
      env: ["PATH=/usr/bin:/bin"],
      user: { uid: 0, gid: 0 },
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      ...BOUND.map((dir) => ({
        destination: dir,
        type: "bind",
        source: dir,
        options: ["bind", "ro"],
      })),
    ],
    linux: {
      cgroupsPath,
      resources: { memory: { limit: LIMIT } },
      namespaces: ["pid", "mount", "ipc", "uts"].map((type) => ({ type })),
    },
  };
}

/** runc makes the parent below its own cgroup in every v1 hierarchy, and leaves it. */
function removeElsewhere({ dir, path, hierarchy }: Cgroup): void {
  if (hierarchy.version.number === 2) return;
  const mounts = dirname(hierarchy.mount);
  for (const line of Deno.readTextFileSync("/proc/self/cgroup").trim().split("\n")) {
    const [, controllers, own] = /^\d+:([^:]*):(.*)$/.exec(line)!;
    const mount = controllers === "" ? "unified" : controllers!.replace("name=", "");
    const other = `${mounts}/${mount}${own === "/" ? "" : own}/${basename(path)}`;
    if (other === dir) continue;
    try {
      Deno.removeSync(other);
    } catch {
      // It does not exist in this hierarchy.
    }
  }
}
