/** What the live view says about itself. */

export const HELP: readonly string[] = [
  "↑ ↓  j k        select the row above, below",
  "PgUp PgDn  b f  a page up, down",
  "g G  Home End   the first row, and stay with whoever is first; the last",
  "enter           the details of the selected one; esc goes back",
  "/               filter by words of the path; enter keeps it, esc drops it",
  "s               sort by the next of: time, left, full, usage, rate, counts, name",
  "space           stand still, and go on; nothing that happens meanwhile is lost",
  "Ctrl-L          draw everything anew",
  "Ctrl-Z          stop, as a job of the shell; a guard that is stopped guards nobody",
  "?               this help",
  "q  esc  Ctrl-C  end",
  "",
  "USAGE     █ working set  ▒ the rest, which the kernel takes back first  ░ free",
  "          ┆ warn or a watched threshold  ┇ critical  ┃ threshold of the guard",
  "%         usage of the effective limit; the size where there is none",
  "LEFT      until the limit that is hit next, which may be one above that others share",
  "LIMIT IN  how long that lasts as fast as it fills now",
  "PSI       percent of the last 10 s that some or all tasks waited for memory (v2)",
  "HIT/OOM/KILL/ACT  limit hits, OOMs, kernel kills, guard's kills since the view began",
];
