/** The processes of a cgroup, the likeliest victim first. */

import type { Inspection } from "../core/cgroup/inspection.ts";
import type { UsageSample } from "./look.ts";
import { printable } from "./output.ts";
import { tabulate } from "./table.ts";
import { formatBytes } from "./units.ts";

/** After an empty line; nothing at all when there are none. */
export function processLines(
  { members, forecast }: Inspection,
  { style, width }: UsageSample,
): string[] {
  if (members === undefined || members.processes.length === 0) return [];
  const { processes, total } = members;
  // A pid inside a container is worth a column only where there is one.
  const nested = processes.some(({ nsPids }) => nsPids.length > 1);
  const columns = [
    { title: "", align: "left" },
    { title: "PID", align: "right" },
    ...(nested ? [{ title: "INSIDE", align: "right" } as const] : []),
    { title: "RSS", align: "right" },
    { title: "SCORE", align: "right" },
    { title: "ADJ", align: "right" },
    { title: "BADNESS", align: "right" },
    { title: "COMMAND", align: "left" },
  ] as const;
  const victim = forecast?.victim?.process.pid;
  const rows = processes.map((process) => [
    process.pid === victim ? "▸" : "",
    String(process.pid),
    ...(nested ? [String(process.nsPids.slice(1).join("/") || "–")] : []),
    formatBytes(process.rss),
    process.oomScore?.toString() ?? "–",
    process.oomScoreAdj?.toString() ?? "–",
    process.badness === undefined ? "spared" : formatBytes(process.badness),
    printable(process.cmdline.join(" ") || `[${process.comm}]`),
  ]);
  const [titles, ...lines] = tabulate(columns, rows, width);
  const more = total === undefined
    ? ["only the likeliest victims of the machine; --processes all shows everyone"]
    : total > processes.length
    ? [`and ${total - processes.length} more; --processes all shows them`]
    : [];
  return [
    "",
    style("dim", titles!),
    ...lines.map((line, at) => processes[at]!.pid === victim ? style("red", line) : line),
    ...more.map((line) => style("dim", `  ${line}`)),
  ];
}
