/** What `simulate` takes, and what its words mean. */

import { OomkitError } from "../../core/errors.ts";
import { KINDS, SIGNAL_REPLIES } from "../../core/simulate/allocator_protocol.ts";
import { SHAPES } from "../../core/simulate/growth.ts";
import { asciiOption, liveOption, noLiveOption } from "../options/live.ts";
import { option, parsed, parsedList, preferFlag, subcommand } from "../options/option.ts";
import { withReplay } from "./replay_flags.ts";
import { parseDuration, parseRate, parseSize, parseSizeOrPercent } from "../options/units.ts";

const MIB = 1024 ** 2;
/** More processes than any lesson needs, and few enough that starting them harms nobody. */
const MAX_PROCESSES = 64;

/** A number of MiB; people also write the unit. */
export function parseMebibytes(text: string): number {
  const bytes = /^\d+(\.\d+)?$/.test(text.trim()) ? parseSize(`${text}M`) : parseSize(text);
  return positive("size", text, bytes);
}

function positive(what: string, text: string, value: number): number {
  if (value > 0) return value;
  throw new OomkitError(`cannot use ${what} "${text}": it is zero`, "use something above it");
}

export function parseProcesses(text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= MAX_PROCESSES) return count;
  throw new OomkitError(`cannot start "${text}" processes`, `use 1 to ${MAX_PROCESSES}`);
}

export interface Listen {
  readonly hostname: string;
  readonly port: number;
}

/** `:8080`, `8080`, `0.0.0.0:8080`, `[::1]:8080`; only this machine may ask unless a host is named. */
export function parseListen(text: string): Listen {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]:|([^:[\]]*):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port === 0 || port > 65535) {
    throw new OomkitError(
      `cannot listen on "${text}": it names no port`,
      "use :8080 or 0.0.0.0:8080",
    );
  }
  return { hostname: bracketed ?? (plain || "127.0.0.1"), port };
}

export function simulateBase() {
  return withReplay(
    subcommand("simulate", "make a process run out of memory on purpose, and say who won"),
  )
    .addOption(
      option("--mb <n>", "limit of the cgroup in MiB (20)").argParser(parsed(parseMebibytes)),
    )
    .addOption(
      option("--limit <size>", "the same with a unit: 20M, 1.5G")
        .argParser(parsed((text) => positive("size", text, parseSize(text)))),
    )
    .addOption(
      option("--kind <kind>", "which memory: anon, page cache of a file (reclaimable), or shmem")
        .choices(KINDS).default("anon" as const),
    )
    .addOption(
      option("--rate <size/s>", "such as 10M/s; as fast as it goes without")
        .argParser(parsed(parseRate)),
    )
    .addOption(
      option("--step <size>", "how much is touched at once")
        .argParser(parsed((text) => positive("step", text, parseSize(text)))),
    )
    .addOption(
      option("--stop-at <size|%>", "stop when usage comes up to this: 18M, 90%")
        .argParser(parsed(parseSizeOrPercent)),
    )
    .addOption(
      option("--hold <time>", "keep the memory so long when it has stopped: 5s")
        .argParser(parsed(parseDuration)),
    )
    .addOption(
      option("--procs <n>", "so many processes share the cgroup").argParser(parsed(parseProcesses)),
    )
    .addOption(option("--group", "the kernel is to kill all of them at once (memory.oom.group)"))
    .addOption(
      option("--on-signal <what>", "upon SIGUSR1, SIGUSR2 and SIGTERM: free all and start again, …")
        .choices(SIGNAL_REPLIES),
    )
    .addOption(
      option("--http <[host]:port>", "answer /healthz, to this machine unless a host is named")
        .argParser(parsed(parseListen)),
    )
    .addOption(
      option("--threshold <list>", "tell when usage crosses these")
        .argParser(parsedList(parseSizeOrPercent)),
    )
    .addOption(
      option("--for <time>", "end after so long, whatever has happened").argParser(
        parsed(parseDuration),
      ),
    )
    .addOption(
      option("--expect <outcome>", "exit 1 unless it ends so")
        .choices(["oom_kill", "user_kill", "survive"] as const),
    )
    .addOption(option("--here", "in the own cgroup, as a program that leaks in a container does"))
    .addOption(option("--fake <dir>", "keep a fake cgroup tree up at DIR instead, for --root DIR"))
    .addOption(
      option("--fake-version <version>", "laid out like cgroup v1 or v2 (2)")
        .choices(["1", "2"] as const),
    )
    .addOption(
      option("--growth <shape>", "how usage moves on a fake tree (linear)").choices(SHAPES),
    )
    .addOption(liveOption).addOption(noLiveOption)
    .addOption(
      option("--plot", "end with a plot of usage over time, which is usual with the live view"),
    )
    .addOption(option("--no-plot", "end without it"))
    .addOption(asciiOption)
    .hook("preAction", (_, command) => void preferFlag(command, "mb", "limit"));
}

export type SimulateFlags = ReturnType<ReturnType<typeof simulateBase>["opts"]>;

export const DEFAULT_LIMIT = 20 * MIB;
