/** The container image in the default mode of v1, in which it must come before the kernel: image_test.ts has the others. */

import { noImageReason } from "../helpers/image_container.ts";
import { guardsFromItsContainer } from "../helpers/image_guard.ts";
import { isThere } from "../helpers/is_there.ts";
import { kernelTest } from "../helpers/kernel_cases.ts";
import { whyNoRunc } from "../helpers/runc_container.ts";

/** Whether SCHED_FIFO threads need a budget of their cgroup (CONFIG_RT_GROUP_SCHED on v1). */
const needsRealtimeBudget = isThere("/sys/fs/cgroup/cpu/cpu.rt_runtime_us");

if (noImageReason() === undefined && needsRealtimeBudget) {
  kernelTest(
    "in hold-near-limit mode, with a SCHED_FIFO budget, a margin of 10 % and one percent of a CPU, the image kills before the kernel",
    // The default 2 % fill up within the milliseconds for which the host of a virtual machine may withhold a CPU (deploy/README.md).
    () => guardsFromItsContainer(["--margin-ratio", "0.1"], { realtime: 50_000 }),
    { why: whyNoRunc(), only: 1 },
  );
}
