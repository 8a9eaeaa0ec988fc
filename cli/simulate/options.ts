/** What `simulate` takes, and what its words mean. */

import { OomkitError } from "../../core/errors.ts";
import { KINDS, SIGNAL_REPLIES } from "../../core/simulate/allocation.ts";
import { SHAPES } from "../../core/simulate/growth.ts";
import { asciiOption, liveOption, noLiveOption } from "../options/live.ts";
import { withHelp } from "../options/help.ts";
import { option, parsed, parsedList, preferFlag } from "../options/option.ts";
import { subcommand } from "../options/subcommand.ts";
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
  const command = withReplay(
    subcommand("simulate", "run a process into its memory limit on purpose and report the outcome"),
  )
    .addOption(
      option("--mb <n>", "limit of the cgroup in MiB (default: 20)", {
        group: "allocation",
        isBasic: true,
      }).argParser(parsed(parseMebibytes)),
    )
    .addOption(
      option("--limit <size>", "limit of the cgroup with a unit: 20M, 1.5G", {
        group: "allocation",
        isBasic: true,
      }).argParser(parsed((text) => positive("size", text, parseSize(text)))),
    )
    .addOption(
      option("--kind <kind>", "kind of memory: anon, file (reclaimable page cache) or shmem", {
        group: "allocation",
        isBasic: true,
      }).choices(KINDS).default("anon" as const),
    )
    .addOption(
      option("--rate <size/s>", "allocation rate, such as 10M/s (default: unlimited)", {
        group: "allocation",
        isBasic: true,
      }).argParser(parsed(parseRate)),
    )
    .addOption(
      option("--step <size>", "size of each allocation", { group: "allocation" })
        .argParser(parsed((text) => positive("step", text, parseSize(text)))),
    )
    .addOption(
      option("--stop-at <size|%>", "usage at which allocation stops: 18M, 90%", {
        group: "allocation",
        isBasic: true,
      }).argParser(parsed(parseSizeOrPercent)),
    )
    .addOption(
      option("--hold <time>", "time to keep the memory after allocation stops, such as 5s", {
        group: "allocation",
      }).argParser(parsed(parseDuration)),
    )
    .addOption(
      option("--procs <n>", "number of processes that share the cgroup", {
        group: "allocation",
        isBasic: true,
      }).argParser(parsed(parseProcesses)),
    )
    .addOption(
      option("--group", "make the kernel kill all processes together (memory.oom.group)", {
        group: "allocation",
        isBasic: true,
      }),
    )
    .addOption(
      option(
        "--on-signal <what>",
        "reaction to SIGUSR1, SIGUSR2 and SIGTERM: free (and start again), ignore or exit",
        { group: "allocation" },
      ).choices(SIGNAL_REPLIES),
    )
    .addOption(
      option(
        "--http <[host]:port>",
        "serve /healthz on this port, for this machine only unless a host is given",
        { group: "allocation" },
      ).argParser(parsed(parseListen)),
    )
    .addOption(
      option("--here", "allocate in oomkit's own cgroup, like a leaking program in a container", {
        group: "allocation",
      }),
    )
    .addOption(
      option("--threshold <list>", "report when usage crosses these: 65%,90%,480M", {
        group: "expectation",
      }).argParser(parsedList(parseSizeOrPercent)),
    )
    .addOption(
      option("--for <time>", "stop after this time", { group: "expectation" })
        .argParser(parsed(parseDuration)),
    )
    .addOption(
      option("--expect <outcome>", "exit 1 unless this is the outcome", {
        group: "expectation",
        isBasic: true,
      }).choices(["oom_kill", "user_kill", "survive"] as const),
    )
    .addOption(
      option("--fake <dir>", "maintain a fake cgroup tree in this directory, for --root", {
        group: "fake",
        isBasic: true,
      }),
    )
    .addOption(
      option("--fake-version <version>", "cgroup version of the fake tree: 1 or 2 (default: 2)", {
        group: "fake",
      }).choices(["1", "2"] as const),
    )
    .addOption(
      option(
        "--growth <shape>",
        "growth of usage on the fake tree: linear, steps, saw-tooth or leak (default: linear)",
        {
          group: "fake",
        },
      ).choices(SHAPES),
    )
    .addOption(liveOption).addOption(noLiveOption)
    .addOption(
      option("--plot", "print a plot of usage over time at the end (default with the live view)", {
        group: "output",
      }),
    )
    .addOption(option("--no-plot", "do not print the plot", { group: "output" }))
    .addOption(asciiOption)
    .hook("preAction", (_, command) => void preferFlag(command, "mb", "limit"));
  return withHelp(command, {
    examples: [
      "oomkit simulate --mb 64 --rate 20M/s",
      "oomkit simulate --procs 4 --group --expect oom_kill",
      "oomkit simulate --replay run.jsonl.gz --margin-ratio 0.1 --policy process",
    ],
    notes: NOTES,
    exitStatus: {
      "0": "the outcome is the expected one (of the options, or --expect)",
      "1": "the outcome is another one",
      "2": "the outcome could not be determined",
    },
  });
}

const NOTES = `The simulation creates a cgroup oomkit-sim-... with the limit below oomkit's own
cgroup, starts an allocator in it, and reports what the kernel does. It changes
nothing outside of that cgroup and removes it however the simulation ends.
Without the permission to create cgroups it runs on a fake tree.

--replay allocates nothing. It runs a file of --record through the guard's
decisions, with the recorded policy or with another one:

  oomkit simulate --replay run.jsonl.gz --config /etc/oomkit/config.toml`;

export type SimulateFlags = ReturnType<ReturnType<typeof simulateBase>["opts"]>;

export const DEFAULT_LIMIT = 20 * MIB;
