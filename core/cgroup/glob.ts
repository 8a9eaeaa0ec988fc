/** Globs over cgroup paths: `*` and `?` stay within one name, `**` goes to any depth, `[abc]` is a set. Pure. */

export function isGlob(text: string): boolean {
  return /[*?[]/.test(text);
}

/** A pattern for whole paths. `/a/**` matches everything beneath `/a`, but not `/a` itself. */
export function globToRegExp(glob: string): RegExp {
  let source = "";
  for (let at = 0; at < glob.length; at++) {
    const rest = glob.slice(at);
    const set = /^\[([!^]?)([^\]/]+)\]/.exec(rest);
    if (rest.startsWith("**/")) {
      source += "(?:[^/]+/)*";
      at += 2;
    } else if (rest.startsWith("**")) {
      source += ".+";
      at += 1;
    } else if (rest.startsWith("*")) {
      source += "[^/]*";
    } else if (rest.startsWith("?")) {
      source += "[^/]";
    } else if (set) {
      source += set[1] ? `[^/${membersOf(set[2]!)}]` : `(?!/)[${membersOf(set[2]!)}]`;
      at += set[0].length - 1;
    } else {
      source += rest[0]!.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    }
  }
  return new RegExp(`^${source}$`, "su");
}

/** A range that ends before it begins has nothing in it, as for a shell. */
function membersOf(set: string): string {
  const literal = (char: string) => char.replace(/[\\\[\]^-]/, "\\$&");
  return set.replace(/(.)-(.)|./gsu, (each, from?: string, to?: string) => {
    if (from === undefined || to === undefined) return literal(each);
    return from.codePointAt(0)! > to.codePointAt(0)! ? "" : `${literal(from)}-${literal(to)}`;
  });
}

/** How deep beneath the root a match can lie, so that a search need not go further. */
export function globDepth(glob: string): number {
  return glob.includes("**") ? Infinity : glob.split("/").filter((name) => name !== "").length;
}

/** The names before the first wildcard: where a search begins. */
export function globBase(glob: string): string {
  const names = glob.split("/");
  const first = names.findIndex(isGlob);
  return names.slice(0, first).join("/") || "/";
}
