/** What `simulate` takes, and what its words mean. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { KINDS, SIGNAL_REPLIES } from "../../core/simulate/allocator_protocol.ts";
import { SHAPES } from "../../core/simulate/growth.ts";
import { POLICY_OPTIONS } from "../guard/policy_options.ts";
import {
  choice,
  flag,
  type FlagsOf,
  inGroup,
  list,
  pair,
  preferFlag,
  separated,
  value,
  withHelp,
} from "../options/option.ts";
import {
  type Common,
  LIVE_OPTIONS,
  RECORD_OPTIONS,
  replayOption,
  subcommand,
} from "../options/subcommand.ts";
import {
  parseDuration,
  parseLimitSize,
  parseRate,
  parseSize,
  parseSizeOrPercent,
} from "../options/units.ts";
import { SUMMARIES } from "../summaries.ts";

export const DEFAULT_LIMIT = 20 * 1024 ** 2;
/** Enough for any scenario, and cheap enough to start. */
const MAX_PROCESSES = 64;

/** A number of MiB; people also write the unit. */
export function parseMebibytes(text: string): number {
  const isBare = /^\d+(\.\d+)?$/.test(text.trim());
  const hint = "use a number of MiB, such as 64";
  const bytes = isBare ? parseSize(`${text}M`) : parseSize(text, { hint });
  return positive("size", text, bytes);
}

function positive(what: string, text: string, value: number): number {
  if (value > 0) return value;
  throw new OomkitError(`cannot use ${what} "${text}": it is zero`, "use a value above 0");
}

export function parseProcesses(text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= MAX_PROCESSES) return count;
  throw new OomkitError(`cannot start "${text}" processes`, `use 1 to ${MAX_PROCESSES}`);
}

/** `:8080`, `8080`, `0.0.0.0:8080`, `[::1]:8080`; only this machine may ask unless a host is named. */
export function parseListen(text: string) {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]:|([^:[\]]*):)?(\d+)$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port === 0 || port > 65535) {
    const why = digits === undefined ? "it names no port" : "a port is 1 to 65535";
    throw new OomkitError(`cannot listen on "${text}": ${why}`, "use :8080 or 0.0.0.0:8080");
  }
  return { hostname: bracketed ?? (plain || "127.0.0.1"), port };
}

/** Parses a size that cannot be zero. */
const positiveSize = (what: string) => (text: string) => positive(what, text, parseSize(text));

const ALLOCATION = { group: "allocation" } as const;
const BASIC_ALLOCATION = { ...ALLOCATION, isBasic: true } as const;
const EXPECTATION = { group: "expectation" } as const;

const REPLAY_OPTIONS = {
  replay: replayOption(
    "replay a recording through the guard's decisions, in virtual time",
    "replay",
  ),
  ...inGroup(POLICY_OPTIONS, "replay"),
};

const SIMULATE_OPTIONS = {
  ...RECORD_OPTIONS,
  ...REPLAY_OPTIONS,
  mb: value("--mb <n>", "memory limit of the new cgroup in MiB (default: 20)", {
    ...BASIC_ALLOCATION,
    parse: parseMebibytes,
  }),
  limit: value(
    "--limit <size>",
    "memory limit of the new cgroup with a unit, such as 20M or 1.5G",
    {
      ...BASIC_ALLOCATION,
      parse: (text) => positive("size", text, parseLimitSize(text)),
    },
  ),
  kind: choice("--kind <kind>", "kind of memory: anon, file (page cache, reclaimable) or shmem", {
    ...BASIC_ALLOCATION,
    choices: KINDS,
    default: ["anon", "anon"],
  }),
  rate: value("--rate <size/s>", "growth per second, such as 10M/s (default: unlimited)", {
    ...BASIC_ALLOCATION,
    parse: parseRate,
  }),
  stopAt: value("--stop-at <size|%>", "stop when usage reaches this size, such as 18M or 90%", {
    ...BASIC_ALLOCATION,
    parse: parseSizeOrPercent,
  }),
  procs: value(
    "--procs <n>",
    `number of processes that share the cgroup, 1 to ${MAX_PROCESSES} (default: 1)`,
    {
      ...BASIC_ALLOCATION,
      parse: parseProcesses,
    },
  ),
  group: flag(
    "--group",
    "let the kernel kill all processes as a group (memory.oom.group)",
    BASIC_ALLOCATION,
  ),
  step: value("--step <size>", "size of each allocation", {
    ...ALLOCATION,
    parse: positiveSize("step"),
  }),
  hold: value("--hold <time>", "keep the memory for this time after stopping, such as 5s", {
    ...ALLOCATION,
    parse: parseDuration,
  }),
  onSignal: choice(
    "--on-signal <what>",
    "reaction to SIGUSR1, SIGUSR2 and SIGTERM: free (and grow again), ignore or exit",
    { ...ALLOCATION, choices: SIGNAL_REPLIES },
  ),
  http: value(
    "--http <[host]:port>",
    "serve /healthz while allocating, on the loopback address unless a host is given",
    { ...ALLOCATION, parse: parseListen },
  ),
  here: flag(
    "--here",
    "allocate in oomkit's own cgroup, like a leaking program in a container",
    ALLOCATION,
  ),
  machine: flag(
    "--machine",
    "fill the whole machine, which must be virtual and named by --disposable",
    { ...ALLOCATION, isNotInFile: true },
  ),
  disposable: value(
    "--disposable <hostname>",
    "the hostname of this machine, as consent to fill it with --machine",
    { ...ALLOCATION, isNotInFile: true },
  ),
  threshold: list(
    "--threshold <list>",
    "report when usage crosses these, such as 50%,480M (default: 65%,90%)",
    { ...EXPECTATION, parse: separated(parseSizeOrPercent) },
  ),
  for: value("--for <time>", "stop after this time", { ...EXPECTATION, parse: parseDuration }),
  expect: choice("--expect <outcome>", "exit 1 unless this is the outcome", {
    ...EXPECTATION,
    isBasic: true,
    choices: ["oom_kill", "user_kill", "survived"],
  }),
  fake: value(
    "--fake <dir>",
    "fill a fake cgroup tree in this directory, for --root, again and again until Ctrl-C or --for",
    { group: "fake", isBasic: true },
  ),
  fakeVersion: choice(
    "--fake-version <version>",
    "cgroup version of the fake tree: 1 or 2 (default: 2)",
    { group: "fake", choices: ["1", "2"] },
  ),
  growth: choice(
    "--growth <shape>",
    "growth of usage on the fake tree: linear, steps, saw-tooth or leak (default: linear)",
    { group: "fake", choices: SHAPES },
  ),
  ...LIVE_OPTIONS,
  plot: pair(
    "--plot",
    "print a plot of usage over time at the end (default with the live view)",
    "do not print the plot",
    { group: "output" },
  ),
};

/** Whether an option belongs to the policy of a guard. */
export const isPolicy = (option: { attributeName(): string }) =>
  option.attributeName() in POLICY_OPTIONS;

/** The other options that a replay accepts. */
const OTHER_OPTIONS = ["replay", "output", "json", "color", "config"];

/** Rejects unsuitable options of the command line; variables and files may be meant for other runs. */
export function checkReplay(command: CommandUnknownOpts): void {
  const isReplay = command.getOptionValue("replay") !== undefined;
  const unsuitable = command.options.find((each) =>
    command.getOptionValueSource(each.attributeName()) === "cli" &&
    (isReplay ? !isPolicy(each) && !OTHER_OPTIONS.includes(each.attributeName()) : isPolicy(each))
  );
  if (unsuitable === undefined) return;
  throw new OomkitError(
    `cannot use ${unsuitable.long} ${isReplay ? "with" : "without"} --replay`,
    isReplay ? "a replay allocates nothing" : "add a recording: --replay run.jsonl",
  );
}

export type SimulateFlags = Common & FlagsOf<typeof SIMULATE_OPTIONS>;

export function simulateBase() {
  const command = subcommand(
    "simulate",
    SUMMARIES.simulate.description,
    SIMULATE_OPTIONS,
  )
    .hook("preAction", (_, self) => checkReplay(self))
    .hook("preAction", (_, self) => void preferFlag(self, "mb", "limit"))
    .hook("preAction", (_, self) => {
      // The variable is that of a guard of the machine.
      if (self.getOptionValueSource("machine") !== "env") return;
      self.setOptionValueWithSource("machine", undefined, "default");
    });
  return withHelp(command, {
    examples: [
      "oomkit simulate --mb 64 --rate 20M/s",
      "oomkit simulate --procs 4 --group --expect oom_kill",
      "oomkit simulate --replay run.jsonl.gz --margin-ratio 0.1 --policy process",
    ],
    notes: NOTES,
    exitStatus: {
      "0": "the outcome of --expect; without it the one of the options, or user_kill",
      "1": "another outcome, such as survived instead of oom_kill",
      "2": "the outcome could not be determined",
    },
  });
}

const NOTES = `The simulation creates a child cgroup oomkit-sim-... of oomkit's own cgroup,
with a limit, starts an allocator in it, and reports what the kernel does. It
changes nothing outside of that cgroup and removes it however the simulation
ends.
Without the permission to create cgroups it runs on a fake tree.

--replay allocates nothing. It runs a file of --record through the guard's
decisions, with the recorded policy or with another one:

  oomkit simulate --replay run.jsonl.gz --config /etc/oomkit/config.toml`;
