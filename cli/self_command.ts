/** The command line that starts oomkit again, from its sources or from the executable. */

import { fileURLToPath } from "node:url";

export function selfCommand(): string[] {
  if (Deno.build.standalone) return [Deno.execPath()];
  const main = fileURLToPath(Deno.mainModule);
  const config = fileURLToPath(new URL("../deno.json", Deno.mainModule));
  const flags = isFile(config) ? ["-c", config] : ["--no-config"];
  return [Deno.execPath(), "run", "-A", "--quiet", "--no-check", ...flags, main];
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
