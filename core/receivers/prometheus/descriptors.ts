/** File descriptors of this process, as Prometheus' client libraries export them. */

export interface Descriptors {
  readonly open: number | undefined;
  readonly max: number | undefined;
}

/** What cannot be read is `undefined`. */
export function readDescriptors(): Descriptors {
  return { open: countOpen(), max: readMax() };
}

function countOpen(): number | undefined {
  try {
    // The directory itself is open meanwhile.
    return [...Deno.readDirSync("/proc/self/fd")].length - 1;
  } catch {
    return undefined;
  }
}

function readMax(): number | undefined {
  try {
    const [, soft] = /^Max open files +(\S+)/m.exec(Deno.readTextFileSync("/proc/self/limits")) ??
      [];
    return soft === undefined || soft === "unlimited" ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}
