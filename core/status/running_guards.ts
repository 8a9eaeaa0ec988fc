/** Finds the running guards by their status sockets, and asks each of them. */

import { tryReadText } from "../cgroup/files.ts";
import { listRecords, stateDirectory, untrustedReason } from "../control/state_directory.ts";
import { reasonOf } from "../control/write.ts";
import { parseProcStat } from "../parse/procfs.ts";
import { KILL_ACTIONS } from "../policy/actions.ts";
import { withDeadline } from "../timing.ts";
import { type GuardStatus, isMachine, parseGuardStatus } from "./format.ts";

export interface FoundGuards {
  /** Where sockets were looked for. */
  readonly directories: readonly string[];
  /** By pid. */
  readonly guards: readonly GuardStatus[];
  /** Guards that did not answer, and directories that may not be read. */
  readonly failures: readonly StatusFailure[];
}

export interface StatusFailure {
  /** `null` for a directory. */
  readonly pid: number | null;
  readonly path: string;
  readonly reason: string;
}

/** A guard of 2,000 cgroups on a machine that swaps may need that long. */
const ANSWER_MS = 10_000;
/** Of all guards in one directory: a user may start any number of programs there. A thousand cgroups have half a MiB. */
const MAX_ANSWER_BYTES = 16 * 1024 ** 2;

/** What the answers in one directory may still take. */
interface Budget {
  bytes: number;
}

/** @param pids only these; empty for all that this user may ask. */
export async function findGuards(
  pids: readonly number[],
  places: readonly Place[] = placesOfGuards(),
  answerMs = ANSWER_MS,
): Promise<FoundGuards> {
  const failures: StatusFailure[] = [];
  const sockets = places.flatMap(({ directory, uid }) => {
    const reason = untrustedReason(directory, uid);
    if (reason !== undefined) failures.push({ pid: null, path: directory, reason });
    const budget = { bytes: MAX_ANSWER_BYTES };
    return listRecords(directory, uid)
      .filter(({ kind, pid }) => kind === "socket" && (pids.length === 0 || pids.includes(pid)))
      .map(({ path, pid, owner }) => ({ path, pid, owner, uid, budget }));
  });
  const guards: GuardStatus[] = [];
  await Promise.all(sockets.map(async ({ path, pid, owner, uid, budget }) => {
    if (owner !== undefined && isStopped(owner)) {
      const reason =
        `the process is stopped and protects nothing; to continue it: kill -CONT ${owner}`;
      failures.push({ pid, path, reason });
      return;
    }
    const answer = await ask(path, budget, answerMs);
    if (answer === undefined) return;
    const status = parseGuardStatus(answer.text ?? "");
    // A user may put any program there.
    if (status?.pid === pid && status.uid === uid) return void guards.push(status);
    const { reason = "it does not answer as a guard does" } = answer;
    failures.push({ pid, path, reason });
  }));
  guards.sort((a, b) => a.pid - b.pid);
  return { directories: places.map(({ directory }) => directory), guards, failures };
}

export interface Place {
  readonly directory: string;
  /** The user of the guards there. */
  readonly uid: number | null;
}

/** Root also asks the guards of other users. */
function placesOfGuards(): Place[] {
  const own = { directory: stateDirectory(), uid: Deno.uid() };
  if (Deno.uid() !== 0 || Deno.env.get("OOMKIT_STATE_DIR")) return [own];
  return [
    own,
    ...usersIn("/run/user").map((uid) => ({ directory: `/run/user/${uid}/oomkit`, uid })),
  ];
}

function usersIn(directory: string): number[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => Number(name))
      .filter((uid) =>
        Number.isInteger(uid) && uid > 0 && isDirectory(`${directory}/${uid}/oomkit`)
      );
  } catch {
    return [];
  }
}

/** False for a link. */
function isDirectory(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** By a signal or Ctrl-Z. */
const isStopped = (pid: number) =>
  parseProcStat(tryReadText(`/proc/${pid}/stat`) ?? "")?.state === "T";

const NO_ANSWER = "it gave no answer; it may be ending";

/** @returns `undefined` when the guard has ended and left its socket. */
function ask(
  path: string,
  budget: Budget,
  answerMs: number,
): Promise<{ text?: string; reason?: string } | undefined> {
  const asking = readAll(path, budget).then(
    (text) => text === "" ? { reason: NO_ANSWER } : { text },
    (error) => {
      if (error instanceof Deno.errors.ConnectionReset) return { reason: NO_ANSWER };
      return isEnded(error) ? undefined : { reason: reasonOf(error) };
    },
  );
  return withDeadline(answerMs, asking, () => ({
    reason: `it did not answer within ${answerMs / 1000} s`,
  }));
}

const isEnded = (error: unknown) =>
  error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound;

async function readAll(path: string, budget: Budget): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path });
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    budget.bytes -= count;
    if (budget.bytes < 0) throw new Error("the answers in this directory are too long");
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return text + decoder.decode();
}

/** Whether a guard kills processes for the machine. */
export function killsForMachine({ cgroups, policies }: GuardStatus): boolean {
  const machine = cgroups.find(isMachine);
  const policy = policies.find(({ rule }) => machine !== undefined && rule === machine.rule);
  const actions = Object.values(policy?.actions ?? {}).flat();
  return policy?.dry_run === false &&
    KILL_ACTIONS.some((kill) => actions.includes(kill));
}
