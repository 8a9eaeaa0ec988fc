/** The kernel names the cgroup of a victim at most 10 times in 5 s, for the whole machine (mm/oom_kill.c, oom_rs). */

import { until } from "./guarded.ts";

const MAX_LOGGED = 10;
const LOGGED_WITHIN_S = 5;

/** Resolves once the kernel will name the cgroups of so many kills in a row, however many other tests caused before. */
export async function untilLogged(kills: number): Promise<void> {
  await until("the kernel logs again", () => recentlyLogged() + kills <= MAX_LOGGED);
}

function recentlyLogged(): number {
  const [uptime] = Deno.readTextFileSync("/proc/uptime").split(" ");
  const { stdout } = new Deno.Command("dmesg").outputSync();
  const kills = new TextDecoder().decode(stdout).matchAll(/^\[ *([\d.]+)\] oom-kill:/gm);
  return [...kills].filter(([, at]) => Number(uptime) - Number(at) < LOGGED_WITHIN_S + 1).length;
}
