/** A Unix socket that receives datagrams, in its own process, since Deno has such sockets only behind a flag. */

import { makeDirectory } from "./directory.ts";

export interface DatagramReceiver extends AsyncDisposable {
  /** Of the socket, which is alone there. */
  readonly directory: string;
  readonly path: string;
  /** The next datagram. */
  next(): Promise<string>;
}

/** @param reads whether it takes what is sent: if not, it is full after some datagrams. */
export async function startDatagramReceiver(reads = true): Promise<DatagramReceiver> {
  const directory = makeDirectory();
  const path = `${directory.path}/socket`;
  const take = `for await (const [bytes] of socket) {
    console.log(JSON.stringify(new TextDecoder().decode(bytes)));
  }`;
  const code = `
    const socket = Deno.listenDatagram({ transport: "unixpacket", path: ${JSON.stringify(path)} });
    console.log("listening");
    ${reads ? take : "setInterval(() => socket, 2 ** 30)"}
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", "--no-config", "--unstable-net", code],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  const line = async () => {
    while (!rest.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the receiver has exited");
      rest += value;
    }
    const [first, ...others] = rest.split("\n");
    rest = others.join("\n");
    return first!;
  };
  await line();
  return {
    directory: directory.path,
    path,
    next: async () => JSON.parse(await line()),
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.status;
      await reader.cancel();
      directory[Symbol.dispose]();
    },
  };
}
