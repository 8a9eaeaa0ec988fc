/** Lines as the kernel writes them: each ended by a newline, the last one too. */

/**
 * Without a last line that has no end: the kernel always writes one, so what is missing may be the rest of a number, and half
 * a number is another number.
 */
export function wholeLines(text: string): string[] {
  const lines = text.split("\n");
  lines.pop();
  return lines;
}
