/** What a cgroup says of itself to who looks for a victim: systemd's and oomd's extended attributes. */

import type { Fd } from "../kernel/fd.ts";
import { readAttribute } from "../kernel/xattr.ts";
import type { Attribute } from "../policy/victims.ts";

/** systemd.resource-control(5), ManagedOOMPreference=; oomd, docs/core_plugins.md. The strongest first. */
const NAMES: readonly Attribute[] = ["omit", "avoid", "prefer"];

/**
 * Whoever owns a cgroup may set `user.` attributes on it, so that they count only when the owner is root or owns what is
 * guarded as well, as systemd has it; `trusted.` ones can be set by CAP_SYS_ADMIN alone, and always count.
 *
 * @param directory of the cgroup.
 * @param owner uid of the cgroup; `guardedBy` that of the guarded one.
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
