/** Events where stdout or stderr is the journal: of a journald of the test's own, and of sockets in its place. */

import assert from "node:assert/strict";
import { openJournald } from "../../core/control/journald.ts";
import { libc } from "../../core/kernel/libc.ts";
import { MESSAGE_IDS } from "../../core/events/journald_entry.ts";
import { startDatagramReceiver } from "../helpers/datagram_socket.ts";
import { makeDirectory } from "../helpers/directory.ts";
import { isThere } from "../helpers/is_there.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { noMountNamespace } from "../helpers/kernel_log.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import type { Json } from "../helpers/watched.ts";

const JOURNALD = "/lib/systemd/systemd-journald";
const withoutJournald = noMountNamespace ??
  (isThere(JOURNALD) ? undefined : "systemd-journald is not installed");

// Loaded before the tests: within one, a library that stays loaded counts as a leak.
libc();

/** Without audit, which is one for the whole machine. */
const CONFIG = "[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nRateLimitIntervalSec=0\n";

/** A script in a mount namespace with an empty /run. @param prepare before the script. */
async function inOwnRun(prepare: string, script: string, words: readonly string[]) {
  const code =
    `mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && ${prepare}\n${script}`;
  const { code: status, stdout, stderr } = await new Deno.Command("unshare", {
    args: ["-m", "bash", "-c", code, ...words],
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(status, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trimEnd();
}

/** The entries of the program in the journal, with which `script` has connected it by `as_service`. */
async function entriesOf(script: string, words: readonly string[]): Promise<Json[]> {
  using directory = makeDirectory();
  directory.write("journald.conf", CONFIG);
  const output = await inOwnRun(
    `mount --bind ${directory.path} /etc/systemd`,
    `exec 2>/dev/null
     ${JOURNALD} & journald=$!
     trap 'kill $journald; wait' EXIT
     until [ -S /run/systemd/journal/stdout ]; do sleep 0.05; done
     # As systemd starts a service.
     as_service() {
       systemd-cat -t oomkit sh -c 'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec "$@"' sh "$@"
     }
     entries() { journalctl -q --no-pager -o json -t oomkit "$@"; }
     ${script}
     journalctl --sync && entries`,
    words,
  );
  return output.split("\n").map((line) => JSON.parse(line));
}

kernelTest(
  "in the journal an event is one entry with fields, and no line beside it",
  async () => {
    await using cgroup = makeRealCgroup("journald");
    cgroup.limit(10 * MIB);
    const entries = await entriesOf(
      `(until entries | grep -q watching; do sleep 0.1; done
         echo 0 >"$0/cgroup.procs" && exec tail /dev/zero) & killed=$!
       as_service "$@"
       wait $killed`,
      [cgroup.dir, ...oomkit(), "watch", "--until=oom_kill", "--for=60s", cgroup.path],
    );
    const kills = entries.filter(({ MESSAGE }) => /Z +oom_kill /.test(MESSAGE));
    assert.equal(kills.length, 1, JSON.stringify(entries));
    const [kill] = kills;
    assert.equal(kill.MESSAGE_ID, MESSAGE_IDS.oom_kill);
    assert.equal(kill._TRANSPORT, "journal");
    assert.equal(kill.PRIORITY, "3");
    assert.equal(kill.OOMKIT_TYPE, "oom_kill");
    assert.equal(kill.OOMKIT_CGROUP, cgroup.path);
    // The first message on stderr.
    const message = entries.find(({ MESSAGE }) => /watching/.test(MESSAGE));
    assert.deepEqual([message._TRANSPORT, message.PRIORITY], ["stdout", "5"]);
    for (const { MESSAGE } of entries) assert.doesNotMatch(MESSAGE, /^</);
  },
  { why: withoutJournald },
);

kernelTest(
  "the events of a watched command, which are on stderr, have fields too",
  async () => {
    const entries = await entriesOf(
      `as_service "$@" || true`,
      ["-", ...oomkit(), "watch", "--limit=10M", "--", "tail", "/dev/zero"],
    );
    const kills = entries.filter(({ OOMKIT_TYPE }) => OOMKIT_TYPE === "oom_kill");
    assert.deepEqual(kills.map((each) => each.PRIORITY), ["3"], JSON.stringify(entries));
    assert.equal(entries.filter(({ MESSAGE }) => /Z +oom_kill /.test(MESSAGE)).length, 1);
  },
  { why: withoutJournald },
);

/** What a short watch prints, with the socket of `directory` as that of the journal. */
async function printedWith(directory: string): Promise<string> {
  await using cgroup = makeRealCgroup("journald-full");
  const script =
    `: >/run/out && JOURNAL_STREAM=$(stat -c %d:%i /run/out) "$0" "$@" >/run/out && cat /run/out`;
  const [program, ...args] = [...oomkit(), "watch", "--json", "--for=1ms", cgroup.path];
  return await inOwnRun(`mount --bind ${directory} /run/systemd/journal`, script, [
    program!,
    ...args,
  ]);
}

const needs = { why: noMountNamespace };

kernelTest("an event that the journal takes is not printed", async () => {
  await using receiver = await startDatagramReceiver();
  assert.equal(await printedWith(receiver.directory), "");
  assert.match(await receiver.next(), /^MESSAGE=\{.*\nPRIORITY=6\n(.*\n)*OOMKIT_TYPE=summary\n/);
}, needs);

kernelTest("an event is a line with its priority while the journal has no room", async () => {
  await using receiver = await startDatagramReceiver(false);
  using journald = openJournald(receiver.path)!;
  while (journald.send("MESSAGE=a\n"));
  const lines = (await printedWith(receiver.directory)).split("\n");
  const summary = lines.at(-1)!;
  assert.match(summary, /^<6>\{/);
  assert.equal(JSON.parse(summary.slice(3)).type, "summary");
}, needs);

kernelTest("an event is a line with its priority where the journal has no socket", async () => {
  using directory = makeDirectory();
  assert.match(await printedWith(directory.path), /^<6>\{/m);
}, needs);
