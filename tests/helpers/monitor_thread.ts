/** The monitor thread of a running guard, alone in a v1 cgroup: what it lacks, the guard's other threads have. */

import { isThere } from "./is_there.ts";

/** Why there is no such hierarchy here. */
export const withoutThreadCgroups = (...controllers: readonly string[]): string | undefined => {
  const missing = controllers.find((name) => !isThere(`/sys/fs/cgroup/${name}/tasks`));
  return missing && `this machine has no v1 hierarchy of ${missing}`;
};

/** @param values of its files, by name. Leaves it at the end. */
export function confineMonitorThread(
  pid: number,
  controller: "freezer" | "cpu",
  values: Readonly<Record<string, string>>,
): Disposable {
  const dir = `/sys/fs/cgroup/${controller}/oomkit-test-thread-${pid}`;
  const thread = [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name).find((name) =>
    // As Deno calls the thread of a worker.
    /^worker-/.test(Deno.readTextFileSync(`/proc/${pid}/task/${name}/comm`))
  );
  if (thread === undefined) throw new Error(`the guard ${pid} has no monitor thread`);
  Deno.mkdirSync(dir);
  Deno.writeTextFileSync(`${dir}/tasks`, thread);
  for (const [name, value] of Object.entries(values)) {
    Deno.writeTextFileSync(`${dir}/${name}`, value);
  }
  return {
    [Symbol.dispose]() {
      if (controller === "freezer") Deno.writeTextFileSync(`${dir}/freezer.state`, "THAWED");
      // Threads that it has started meanwhile are there, too.
      const threads = () => Deno.readTextFileSync(`${dir}/tasks`).split("\n").slice(0, -1);
      for (let all; (all = threads()).length > 0;) {
        for (const each of all) {
          if (!isThere(`/proc/${pid}/task/${each}`)) continue;
          Deno.writeTextFileSync(`/sys/fs/cgroup/${controller}/tasks`, each);
        }
      }
      Deno.removeSync(dir);
    },
  };
}
