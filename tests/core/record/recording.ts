/** Lines of a recording, as text and as a file. */

import type { RecordedCgroup, RecordingHead, RecordingLine } from "../../../core/record/format.ts";
import { readRecording } from "../../../core/record/reader.ts";

export const head: RecordingHead = {
  type: "recording",
  v: 2,
  at: 1_000_000,
  command: "watch",
  oomkit: "0.1.0",
  host: "h",
  kernel: "6.12.0",
  hierarchy: 2,
  policies: null,
};

export const cgroup: RecordedCgroup = {
  type: "cgroup",
  at: 1_000_000,
  id: 1,
  path: "/a",
  usage_cgroup: "/a",
  container_id: null,
  pod_uid: null,
  limit: 1000,
  limit_owner: "/a",
  reference_lines: [],
  policy: null,
  mode: null,
  oom_total_bytes: null,
};

export const snapshots = (count: number): RecordingLine[] =>
  Array.from({ length: count }, (_, n) => ({
    type: "snapshot",
    at: 1_000_000 + n,
    id: 1,
    usage: n,
  }));

export const textOf = (lines: readonly unknown[]): string =>
  lines.map((line) => `${JSON.stringify(line)}\n`).join("");

export async function readAll(path: string): Promise<RecordingLine[]> {
  return await Array.fromAsync(readRecording(path));
}
