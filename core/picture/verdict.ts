/** What came of a run, in one sentence that stands on top. Pure. */

import type { ChartEvent, Group, KilledProcess, Tone } from "./picture.ts";
import { bytesText } from "./page/figures.js";
import { cut, shortName } from "./text.ts";

interface Seen {
  readonly groups: readonly Group[];
  readonly events: readonly ChartEvent[];
  readonly killedProcesses: readonly KilledProcess[];
}

interface Told {
  /** A simulation has a verdict of its own. */
  readonly verdict?: string | undefined;
  readonly isFine?: boolean;
  /** What a dry run would have done. */
  readonly would: number;
}

/** From here on it was close: where `inspect` and the live view turn red as well. */
const CLOSE = 0.9;

export function verdictOf(seen: Seen, told: Told): { verdict: string; tone: Tone } {
  const { killedProcesses, groups } = seen;
  if (told.verdict !== undefined) {
    const text = `${told.verdict[0]!.toUpperCase()}${told.verdict.slice(1)}`;
    return { verdict: sentence(text), tone: told.isFine ? "fine" : "bad" };
  }
  const byKernel = killedProcesses.filter(({ by }) => by === "kernel");
  const byUs = killedProcesses.filter(({ by }) => by === "oomkit");
  if (byKernel.length > 0) {
    const ours = byUs.length === 0 ? "" : `; oomkit ended ${many(byUs)} before it had to`;
    return {
      verdict: sentence(`The kernel killed ${many(byKernel)}${whereOf(byKernel)}${ours}`),
      tone: "bad",
    };
  }
  if (byUs.length > 0) {
    return {
      verdict: sentence(
        `oomkit ended ${many(byUs)}${whereOf(byUs)}, and the kernel had to kill nothing`,
      ),
      tone: "warn",
    };
  }
  const would = told.would === 0
    ? ""
    : `; the guard, on a dry run, would have acted ${
      told.would === 1 ? "once" : `${told.would} times`
    }`;
  const nearest = groups.filter(({ peakShare: closest }) => closest !== null)
    .sort((a, b) => b.peakShare! - a.peakShare!)[0];
  if (nearest === undefined) return { verdict: withoutLimit(groups) + would, tone: "fine" };
  const share = `${(100 * nearest.peakShare!).toFixed(1)} %`;
  const name = placeText(nearest.path);
  const subject = groups.length === 1 ? name : `closest was ${name}, which`;
  return {
    verdict: sentence(
      `Nothing was killed: ${subject} used at most ${share} of its limit, ${
        bytesText(nearest.peakShareLimit)
      }${would}`,
    ),
    tone: nearest.peakShare! >= CLOSE || would !== "" ? "warn" : "fine",
  };
}

/** A path as far as a sentence bears it; the whole stands in the tables. */
const placeText = (path: string) => path.length <= SHORT ? path : shortName(path, SHORT);
const SHORT = 48;

const sentence = (text: string) => /[.!?]$/.test(text) ? text : `${text}.`;

function withoutLimit(groups: readonly Group[]): string {
  const largest = groups.filter(({ peak }) => peak !== null).sort((a, b) => b.peak! - a.peak!)[0];
  if (largest === undefined) return "Nothing was killed, and no cgroup was looked at.";
  return `Nothing was killed, and nothing here has a limit: ${
    placeText(largest.path)
  } used at most ${bytesText(largest.peak)}.`;
}

/** `java (pid 42)`, `3 processes (java, node)`. */
function many(killedProcesses: readonly KilledProcess[]): string {
  const [first] = killedProcesses;
  if (killedProcesses.length > 1) {
    const names = [
      ...new Set(killedProcesses.map(({ comm }) => comm).filter((comm) => comm !== null)),
    ];
    const list = names.length === 0
      ? ""
      : ` (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""})`;
    return `${killedProcesses.length} processes${list}`;
  }
  if (first!.comm === null) return "a process";
  return first!.pid === null ? first!.comm : `${first!.comm} (pid ${first!.pid})`;
}

function whereOf(killedProcesses: readonly KilledProcess[]): string {
  const places = [...new Set(killedProcesses.map(({ cgroup }) => cgroup))];
  if (places.length > 1) return ` in ${places.length} cgroups`;
  const how = [...new Set(killedProcesses.map((each) => each.how))];
  return ` in ${placeText(places[0]!)}${
    how.length === 1 && killedProcesses[0]!.by === "kernel" ? ` ${cut(how[0]!, 64)}` : ""
  }`;
}
