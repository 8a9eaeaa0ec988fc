/** The OOM kills in a saved kernel log. */

import { errorText, OomkitError, shortened } from "../errors.ts";
import { type LogLine, parseLogLine } from "../parse/log_line.ts";
import { gunzipped } from "../record/gzip.ts";
import { entriesOf } from "./journal_entries.ts";
import { type Gap, LogKills, OOM_MARKER, type ReadLog } from "./log_kills.ts";

const HINT = "name the output of dmesg or journalctl, or a file such as /var/log/kern.log";
/** The begin of a file of journald, in its own format (systemd, journal-def.h). */
const JOURNAL_SIGNATURE = "LPKSHHRH";
/** Lines between two times that are read only to know how far the log reaches. */
const LINES_BETWEEN_TIMES = 1000;
/** In a format that is not known. */
const OF_KILL = /oom-kill:constraint=|Killed process \d+[ ,]/;

/**
 * Streams the file; compressed content is decompressed. Throws {@link OomkitError} if it cannot be read, or is no log.
 *
 * @param path `-` for stdin.
 * @param onLines called with the number of lines so far.
 */
export async function readLogFile(
  path: string,
  onLines: (lines: number) => void = () => {},
): Promise<ReadLog> {
  const name = path === "-" ? "stdin" : path;
  const fail = (why: string, hint = HINT): never => {
    throw new OomkitError(`cannot read ${shortened(name)}: ${why}`, hint);
  };
  const log = new LogKills("file", name);
  const gaps: Gap[] = [];
  let hasNul = false;
  let first = "";
  let skipped: string | undefined;
  try {
    const { chunks, changedAt } = await open(path, fail);
    const read = (text: string) => parseLogLine(text, changedAt);
    const content = gunzipped(chunks, {
      fail,
      truncated: () =>
        gaps.push({
          reason: "lost_lines",
          source: name,
          message: "its end is missing: the compressed file is cut",
        }),
    });
    for await (const text of entriesOf(content, () => log.countCut())) {
      log.lines += 1;
      if (log.lines === 1) first = text;
      if (log.lines % LINES_BETWEEN_TIMES === 0) onLines(log.lines);
      hasNul ||= text.includes("\0");
      skipped = undefined;
      let line: LogLine | undefined;
      if (OOM_MARKER.test(text) || log.isInPieces) {
        line = read(text);
        if (line) log.add(line);
        else if (OF_KILL.test(text)) log.countCut();
      } else if (!log.hasTime || log.kernelLines === 0 || log.lines % LINES_BETWEEN_TIMES === 0) {
        line = read(text);
        if (line) log.skip(line);
      } else skipped = text;
    }
    // How far the log reaches.
    const last = skipped === undefined ? undefined : read(skipped);
    if (last) log.skip(last);
  } catch (error) {
    if (error instanceof OomkitError) throw error;
    fail(errorText(error), "name a file that can be read");
  }
  if (log.lines === 0) {
    fail(gaps.length === 0 ? "it is empty" : "the compressed file is cut before its first line");
  }
  if (first.startsWith(JOURNAL_SIGNATURE)) {
    fail("it is a file of journald", `write: journalctl --file ${shortened(name)} -o json`);
  }
  if (!log.hasLog) {
    fail(hasNul ? "it is binary" : "no line of it is one of a log");
  }
  return log.end(gaps);
}

async function open(
  path: string,
  fail: (why: string, hint?: string) => never,
): Promise<{ chunks: AsyncIterable<Uint8Array>; changedAt: number }> {
  if (path === "-") {
    if (Deno.stdin.isTerminal()) fail("it is a terminal", "write: dmesg | oomkit history --file -");
    return { chunks: Deno.stdin.readable, changedAt: Date.now() };
  }
  const { isFile, isFifo, isDirectory, mtime } = await Deno.stat(path);
  if (isDirectory) fail("it is a directory");
  // A FIFO is what the shell's <(…) is; a device may have no end.
  if (!isFile && !isFifo) fail("it is not a regular file");
  const { readable } = await Deno.open(path);
  return { chunks: readable, changedAt: isFile ? mtime?.getTime() ?? Date.now() : Date.now() };
}
