/** How a simulation ends on a terminal: the plot, the verdict, and what is worth trying next. Pure. */

import type { Verdict } from "../core/simulate/simulation_event.ts";
import { ascii, visible } from "./draw/width.ts";
import { wrapBehind, wrapTo } from "./draw/wrap.ts";
import { racePlot } from "./simulate_plot.ts";
import { suggestionsFor, whyText } from "./simulate_next.ts";
import type { Race } from "./simulate_race.ts";
import type { RaceLook } from "./simulate_view.ts";
import { headline, verdictFacts } from "./verdict_text.ts";

const LABEL_WIDTH = 11;

export function endingLines(
  race: Race,
  verdict: Verdict,
  cgroup: string,
  look: RaceLook,
  hasPlot: boolean,
): string[] {
  const { palette, unicode } = look;
  const width = Math.min(WIDEST_TEXT, look.width);
  const plot = hasPlot ? racePlot(race, look) : [];
  const sign = unicode ? (verdict.as_expected ? "✔" : "✘") : verdict.as_expected ? "+" : "!";
  const role = verdict.as_expected ? "good" : "bad";
  const [first = "", ...more] = wrapTo(headline(verdict), width - 2);
  const why = race.start && whyText(race.start, verdict);
  const facts: [string, string][] = [
    ...(why === undefined ? [] : [["why", why] satisfies [string, string]]),
    ...verdictFacts(verdict, cgroup),
  ];
  const lines = [
    ...(plot.length === 0 ? [] : ["", ...plot]),
    "",
    `${palette(role, sign)} ${palette("bold", first)}`,
    ...more.map((line) => `  ${palette("bold", line)}`),
    "",
    ...facts.flatMap(([name, text]) => labelled(name, visible(text, unicode), width, look)),
    ...nextLines(race, verdict, width, look),
  ];
  return unicode ? lines : lines.map(ascii);
}

function labelled(name: string, text: string, width: number, { palette }: RaceLook): string[] {
  const label = `  ${name}`.padEnd(LABEL_WIDTH + 2);
  return wrapBehind(label, text, width).map((line, at) =>
    at === 0 ? palette("dim", label) + line.slice(label.length) : line
  );
}

function nextLines(
  race: Race,
  verdict: Verdict,
  width: number,
  { palette, unicode }: RaceLook,
): string[] {
  if (race.start === undefined) return [];
  const suggestions = suggestionsFor(race.start, verdict);
  return [
    "",
    palette("dim", "  try next"),
    ...suggestions.flatMap(({ command, why }) => [
      ...wrapBehind("  ", visible(command, unicode), width).map((line) => palette("bold", line)),
      ...wrapBehind("    ", why, width),
    ]),
    "",
  ];
}
