/** What a guard is asked to do: plain data, so that it can be handed to another thread. */

import type { Level, LevelPolicy } from "../policy/bounds.ts";
import type { Preferences } from "../policy/choose.ts";
import type { Patience } from "../policy/engagement.ts";
import type { Rearming } from "../policy/levels.ts";

export type Action =
  | { readonly kind: "noop" }
  /** To every process in the cgroup that handles it. */
  | { readonly kind: "signal"; readonly signal: Deno.Signal }
  | { readonly kind: "reclaim" }
  /** The process that the kernel would choose. */
  | { readonly kind: "process" }
  /** Everything in the victim's container. */
  | { readonly kind: "container" }
  | { readonly kind: "exec"; readonly command: string };

/**
 * How to be in time. `notify` changes nothing; `tripwire` sets memory.high (v2), `hold` switches the kernel's killer off (v1),
 * and both put back what was there before.
 */
export type Mode = "notify" | "tripwire" | "hold";

export interface GuardPlan {
  /** `--root`; the machine's own hierarchy without it. */
  readonly root?: string;
  /** Cgroup paths. */
  readonly targets: readonly string[];
  /** Also everything beneath them, and what appears there later. */
  readonly recursive: boolean;
  readonly levels: LevelPolicy;
  readonly rearming: Rearming;
  readonly patience: Patience;
  readonly base: "usage" | "working-set";
  readonly actions: Readonly<Record<Level, readonly Action[]>>;
  readonly preferences: Preferences;
  readonly mode: Mode;
  /** Also soft limits: v1 memory.soft_limit_in_bytes, v2 memory.high. */
  readonly softLimit: boolean;
  /** Everything but the deed itself. */
  readonly dryRun: boolean;
  /** Read at least this often, in milliseconds, where nothing notifies. */
  readonly poll?: number;
  /** Milliseconds between two walks over everything. */
  readonly walkEvery: number;
  /** Milliseconds until everything is armed afresh. */
  readonly rearmEvery: number;
}

/** Whether anything is to die. */
export function kills(actions: readonly Action[]): "process" | "container" | undefined {
  const found = actions.find(({ kind }) => kind === "process" || kind === "container");
  return found?.kind as "process" | "container" | undefined;
}
