import assert from "node:assert/strict";
import { EVENT_TYPES, makeEvent, type OomkitEvent } from "../../../core/events/event.ts";
import { journaldEntry, MESSAGE_IDS } from "../../../core/events/journald_entry.ts";

const KILL: OomkitEvent = {
  ...makeEvent(0, "/kubepods/a", "kmsg", {
    type: "oom_kill",
    victim: {
      pid: 4242,
      comm: "leak",
      uid: null,
      anon_rss: 1,
      file_rss: null,
      shmem_rss: null,
      oom_score_adj: 0,
    },
    limit_owner: null,
    limit: 1000,
    scope: "cgroup",
    inferred: false,
  }),
  namespace: "shop",
  pod: "web-0",
  container: "app",
  node: "node-1",
};

/** As journald reads it: systemd's journald-native.c. */
function fieldsOf(entry: Uint8Array<ArrayBuffer>): Record<string, string> {
  const fields: Record<string, string> = {};
  const text = (from: number, to: number) => new TextDecoder().decode(entry.subarray(from, to));
  for (let at = 0; at < entry.length;) {
    const end = entry.indexOf(10, at);
    assert.notEqual(end, -1, "every field ends with a newline");
    const line = text(at, end);
    const equals = line.indexOf("=");
    if (equals > 0) {
      fields[line.slice(0, equals)] = line.slice(equals + 1);
      at = end + 1;
      continue;
    }
    const size = Number(new DataView(entry.buffer).getBigUint64(end + 1, true));
    fields[line] = text(end + 9, end + 9 + size);
    assert.equal(entry[end + 9 + size], 10);
    at = end + 10 + size;
  }
  return fields;
}

Deno.test("an entry of the journal has the line, the priority and the fields of the event", () => {
  assert.deepEqual(fieldsOf(journaldEntry(KILL, "the line", 3)), {
    MESSAGE: "the line",
    PRIORITY: "3",
    MESSAGE_ID: "4c882912844e4537a8cc64600397a545",
    SYSLOG_IDENTIFIER: "oomkit",
    SYSLOG_FACILITY: "3",
    OOMKIT_V: "2",
    OOMKIT_TS: "1970-01-01T00:00:00.000000Z",
    OOMKIT_CGROUP: "/kubepods/a",
    OOMKIT_SOURCE: "kmsg",
    OOMKIT_TYPE: "oom_kill",
    OOMKIT_LIMIT: "1000",
    OOMKIT_SCOPE: "cgroup",
    OOMKIT_INFERRED: "false",
    OOMKIT_NAMESPACE: "shop",
    OOMKIT_POD: "web-0",
    OOMKIT_CONTAINER: "app",
    OOMKIT_NODE: "node-1",
    OOMKIT_VICTIM_PID: "4242",
    OOMKIT_VICTIM_COMM: "leak",
  });
});

Deno.test("a name with line breaks does not add fields to an entry of the journal", () => {
  const cgroup = "/a\nPRIORITY=0\nOOMKIT_POD=other";
  const fields = fieldsOf(journaldEntry({ ...KILL, cgroup }, "line\nline", 3));
  assert.equal(fields.OOMKIT_CGROUP, cgroup);
  assert.equal(fields.MESSAGE, "line\nline");
  assert.deepEqual([fields.PRIORITY, fields.OOMKIT_POD], ["3", "web-0"]);
});

Deno.test("a name that is not UTF-8 has its bytes in the journal", () => {
  const entry = journaldEntry({ ...KILL, cgroup: "/\udcff" }, "", 3);
  const latin1 = new TextDecoder("latin1").decode(entry);
  assert.ok(latin1.includes("OOMKIT_CGROUP=/\xff\n"));
});

Deno.test("each type of event has a message id of its own, which is documented", () => {
  const ids = Object.values(MESSAGE_IDS);
  assert.equal(new Set(ids).size, EVENT_TYPES.length);
  const docs = Deno.readTextFileSync(new URL("../../../docs/reporting.md", import.meta.url));
  for (const type of EVENT_TYPES) {
    assert.match(MESSAGE_IDS[type], /^[0-9a-f]{32}$/);
    assert.match(docs, new RegExp(`\\| \`${type}\` +\\| \`${MESSAGE_IDS[type]}\` +\\|`));
  }
});
