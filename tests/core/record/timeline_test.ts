import assert from "node:assert/strict";
import { indexAt, Timeline } from "../../../core/record/timeline.ts";
import { incident, MIB, START } from "../../helpers/recorded_incident.ts";

const timeline = new Timeline(incident);
const track = (name: string) => timeline.cgroups.get(`/kubepods/burstable/${name}`)!;
const after = (seconds: number) => START + 1000 * seconds;

Deno.test("the last sample before a moment holds until the next one", () => {
  assert.equal(track("batch").sample(after(0) - 1), undefined);
  assert.equal(track("batch").sample(after(3))?.usage, 6 * MIB);
  assert.equal(track("api").sample(after(179))?.usage, 20 * MIB);
  assert.equal(track("api").sample(after(1000))?.usage, 24 * MIB);
});

Deno.test("a removed cgroup is removed until it is sampled again", () => {
  assert.equal(track("batch").removedAt(after(61)), undefined);
  assert.equal(track("batch").removedAt(after(70)), after(62));
  const again = incident.map((line) => line.type === "gone" ? { ...line, at: after(59) } : line);
  const batch = new Timeline(again).cgroups.get("/kubepods/burstable/batch")!;
  assert.equal(batch.removedAt(after(59.5)), after(59));
  assert.equal(batch.removedAt(after(61)), undefined);
});

Deno.test("peaks are the highest values of equal intervals, also of those without a sample", () => {
  assert.deepEqual(track("batch").peaks(after(10), 2000, 7), [
    undefined,
    4 * MIB,
    6 * MIB,
    8 * MIB,
    10 * MIB,
    12 * MIB,
    14 * MIB,
  ]);
  assert.deepEqual(track("api").peaks(after(90), 30_000, 3), [20, 20, 20].map((mib) => mib * MIB));
  assert.equal(track("batch").peaks(after(120), 2000, 3).at(-1), undefined, "it was removed");
});

Deno.test("a cgroup that was created again begins with its first sample since", () => {
  const again = incident.map((line) => line.type === "gone" ? { ...line, at: after(59) } : line);
  const batch = new Timeline(again).cgroups.get("/kubepods/burstable/batch")!;
  const samplesAt = [1, 58, 59.5, 61].map((seconds) => batch.firstSample(after(seconds))?.at);
  assert.deepEqual(samplesAt, [after(0), after(0), after(0), after(60.1)]);
  assert.equal(batch.firstSample(after(-1)), undefined);
  assert.deepEqual(batch.peaks(after(60.5), 500, 4).map((usage) => usage === undefined), [
    false,
    true,
    true,
    false,
  ], "it was removed after 59 s and sampled after 60.1 s");
});

Deno.test("the moments are the times of samples and events, each once, and lines may be out of order", () => {
  const { moments } = timeline;
  assert.deepEqual(moments, [...new Set(moments)].sort((a, b) => a - b));
  assert.deepEqual([timeline.from, timeline.to], [after(0), after(180)]);
  const [head, ...others] = incident;
  const described = others.filter(({ type }) => type === "cgroup");
  const rest = others.filter(({ type }) => type !== "cgroup").reverse();
  const reversed = new Timeline([head!, ...described, ...rest]);
  assert.deepEqual(reversed.moments, moments);
  assert.deepEqual(reversed.events, timeline.events);
});

Deno.test("a recording without a sample has one moment", () => {
  assert.deepEqual(new Timeline(incident.slice(0, 4)).moments, [START]);
});

Deno.test("the last element at or before a time is found", () => {
  const list = [1, 3, 3, 5].map((at) => ({ at }));
  assert.deepEqual([0, 1, 2, 3, 4, 5, 9].map((at) => indexAt(list, at)), [-1, 0, 0, 2, 2, 3, 3]);
  assert.equal(indexAt([], 1), -1);
});
