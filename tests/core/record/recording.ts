/** Lines to write, and files of them. */

import type { RecordedCgroup, RecordingHead, RecordingLine } from "../../../core/record/format.ts";
import { readRecording } from "../../../core/record/reader.ts";

export const head: RecordingHead = {
  type: "recording",
  v: 1,
  at: 1_000_000,
  command: "watch",
  oomkit: "0.1.0",
  host: "h",
  kernel: "6.12.0",
  hierarchy: 2,
  plans: null,
};

export const cgroup: RecordedCgroup = {
  type: "cgroup",
  at: 1_000_000,
  id: 1,
  path: "/a",
  measured: "/a",
  container_id: null,
  pod_uid: null,
  limit: 1000,
  limit_owner: "/a",
  marks: [],
  plan: null,
  mode: null,
  capacity: null,
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
