/** Every file that something reads, hurt in every way, at its first access and at its second. */

import { type Access, inject, type Wound } from "./injection.ts";
import { faultsAt } from "./kinds.ts";

export interface Sweep {
  /** What is read when nothing is wrong, each once. */
  readonly accesses: readonly Access[];
  /** How many wounds were tried that hit something. */
  readonly tried: number;
}

/**
 * @param run what is looked at, from the beginning, synchronously; it must read the same files each time.
 * @param judge what came of it; throws when that is wrong. What `run` throws it gets as `thrown`.
 * @param standing what is so in any case, also when nothing else is wrong.
 * @param moments which accesses are hit; the usual where it is left out.
 * @param concerns leaves out accesses that are not the program's, or not meant.
 */
export function sweep<T>(
  run: () => T,
  judge: (wound: Wound, outcome: { readonly result: T } | { readonly thrown: unknown }) => void,
  concerns: (access: Access) => boolean = () => true,
  preference: readonly Wound[] = [],
  moments: (path: string) => readonly Span[] = () => SPANS,
): Sweep {
  const accesses = recorded(run, preference).filter(concerns);
  let tried = 0;
  for (const { moment, path } of accesses) {
    for (const fault of faultsAt(moment)) {
      for (const span of moments(path)) {
        const wound = { path, fault, ...span };
        const { outcome, hits } = hurt(run, [...preference, wound]);
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

/** Which of the accesses are hit. */
export type Span = Pick<Wound, "from" | "times">;

export const FROM_THE_FIRST: Span = { from: 1 };
export const FROM_THE_SECOND: Span = { from: 2 };
export const THE_FIRST: Span = { from: 1, times: 1 };
export const THE_SECOND: Span = { from: 2, times: 1 };
const SPANS = [THE_FIRST, FROM_THE_FIRST, FROM_THE_SECOND];

/** A file that reads like this for as long as it lasts. */
export function substitute(path: string, text: string): Wound[] {
  const alter = () => new TextEncoder().encode(text);
  return [{ path, fault: { name: "substitute", moment: "read", alter }, from: 1 }];
}

function recorded(run: () => unknown, preference: readonly Wound[]): Access[] {
  using injection = inject(preference);
  run();
  const distinct = new Map(injection.accesses.map((each) => [`${each.moment} ${each.path}`, each]));
  return [...distinct.values()];
}

/** What comes of `run`, and which of the wounds hit anything. */
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
