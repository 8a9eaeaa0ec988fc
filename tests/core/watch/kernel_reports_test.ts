/**
 * Whole reports of a kill as each line of kernels writes them to /dev/kmsg (kernel: mm/oom_kill.c and mm/memcontrol.c of the
 * version). The values are made up: only the words, their order and the punctuation are the kernel's.
 */

import assert from "node:assert/strict";
import { parseKmsgRecord } from "../../../core/parse/kmsg.ts";
import { KillLogParser, type LoggedKill } from "../../../core/watch/kernel_log.ts";

const OWNER = "/docker";
const CGROUP = "/docker/4f5e";

/** The lines around those that name the victim, which are to be skipped. */
const AROUND = {
  stack: ["CPU: 1 PID: 4242 Comm: java Not tainted", "Call Trace:", " dump_header+0x90/0x229"],
  usage: [
    "memory: usage 65536kB, limit 65536kB, failcnt 31",
    "memory+swap: usage 65536kB, limit 9007199254740988kB, failcnt 0",
    `Memory cgroup stats for ${CGROUP}: cache:0KB rss:65536KB mapped_file:0KB swap:0KB`,
  ],
  tasks: [
    "[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name",
    "[ 4242]  1000  4242   253012    16012      60        0           300 java",
  ],
};
const TASK_IN = `Task in ${CGROUP} killed as a result of limit of ${OWNER}`;
const CHOSEN =
  "Memory cgroup out of memory: Kill process 4242 (java) score 1270 or sacrifice child";
const SUMMARY = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0," +
  `oom_memcg=${OWNER},task_memcg=${CGROUP},task=java,pid=4242,uid=1000`;
const SIZES = "total-vm:1012048kB, anon-rss:64000kB, file-rss:48kB";

/** Up to 4.20 `Task in` names the cgroups, since 5.0 the summary does. */
const before50 = (invoked: string, ...killed: readonly string[]) => [
  `java invoked oom-killer: ${invoked}`,
  "java cpuset=4f5e mems_allowed=0",
  ...AROUND.stack,
  TASK_IN,
  ...AROUND.usage,
  ...AROUND.tasks,
  ...killed,
];
const since50 = (...killed: readonly string[]) => [
  "java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=300",
  ...AROUND.stack,
  ...AROUND.usage,
  ...AROUND.tasks,
  SUMMARY,
  ...killed,
];

const ADJ = "order=0, oom_adj=0, oom_score_adj=300";
const IN_CGROUP = "Memory cgroup out of memory: Killed process 4242 (java)";
/** What a kernel leaves out is null. */
const UNKNOWN = { uid: null, anon_rss: null, file_rss: null, shmem_rss: null, oom_score_adj: null };
const RSS = { anon_rss: 64000 * 1024, file_rss: 48 * 1024 };

const KILLS: readonly (readonly [string, readonly string[], Partial<LoggedKill["victim"]>])[] = [
  [
    "2.6.32",
    before50(
      "gfp_mask=0xd0, order=0, oom_adj=0",
      "Memory cgroup out of memory: kill process 4242 (java) score 1270 or a child",
      "Killed process 4242 (java)",
    ),
    {},
  ],
  [
    "el6 (2.6.32)",
    before50(`gfp_mask=0xd0, ${ADJ}`, CHOSEN, `Killed process 4242, UID 1000, (java) ${SIZES}`),
    { ...RSS, uid: 1000 },
  ],
  [
    "3.x",
    before50(
      "gfp_mask=0xd0, order=0, oom_score_adj=300",
      CHOSEN,
      `Killed process 4242 (java) ${SIZES}`,
    ),
    RSS,
  ],
  [
    "el7 (3.10)",
    before50(
      "gfp_mask=0xd0, order=0, oom_score_adj=300",
      CHOSEN,
      `Killed process 4242 (java), UID 1000, ${SIZES}, shmem-rss:8kB`,
    ),
    { ...RSS, uid: 1000, shmem_rss: 8192 },
  ],
  [
    "4.x",
    before50(
      "gfp_mask=0x14000c0(GFP_KERNEL), nodemask=(null), order=0, oom_score_adj=300",
      CHOSEN,
      `Killed process 4242 (java) ${SIZES}, shmem-rss:8kB`,
      "oom_reaper: reaped process 4242 (java), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    ),
    { ...RSS, shmem_rss: 8192 },
  ],
  [
    "5.0 and 5.1",
    since50(CHOSEN, `Killed process 4242 (java) ${SIZES}, shmem-rss:8kB`),
    { ...RSS, shmem_rss: 8192 },
  ],
  ["5.2", since50(`${IN_CGROUP} ${SIZES}, shmem-rss:8kB`), { ...RSS, shmem_rss: 8192 }],
  [
    "el8 (4.18)",
    since50(`${IN_CGROUP} ${SIZES}, shmem-rss:8kB, UID:1000`),
    { ...RSS, shmem_rss: 8192, uid: 1000 },
  ],
  [
    "5.4 to 6.x",
    since50(
      `${IN_CGROUP} ${SIZES}, shmem-rss:8kB, UID:1000 pgtables:240kB oom_score_adj:300`,
      "oom_reaper: reaped process 4242 (java), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    ),
    { ...RSS, shmem_rss: 8192, uid: 1000, oom_score_adj: 300 },
  ],
];

/** As records of /dev/kmsg, a microsecond apart. */
function killsIn(messages: readonly string[]): LoggedKill[] {
  const log = new KillLogParser();
  return messages.flatMap((message, at) => {
    const record = parseKmsgRecord(`6,${1000 + at},${5_000_000 + at},-;${message}\n`);
    assert.ok(record, message);
    return log.add(record.message, record.timestamp) ?? [];
  });
}

for (const [kernel, messages, figures] of KILLS) {
  Deno.test(`a kill by a cgroup's limit is read in full as ${kernel} reports it`, () => {
    assert.deepEqual(killsIn(messages), [{
      victim: { pid: 4242, comm: "java", ...UNKNOWN, ...figures },
      cgroup: CGROUP,
      owner: OWNER,
      usage: 65536 * 1024,
      limit: 65536 * 1024,
      scope: "cgroup",
      isRepeated: false,
    }]);
  });
}

for (
  const [kernel, chosen, killed] of [
    ["el6", "Kill process 4242 (java) score 905 or sacrifice child", ", UID 1000, (java)"],
    ["el7", "Kill process 4242 (java) score 905 or sacrifice child", " (java), UID 1000,"],
    ["3.x and 4.x", "Kill process 4242 (java) score 905 or sacrifice child", " (java)"],
  ] as const
) {
  Deno.test(`a kill because the machine is out of memory has the scope system as ${kernel} reports it`, () => {
    const machine = [
      "java invoked oom-killer: gfp_mask=0x280da, order=0, oom_score_adj=0",
      ...AROUND.stack,
      `Out of memory: ${chosen}`,
      `Killed process 4242${killed} ${SIZES}`,
    ];
    const [first, second, ...rest] = killsIn([...machine, ...KILLS[4]![1]]);
    assert.deepEqual([first!.scope, first!.cgroup, first!.owner], ["system", undefined, undefined]);
    // The reason of one kill is not that of the next.
    assert.deepEqual([second!.scope, second!.owner], ["cgroup", OWNER]);
    assert.deepEqual([first!.limit, second!.limit], [undefined, 65536 * 1024]);
    assert.deepEqual(rest, []);
  });
}

Deno.test("cgroups named for an OOM that killed nothing are not those of the next kill", () => {
  const machine = [
    "java invoked oom-killer: gfp_mask=0x280da, order=0, oom_score_adj=0",
    "Out of memory: Kill process 7 (sh) score 905 or sacrifice child",
    `Killed process 7 (sh), UID 0, ${SIZES}`,
  ];
  const [kill] = killsIn([...before50("gfp_mask=0xd0, order=0, oom_score_adj=0"), ...machine]);
  assert.deepEqual([kill!.victim.pid, kill!.cgroup, kill!.owner], [7, undefined, undefined]);
  assert.equal(kill!.limit, undefined);
});
