/**
 * Several command lines in one process, one after the other, where each would take 80 ms of CPU to start: for those that are refused, and
 * those that only read files. What another one has begun would go on beside the next.
 */

import { fileURLToPath } from "node:url";
import { runCommand } from "../../cli/main.ts";
import { print } from "../../cli/output/output.ts";
import { oomkit, type Ran, runOomkit, type RunOptions } from "./run_oomkit.ts";

const self = fileURLToPath(import.meta.url);

/** In the order of the command lines. */
export async function runEach(
  commands: readonly (readonly string[])[],
  options: Pick<RunOptions, "env" | "wrap"> = {},
): Promise<Ran[]> {
  const program = [...oomkit().slice(0, -1), self];
  const ran = await runOomkit([JSON.stringify(commands)], { ...options, program });
  if (ran.code !== 0) throw new Error(`exit ${ran.code}: ${ran.stderr}`);
  return JSON.parse(ran.stdout);
}

/** Replaces its writes, until it is disposed of. */
function captured(stream: typeof Deno.stdout): Disposable & { readonly text: string } {
  let text = "";
  const decoder = new TextDecoder();
  const writeSync = (bytes: Uint8Array) => {
    text += decoder.decode(bytes, { stream: true });
    return bytes.length;
  };
  const { write, writeSync: real } = stream;
  Object.assign(stream, {
    writeSync,
    write: (bytes: Uint8Array) => Promise.resolve(writeSync(bytes)),
  });
  return {
    get text() {
      return text;
    },
    [Symbol.dispose]: () => void Object.assign(stream, { write, writeSync: real }),
  };
}

async function output(args: readonly string[]): Promise<Ran> {
  using stdout = captured(Deno.stdout);
  using stderr = captured(Deno.stderr);
  const code = await runCommand(args, "");
  return { code, stdout: stdout.text, stderr: stderr.text };
}

if (import.meta.main) {
  const ran: Ran[] = [];
  for (const args of JSON.parse(Deno.args[0]!)) ran.push(await output(args));
  print(JSON.stringify(ran));
  Deno.exit();
}
