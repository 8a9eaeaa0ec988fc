/** What the terminal on stdin and stdout can do: its size, colours and characters, and whether a live view can be drawn on it. */

import { tryReadText } from "../../core/cgroup/files.ts";
import { parseTerminalGroups, type TerminalGroups } from "../../core/parse/procfs.ts";
import type { DrawFlags } from "../options/subcommand.ts";
import { printStderr } from "../output/output.ts";

/** A new pseudo-terminal without a size reports 0 × 0. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** The size of the terminal; `undefined` without one. */
export function terminalSize(): Size | undefined {
  try {
    return Deno.consoleSize();
  } catch {
    return undefined;
  }
}

/** 80 without a terminal or without a size (a new pty reports 0). */
export const terminalColumns = () => terminalSize()?.columns || 80;

/** Columns for output to stdout: 80 where it is no terminal, and at least 40. */
export const terminalWidth = () => Math.max(40, Deno.stdout.isTerminal() ? terminalColumns() : 80);

/** Number of colours: none, eight and their bright variants, the 256-colour palette, or 24-bit. */
export type Colours = 0 | 16 | 256 | 16777216;

export interface Capabilities {
  readonly colours: Colours;
  /** False: only ASCII is shown. */
  readonly unicode: boolean;
}

export type ColorFlag = "auto" | "always" | "never";

export interface TerminalFlags {
  readonly color: ColorFlag;
  readonly ascii?: boolean | undefined;
}

type Variables = (name: string) => string | undefined;

/**
 * `--color`, or without it what the variables say: NO_COLOR (no-color.org: set and not empty), then FORCE_COLOR (force-color.org; 0 and
 * false mean no colours, as for Node.js) and CLICOLOR_FORCE (bixense.com/clicolors: set and not 0).
 */
export function decidedColor(
  color: ColorFlag,
  variable: Variables = (name) => Deno.env.get(name),
): ColorFlag {
  if (color !== "auto") return color;
  if (variable("NO_COLOR")) return "never";
  const [force, clicolor] = [variable("FORCE_COLOR"), variable("CLICOLOR_FORCE")];
  if (force) return force === "0" || force === "false" ? "never" : "always";
  return clicolor && clicolor !== "0" ? "always" : "auto";
}

/**
 * Colours by {@link decidedColor}, then COLORTERM and TERM. Unicode where the locale is UTF-8,
 * unless `--ascii` was given; locale(7): the first of LC_ALL, LC_CTYPE and LANG that is set and not empty.
 */
export function capabilitiesOf(
  { color, ascii = false }: TerminalFlags,
  variable: Variables = (name) => Deno.env.get(name),
): Capabilities {
  const locale = variable("LC_ALL") || variable("LC_CTYPE") || variable("LANG") || "C";
  const unicode = !ascii && /utf-?8/i.test(locale);
  const decided = decidedColor(color, variable);
  if (decided === "never") return { colours: 0, unicode };
  const found = coloursOf(variable("TERM") ?? "", variable("COLORTERM") ?? "");
  return { colours: found === 0 && decided === "always" ? 16 : found, unicode };
}

function coloursOf(term: string, colorterm: string): Colours {
  if (term === "" || term === "dumb") return 0;
  if (/^(truecolor|24bit)$/.test(colorterm) || /-direct$/.test(term)) return 16777216;
  if (/256col/.test(term)) return 256;
  return /^vt[0-9]|-m$|-mono$/.test(term) ? 0 : 16;
}

/**
 * True where stdin and stdout are a terminal that can be drawn on, unless lines were requested. Prints the reason if `--live` was
 * given and no view is possible.
 *
 * @param linesReason why the output has to be lines, such as JSON output
 */
export function shouldDrawLive({ live }: DrawFlags, linesReason?: string): boolean {
  if (live === false) return false;
  const reason = linesReason ?? whyNoLiveView();
  if (reason !== undefined && live) {
    const instead = Deno.stdout.isTerminal() ? "" : "; printing lines instead";
    printStderr(`oomkit: no live view: ${reason}${instead}`);
  }
  return reason === undefined;
}

/** Why no live view can be drawn on stdin and stdout; `undefined` where it can. */
export function whyNoLiveView(): string | undefined {
  if (!Deno.stdout.isTerminal()) return "stdout is not a terminal";
  const term = Deno.env.get("TERM") ?? "";
  if (term === "" || term === "dumb") {
    return `TERM is "${term}", a terminal without cursor movement; set TERM to the terminal's type`;
  }
  const { columns, rows } = terminalSize() ?? { columns: 0, rows: 0 };
  if (columns < 1 || rows < 1) {
    return `the terminal reports a size of ${columns} × ${rows}; ` +
      "set its size, for example: stty cols 80 rows 24";
  }
  if (!Deno.stdin.isTerminal()) return "stdin is not a terminal";
  return isInForeground() ? undefined : "oomkit runs in the background";
}

const groupsOf = (pid: number | "self") =>
  parseTerminalGroups(tryReadText(`/proc/${pid}/stat`) ?? "");

/**
 * False for a background job of a shell: reading from the terminal or changing its settings would stop the process (termios(3),
 * SIGTTIN and SIGTTOU). True where it is not known.
 */
export function isInForeground(): boolean {
  const groups = groupsOf("self");
  // A group outside this pid namespace has no number. Without a controlling terminal nothing can stop the process.
  return groups === undefined || groups.own <= 0 || groups.foreground <= 0 ||
    groups.own === groups.foreground;
}

/**
 * Whether a parent in the same session can resume this process after a stop. The kernel ignores SIGTSTP for an orphaned process
 * group, one without such a parent (setpgid(2)): this is the case under `ssh -t host oomkit guard` and in containers.
 *
 * @param of reads the terminal groups of a process; `undefined` if /proc has none
 */
export function hasJobControl(
  of: (pid: number | "self") => TerminalGroups | undefined = groupsOf,
): boolean {
  const own = of("self");
  if (own === undefined) return false;
  let ancestor: TerminalGroups | undefined = own;
  // A parent in the same group, such as a script, is stopped too.
  do ancestor = ancestor.parent > 0 ? of(ancestor.parent) : undefined; while (
    ancestor?.own === own.own
  );
  return ancestor?.session === own.session;
}
