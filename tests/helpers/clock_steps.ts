/** Sets the system clock, on an emulated machine only. */

/** Why the clock must not be set here; `undefined` on an emulated machine. */
export const whyNoClockSteps = Deno.env.has("OOMKIT_PROGRAM")
  ? undefined
  : "the clock is set in the emulated machine only";

export interface Clock extends Disposable {
  /** Sets the clock forward by so many seconds, or back if negative. */
  step(seconds: number): void;
}

/** Undoes all steps when it is disposed of. */
export function takeClock(): Clock {
  let stepped = 0;
  const step = (seconds: number) => {
    const to = Math.round(Date.now() / 1000) + seconds;
    const { success } = new Deno.Command("date", { args: ["-s", `@${to}`], stdout: "null" })
      .outputSync();
    if (!success) throw new Error(`cannot set the clock by ${seconds} s`);
    stepped += seconds;
  };
  return { step, [Symbol.dispose]: () => step(-stepped) };
}

export const HOURS = 3600;

/** Whether an event has the current time, within a minute. */
export const isNow = ({ ts }: { readonly ts: string }): boolean =>
  Math.abs(Date.parse(ts) - Date.now()) < 60_000;
