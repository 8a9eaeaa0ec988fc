/** The hidden command that `simulate` starts itself again with: allocates memory as its one argument says. */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { allocate } from "../../core/simulate/allocate.ts";
import { type Allocation, KINDS, SIGNAL_REPLIES } from "../../core/simulate/allocation.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Finish } from "../exit.ts";

const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const schema = v.strictObject({
  kind: v.picklist(KINDS),
  enter: v.exactOptional(v.string()),
  usageFile: v.string(),
  most: bytes,
  stopAt: v.exactOptional(bytes),
  step: v.pipe(bytes, v.minValue(1)),
  report: bytes,
  rate: v.exactOptional(v.number()),
  hold: v.number(),
  onSignal: v.exactOptional(v.picklist(SIGNAL_REPLIES)),
  http: v.exactOptional(v.strictObject({ hostname: v.string(), port: v.number() })),
  folder: v.exactOptional(v.string()),
  parent: v.number(),
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
    throw new OomkitError("cannot allocate: the argument is none of simulate's", "use simulate");
  }
}
