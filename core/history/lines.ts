/** Text in lines, as it arrives. */

/** No line of a log is longer; a file that is none may have no line breaks at all. */
export const MAX_LINE_CHARACTERS = 64 * 1024;

/** The rest of a line that is too long is left out. @param onCut called for each such line. */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  onCut: () => void,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  let isCut = false;
  for await (const chunk of chunks) {
    const lines = decoder.decode(chunk, { stream: true }).split("\n");
    lines[0] = rest + lines[0];
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.length > MAX_LINE_CHARACTERS && !isCut) onCut();
      yield line.slice(0, MAX_LINE_CHARACTERS);
      isCut = false;
    }
    if (rest.length <= MAX_LINE_CHARACTERS) continue;
    rest = rest.slice(0, MAX_LINE_CHARACTERS);
    if (!isCut) onCut();
    isCut = true;
  }
  if (rest !== "") yield rest;
}
