/** promtool of Debian's package `prometheus`; what needs it is ignored where it is not installed. */

import assert from "node:assert/strict";

export const FOLDER = new URL("../../deploy/", import.meta.url).pathname;

const isInstalled = (Deno.env.get("PATH") ?? "").split(":").some((dir) => {
  try {
    return Deno.statSync(`${dir}/promtool`).isFile;
  } catch {
    return false;
  }
});

export function promtoolTest(name: string, test: () => Promise<void>): void {
  if (isInstalled) Deno.test(name, test);
  else Deno.test.ignore(`${name} [promtool is not installed]`, test);
}

/** Fails with what it says unless it is content. @returns all that it says. */
export async function promtool(args: readonly string[], stdin = ""): Promise<string> {
  const child = new Deno.Command("promtool", {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const feed = async () => {
    await writer.write(new TextEncoder().encode(stdin));
    await writer.close();
  };
  // One that needs no stdin does not wait for it.
  const [{ code, stdout, stderr }] = await Promise.all([child.output(), feed().catch(() => {})]);
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.equal(code, 0, said);
  return said;
}
