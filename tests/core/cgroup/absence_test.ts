import assert from "node:assert/strict";
import { whyNoMemoryCgroups, whyNoPressure } from "../../../core/cgroup/absence.ts";
import { parseMountinfo } from "../../../core/parse/mountinfo.ts";
import { parseProcCgroup } from "../../../core/parse/procfs.ts";

const V1 = "/ /sys/fs/cgroup/cpu rw - cgroup cpu rw,cpu";
const V2 = "/ /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
const PART = "/a/b /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
const ENABLED = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t1\n";
const DISABLED = ENABLED.replace("\t1\n", "\t0\n");
const NONE = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t1\t1\n";

interface Facts {
  readonly mounts?: readonly string[];
  readonly own?: string;
  readonly inNamespace?: boolean;
  readonly cgroups?: string;
  readonly cmdline?: string;
}

function absenceOf(facts: Facts) {
  const { mounts = [], own = "0::/\n", inNamespace = false, cgroups, cmdline = "" } = facts;
  const text = mounts.map((mount, n) => `${n} 1 0:${n} ${mount}\n`).join("");
  const visible = parseMountinfo(text);
  return whyNoMemoryCgroups(visible, parseProcCgroup(own), inNamespace, { cgroups, cmdline });
}

Deno.test("without memory cgroups the reason is the one that /proc shows", () => {
  const cases: [Facts, RegExp, RegExp][] = [
    [
      { own: "4:memory:/a\n", mounts: [V2] },
      /in a cgroup v1 hierarchy, which is not mounted/,
      /^mount it/,
    ],
    [{ cgroups: DISABLED, mounts: [V2] }, /disabled at boot$/, /^boot with cgroup_enable=memory$/],
    [
      { cgroups: DISABLED, cmdline: "quiet cgroup_disable=cpu,memory ro" },
      /disabled at boot$/,
      /^boot without cgroup_disable=memory$/,
    ],
    [
      { cgroups: ENABLED, mounts: [PART] },
      /\/sys\/fs\/cgroup has no .* not enabled for this/,
      /Delegate/,
    ],
    [
      { cgroups: ENABLED, mounts: [V2], inNamespace: true },
      /not enabled for this cgroup/,
      /parent/,
    ],
    [{ cgroups: ENABLED, mounts: [V2] }, /in a cgroup v1 hierarchy, or disabled at boot/, /^try/],
    [{ cgroups: ENABLED, mounts: [V1] }, /no cgroup v1 mount has .*CONFIG_MEMCG_V1/, /cgroup2/],
    [{ cgroups: NONE, mounts: [V2] }, /lists no memory controller/, /CONFIG_MEMCG/],
    [{ cgroups: NONE }, /no cgroup file system is mounted, and .*lists no/, /CONFIG_MEMCG/],
    [{ cgroups: ENABLED }, /^no cgroup file system is mounted$/, /mount -t cgroup2/],
    [{}, /^no cgroup file system is mounted$/, /mount -t cgroup2/],
  ];
  for (const [facts, why, hint] of cases) {
    const absence = absenceOf(facts);
    assert.match(absence.why, why);
    assert.match(absence.hint, hint);
  }
});

Deno.test("a cgroup that has no pressure file any more is not blamed on the kernel alone", () => {
  assert.match(whyNoPressure("/no/such/cgroup"), /PSI|or the cgroup was removed$/);
});
