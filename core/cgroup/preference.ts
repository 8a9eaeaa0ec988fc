/** The preference that a cgroup has set on itself as a victim: the extended attributes of systemd and oomd. */

import { type Fd, readAttribute } from "../kernel/fd.ts";
import type { Attribute } from "../policy/victims.ts";

/** systemd.resource-control(5), ManagedOOMPreference=; oomd, docs/core_plugins.md. The strongest first. */
const NAMES: readonly Attribute[] = ["omit", "avoid", "prefer"];

/**
 * The owner of a cgroup may set `user.` attributes on it, so, as in systemd, they count only if the owner is root or also owns
 * the guarded cgroup. `trusted.` attributes need CAP_SYS_ADMIN and always count.
 *
 * @param directory of the cgroup.
 * @param owner uid of the cgroup.
 * @param guardedBy uid of the guarded cgroup.
 */
export function readPreference(
  directory: Fd,
  owner: number,
  guardedBy: number,
): Attribute | undefined {
  const prefixes = owner === 0 || owner === guardedBy ? ["trusted", "user"] : ["trusted"];
  return NAMES.find((name) =>
    prefixes.some((prefix) => isYes(readAttribute(directory, `${prefix}.oomd_${name}`)))
  );
}

const isYes = (value: string | undefined) =>
  value !== undefined && /^(1|y|yes|t|true|on)\0?$/i.test(value);
