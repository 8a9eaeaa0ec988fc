/** What `guard` takes, and what its words mean. */

import { OomkitError } from "../../core/errors.ts";
import { asciiOption, liveOption, noLiveOption } from "../options/live.ts";
import { oneOf, option, parsed, parseWhole, subcommand } from "../options/option.ts";
import { parsePositive, POLICY } from "./policy_options.ts";
import { withReceiverOptions } from "../options/receivers.ts";
import { parseDuration } from "../options/units.ts";

function parseExpression(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    const why = (error as Error).message.replace(/^Invalid regular expression: /, "");
    throw new OomkitError(`cannot read the expression: ${why}`, "write a regular expression");
  }
}

function collected<T>(parse: (text: string) => T) {
  const one = parsed(parse);
  return (text: string, before: readonly T[] = []): T[] => [...before, one(text)];
}

export function guardBase() {
  const flag = option;
  return withReceiverOptions(subcommand("guard", "act before the kernel's OOM killer does"))
    .addOption(flag("-r, --recursive", "guard everything beneath the targets as well"))
    .addOption(liveOption).addOption(noLiveOption).addOption(asciiOption)
    .addOption(flag("--pod", "guard the containers of a pod with a shared process namespace"))
    .addOption(POLICY.warn())
    .addOption(POLICY.critical())
    .addOption(POLICY.marginRatio())
    .addOption(POLICY.minMargin())
    .addOption(POLICY.maxMargin())
    .addOption(POLICY.metric())
    .addOption(POLICY.onWarn())
    .addOption(POLICY.onCritical())
    .addOption(POLICY.onImminent())
    .addOption(POLICY.policy())
    .addOption(POLICY.gracePeriod())
    .addOption(POLICY.killTimeout())
    .addOption(POLICY.reclaim())
    .addOption(POLICY.mode())
    .addOption(
      flag("--prefer <regex>", "take these first: command line or cgroup path").argParser(
        collected(parseExpression),
      ),
    )
    .addOption(flag("--avoid <regex>", "take these last").argParser(collected(parseExpression)))
    .addOption(flag("--ignore <regex>", "never take these").argParser(collected(parseExpression)))
    .addOption(
      flag("--soft-limit", "guard soft limits too (v1 memory.soft_limit_in_bytes, v2 memory.high)"),
    )
    .addOption(POLICY.hysteresis())
    .addOption(POLICY.cooldown())
    .addOption(POLICY.repeat())
    .addOption(
      flag("--poll <duration>", "look at this pace instead of being notified").argParser(
        parsed(parsePositive),
      ),
    )
    .addOption(
      flag("--rescan-interval <duration>", "look for cgroups that nobody told of").argParser(
        parsed(parsePositive),
      ).default(277_000, "277s"),
    )
    .addOption(
      flag("--rearm-interval <duration>", "arm everything afresh").argParser(parsed(parsePositive))
        .default(701_000, "701s"),
    )
    .addOption(
      flag("--hook-timeout <duration>", "how long exec: may take").argParser(parsed(parsePositive))
        .default(10_000, "10s"),
    )
    .addOption(
      flag("--hold-timeout <duration>", "how long allocators may wait under --mode hold").argParser(
        parsed(parsePositive),
      ).default(1000, "1s"),
    )
    .addOption(flag("--dry-run", "do everything but the deed"))
    .addOption(flag("--explain", "print who would be taken, with the values that decide"))
    .addOption(flag("--for <duration>", "end after this time").argParser(parsed(parseDuration)))
    .addOption(
      flag("--check-config", "print what the configuration comes to, and end"),
    )
    .addOption(flag("--restore", "put back what guards have left, and end"))
    .addOption(
      flag("--event-format <format>", "oom-guard: one line for each kill, as oom-guard writes it")
        .choices(["oomkit", "oom-guard"] as const).default("oomkit" as const),
    )
    .addOption(
      flag("--walkIntervalSeconds <n>", "oom-guard's --rescan-interval").argParser(
        parsed(parseWhole(1)),
      )
        .hideHelp(),
    )
    .addOption(
      flag("--inotifyResetSeconds <n>", "oom-guard's --rearm-interval").argParser(
        parsed(parseWhole(1)),
      ).hideHelp(),
    )
    .addOption(
      flag("--guard-ms <n>", "oom-guard's --kill-timeout, in ms").argParser(parsed(parseWhole(1)))
        .hideHelp(),
    )
    .addOption(
      flag("--openSoftLimit [yes]", "oom-guard's --soft-limit").argParser(
        parsed(oneOf(["true", "false"])),
      ).hideHelp(),
    )
    .addOption(flag("--v <n>", "oom-guard's; there is one way to log").hideHelp())
    .addOption(
      flag("--logtostderr [yes]", "oom-guard's; there is one place to log to").hideHelp(),
    )
    .addOption(
      flag("--port <n>", "oom-guard's --listen on this machine alone; 0 is none").argParser(
        parsed(parsePort),
      )
        .hideHelp(),
    );
}

/** oom-guard serves on it; 0 is none. */
function parsePort(text: string): number {
  const port = parseWhole(0)(text);
  if (port < 65536) return port;
  throw new OomkitError(`"${text}" is no port`, "use 1 to 65535, or 0 for none");
}

export type GuardFlags = ReturnType<ReturnType<typeof guardBase>["opts"]>;
