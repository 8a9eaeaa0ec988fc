/**
 * Makes the README's pictures from real runs: `deno task compile && deno task screenshots`, as root, with tmux installed.
 *
 * - docs/images/simulate.svg: `oomkit simulate --mb 20` in a terminal of 96 columns.
 * - docs/images/live.svg: the live view of `oomkit guard` over five cgroups, one of which fills up and is acted on.
 *
 * All cgroups are made below one of the script's own, named oomkit-screenshot-PID, and removed on every way out.
 */

import { join } from "node:path";
import { type Cgroup } from "../core/cgroup/cgroup.ts";
import { removeCgroup } from "../core/simulate/sandbox.ts";
import { delay } from "../core/timing.ts";
import { openTmux } from "../tests/helpers/tmux.ts";
import { delegateMemory, makeChild, MIB, scriptParent } from "./cgroups.ts";
import { compiled, root } from "./command.ts";
import { note, run } from "./terminal.ts";

const images = join(root, "docs/images");

/** Pixels of one character in a 14 px monospace font. */
const CELL = { width: 8.43, height: 18 };
const PADDING = 12;

/** The 16 colours of a terminal, as the xterm default palette has them but for the darkest blue. */
const COLOURS = [
  ...["#1c1c1c", "#e05561", "#8cc265", "#d8a657", "#6c9ef8", "#c678dd", "#42b3c2", "#c8ccd4"],
  ...["#6b7280", "#ff7b86", "#a8e07f", "#f0c674", "#8ab4ff", "#d9a0ea", "#6fd3e0", "#ffffff"],
];
const FOREGROUND = "#d7dae0";
const BACKGROUND = "#16181d";

interface Style {
  readonly colour: string;
  readonly background: string | undefined;
  readonly isBold: boolean;
  readonly isDim: boolean;
}

const PLAIN: Style = { colour: FOREGROUND, background: undefined, isBold: false, isDim: false };

/** The colour of the xterm 256-colour palette. */
function paletteColour(index: number): string {
  if (index < 16) return COLOURS[index]!;
  if (index >= 232) return hex(Array(3).fill(8 + 10 * (index - 232)));
  const levels = [0, 95, 135, 175, 215, 255];
  const at = index - 16;
  return hex([levels[Math.floor(at / 36)]!, levels[Math.floor(at / 6) % 6]!, levels[at % 6]!]);
}

const hex = (parts: readonly number[]) =>
  `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;

/** SGR, ECMA-48 8.3.117, as far as tmux writes it. */
function styled(style: Style, codes: readonly number[]): Style {
  let now = style;
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at]!;
    const extended = () => {
      if (codes[++at] === 5) return paletteColour(codes[++at]!);
      return hex([codes[++at]!, codes[++at]!, codes[++at]!]);
    };
    if (code === 0) now = PLAIN;
    else if (code === 1) now = { ...now, isBold: true };
    else if (code === 2) now = { ...now, isDim: true };
    else if (code === 7) now = { ...now, colour: BACKGROUND, background: now.colour };
    else if (code === 22) now = { ...now, isBold: false, isDim: false };
    else if (code >= 30 && code <= 37) now = { ...now, colour: COLOURS[code - 30]! };
    else if (code >= 90 && code <= 97) now = { ...now, colour: COLOURS[code - 82]! };
    else if (code === 38) now = { ...now, colour: extended() };
    else if (code === 39) now = { ...now, colour: FOREGROUND };
    else if (code >= 40 && code <= 47) now = { ...now, background: COLOURS[code - 40]! };
    else if (code === 48) now = { ...now, background: extended() };
    else if (code === 49) now = { ...now, background: undefined };
  }
  return now;
}

/** A screen as `tmux capture-pane -e` prints it, as SVG. */
function svgOf(screen: string, columns: number, title: string): string {
  const lines = screen.replace(/\n+$/, "").split("\n");
  const width = Math.ceil(columns * CELL.width + 2 * PADDING);
  const height = lines.length * CELL.height + 2 * PADDING;
  const backgrounds: string[] = [];
  const rows = lines.map((line, row) => {
    let style = PLAIN;
    let column = 0;
    const y = PADDING + row * CELL.height;
    const spans: string[] = [];
    // deno-lint-ignore no-control-regex
    for (const [, codes, text = ""] of line.matchAll(/\x1b\[([\d;]*)m|([^\x1b]+)/g)) {
      if (codes !== undefined) {
        style = styled(style, codes.split(";").map(Number));
        continue;
      }
      const cells = [...text].length;
      const x = PADDING + column * CELL.width;
      if (style.background !== undefined) {
        backgrounds.push(
          `<rect x="${x.toFixed(2)}" y="${y}" width="${(cells * CELL.width).toFixed(2)}" ` +
            `height="${CELL.height}" fill="${style.background}"/>`,
        );
      }
      if (text.trim() !== "") {
        const attributes = [
          `x="${x.toFixed(2)}"`,
          `textLength="${(cells * CELL.width).toFixed(2)}"`,
          ...style.colour === FOREGROUND ? [] : [`fill="${style.colour}"`],
          ...style.isBold ? ['font-weight="bold"'] : [],
          ...style.isDim ? ['opacity="0.6"'] : [],
        ];
        spans.push(`<tspan ${attributes.join(" ")}>${escaped(text)}</tspan>`);
      }
      column += cells;
    }
    return spans.length === 0 ? "" : `<text y="${y + 13.5}">${spans.join("")}</text>`;
  }).filter((row) => row !== "");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14" fill="${FOREGROUND}" ` +
    `xml:space="preserve"><title>${escaped(title)}</title>` +
    `<rect width="${width}" height="${height}" rx="6" fill="${BACKGROUND}"/>\n` +
    `${[...backgrounds, ...rows].join("\n")}\n</svg>\n`;
}

/** Viewers collapse plain spaces, whatever xml:space says. */
const escaped = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    " ",
    "\u00a0",
  );

/** The pictures have colors whatever the caller prefers. */
const env = { COLORTERM: "truecolor", NO_COLOR: "" };

function write(name: string, screen: string, columns: number, title: string): void {
  Deno.mkdirSync(images, { recursive: true });
  Deno.writeTextFileSync(join(images, name), svgOf(screen, columns, title));
  note(`wrote docs/images/${name}`);
}

async function simulate(): Promise<void> {
  const columns = 96;
  const command = `'${compiled}' simulate --mb 20; printf 'END'; exec sleep 60`;
  using terminal = openTmux(command, { columns, rows: 60, env });
  await terminal.until(/^END/m);
  // Where this machine keeps its cgroups is of no interest.
  const screen = terminal.styled().replaceAll(scriptParent().path, "/…")
    .split("\n").filter((line) => !line.startsWith("END")).join("\n");
  write("simulate.svg", screen, columns, "oomkit simulate --mb 20");
}

/** Name, limit and memory in use, MiB, of the cgroups on the picture of the live view. */
const CGROUPS = [
  ["payments-api", 96, 61],
  ["search", 128, 96],
  ["session-cache", 64, 18],
  ["image-resizer", 48, 12],
  ["mailer", 32, 6],
] as const;

async function live(): Promise<void> {
  const columns = 110;
  const processes: Deno.ChildProcess[] = [];
  const top = makeChild(scriptParent(), `oomkit-screenshot-${Deno.pid}`);
  try {
    delegateMemory(top);
    const cgroups = CGROUPS.map(([name, limit, used]) => {
      const cgroup = makeChild(top, name, limit * MIB);
      processes.push(hold(cgroup, used * MIB));
      return cgroup;
    });
    const command = `'${compiled}' guard -r '${top.path}' --policy process --warn 60%`;
    using terminal = openTmux(command, { columns, rows: 22, env });
    await terminal.until(/mailer/);
    await delay(4000);
    const filling = cgroups.find(({ path }) => path.endsWith("/image-resizer"))!;
    for (let used = 12; used < 60; used += 4) {
      processes.push(hold(filling, 4 * MIB));
      await delay(400);
    }
    await terminal.until(/ action /);
    await delay(1500);
    // Where this machine keeps its cgroups is of no interest.
    const screen = terminal.styled().replace(
      /( in )(\S+)(.*?)(?= \S*\d\d:\d\d:)/,
      (whole, before, _path, after) => `${before}/…/prod${after}`.padEnd(whole.length),
    );
    write("live.svg", screen, columns, "oomkit guard, live view");
    terminal.press("C-c");
  } finally {
    // This kills the processes.
    await removeCgroup(top);
    await Promise.all(processes.map(({ status }) => status));
  }
}

/** A process in `cgroup` that keeps `bytes` in memory: tail holds what it may have to print. */
function hold({ dir }: Cgroup, bytes: number): Deno.ChildProcess {
  const script =
    'echo 0 >"$1/cgroup.procs"; (head -c "$2" /dev/zero; exec sleep 300) | tail -c "$2"';
  return new Deno.Command("sh", {
    args: ["-c", script, "sh", dir, String(bytes)],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

if (import.meta.main) {
  await run("screenshots", async () => {
    await simulate();
    await live();
    return 0;
  });
}
