/** The tables of the page, as HTML that needs no script: cgroups, victims, events. Pure. */

import { bytesText, clockText, spanText } from "./page/figures.js";
import { GLYPHS, KIND_NAMES } from "./page/glyphs.js";
import {
  type Group,
  type KilledProcess,
  type Kind,
  type Picture,
  SHOWN_AT_FIRST,
} from "./picture.ts";
import { cut, escaped, shortName, withShortIds } from "./text.ts";

/** A path fits a line of print when its middle is left out; the whole stands in its title. */
const PATH = 96;

export function glyphOf(kind: Kind): string {
  return `<svg class="glyph ${kind}" viewBox="-6 -6 12 12" role="img" aria-label="${
    KIND_NAMES[kind]
  }"><path d="${GLYPHS[kind]}"/></svg>`;
}

function table(id: string, titles: readonly string[], rows: readonly string[]): string {
  const head = titles.map((title) =>
    title.startsWith("#") ? `<th class="figure">${title.slice(1)}</th>` : `<th>${title}</th>`
  );
  return `<div class="scroll"><table id="${id}"><thead><tr>${head.join("")}</tr></thead><tbody>\n${
    rows.join("\n")
  }\n</tbody></table></div>`;
}

export function groupTable({ groups }: Picture): string {
  const titles = ["Cgroup", "#Peak", "#Limit", "#Most of it", "#Killed", "Whose limit"];
  return table("groups", titles, groups.map(groupRow));
}

function groupRow(group: Group, place: number): string {
  const { path, container, pod, peak, limit, owner, closest, kills, gone } = group;
  const ids = [
    ...(container === null ? [] : [`container ${cut(container, 20)}`]),
    ...(pod === null ? [] : [`pod ${pod}`]),
    ...(gone === null ? [] : [`removed ${clockText(gone, 1000)}`]),
  ];
  const checked = place < SHOWN_AT_FIRST ? " checked" : "";
  const share = closest === null ? "–" : `${(100 * closest).toFixed(1)} %`;
  const tight = closest !== null && closest >= 0.9 ? " tight" : "";
  const more = ids.length === 0 ? "" : `<span class="more">${escaped(ids.join(" · "))}</span>`;
  return `<tr><td class="wide"><label title="${escaped(path)}">` +
    `<input type="checkbox" data-group="${place}" autocomplete="off"${checked}>` +
    `<span class="swatch b${place % 8}"></span><bdi>${
      escaped(cut(withShortIds(path), PATH))
    }</bdi></label>${more}</td>` +
    `<td class="figure">${bytesText(peak)}</td><td class="figure">${
      limit === null ? "none" : bytesText(limit)
    }</td><td class="figure${tight}">${share}</td><td class="figure">${kills || "–"}</td>` +
    `<td>${
      owner === null ? "–" : owner === path ? "its own" : `<bdi>${escaped(cut(owner, 48))}</bdi>`
    }</td></tr>`;
}

export function casualtyTable({ killedProcesses, from }: Picture): string {
  const titles = ["Time", "Process", "#Memory", "Ended by", "Cgroup"];
  return table(
    "victims",
    titles,
    killedProcesses.map((each) =>
      `<tr${ofGroup(each.group)}><td class="when">${momentText(each.at, from)}</td>` +
      `<td><bdi>${escaped(processText(each))}</bdi></td>` +
      `<td class="figure">${bytesText(each.bytes)}</td>` +
      `<td>${glyphOf(each.by === "kernel" ? "kill" : "act")} ${
        each.by === "kernel" ? "the kernel" : "oomkit"
      } <span class="more">${escaped(each.how)}</span></td>` +
      `<td><bdi title="${escaped(each.cgroup)}">${escaped(cut(each.cgroup, 60))}</bdi></td></tr>`
    ),
  );
}

function processText({ pid, comm }: KilledProcess): string {
  if (comm === null) return pid === null ? "not known" : `pid ${pid}`;
  return pid === null ? comm : `${comm} (pid ${pid})`;
}

export function eventTable({ events, groups, from }: Picture): string {
  const several = groups.length > 1;
  const titles = ["Time", "Event", ...(several ? ["Cgroup"] : []), "What was told"];
  return table(
    "events",
    titles,
    events.map(({ at, group, type, kind, text }) => {
      const path = group === null ? undefined : groups[group]!.path;
      const where = !several
        ? ""
        : path === undefined
        ? "<td>–</td>"
        : `<td><bdi title="${escaped(path)}">${escaped(shortName(path))}</bdi></td>`;
      return `<tr data-at="${at}"${
        ofGroup(group)
      }><td class="when"><button type="button" title="show this moment">${
        momentText(at, from)
      }</button></td><td class="type">${glyphOf(kind)} ${escaped(type)}</td>${where}<td><bdi>${
        escaped(text)
      }</bdi></td></tr>`;
    }),
  );
}

const momentText = (at: number, from: number) =>
  `${clockText(at)} <span class="more">+${spanText(at - from)}</span>`;

const ofGroup = (group: number | null) => ` data-of="${group ?? ""}"`;
