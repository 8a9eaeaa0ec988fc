/** The hidden command with which `simulate` starts an allocator process; its one argument is an allocation as JSON. */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { OomkitError } from "../../core/errors.ts";
import { allocate } from "../../core/simulate/allocator.ts";
import { type Allocation, KINDS, SIGNAL_REPLIES } from "../../core/simulate/allocator_protocol.ts";
import type { Finish } from "../exit.ts";

const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const schema = v.strictObject({
  kind: v.picklist(KINDS),
  procsFile: v.exactOptional(v.string()),
  usageFile: v.string(),
  maxBytes: bytes,
  stopAt: v.exactOptional(bytes),
  step: v.pipe(bytes, v.minValue(1)),
  reportStep: bytes,
  rate: v.exactOptional(v.number()),
  holdMs: v.number(),
  onSignal: v.exactOptional(v.picklist(SIGNAL_REPLIES)),
  http: v.exactOptional(v.strictObject({ hostname: v.string(), port: v.number() })),
  folder: v.exactOptional(v.string()),
  parentPid: v.number(),
});

export function allocateCommand(finish: Finish) {
  return new Command("__allocate").argument("<allocation>").action(async (text) => {
    await allocate(parse(text));
    finish(0);
  });
}

function parse(text: string): Allocation {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch {
    throw new OomkitError(
      "cannot allocate: the argument does not come from simulate",
      "use oomkit simulate",
    );
  }
}
