/** Control files that are not what a kernel writes: an empty, torn or foreign one must not pass for a number. Pure. */

/** Whatever may lawfully be empty: nobody is in the cgroup, PSI is switched off, no controller is on. */
const MAY_BE_EMPTY = /^(cgroup\.procs|memory\.pressure|cgroup\.(controllers|subtree_control))$/;
const KEYED = /^(memory\.(stat|events|events\.local|oom_control|pressure)|cgroup\.events)$/;
const ROW = /^\S+ (\d+$|avg10=\d)/m;
/** Searched for rather than matched as a whole, which for 100,000 lines would have to remember each. */
const NO_PIDS = /[^\d\n]|\d{11}|\n\n|^\n/;

/** Why the text of a control file cannot be trusted, in a few words; `undefined` when it can. */
export function invalidReason(name: string, text: string): string | undefined {
  if (text === "") return MAY_BE_EMPTY.test(name) ? undefined : "it is empty";
  if (!text.endsWith("\n")) return "it is cut off, its last line has no end";
  if (name === "cgroup.procs") return NO_PIDS.test(text) ? "it lists more than pids" : undefined;
  // A kernel to come may have lines of another kind among them.
  if (KEYED.test(name)) return ROW.test(text) ? undefined : "no line of it is a key and a number";
  const value = text.trim();
  if (/^(\d{1,20}|max)$/.test(value)) return undefined;
  return `"${value.slice(0, 20)}" is no size`;
}
