/** Resolves when the kernel has stopped all threads of a program, as when its machine sleeps. */
export async function suspend(pid: number): Promise<void> {
  Deno.kill(pid, "SIGSTOP");
  const states = () =>
    [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) =>
      /^State:\s+(\w)/m.exec(Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`))![1]
    );
  while (states().some((state) => state !== "T")) await new Promise((next) => setTimeout(next));
}
