/**
 * `--annotate`: findings that a CI service shows outside of the log. GitHub reads commands from stdout and stderr of a step
 * (actions/runner, ScriptHandler.cs) and shows them on the run's page. GitLab has no such commands, so the findings are a section
 * of the job's log; JUnit XML brings them to the pipeline's page and the merge request.
 */

import type { CiService } from "../options/subcommand.ts";
import { printable } from "./output.ts";

export interface Annotation {
  readonly level: "error" | "warning" | "notice";
  readonly title: string;
  readonly message: string;
}

/**
 * Returns lines for stderr; stdout is for results.
 *
 * @param at milliseconds since the epoch.
 */
export function annotationLines(
  service: CiService,
  annotations: readonly Annotation[],
  at: number,
): string[] {
  if (annotations.length === 0) return [];
  return service === "github" ? githubLines(annotations) : gitlabLines(annotations, at);
}

/** GitHub shows this many annotations per level of one step, and silently drops the rest. */
const MAX_GITHUB_ANNOTATIONS = 10;

function githubLines(annotations: readonly Annotation[]): string[] {
  return (["error", "warning", "notice"] as const).flatMap((level) => {
    const found = annotations.filter((each) => each.level === level);
    if (found.length <= MAX_GITHUB_ANNOTATIONS) return found.map(githubCommand);
    const shown = found.slice(0, MAX_GITHUB_ANNOTATIONS - 1);
    const message = `${found.length - shown.length} more are in the log`;
    return [...shown, { level, title: "oomkit", message }].map(githubCommand);
  });
}

function githubCommand({ level, title, message }: Annotation): string {
  const properties = `title=${escapedProperty(printable(title))}`;
  return `::${level} ${properties}::${escapedData(printable(message))}`;
}

/** In the order in which the runner decodes: the percent sign last. */
export function escapedData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

export function escapedProperty(text: string): string {
  return escapedData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}

/**
 * GitHub's runner also obeys `##[add-mask]…` anywhere in a line, and a cgroup's name may contain it. The replacement means the
 * same in JSON.
 */
export function withoutCommands(service: CiService | undefined, text: string): string {
  return service === "github" ? text.replaceAll("##[", "#\\u0023[") : text;
}

const CLEAR = "\x1b[0K";
const COLORS = { error: "\x1b[1;31m", warning: "\x1b[1;33m", notice: "\x1b[1;36m" } as const;

/** GitLab shows colours in a log, although it is not a terminal. */
function gitlabLines(annotations: readonly Annotation[], at: number): string[] {
  const seconds = Math.floor(at / 1000);
  // GitLab merges two sections of the same name.
  const section = `oomkit_${Math.floor(at)}`;
  const worst = annotations.find(({ level }) => level === "error") ?? annotations[0]!;
  const count = annotations.length === 1 ? "" : ` (+${annotations.length - 1})`;
  const title = `${COLORS[worst.level]}${printable(worst.title)}${count}\x1b[0m`;
  return [
    `${CLEAR}section_start:${seconds}:${section}\r${CLEAR}${title}`,
    ...annotations.map(({ level, title, message }) =>
      `${COLORS[level]}${level.toUpperCase()}\x1b[0m ${printable(title)}: ${printable(message)}`
    ),
    `${CLEAR}section_end:${seconds}:${section}\r${CLEAR}`,
  ];
}
