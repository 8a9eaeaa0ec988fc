/** Injects every fault into every file that a function reads, at its first access and at its second. */

import { type Access, inject, type Wound } from "./injection.ts";
import { faultsAt } from "./kinds.ts";

export interface Sweep {
  /** The accesses without any fault, each once. */
  readonly accesses: readonly Access[];
  /** The number of wounds that were applied. */
  readonly tried: number;
}

/**
 * @param run the function under test; synchronous, and must read the same files each time.
 * @param judge throws if the outcome is wrong; what `run` throws is `thrown`.
 * @param concerns selects the accesses to test.
 * @param permanent wounds that are active in every run.
 * @param moments the accesses of a path that fail.
 */
export function sweep<T>(
  run: () => T,
  judge: (wound: Wound, outcome: { readonly result: T } | { readonly thrown: unknown }) => void,
  concerns: (access: Access) => boolean = () => true,
  permanent: readonly Wound[] = [],
  moments: (path: string) => readonly Span[] = () => SPANS,
): Sweep {
  const accesses = recorded(run, permanent).filter(concerns);
  let tried = 0;
  for (const { moment, path } of accesses) {
    for (const fault of faultsAt(moment)) {
      for (const span of moments(path)) {
        const wound = { path, fault, ...span };
        const { outcome, hits } = hurt(run, [...permanent, wound]);
        if (!hits.has(wound)) continue;
        tried += 1;
        try {
          judge(wound, outcome);
        } catch (error) {
          throw new Error(
            `${fault.name}, ${moment} ${wound.from} (${wound.times ?? "on"}) of ${path}`,
            {
              cause: error,
            },
          );
        }
      }
    }
  }
  return { accesses, tried };
}

/** Which accesses fail. */
export type Span = Pick<Wound, "from" | "times">;

export const FROM_THE_FIRST: Span = { from: 1 };
export const FROM_THE_SECOND: Span = { from: 2 };
export const THE_FIRST: Span = { from: 1, times: 1 };
export const THE_SECOND: Span = { from: 2, times: 1 };
const SPANS = [THE_FIRST, FROM_THE_FIRST, FROM_THE_SECOND];

/** Replaces the text of a file in every read. */
export function substitute(path: string, text: string): Wound[] {
  const alter = () => new TextEncoder().encode(text);
  return [{ path, fault: { name: "substitute", moment: "read", alter }, from: 1 }];
}

function recorded(run: () => unknown, permanent: readonly Wound[]): Access[] {
  using injection = inject(permanent);
  run();
  const distinct = new Map(injection.accesses.map((each) => [`${each.moment} ${each.path}`, each]));
  return [...distinct.values()];
}

/** The outcome of `run`, and the wounds that were applied. */
export function hurt<T>(run: () => T, wounds: readonly Wound[]) {
  using injection = inject(wounds);
  let outcome: { readonly result: T } | { readonly thrown: unknown };
  try {
    outcome = { result: run() };
  } catch (thrown) {
    outcome = { thrown };
  }
  return { outcome, hits: injection.hits };
}
