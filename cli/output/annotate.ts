/**
 * What a CI service shows beside the log: `--annotate`. GitHub takes commands out of what a step writes, to stdout and
 * stderr alike (actions/runner, ScriptHandler.cs), and shows them on the page of the run. GitLab has no such commands: there
 * it is a section of its own in the job's log; findings reach the page of the pipeline and the merge request as JUnit XML.
 */

import { printable } from "./output.ts";

export const CI_SERVICES = ["github", "gitlab"] as const;
export type CiService = typeof CI_SERVICES[number];

export interface Annotation {
  readonly level: "error" | "warning" | "notice";
  /** A few words. */
  readonly title: string;
  readonly message: string;
}

/**
 * @param at milliseconds since the epoch
 * @returns lines for stderr, which leaves stdout to the results
 */
export function annotationLines(
  service: CiService,
  annotations: readonly Annotation[],
  at: number,
): string[] {
  if (annotations.length === 0) return [];
  return service === "github" ? githubLines(annotations) : gitlabLines(annotations, at);
}

/** Of each level GitHub shows so many from one step, and drops the others without a word. */
const SHOWN_BY_GITHUB = 10;

function githubLines(annotations: readonly Annotation[]): string[] {
  return (["error", "warning", "notice"] as const).flatMap((level) => {
    const found = annotations.filter((each) => each.level === level);
    if (found.length <= SHOWN_BY_GITHUB) return found.map(githubCommand);
    const shown = found.slice(0, SHOWN_BY_GITHUB - 1);
    const message = `${found.length - shown.length} more are in the log`;
    return [...shown, { level, title: "oomkit", message }].map(githubCommand);
  });
}

function githubCommand({ level, title, message }: Annotation): string {
  return `::${level} title=${escapedProperty(printable(title))}::${
    escapedData(printable(message))
  }`;
}

/** As the runner reads it: what stands for a percent sign it puts back last. */
export function escapedData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

export function escapedProperty(text: string): string {
  return escapedData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}

/**
 * GitHub's runner also obeys `##[add-mask]…` anywhere in a line, and the name of a cgroup may have it. What stands there
 * instead is the same text to a reader of JSON.
 */
export function withoutCommands(service: CiService | undefined, text: string): string {
  return service === "github" ? text.replaceAll("##[", "#\\u0023[") : text;
}

const CLEAR = "\x1b[0K";
const COLORS = { error: "\x1b[1;31m", warning: "\x1b[1;33m", notice: "\x1b[1;36m" } as const;

/** GitLab shows colours though the log is no terminal. */
function gitlabLines(annotations: readonly Annotation[], at: number): string[] {
  const seconds = Math.floor(at / 1000);
  // Two sections of one name would be taken for one.
  const section = `oomkit_${Math.floor(at)}`;
  const worst = annotations.find(({ level }) => level === "error") ?? annotations[0]!;
  const count = annotations.length === 1 ? "" : ` (+${annotations.length - 1})`;
  return [
    `${CLEAR}section_start:${seconds}:${section}\r${CLEAR}${COLORS[worst.level]}${
      printable(worst.title)
    }${count}\x1b[0m`,
    ...annotations.map(({ level, title, message }) =>
      `${COLORS[level]}${level.toUpperCase()}\x1b[0m ${printable(title)}: ${printable(message)}`
    ),
    `${CLEAR}section_end:${seconds}:${section}\r${CLEAR}`,
  ];
}
