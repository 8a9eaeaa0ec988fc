/**
 * A bundle names the packages' files where this machine caches them: in a comment above each, and in the source map.
 * With the names alone the same commit gives the same bytes on every machine.
 */

const mapMark = "//# sourceMappingURL=data:application/json;base64,";

/** Up to the package's name: a cache's folder for one registry. */
const cachePath = /^(?:.*\/)?npm\/[^/]+\//;

export function neutral(bundle: string): string {
  const at = bundle.lastIndexOf(mapMark);
  const code = at < 0 ? bundle : bundle.slice(0, at);
  const neutralCode = code.replaceAll(/^\/\/ (\S+)$/gm, (_, path) => `// ${neutralPath(path)}`);
  if (at < 0) return neutralCode;
  const map = JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(
    bundle.slice(at + mapMark.length).trim(),
  )));
  const sources = map.sources.map(neutralPath);
  const text = new TextEncoder().encode(JSON.stringify({ ...map, sources }));
  return `${neutralCode}${mapMark}${text.toBase64()}\n`;
}

function neutralPath(path: string): string {
  return path.replace(cachePath, "npm/");
}
