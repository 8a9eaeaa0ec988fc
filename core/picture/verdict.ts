/** The result of a run in one sentence. Pure. */

import { bytesText, clockText, cut, percentText } from "../figures.js";
import {
  CLOSE_SHARE,
  type Group,
  type KilledProcess,
  largestPeak,
  nearestToLimit,
  type Picture,
  type Tone,
} from "./picture.ts";
import { shortName } from "./text.ts";

export interface Outcome {
  /** The verdict of a simulation replaces the one of the recording. */
  verdict?: string | undefined;
  isAsExpected?: boolean;
  /** Actions that a guard did not take because of a dry run. */
  dryRunActions: number;
}

export function verdictOf(
  { killedProcesses, kills, guardKills, groups, from, to }: Omit<Picture, "verdict" | "tone">,
  { verdict, isAsExpected, dryRunActions }: Readonly<Outcome>,
): { verdict: string; tone: Tone } {
  if (verdict !== undefined) {
    const text = `${verdict[0]!.toUpperCase()}${verdict.slice(1)}`;
    return { verdict: sentence(text), tone: isAsExpected ? "fine" : "bad" };
  }
  const isOneDay = dateText(from) === dateText(to);
  const killText = (processes: readonly KilledProcess[], count: number) => {
    const what = processesText(processes, count);
    // Where, when and why the others were killed is not known.
    return processes.length < count
      ? what
      : what + whereText(processes) + whenText(processes, isOneDay) + whyText(processes);
  };
  const byKernel = killedProcesses.filter(({ by }) => by === "kernel");
  const byOomkit = killedProcesses.filter(({ by }) => by === "oomkit");
  if (byKernel.length > 0) {
    const text = `The kernel killed ${killText(byKernel, kills)}`;
    const more = byOomkit.length === 0
      ? ""
      : `; oomkit killed ${processesText(byOomkit, guardKills)}`;
    return { verdict: sentence(text + more), tone: "bad" };
  }
  if (byOomkit.length > 0) {
    const text = `oomkit killed ${killText(byOomkit, guardKills)}`;
    return { verdict: sentence(`${text}; the kernel killed nothing`), tone: "warn" };
  }
  const dryRun = dryRunActions === 0
    ? ""
    : `; without the dry run, the guard would have acted ${
      dryRunActions === 1 ? "once" : `${dryRunActions} times`
    }`;
  const nearest = nearestToLimit(groups);
  if (nearest === undefined) {
    return { verdict: sentence(unlimitedText(groups) + dryRun), tone: "fine" };
  }
  const share = percentText(100 * nearest.peakShare!);
  const name = placeText(nearest.path);
  const subject = groups.length === 1 ? name : `closest was ${name}, which`;
  return {
    verdict: sentence(
      `Nothing was killed: ${subject} used at most ${share} of its limit, ${
        bytesText(nearest.peakShareLimit)
      }${dryRun}`,
    ),
    tone: nearest.peakShare! >= CLOSE_SHARE || dryRun !== "" ? "warn" : "fine",
  };
}

const MAX_PATH_LETTERS = 48;
const MAX_REASON_LETTERS = 100;
const placeText = (path: string) =>
  path.length <= MAX_PATH_LETTERS ? path : shortName(path, MAX_PATH_LETTERS);

const sentence = (text: string) => /[.!?]$/.test(text) ? text : `${text}.`;

function unlimitedText(groups: readonly Group[]): string {
  const largest = largestPeak(groups);
  return largest === undefined
    ? "Nothing was killed, and no cgroup was sampled"
    : `Nothing was killed, and no cgroup has a limit: ${placeText(largest.path)} used at most ${
      bytesText(largest.peak)
    }`;
}

/** `java (pid 42)`, `3 processes (java, node)`. @param count of all, also those that are not listed */
function processesText(processes: readonly KilledProcess[], count: number): string {
  const [first] = processes;
  if (processes.length > 1) {
    const names = [...new Set(processes.map(({ comm }) => comm).filter((comm) => comm !== null))];
    const isCut = names.length > 3 || processes.length < count;
    const list = names.slice(0, 3).join(", ") + (isCut ? ", …" : "");
    return `${count} processes${list === "" ? "" : ` (${list})`}`;
  }
  if (first!.comm === null) return "a process";
  return first!.pid === null ? first!.comm : `${first!.comm} (pid ${first!.pid})`;
}

function whereText(processes: readonly KilledProcess[]): string {
  const places = [...new Set(processes.map(({ cgroup }) => cgroup))];
  return places.length > 1 ? ` in ${places.length} cgroups` : ` in ${placeText(places[0]!)}`;
}

const dateText = (at: number) => new Date(at).toISOString().slice(0, 10);

/** @param isOneDay leaves out the date. */
function whenText(processes: readonly KilledProcess[], isOneDay: boolean): string {
  const times = processes.map(({ at }) => at);
  const [first, last] = [Math.min(...times), Math.max(...times)].map((at) =>
    `${isOneDay ? "" : `${dateText(at)} `}${clockText(at, 1000)}`
  );
  return first === last ? ` at ${first} UTC` : ` between ${first} and ${last} UTC`;
}

/** Empty where it is unknown, or differs. */
function whyText(processes: readonly KilledProcess[]): string {
  const [why, ...others] = new Set(processes.map(({ why }) => why));
  return why === null || why === undefined || others.length > 0
    ? ""
    : ` because ${cut(why, MAX_REASON_LETTERS)}`;
}
