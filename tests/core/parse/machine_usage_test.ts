import assert from "node:assert/strict";
import { parseReclaimStat } from "../../../core/parse/cgroupfs.ts";
import { machineStat, parseMachineUsage } from "../../../core/parse/machine_usage.ts";
import { meminfoOf } from "../../helpers/meminfo.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

Deno.test("the limit is MemTotal, and usage is what is not available", () => {
  const found = parseMachineUsage(meminfoOf({ MemTotal: 1000, MemAvailable: 400 }));
  assert.equal(found?.limit, 1000 * MIB);
  assert.equal(found?.usage, 600 * MIB);
});

Deno.test("huge pages belong neither to the limit nor to usage", () => {
  const half = { MemTotal: 1000, MemAvailable: 400, Hugetlb: 500 };
  const found = parseMachineUsage(meminfoOf(half));
  assert.equal(found?.limit, 500 * MIB);
  assert.equal(found?.usage, 100 * MIB);
});

Deno.test("before Linux 4.18 huge pages are counted by their number", () => {
  const { Hugetlb: _, ...rows } = { MemTotal: 1000, MemAvailable: 400, Hugetlb: 0 };
  const text = `${meminfoOf(rows).replace(/^Hugetlb.*\n/m, "")}HugePages_Total:     250\n` +
    "Hugepagesize:       2048 kB\n";
  assert.equal(parseMachineUsage(text)?.limit, 500 * MIB);
});

Deno.test("what the cache of ZFS can give back is available", () => {
  const meminfo = meminfoOf({ MemTotal: 1000, MemAvailable: 20, SUnreclaim: 700 });
  const arcstats = "name type data\n" +
    `c_min                           4    ${50 * MIB}\nsize                            4    ${
      650 * MIB
    }\n`;
  assert.equal(parseMachineUsage(meminfo)?.usage, 980 * MIB);
  assert.equal(parseMachineUsage(meminfo, arcstats)?.usage, 380 * MIB);
  const minimal = arcstats.replace(String(650 * MIB), String(40 * MIB));
  assert.equal(parseMachineUsage(meminfo, minimal)?.usage, 980 * MIB);
});

Deno.test("figures that contradict each other are unknown", () => {
  assert.equal(parseMachineUsage(""), undefined);
  assert.equal(parseMachineUsage("MemTotal: 1000 kB\n"), undefined, "no MemAvailable");
  assert.equal(parseMachineUsage(meminfoOf({ MemTotal: 10, MemAvailable: 400 })), undefined);
  assert.equal(
    parseMachineUsage(meminfoOf({ MemTotal: 1000, MemAvailable: 400, Hugetlb: 1000 })),
    undefined,
  );
  const cut = meminfoOf({ MemTotal: 1000, MemAvailable: 400 }).slice(0, 40);
  assert.equal(parseMachineUsage(cut), undefined, "a read that was cut off");
});

Deno.test("no part of the machine's usage counts as reclaimable, and anonymous memory as swappable", () => {
  const found = parseMachineUsage(
    meminfoOf({ MemTotal: 1000, MemAvailable: 400, "Active(anon)": 100, "Inactive(anon)": 200 }),
  )!;
  const stat = parseReclaimStat(machineStat(found));
  assert.equal(stat.reclaimable, 0);
  assert.equal(stat.swappable, 300 * MIB);
});
