/** The options of `guard`, one row each. */

import { OomkitError } from "../../core/errors.ts";
import { asciiOption, liveOption, noLiveOption } from "../options/live.ts";
import { withHelp } from "../options/help.ts";
import { oneOf, option, parsed, parseWhole, repeated } from "../options/option.ts";
import { withReceiverOptions } from "../options/receivers.ts";
import { subcommand } from "../options/subcommand.ts";
import { parseDuration, parsePositiveDuration } from "../options/units.ts";
import { POLICY } from "./policy_options.ts";

function parseExpression(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    const why = (error as Error).message.replace(/^Invalid regular expression: /, "");
    throw new OomkitError(`cannot read the expression: ${why}`, "write a regular expression");
  }
}

/** oom-guard's port for metrics; 0 is none. */
function parsePort(text: string): number {
  const port = parseWhole(0)(text);
  if (port < 65536) return port;
  throw new OomkitError(`"${text}" is not a port`, "use 1 to 65535, or 0 for none");
}

const VICTIMS = { group: "victims", inRules: true } as const;
const BASIC_VICTIMS = { ...VICTIMS, isBasic: true } as const;
/** Hidden options, so the group does not matter. */
const OOM_GUARD = { group: "general" } as const;

export function guardBase() {
  const command = withReceiverOptions(
    subcommand("guard", "act before the kernel's OOM killer does"),
  )
    .addOption(
      option("-r, --recursive", "guard all descendants of the targets too", {
        group: "targets",
        isBasic: true,
      }),
    )
    .addOption(
      option("--pod", "guard the containers of this pod (needs a shared process namespace)", {
        group: "targets",
      }),
    )
    .addOption(
      option(
        "--soft-limit",
        "guard soft limits too (v1 memory.soft_limit_in_bytes, v2 memory.high)",
        { group: "targets", inRules: true },
      ),
    )
    .addOption(POLICY.policy())
    .addOption(POLICY.onCritical())
    .addOption(POLICY.onWarn())
    .addOption(POLICY.warn())
    .addOption(POLICY.critical())
    .addOption(POLICY.onImminent())
    .addOption(POLICY.marginRatio())
    .addOption(POLICY.minMargin())
    .addOption(POLICY.maxMargin())
    .addOption(POLICY.metric())
    .addOption(POLICY.hysteresis())
    .addOption(POLICY.cooldown())
    .addOption(POLICY.repeat())
    .addOption(
      option("--prefer <regex>", "kill matching command lines or cgroups first", BASIC_VICTIMS)
        .argParser(repeated(parseExpression)),
    )
    .addOption(
      option("--avoid <regex>", "kill matching command lines or cgroups last", BASIC_VICTIMS)
        .argParser(repeated(parseExpression)),
    )
    .addOption(
      option("--ignore <regex>", "never kill matching command lines or cgroups", VICTIMS)
        .argParser(repeated(parseExpression)),
    )
    .addOption(POLICY.gracePeriod())
    .addOption(POLICY.killTimeout())
    .addOption(POLICY.reclaim())
    .addOption(
      option("--explain", "print the candidates and the values that rank them", {
        group: "victims",
        isBasic: true,
      }),
    )
    .addOption(POLICY.mode())
    .addOption(
      option("--dry-run", "evaluate and report, but do not signal, kill or write", {
        group: "mode",
        isBasic: true,
        isCommandLineOnly: true,
      }),
    )
    .addOption(
      option("--for <duration>", "stop after this time", { group: "mode" })
        .argParser(parsed(parseDuration)),
    )
    .addOption(
      option("--hold-timeout <duration>", "maximum time that allocators wait in hold mode", {
        group: "mode",
      }).argParser(parsed(parsePositiveDuration)).default(1000, "1s"),
    )
    .addOption(
      option("--hook-timeout <duration>", "maximum run time of an exec: action", { group: "mode" })
        .argParser(parsed(parsePositiveDuration)).default(10_000, "10s"),
    )
    .addOption(
      option("--poll <duration>", "poll at this interval instead of waiting for notifications", {
        group: "mode",
        inRules: true,
      }).argParser(parsed(parsePositiveDuration)),
    )
    .addOption(
      option("--rescan-interval <duration>", "interval between full scans for new cgroups", {
        group: "mode",
      }).argParser(parsed(parsePositiveDuration)).default(277_000, "277s"),
    )
    .addOption(
      option(
        "--rearm-interval <duration>",
        "interval at which all notifications are set up again",
        {
          group: "mode",
        },
      ).argParser(parsed(parsePositiveDuration)).default(701_000, "701s"),
    )
    .addOption(liveOption).addOption(noLiveOption).addOption(asciiOption)
    .addOption(
      option(
        "--event-format <format>",
        "oomkit events, or one line per kill as oom-guard prints it",
        {
          group: "output",
        },
      ).choices(["oomkit", "oom-guard"] as const).default("oomkit" as const),
    )
    .addOption(
      option("--check-config", "print the effective configuration and exit", {
        group: "general",
        isCommandLineOnly: true,
      }),
    )
    .addOption(
      option("--restore", "restore settings left by a guard that was killed, and exit", {
        group: "general",
        isCommandLineOnly: true,
      }),
    )
    .addOption(
      option("--walkIntervalSeconds <n>", "oom-guard's --rescan-interval, in seconds", OOM_GUARD)
        .argParser(parsed(parseWhole(1))).hideHelp(),
    )
    .addOption(
      option("--inotifyResetSeconds <n>", "oom-guard's --rearm-interval, in seconds", OOM_GUARD)
        .argParser(parsed(parseWhole(1))).hideHelp(),
    )
    .addOption(
      option("--guard-ms <n>", "oom-guard's --kill-timeout, in milliseconds", OOM_GUARD)
        .argParser(parsed(parseWhole(1))).hideHelp(),
    )
    .addOption(
      option("--openSoftLimit [yes]", "oom-guard's --soft-limit", OOM_GUARD)
        .argParser(parsed(oneOf(["true", "false"]))).hideHelp(),
    )
    .addOption(option("--v <n>", "oom-guard's log level, ignored", OOM_GUARD).hideHelp())
    .addOption(
      option("--logtostderr [yes]", "oom-guard's choice of log, ignored", OOM_GUARD).hideHelp(),
    )
    .addOption(
      option("--port <n>", "oom-guard's --listen, for this machine only; 0 disables it", OOM_GUARD)
        .argParser(parsed(parsePort)).hideHelp(),
    );
  return withHelp(command, {
    examples: [
      "oomkit guard -r /kubepods --policy process --avoid postgres",
      "oomkit guard pid:4242 --on-warn signal --on-critical signal,reclaim",
      "oomkit guard my.service --policy container --grace-period 5s --dry-run",
    ],
    notes: NOTES,
    exitStatus: {
      "0": "the guard ended by a signal or by --for",
      "1": "an error ended the running guard; a service manager should restart it",
      "2": "the guard cannot do what the options request",
    },
  });
}

const NOTES = `Targets: a cgroup path, a directory, a glob ('/kubepods/**'), pid:N, unit:NAME,
pod:UID, a container id or a prefix of it, a runc name.

Levels: warn (65%), critical (90%), and imminent, a margin below the limit.
Without --policy or --on-... nothing is signalled or killed.

Modes: notify changes nothing. throttle (v2) sets memory.high at the imminent
level, so the kernel slows allocators down. hold (v1) disables the kernel's OOM
killer, so allocators wait at the limit. Both are undone whenever the guard
ends. auto uses throttle on v2 when a level kills, otherwise notify.

OOMHero's variables work unchanged: WARNING, CRITICAL, WARNING_SIGNAL,
CRITICAL_SIGNAL, COOLDOWN. So do oom-guard's flags.

SIGHUP reads the configuration again and reopens --log-file.

In the live view, ? lists the keys.`;

export type GuardFlags = ReturnType<ReturnType<typeof guardBase>["opts"]>;
