/**
 * `1234 kB` as in /proc/meminfo and /proc/PID/status, in bytes. The kernel's kB are 1024 bytes.
 */
export function parseKilobytes(text: string | undefined): number | undefined {
  const match = /^\s*(\d{1,16}) kB$/.exec(text ?? "");
  return match === null ? undefined : Number(match[1]) * 1024;
}
