/** The options of `simulate` and their parsers. */

import { OomkitError } from "../../core/errors.ts";
import { KINDS, SIGNAL_REPLIES } from "../../core/simulate/allocator_protocol.ts";
import { SHAPES } from "../../core/simulate/growth.ts";
import { asciiOption, liveOption, noLiveOption } from "../options/live.ts";
import { option, parsed, parsedList, preferFlag, subcommand } from "../options/option.ts";
import { withReplay } from "./replay_flags.ts";
import { parseDuration, parseRate, parseSize, parseSizeOrPercent } from "../options/units.ts";

const MIB = 1024 ** 2;
/** Few enough that starting them does no harm to the machine. */
const MAX_PROCESSES = 64;

/** A number of MiB; a unit is accepted too. */
export function parseMebibytes(text: string): number {
  const bytes = /^\d+(\.\d+)?$/.test(text.trim()) ? parseSize(`${text}M`) : parseSize(text);
  return positive("size", text, bytes);
}

function positive(what: string, text: string, value: number): number {
  if (value > 0) return value;
  throw new OomkitError(`cannot use ${what} "${text}": it is zero`, "use a value above zero");
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

/** `:8080`, `8080`, `0.0.0.0:8080`, `[::1]:8080`; without a host it is the loopback address. */
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
    subcommand(
      "simulate",
      "run a process into a memory limit on purpose, and explain what the kernel does",
    ),
  )
    .addOption(
      option("--mb <n>", "memory limit of the new cgroup in MiB (default 20)").argParser(
        parsed(parseMebibytes),
      ),
    )
    .addOption(
      option("--limit <size>", "memory limit of the new cgroup with a unit: 20M, 1.5G")
        .argParser(parsed((text) => positive("size", text, parseSize(text)))),
    )
    .addOption(
      option("--kind <kind>", "kind of memory: anon, file (page cache, reclaimable) or shmem")
        .choices(KINDS).default("anon" as const),
    )
    .addOption(
      option("--rate <size/s>", "growth per second, such as 10M/s (default: as fast as possible)")
        .argParser(parsed(parseRate)),
    )
    .addOption(
      option("--step <size>", "bytes to allocate at a time")
        .argParser(parsed((text) => positive("step", text, parseSize(text)))),
    )
    .addOption(
      option("--stop-at <size|%>", "stop when usage reaches this size: 18M, 90%")
        .argParser(parsed(parseSizeOrPercent)),
    )
    .addOption(
      option("--hold <time>", "keep the memory for this time after stopping: 5s")
        .argParser(parsed(parseDuration)),
    )
    .addOption(
      option("--procs <n>", "number of processes that share the cgroup").argParser(
        parsed(parseProcesses),
      ),
    )
    .addOption(option("--group", "let the kernel kill all processes as a group (memory.oom.group)"))
    .addOption(
      option(
        "--on-signal <what>",
        "reaction to SIGUSR1, SIGUSR2 and SIGTERM: free (and grow again), ignore or exit",
      )
        .choices(SIGNAL_REPLIES),
    )
    .addOption(
      option(
        "--http <[host]:port>",
        "serve /healthz while allocating, on the loopback address unless a host is given",
      )
        .argParser(parsed(parseListen)),
    )
    .addOption(
      option("--threshold <list>", "alert when usage crosses these sizes (default 65%,90%)")
        .argParser(parsedList(parseSizeOrPercent)),
    )
    .addOption(
      option("--for <time>", "end the simulation after this time").argParser(
        parsed(parseDuration),
      ),
    )
    .addOption(
      option("--expect <outcome>", "exit 1 unless this is the outcome")
        .choices(["oom_kill", "user_kill", "survive"] as const),
    )
    .addOption(
      option("--here", "allocate in oomkit's own cgroup, like a leaking program in a container"),
    )
    .addOption(
      option(
        "--fake <dir>",
        "allocate nothing, update a fake cgroup tree in DIR (read it with --root DIR)",
      ),
    )
    .addOption(
      option("--fake-version <version>", "cgroup version of the fake tree (default 2)")
        .choices(["1", "2"] as const),
    )
    .addOption(
      option("--growth <shape>", "how usage grows on a fake tree (default linear)").choices(SHAPES),
    )
    .addOption(liveOption).addOption(noLiveOption)
    .addOption(
      option("--plot", "print a plot of usage over time at the end (default with the live view)"),
    )
    .addOption(option("--no-plot", "print no plot at the end"))
    .addOption(asciiOption)
    .hook("preAction", (_, command) => void preferFlag(command, "mb", "limit"));
}

export type SimulateFlags = ReturnType<ReturnType<typeof simulateBase>["opts"]>;

export const DEFAULT_LIMIT = 20 * MIB;
