/** The status socket of a guard, which `oomkit status` reads. */

import { reasonOf } from "../../core/control/write.ts";
import { stateDirectory } from "../../core/control/state_directory.ts";
import { shortened } from "../../core/errors.ts";
import type { Guard } from "../../core/guard/guard.ts";
import type { Activity } from "../../core/status/activity.ts";
import { StatusSocket } from "../../core/status/socket.ts";
import { printStderr } from "../output/output.ts";
import type { Receivers } from "../receivers/receivers.ts";
import { VERSION } from "../version.ts";
import type { GuardSetup } from "./setup.ts";

interface GuardParts {
  readonly guard: Guard;
  readonly setup: GuardSetup;
  readonly receivers: Receivers;
  readonly activity: Activity;
}

/** Without a socket the guard guards all the same. @param parts as they are when a client asks. */
export function openStatusSocket(parts: () => GuardParts): StatusSocket | undefined {
  const directory = stateDirectory();
  try {
    return new StatusSocket(directory, async () => {
      // Loaded only for a guard that is asked.
      const { guardStatus } = await import("../../core/status/document.ts");
      const { guard, setup: { targets, recursive, policies }, receivers, activity } = parts();
      return await guardStatus({
        version: VERSION,
        guard,
        targets,
        recursive,
        policies: policies.all,
        receivers: receivers.counts(),
        activity,
      });
    });
  } catch (error) {
    printStderr(
      `oomkit: no status socket in ${shortened(directory)}: ${reasonOf(error)}; ` +
        "oomkit status will not show this guard",
    );
    return undefined;
  }
}
