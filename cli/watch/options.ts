/** What `watch` takes, and what its words mean. */

import type { PressureLevel, PressureMode, PsiTrigger } from "../../core/cgroup/version.ts";
import { OomkitError } from "../../core/errors.ts";
import { EVENT_TYPES, type EventType } from "../../core/events/event.ts";
import { CI_SERVICES } from "../output/annotate.ts";
import { asciiOption, liveOption, noLiveOption } from "../options/live.ts";
import { oneOf, option, parsed, parsedList, subcommand } from "../options/option.ts";
import { withReceiverOptions } from "../options/receivers.ts";
import { parseDuration, parseSize, parseSizeOrPercent } from "../options/units.ts";

export const LEVELS: readonly PressureLevel[] = ["low", "medium", "critical"];
const MODES: readonly PressureMode[] = ["default", "local", "hierarchy"];

/** `medium` or `medium:hierarchy`. */
export function parsePressureLevel(text: string): { level: PressureLevel; mode: PressureMode } {
  const [level = "", mode = "default"] = text.split(":");
  return { level: oneOf(LEVELS)(level), mode: oneOf(MODES)(mode) };
}

/** `some:150ms/1s`: a stall of 150 ms within a second. The kernel takes windows of 0.5 to 10 s. */
export function parsePsi(text: string): PsiTrigger {
  const [, kind, stall, window] = /^(some|full):([^/]+)\/([^/]+)$/.exec(text) ?? [];
  if (kind === undefined) {
    throw new OomkitError(
      `cannot read PSI trigger "${text}"`,
      "write some:150ms/1s or full:50ms/2s",
    );
  }
  const micros = { stall: parseDuration(stall!) * 1000, window: parseDuration(window!) * 1000 };
  if (micros.window < 500_000 || micros.window > 10_000_000) {
    throw new OomkitError(`cannot use PSI window "${window}"`, "the kernel takes 500ms to 10s");
  }
  if (micros.stall <= 0 || micros.stall > micros.window) {
    throw new OomkitError(`cannot use PSI stall "${stall}"`, `it must lie between 0 and ${window}`);
  }
  return { kind: kind as "some" | "full", ...micros };
}

/** Less than a timer can keep (a JavaScript timer is about 1.2 ms late) only burns CPU. */
const SHORTEST_POLL_MS = 5;

function parsePoll(text: string): number {
  const poll = parseDuration(text);
  if (poll >= SHORTEST_POLL_MS) return poll;
  throw new OomkitError(`cannot poll every "${text}"`, `it must be at least ${SHORTEST_POLL_MS}ms`);
}

/** Below it not even the shell that becomes the command could start. */
const SMALLEST_LIMIT = 1024 * 1024;

function parseLimit(text: string): number {
  const limit = parseSize(text);
  if (limit >= SMALLEST_LIMIT) return limit;
  throw new OomkitError(`cannot limit a command to "${text}"`, "it must be at least 1M");
}

const eventTypes = parsedList<EventType>(oneOf(EVENT_TYPES));

export function watchBase() {
  return withReceiverOptions(
    subcommand("watch", "tell what happens, as it happens, by the kernel's own notifications"),
  )
    .addOption(option("-r, --recursive", "follow everything beneath the targets as well"))
    .addOption(liveOption).addOption(noLiveOption).addOption(asciiOption)
    .addOption(
      option("--threshold <list>", "tell when usage crosses these: 65%,90%,480M")
        .argParser(parsedList(parseSizeOrPercent)),
    )
    .addOption(
      option(
        "--pressure <pressures>",
        "cgroup v1 pressure levels: low,medium:local,critical:hierarchy",
      )
        .argParser(parsedList(parsePressureLevel)),
    )
    .addOption(
      option("--psi <list>", "cgroup v2 stalls: some:150ms/1s,full:50ms/2s")
        .argParser(parsedList(parsePsi)),
    )
    .addOption(
      option("--poll <duration>", "read at this pace instead of being notified")
        .argParser(parsed(parsePoll)),
    )
    .addOption(option("--for <duration>", "end after this time").argParser(parsed(parseDuration)))
    .addOption(
      option(
        "--until <types>",
        "end after the first event of these types; with --for, exit 1 without one",
      )
        .argParser(eventTypes),
    )
    .addOption(
      option("--fail-on <types>", "exit 1 if an event of these types was seen").argParser(
        eventTypes,
      ),
    )
    .addOption(
      option("--limit <size>", "with a command: the limit of its cgroup")
        .argParser(parsed(parseLimit)),
    )
    .addOption(option("--report <file>", "with a command: write the verdict there, as JSON"))
    .addOption(
      option("--annotate <service>", "with a command: tell the verdict to a CI service, on stderr")
        .choices(CI_SERVICES),
    );
}

export type WatchFlags = ReturnType<ReturnType<typeof watchBase>["opts"]>;
