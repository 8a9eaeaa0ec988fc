/** `--annotate github`: a small table on the page of the run, through the file that GitHub names to each step. */

import { errorText } from "../../core/errors.ts";
import { refuseUntrustedSymlink } from "../../core/receivers/symlink_check.ts";
import { printable, printStderr } from "./output.ts";

/** GitHub refuses a summary of more than 1 MiB. */
const MAX_ROWS = 100;

/** Appends to the summary of the step; elsewhere it does nothing. A failure is a warning: the results are in the log. */
export function appendStepSummary(title: string, table: readonly (readonly string[])[]): void {
  const path = Deno.env.get("GITHUB_STEP_SUMMARY");
  if (!path) return;
  try {
    refuseUntrustedSymlink(path);
    Deno.writeTextFileSync(path, summaryText(title, table), { append: true });
  } catch (error) {
    printStderr(`oomkit: cannot write the step summary to ${path}: ${errorText(error)}`);
  }
}

/** Markdown. @param table its first row has the titles. */
export function summaryText(title: string, table: readonly (readonly string[])[]): string {
  const [titles = [], ...rows] = table;
  const line = (cells: readonly string[]) => `| ${cells.map(escaped).join(" | ")} |`;
  const more = rows.length - MAX_ROWS;
  return [
    `### ${escaped(title)}`,
    "",
    line(titles),
    `|${" --- |".repeat(titles.length)}`,
    ...rows.slice(0, MAX_ROWS).map(line),
    ...more > 0 ? ["", `and ${more} more, in the log`] : [],
    "",
    "",
  ].join("\n");
}

/** What Markdown and HTML give a meaning to, and what ends a cell. */
const escaped = (text: string): string =>
  printable(text).replace(/[\\`*_{}[\]<>&|#~@$]/g, (c) => `&#${c.charCodeAt(0)};`);
