/** Guards with metrics, for tests of the alert rules. */

import { startGuarded } from "./guarded.ts";
import type { GuardedOptions } from "./guarded.ts";
import { freePort } from "./prometheus.ts";
import type { RealCgroup } from "./real_cgroup.ts";

/** A guard with metrics, and the address for Prometheus. */
export async function startListening(
  words: readonly string[],
  port = freePort(),
  options: GuardedOptions = {},
) {
  const guarded = await startGuarded(["--listen", `:${port}`, ...words], options);
  return { guarded, address: `127.0.0.1:${port}` };
}

export function limited(parent: RealCgroup, name: string, bytes: number): RealCgroup {
  const cgroup = parent.child(name);
  cgroup.limit(bytes);
  return cgroup;
}
