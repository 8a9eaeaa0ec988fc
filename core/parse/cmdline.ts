/**
 * `/proc/PID/cmdline`: the arguments, each ended by NUL; none for kernel threads and zombies. A process that gives itself a
 * title overwrites them with one string and pads with NULs, so empty arguments at the end are dropped.
 */
export function parseCmdline(text: string): string[] {
  const trimmed = text.replace(/\0+$/, "");
  return trimmed === "" ? [] : trimmed.split("\0");
}
