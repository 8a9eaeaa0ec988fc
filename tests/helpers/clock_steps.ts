/** Setting the clock, which is for a machine of the test's own only. */

/** Why it cannot be set here; `undefined` in the emulated machine. */
export const whyNoClockSteps = Deno.env.has("OOMKIT_PROGRAM")
  ? undefined
  : "the clock is set in the emulated machine only";

export interface Clock extends Disposable {
  /** Seconds, from what it says now. */
  step(seconds: number): void;
}

/** Set as it was, but for the time that has passed, when it is disposed of. */
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

/** Whether what was told bears the time that it is now, give or take a minute. */
export const isNow = ({ ts }: { readonly ts: string }): boolean =>
  Math.abs(Date.parse(ts) - Date.now()) < 60_000;
