/** The OOM kills in the journal of this machine, of all boots that it has. */

import { errorText, OomkitError } from "../errors.ts";
import { parseLogLine } from "../parse/log_line.ts";
import { linesOf } from "./lines.ts";
import { LogKills, OOM_MARKER, type ReadLog } from "./log_kills.ts";

const NAME = "journal";
/** "Missed N kernel messages", which journald itself logs (systemd, sd-messages.h: SD_MESSAGE_JOURNAL_MISSED). */
const MISSED_MESSAGE_ID = "e9bf28e6e834481bb6f48f548ad13606";
/** The lines of a kill that was in progress. */
const MS_BEFORE_SINCE = 60_000;
const LINES_BETWEEN_REPORTS = 1000;
const MAX_COMPLAINT_CHARACTERS = 4096;

/**
 * `undefined` where the journal has no kernel line. Throws {@link OomkitError} when it cannot be read.
 *
 * @param since milliseconds since the epoch: earlier lines are not read.
 * @param onLines called with the number of lines so far.
 */
export async function readJournal(
  since: number | undefined,
  onLines: (lines: number) => void = () => {},
): Promise<ReadLog | undefined> {
  const log = new LogKills("journal", NAME);
  const from = since === undefined
    ? []
    : [`--since=@${Math.max(0, Math.floor((since - MS_BEFORE_SINCE) / 1000))}`];
  // Not -k: that is the present boot alone. Not --output-fields: systemd 219 of el7 does not have it.
  const match = ["_TRANSPORT=kernel", "+", `MESSAGE_ID=${MISSED_MESSAGE_ID}`];
  const complaints = await run([...from, "--all", "--output=json", ...match], (text) => {
    log.lines += 1;
    if (log.lines % LINES_BETWEEN_REPORTS === 0) onLines(log.lines);
    const line = parseLogLine(text, 0);
    if (line === undefined) return true;
    if (OOM_MARKER.test(text) || log.isInPieces) log.add(line);
    else log.skip(line);
    return true;
  });
  let oldest: number | undefined;
  if (since !== undefined) {
    await run(["--output=json", "--quiet"], (text) => {
      oldest = parseLogLine(text, 0)?.at;
      return false;
    });
  }
  if (log.kernelLines === 0 && oldest === undefined && complaints === "") return undefined;
  const read = log.end(
    complaints === ""
      ? []
      : [{ reason: "unreadable", source: NAME, message: `journalctl says: ${complaints}` }],
  );
  return oldest === undefined ? read : { ...read, from: Math.min(oldest, read.from ?? oldest) };
}

/**
 * @param onLine returns false to stop.
 * @returns what journalctl complains about, in one line.
 */
async function run(args: readonly string[], onLine: (text: string) => boolean): Promise<string> {
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command("journalctl", {
      args: ["--no-pager", ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound
      ? "journalctl is not installed"
      : errorText(error);
    throw new OomkitError(`cannot read the journal: ${why}`);
  }
  const complaints = textOf(process.stderr);
  let isStopped = false;
  for await (const line of linesOf(process.stdout, () => {})) {
    if (line === "" || onLine(line)) continue;
    isStopped = true;
    break;
  }
  // It gets SIGPIPE at its next line.
  const { success } = await process.status;
  const text = (await complaints).trim().replace(/\s*\n\s*/g, "; ");
  if (success || isStopped) return text.replace(/^No journal files were found\.$/, "");
  throw new OomkitError(`cannot read the journal: ${text || "journalctl failed"}`);
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  // Read to its end, so that the program is never blocked by it.
  for await (const chunk of stream) {
    const more = decoder.decode(chunk, { stream: true });
    if (text.length < MAX_COMPLAINT_CHARACTERS) text += more;
  }
  return text.slice(0, MAX_COMPLAINT_CHARACTERS);
}
