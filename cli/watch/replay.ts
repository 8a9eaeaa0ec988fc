/** `watch --replay`: a recording in the live view. Loaded only with this option. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { OomkitError, shortened } from "../../core/errors.ts";
import { Timeline } from "../../core/record/timeline.ts";
import { openReplayLive } from "../live/live.ts";
import { printable } from "../output/output.ts";
import { pictureWords } from "../output/picture.ts";
import { recordingLines } from "../output/recording.ts";
import { ENDING, onSignals } from "../signals.ts";
import { whyNoLiveView } from "../terminal/capabilities.ts";
import type { WatchFlags } from "./options.ts";

const SUITABLE = ["replay", "ascii", "color", "config", "quiet"];

/** Resolves to the exit status when the user quits. Throws `OomkitError` without a terminal, and for what is no recording. */
export async function replayInView(
  path: string,
  targets: readonly string[],
  flags: WatchFlags,
  command: CommandUnknownOpts,
): Promise<number> {
  const name = printable(shortened(path));
  // Variables and files may be meant for other runs.
  const unsuitable = command.options.find((option) =>
    command.getOptionValueSource(option.attributeName()) === "cli" &&
    !SUITABLE.includes(option.attributeName())
  );
  if (unsuitable !== undefined || targets.length > 0) {
    throw new OomkitError(
      `cannot use ${unsuitable?.long ?? `the target ${printable(targets[0]!)}`} with --replay: ` +
        "a recording is shown, nothing is watched",
      "leave it out",
    );
  }
  const obstacle = whyNoLiveView();
  if (obstacle !== undefined) {
    throw new OomkitError(
      `cannot scroll through ${name}: ${obstacle}`,
      `print it as text: oomkit inspect ${name}`,
    );
  }
  const timeline = await Timeline.read(recordingLines(path));
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const offSignals = onSignals(ENDING, () => end());
  const live = openReplayLive({ flags, end }, timeline, pictureWords.facts);
  try {
    await ended;
  } finally {
    await live.close();
    offSignals();
  }
  return 0;
}
