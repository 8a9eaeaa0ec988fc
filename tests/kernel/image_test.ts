/** The container image with the DaemonSet's limits, 60 MiB and one percent of a CPU, guarding a cgroup outside of it. */

import { noImageReason } from "../helpers/image_container.ts";
import { guardsFromItsContainer } from "../helpers/image_guard.ts";
import { kernelTest } from "../helpers/kernel_cases.ts";
import { whyNoRunc } from "../helpers/runc_container.ts";

const why = whyNoRunc();

if (noImageReason() === undefined) {
  kernelTest(
    "under hold, with 60 MiB and one percent of a CPU from its start, the image kills before the kernel",
    () => guardsFromItsContainer(["--mode", "hold"], { limitsCpuAtStart: true }),
    { why, only: 1 },
  );

  kernelTest(
    "in throttle mode, with 60 MiB and one percent of a CPU, the image kills before the kernel",
    () => guardsFromItsContainer([], {}),
    { why, only: 2 },
  );
}
