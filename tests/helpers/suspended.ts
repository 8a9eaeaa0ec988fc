/** Stops all threads of a program, as a suspended machine does, and waits until the kernel has done so. */
export async function suspend(pid: number): Promise<void> {
  Deno.kill(pid, "SIGSTOP");
  const states = () =>
    [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) =>
      /^State:\s+(\w)/m.exec(Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`))![1]
    );
  while (states().some((state) => state !== "T")) await new Promise((next) => setTimeout(next));
}
