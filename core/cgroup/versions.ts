/** The versions by number: functions cannot be sent to a thread or stored in a recording. */

import { v1 } from "./v1.ts";
import { v2 } from "./v2.ts";
import type { CgroupVersion } from "./version.ts";

const VERSIONS: Readonly<Record<CgroupVersion["number"], CgroupVersion>> = { 1: v1, 2: v2 };

export const versionOf = (number: CgroupVersion["number"]): CgroupVersion => VERSIONS[number];
